"""Held-out blends: one area of a genuine face replaced, by kind of hull."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from tqdm import tqdm

from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.trust.synthetic_forgery import ForgeryRecipe, blend, changed_copy
from training.faces.landmarks import HULL_KINDS, LandmarkFinder, hulls
from training.yardstick.codec import DEGRADATIONS
from training.yardstick.geometry import Placement, place
from training.yardstick.items import Item, View
from training.yardstick.swaps import lay_over, match_colours
from training.yardstick.tracks import hull_mask, pose

# Every genuine face serves this many kinds of hulls.
_HULLS_PER_FACE = 3
_SWAPS = 0.3  # share of the blends that show another person
_CANDIDATES = 12  # faces of the nearest pose that one is drawn from


def held_out_blends(faces: Sequence[Item], seed: int) -> Iterator[Item]:
    """Half as many blends of each kind of hull as there are faces, and the genuine partners.

    In half of the faces the copy is changed that is blended in, in the other half the picture it
    is blended into, so a changed picture says nothing about the label. The blends and the genuine
    partner then suffer the same degradation, by turns.

    Args:
        faces: genuine items with one view each, with landmarks, of several groups; one whose 68
            landmarks are not found gives nothing.
        seed: of the blends.
    """
    finder = LandmarkFinder()
    faces = [replace(face, views=(_even(face.views[0]),)) for face in faces]
    poses = np.array([pose(face.views[0]) for face in faces])
    for index, face in enumerate(tqdm(faces, desc="blends", disable=None)):
        rng = np.random.default_rng([seed, index])
        view = face.views[0]
        found = finder.find(view.picture, view.face.box)
        if found is None:
            continue
        source, at = view.picture, place(np.asarray(view.face.landmarks))
        change_target = bool(rng.random() < 0.5)
        still = replace(_draw_recipe(rng), zoom=1.0, shift=0.0)
        target = _rounded(changed_copy(source, still, (0.0, 0.0), 0.0)) if change_target else source
        degrade = list(DEGRADATIONS.values())[index // 2 % len(DEGRADATIONS)]
        areas = hulls(found.landmarks)
        partner = replace(view, picture=degrade(target))
        yield replace(face, part="blends", kind="genuine", views=(partner,))
        near = np.argsort(np.abs(poses - poses[index]), kind="stable")
        donors = [faces[row].views[0] for row in near if faces[row].group != face.group]
        for turn in range(_HULLS_PER_FACE):
            kind = (index + 2 * turn) % len(HULL_KINDS)
            mask = hull_mask(source.shape, _varied(areas[kind], at, rng), _edge(at, rng))
            if rng.random() < _SWAPS:
                donor = donors[int(rng.integers(min(_CANDIDATES, len(donors))))]
                copy, mask = _swapped(donor, target, at, mask)
            else:
                copy = _changed(source, at, areas[kind].mean(axis=0), change_target, rng)
            fake = replace(view, picture=degrade(blend(target, copy, mask)))
            yield replace(face, part="blends", fake=True, kind=HULL_KINDS[kind], views=(fake,))


def _even(view: View) -> View:
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


def _varied(hull: FloatArray, at: Placement, rng: np.random.Generator) -> FloatArray:
    middle = hull.mean(axis=0)
    varied = middle + (hull - middle) * rng.uniform(0.85, 1.12, 2)
    return np.asarray(varied + rng.normal(0, 0.03 * at.unit, hull.shape), np.float32)


def _edge(at: Placement, rng: np.random.Generator) -> float:
    return at.unit * float(np.exp(rng.uniform(*np.log((0.02, 0.2)))))


def _changed(
    source: RGBImage,
    at: Placement,
    middle: FloatArray,
    change_target: bool,
    rng: np.random.Generator,
) -> FloatArray:
    """The copy for a self-blend; only moved where the target is already changed."""
    recipe = _draw_recipe(rng)
    if change_target:
        recipe = replace(recipe, detail=1.0, contrast=1.0, tint=(0, 0, 0))
    x, y = middle.tolist()
    return changed_copy(source, recipe, (x, y), recipe.shift * at.unit)


def _swapped(
    donor: View, target: RGBImage, at: Placement, mask: FloatArray
) -> tuple[FloatArray, FloatArray]:
    source = place(np.asarray(donor.face.landmarks))
    laid, inside = lay_over(donor.picture, source, target.shape, at)
    mask = mask * inside
    return match_colours([laid], [target], [mask])[0].astype(np.float32), mask


def _rounded(image: FloatArray) -> RGBImage:
    return cv2.convertScaleAbs(np.clip(image, 0, 255)).astype(np.uint8, copy=False)
