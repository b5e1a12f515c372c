"""Forged tracks: the same synthetic forgery in all frames of a genuine track.

The forgery of a track is drawn once, in face coordinates, and placed with the landmarks of each
frame. The forged frames are then compressed as one H.264 clip, and so are the genuine ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import cv2
import numpy as np

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.faces import CropGeometry
from fakelens.trust.synthetic_forgery import ForgeryRecipe, altered_copy, blend, feather_mask
from training.yardstick.codec import compress_clip
from training.yardstick.geometry import Placement, place_face
from training.yardstick.items import MAX_SIDE, Item, View, longer_side
from training.yardstick.swaps import match_colours, warp_donor

Kind: TypeAlias = Literal["self-blend", "swap", "bottleneck", "warp"]
KINDS: tuple[Kind, ...] = ("self-blend", "swap", "bottleneck", "warp")

# Centre (on the line down the face) and half axes of each hull, in face coordinates.
_HULLS = {
    "face": (0.5, 0.95, 1.1),
    "lower": (1.0, 0.85, 0.65),
    "eyes_nose": (0.22, 0.95, 0.48),
    "mouth": (1.0, 0.6, 0.38),
}
_CORNERS = 24
_MOUTH = np.array([0.0, 1.0])
_WARP_RADIUS = 0.32  # standard deviation of the Gaussian that moves the mouth, face coordinates
_MIN_MOVE = 5e-4  # smaller displacements of a warp are set to 0, face coordinates
_STORED_AREA = CropGeometry("box", 1.8)


@dataclass(frozen=True, slots=True)
class Forgery:
    """A forgery of all frames of a track; lengths are in face coordinates (``geometry``).

    Attributes:
        kind: kind of forgery.
        hull: (24, 2) float32 corners of the forged area.
        softness: sigma of the edge of the area.
        strength: opacity of the forged copy, 0..1.
        recipe: change of the copy; its ``part`` is ignored.
        push: displacement of the mouth, x and y.
        stretch: relative opening of the mouth, 0 = none.
        crf: constant rate factor of the H.264 compression that follows.
    """

    kind: Kind
    hull: FloatArray
    softness: float
    strength: float
    recipe: ForgeryRecipe
    push: tuple[float, float]
    stretch: float
    crf: int


def draw_forgery(kind: Kind, rng: np.random.Generator) -> Forgery:
    """Draw a random forgery of a kind."""
    down, across, along = _HULLS[str(rng.choice(list(_HULLS)))]
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    # Two low-frequency waves make the ellipse irregular.
    phase = rng.uniform(0, 2 * np.pi, 2)
    radius = 1 + 0.07 * np.sin(2 * angle + phase[0]) + 0.05 * np.sin(3 * angle + phase[1])
    radius *= rng.uniform(0.85, 1.1)
    hull = np.stack(
        [across * radius * np.cos(angle), down + along * radius * np.sin(angle)], axis=1
    )
    red, green, blue = rng.uniform(-12, 12, 3).tolist()
    recipe = ForgeryRecipe(
        "face",
        detail=float(rng.uniform(0.4, 0.95)),
        contrast=float(rng.uniform(0.88, 1.12)),
        tint=(red, green, blue),
        zoom=float(rng.uniform(0.96, 1.04)),
        shift=float(rng.uniform(-0.06, 0.06)),
    )
    soft = np.log((0.15, 0.3) if kind == "bottleneck" else (0.04, 0.25))
    if kind == "bottleneck":
        detail = float(rng.uniform(0.2, 0.45))
        recipe = replace(recipe, detail=detail, contrast=1.0, tint=(0, 0, 0), zoom=1.0, shift=0.0)
    push = rng.uniform(0.05, 0.13) * np.exp(2j * np.pi * rng.random())
    return Forgery(
        kind,
        hull.astype(np.float32),
        float(np.exp(rng.uniform(*soft))),
        float(rng.choice([0.6, 0.8, 1.0, 1.0])),
        recipe,
        (float(push.real), float(push.imag)),
        float(rng.uniform(-0.35, 0.35)),
        int(rng.integers(18, 37)),
    )


def hull_mask(shape: tuple[int, ...], hull: FloatArray, softness: float) -> FloatArray:
    """Draw a polygon with a soft edge, (H, W) float32 in 0..1, exactly 0 outside the edge.

    Args:
        shape: shape of the picture.
        hull: (N, 2) corners, pixels.
        softness: sigma of the edge, pixels.
    """
    mask = np.zeros(shape[:2], np.float32)
    cv2.fillPoly(mask, [np.rint(16 * hull).astype(np.int32)], (1.0,), shift=4)
    # Cut off the tail of the Gaussian, so that pixels outside are exactly 0.
    return np.asarray(np.clip(1.02 * feather_mask(mask, softness) - 0.02, 0, 1), np.float32)


def forge_track(
    frames: Sequence[View], forgery: Forgery, donors: Sequence[View]
) -> tuple[list[RGBImage], list[FloatArray]]:
    """Apply one forgery to all frames of a track.

    Args:
        frames: frames of the track, with landmarks.
        forgery: forgery to apply.
        donors: frames of another person's track, with landmarks; a swap uses the most similar
            pose.

    Returns:
        The forged frames, and their masks, (H, W) float32 in 0..1; where a mask is 0, the frame is
        unchanged.
    """
    pictures = [view.picture for view in frames]
    places = [_place(view) for view in frames]
    if forgery.kind == "warp":
        moved = [
            _warp_mouth(image, at, forgery) for image, at in zip(pictures, places, strict=True)
        ]
        return [image for image, _ in moved], [mask for _, mask in moved]
    masks = [
        forgery.strength
        * hull_mask(image.shape, at.to_pixels(forgery.hull), forgery.softness * at.unit)
        for image, at in zip(pictures, places, strict=True)
    ]
    if forgery.kind == "swap":
        chosen = [min(donors, key=lambda donor: abs(pose(donor) - pose(view))) for view in frames]
        warped = [
            warp_donor(donor.picture, _place(donor), image.shape, at)
            for donor, image, at in zip(chosen, pictures, places, strict=True)
        ]
        masks = [mask * inside for mask, (_, inside) in zip(masks, warped, strict=True)]
        copies: Sequence[FloatArray | RGBImage] = match_colours(
            [image for image, _ in warped], pictures, masks
        )
    else:
        middle = forgery.hull.mean(axis=0, keepdims=True)
        copies = [
            altered_copy(
                image,
                forgery.recipe,
                tuple(at.to_pixels(middle)[0]),
                forgery.recipe.shift * at.unit,
            )
            for image, at in zip(pictures, places, strict=True)
        ]
    forged = [
        blend(image, np.asarray(copy, np.float32), mask)
        for image, copy, mask in zip(pictures, copies, masks, strict=True)
    ]
    return forged, masks


def pose(view: View) -> float:
    """Measure how far the nose is beside the midline: 0 is frontal, about 0.4 a half profile."""
    landmarks = np.asarray(view.face.landmarks)
    return float(_place(view).to_face(landmarks[2:3])[0, 0])


def square_views(views: Sequence[View]) -> list[View]:
    """Crop the faces of a track to squares of one size, even and at most ``MAX_SIDE`` pixels."""
    sides = [_STORED_AREA.scale * longer_side(view.face) for view in views]
    size = min(MAX_SIDE, 2 * round(float(np.median(sides)) / 2))
    result = []
    for view in views:
        area = crop_area(view.face, _STORED_AREA)
        # Rounded to whole pixels, as ``extract_crop`` does.
        left, top = np.floor(area.x1 + 0.5), np.floor(area.y1 + 0.5)
        factor = size / max(1, np.floor(area.width + 0.5))
        face = view.face.moved(-left, -top).scaled(factor, factor)
        result.append(View(extract_crop(view.picture, area, size), face, view.native_side))
    return result


def forged_tracks(tracks: Sequence[Item], forgeries: int, seed: int) -> Iterator[Item]:
    """Yield forged tracks, each followed by its genuine counterpart with the same compression.

    Args:
        tracks: genuine tracks of several groups.
        forgeries: number of forgeries of each track, of different kinds.
        seed: random seed of the forgeries.
    """
    square = [square_views(track.views) for track in tracks]
    poses = [float(np.mean([pose(view) for view in views])) for views in square]
    for index, track in enumerate(tracks):
        others = [row for row, other in enumerate(tracks) if other.group != track.group]
        others.sort(key=lambda row: abs(poses[row] - poses[index]))
        for turn in range(forgeries):
            rng = np.random.default_rng([seed, index, turn])
            forgery = draw_forgery(_kind(index, turn), rng)
            donor = square[int(rng.choice(others[:3]))]
            fakes, _ = forge_track(square[index], forgery, donor)
            real = [view.picture for view in square[index]]
            for label, kind, frames in ((True, forgery.kind, fakes), (False, "genuine", real)):
                views = tuple(
                    replace(view, picture=picture)
                    for view, picture in zip(
                        square[index], compress_clip(frames, forgery.crf), strict=True
                    )
                )
                yield Item("forged tracks", label, track.origin, kind, track.group, views)


def _kind(index: int, turn: int) -> Kind:
    """Choose the kind of a track's forgery in turn, with other pairs every four tracks."""
    return KINDS[(index + turn * (1 + index // len(KINDS) % (len(KINDS) - 1))) % len(KINDS)]


def _place(view: View) -> Placement:
    if view.face.landmarks is None:
        raise ValueError("the face has no landmarks, which place the forgery")
    return place_face(view.face.landmarks)


def _warp_mouth(image: RGBImage, at: Placement, forgery: Forgery) -> tuple[RGBImage, FloatArray]:
    """Move and open the mouth smoothly; the returned mask is 1 where pixels move."""
    height, width = image.shape[:2]
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
    offset = at.to_face(pixels) - _MOUTH
    weight = np.exp(-(offset**2).sum(axis=1) / (2 * _WARP_RADIUS**2))
    move = weight[:, None] * (np.array(forgery.push) + [[0, forgery.stretch]] * offset)
    displacement = (move[:, 0] + 1j * move[:, 1]) * at.turn
    moving = np.abs(displacement) > _MIN_MOVE * at.unit  # cut off the tail of the Gaussian
    displacement[~moving] = 0
    back = pixels - np.stack([displacement.real, displacement.imag], axis=1).astype(np.float32)
    from_x, from_y = back.T.reshape(2, height, width)
    moved = cv2.remap(image, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return moved.astype(np.uint8, copy=False), moving.reshape(height, width).astype(np.float32)
