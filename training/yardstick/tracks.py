"""Forgeries planted consistently through the frames of a genuine track.

A track's forgery is drawn once, in the coordinates of the face, and placed by the landmarks of each
frame. The frames are then one H.264 clip, the genuine ones likewise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import cv2
import numpy as np

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.faces import CropGeometry
from fakelens.trust.synthetic_forgery import ForgeryRecipe, blend, changed_copy, soften
from training.yardstick.codec import through_h264
from training.yardstick.geometry import Placement, place
from training.yardstick.items import LONGEST, Item, View, longer_side
from training.yardstick.swaps import lay_over, match_colours

Kind: TypeAlias = Literal["self-blend", "swap", "bottleneck", "warp"]
KINDS: tuple[Kind, ...] = ("self-blend", "swap", "bottleneck", "warp")

# Middle (on the line down the face) and half axes of each hull, in the face's units.
_HULLS = {
    "face": (0.5, 0.95, 1.1),
    "lower": (1.0, 0.85, 0.65),
    "eyes_nose": (0.22, 0.95, 0.48),
    "mouth": (1.0, 0.6, 0.38),
}
_CORNERS = 24
_MOUTH = np.array([0.0, 1.0])
_WARP_RADIUS = 0.32  # of the Gaussian that moves the mouth, in the face's units
_STILL = 5e-4  # of a mouth that moves: what moves by less, in the face's units, stays
_KEPT = CropGeometry("box", 1.8)


@dataclass(frozen=True, slots=True)
class Forgery:
    """What is done to every frame of a track; lengths in the face's units (``geometry``).

    Attributes:
        kind: of the forgery.
        hull: (24, 2) float32 corners of the area.
        softness: sigma of its edge.
        strength: of the forged copy over the original, 0..1.
        recipe: how a copy of the face is changed; its ``part`` is not looked at.
        push: x, y by which the mouth moves.
        stretch: factor by which the mouth opens, 0 = none.
        crf: of the H.264 that follows.
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
    """Draw a forgery of a kind."""
    down, across, along = _HULLS[str(rng.choice(list(_HULLS)))]
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    # Two slow waves make the ellipse irregular.
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
    """A polygon with a soft edge, (H, W) float32 in 0..1, and 0 away from it.

    Args:
        shape: of the picture.
        hull: (N, 2) corners, pixels.
        softness: sigma of the edge, pixels.
    """
    mask = np.zeros(shape[:2], np.float32)
    cv2.fillPoly(mask, [np.rint(16 * hull).astype(np.int32)], (1.0,), shift=4)
    # A Gaussian has no end: cut its faint tail off, so that outside means outside.
    return np.asarray(np.clip(1.02 * soften(mask, softness) - 0.02, 0, 1), np.float32)


def forge(
    frames: Sequence[View], forgery: Forgery, donors: Sequence[View]
) -> tuple[list[RGBImage], list[FloatArray]]:
    """Plant one forgery in all frames of a track.

    Args:
        frames: of the track; the faces have landmarks.
        forgery: what to do.
        donors: of another person's track, with landmarks; a swap takes the nearest pose.

    Returns:
        The forged frames, and how much of each pixel is forged, (H, W) float32 in 0..1; where it
        is 0 the frame is untouched.
    """
    pictures = [view.picture for view in frames]
    places = [_place(view) for view in frames]
    if forgery.kind == "warp":
        moved = [_warped(image, at, forgery) for image, at in zip(pictures, places, strict=True)]
        return [image for image, _ in moved], [mask for _, mask in moved]
    masks = [
        forgery.strength
        * hull_mask(image.shape, at.to_pixels(forgery.hull), forgery.softness * at.unit)
        for image, at in zip(pictures, places, strict=True)
    ]
    if forgery.kind == "swap":
        chosen = [min(donors, key=lambda donor: abs(pose(donor) - pose(view))) for view in frames]
        laid = [
            lay_over(donor.picture, _place(donor), image.shape, at)
            for donor, image, at in zip(chosen, pictures, places, strict=True)
        ]
        masks = [mask * inside for mask, (_, inside) in zip(masks, laid, strict=True)]
        copies: Sequence[FloatArray | RGBImage] = match_colours(
            [image for image, _ in laid], pictures, masks
        )
    else:
        middle = forgery.hull.mean(axis=0, keepdims=True)
        copies = [
            changed_copy(
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
    """How far the nose is beside the middle of the face: 0 frontal, about 0.4 a half profile."""
    landmarks = np.asarray(view.face.landmarks)
    return float(_place(view).to_face(landmarks[2:3])[0, 0])


def squared(views: Sequence[View]) -> list[View]:
    """Bring the faces of a track to one square size, even and at most ``LONGEST`` pixels."""
    sides = [_KEPT.scale * longer_side(view.face) for view in views]
    size = min(LONGEST, 2 * round(float(np.median(sides)) / 2))
    result = []
    for view in views:
        area = crop_area(view.face, _KEPT)
        # ``cut`` rounds the area to whole pixels; so does the place of the face.
        left, top = np.floor(area.x1 + 0.5), np.floor(area.y1 + 0.5)
        factor = size / max(1, np.floor(area.width + 0.5))
        face = view.face.moved(-left, -top).scaled(factor, factor)
        result.append(View(extract_crop(view.picture, area, size), face, view.native))
    return result


def planted_tracks(tracks: Sequence[Item], forgeries: int, seed: int) -> Iterator[Item]:
    """For each genuine track some forged ones, each followed by its genuine counterpart.

    Args:
        tracks: genuine, of several groups.
        forgeries: for each track, of different kinds.
        seed: of the forgeries.
    """
    square = [squared(track.views) for track in tracks]
    poses = [float(np.mean([pose(view) for view in views])) for views in square]
    for index, track in enumerate(tracks):
        others = [row for row, other in enumerate(tracks) if other.group != track.group]
        others.sort(key=lambda row: abs(poses[row] - poses[index]))
        for turn in range(forgeries):
            rng = np.random.default_rng([seed, index, turn])
            forgery = draw_forgery(_kind(index, turn), rng)
            donor = square[int(rng.choice(others[:3]))]
            fakes, _ = forge(square[index], forgery, donor)
            real = [view.picture for view in square[index]]
            for label, kind, frames in ((True, forgery.kind, fakes), (False, "genuine", real)):
                views = tuple(
                    replace(view, picture=picture)
                    for view, picture in zip(
                        square[index], through_h264(frames, forgery.crf), strict=True
                    )
                )
                yield Item("planted", label, track.origin, kind, track.group, views)


def _kind(index: int, turn: int) -> Kind:
    """The kind of a track's forgery: in turn, and in other pairs every four tracks."""
    return KINDS[(index + turn * (1 + index // len(KINDS) % (len(KINDS) - 1))) % len(KINDS)]


def _place(view: View) -> Placement:
    if view.face.landmarks is None:
        raise ValueError("a forgery is placed by the landmarks, and this face has none")
    return place(view.face.landmarks)


def _warped(image: RGBImage, at: Placement, forgery: Forgery) -> tuple[RGBImage, FloatArray]:
    """Move and open the mouth smoothly; the mask is 1 where a pixel moves."""
    height, width = image.shape[:2]
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
    away = at.to_face(pixels) - _MOUTH
    near = np.exp(-(away**2).sum(axis=1) / (2 * _WARP_RADIUS**2))
    move = near[:, None] * (np.array(forgery.push) + [[0, forgery.stretch]] * away)
    turned = (move[:, 0] + 1j * move[:, 1]) * at.turn
    moving = np.abs(turned) > _STILL * at.unit  # a Gaussian has no end
    turned[~moving] = 0
    back = pixels - np.stack([turned.real, turned.imag], axis=1).astype(np.float32)
    from_x, from_y = back.T.reshape(2, height, width)
    moved = cv2.remap(image, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return moved.astype(np.uint8, copy=False), moving.reshape(height, width).astype(np.float32)
