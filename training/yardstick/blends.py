"""Held-out blends: one area of a genuine face is replaced, by kind of hull."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from tqdm import tqdm

from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.trust.synthetic_forgery import ForgeryRecipe, altered_copy, blend
from training.faces.landmarks import HULL_KINDS, DlibLandmarkFinder, compute_hulls
from training.yardstick.codec import DEGRADATIONS
from training.yardstick.geometry import Placement, place_face
from training.yardstick.items import Item, View
from training.yardstick.swaps import match_colours, warp_donor
from training.yardstick.tracks import hull_mask, pose

# Number of kinds of hull per genuine face.
_HULLS_PER_FACE = 3
_SWAPS = 0.3  # share of blends with another person's face
_CANDIDATES = 12  # number of faces of similar pose from which a donor is drawn


def held_out_blends(faces: Sequence[Item], seed: int) -> Iterator[Item]:
    """Yield the blends of each face, preceded by their genuine partner.

    There are half as many blends of each kind of hull as there are faces. For half of the faces,
    the blended copy is changed, for the others the picture that it is blended into. A changed
    picture therefore does not reveal the label. The blends of a face and their genuine partner get
    the same degradation.

    Args:
        faces: genuine items of several groups, with one view each, with landmarks. Faces whose 68
            landmarks are not found are skipped.
        seed: random seed of the blends.
    """
    finder = DlibLandmarkFinder()
    faces = [replace(face, views=(_trim_to_even(face.views[0]),)) for face in faces]
    poses = np.array([pose(face.views[0]) for face in faces])
    for index, face in enumerate(tqdm(faces, desc="blends", disable=None)):
        rng = np.random.default_rng([seed, index])
        view = face.views[0]
        found = finder.find(view.picture, view.face.box)
        if found is None:
            continue
        source, at = view.picture, place_face(np.asarray(view.face.landmarks))
        change_target = bool(rng.random() < 0.5)
        recipe = replace(_draw_recipe(rng), zoom=1.0, shift=0.0)
        target = source
        if change_target:
            target = _to_uint8(altered_copy(source, recipe, (0.0, 0.0), 0.0))
        degrade = list(DEGRADATIONS.values())[index // 2 % len(DEGRADATIONS)]
        hulls = compute_hulls(found.landmarks)
        partner = replace(view, picture=degrade(target))
        yield replace(face, part="blends", kind="genuine", views=(partner,))
        by_pose = np.argsort(np.abs(poses - poses[index]), kind="stable")
        donors = [faces[row].views[0] for row in by_pose if faces[row].group != face.group]
        for turn in range(_HULLS_PER_FACE):
            kind = (index + 2 * turn) % len(HULL_KINDS)
            mask = hull_mask(
                source.shape, _vary_hull(hulls[kind], at, rng), _draw_softness(at, rng)
            )
            if rng.random() < _SWAPS:
                donor = donors[int(rng.integers(min(_CANDIDATES, len(donors))))]
                copy, mask = _swap_copy(donor, target, at, mask)
            else:
                copy = _self_blend_copy(source, at, hulls[kind].mean(axis=0), change_target, rng)
            fake = replace(view, picture=degrade(blend(target, copy, mask)))
            yield replace(face, part="blends", fake=True, kind=HULL_KINDS[kind], views=(fake,))


def _trim_to_even(view: View) -> View:
    height, width = (side // 2 * 2 for side in view.picture.shape[:2])
    return replace(view, picture=view.picture[:height, :width])


def _draw_recipe(rng: np.random.Generator) -> ForgeryRecipe:
    red, green, blue = rng.uniform(-10, 10, 3).tolist()
    return ForgeryRecipe(
        "face",
        detail=float(rng.uniform(0.35, 1)),
        contrast=float(rng.uniform(0.88, 1.12)),
        tint=(red, green, blue),
        zoom=float(rng.uniform(0.96, 1.04)),
        shift=float(rng.uniform(-0.06, 0.06)),
    )


def _vary_hull(hull: FloatArray, at: Placement, rng: np.random.Generator) -> FloatArray:
    middle = hull.mean(axis=0)
    varied = middle + (hull - middle) * rng.uniform(0.85, 1.12, 2)
    return np.asarray(varied + rng.normal(0, 0.03 * at.unit, hull.shape), np.float32)


def _draw_softness(at: Placement, rng: np.random.Generator) -> float:
    return at.unit * float(np.exp(rng.uniform(*np.log((0.02, 0.2)))))


def _self_blend_copy(
    source: RGBImage,
    at: Placement,
    middle: FloatArray,
    change_target: bool,
    rng: np.random.Generator,
) -> FloatArray:
    """Make the copy for a self-blend; it is only moved if the target is already changed."""
    recipe = _draw_recipe(rng)
    if change_target:
        recipe = replace(recipe, detail=1.0, contrast=1.0, tint=(0, 0, 0))
    x, y = middle.tolist()
    return altered_copy(source, recipe, (x, y), recipe.shift * at.unit)


def _swap_copy(
    donor: View, target: RGBImage, at: Placement, mask: FloatArray
) -> tuple[FloatArray, FloatArray]:
    source = place_face(np.asarray(donor.face.landmarks))
    warped, inside = warp_donor(donor.picture, source, target.shape, at)
    mask = mask * inside
    return match_colours([warped], [target], [mask])[0].astype(np.float32), mask


def _to_uint8(image: FloatArray) -> RGBImage:
    return cv2.convertScaleAbs(np.clip(image, 0, 255)).astype(np.uint8, copy=False)
