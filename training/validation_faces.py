"""Single validation faces as crops of a model: genuine, or with one part forged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.baseline import align_to_grid
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.faces import Box
from fakelens.records.models import Evidence, Model
from fakelens.trust.ablation import join_evidence
from fakelens.trust.synthetic_forgery import PART_NAMES, ForgeryRecipe, Part, forge
from training.yardstick.items import Item

HELD_OUT = 400
"""Number of genuine faces that the baseline is not made of."""

_BATCH = 32
_SEED = 5
_PARTS: dict[str, Part] = {name: part for part, name in PART_NAMES.items()}


@dataclass(frozen=True, slots=True)
class FaceCrops:
    """The crops of N faces, one of each, and where they were cut.

    Attributes:
        crops: (N, S, S, 3) uint8 RGB.
        landmarks: (N, 5, 2) in pixels of the picture of each face.
        areas: the square of each crop, in the same pixels.
    """

    crops: NDArray[np.uint8]
    landmarks: FloatArray
    areas: tuple[Box, ...]

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.crops)


def genuine_faces(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Split the genuine single faces with landmarks into those of the baseline and held-out ones.

    Groups are kept together. ``HELD_OUT`` faces of groups drawn at random are held out.
    """
    faces = [
        item
        for item in items
        if not item.fake
        and item.part in {"stills", "DFDC"}
        and item.views[0].face.landmarks is not None
    ]
    groups = list(dict.fromkeys(item.group for item in faces))
    held_out: set[str] = set()
    for index in np.random.default_rng(_SEED).permutation(len(groups)).tolist():
        if sum(item.group in held_out for item in faces) >= HELD_OUT:
            break
        held_out.add(groups[index])
    return (
        [item for item in faces if item.group not in held_out],
        [item for item in faces if item.group in held_out][:HELD_OUT],
    )


def draw_recipe(part: Part, rng: np.random.Generator) -> ForgeryRecipe:
    """Draw a forgery of a part: resolution, contrast, colour and position of the copy."""
    return ForgeryRecipe(
        part,
        detail=float(rng.uniform(0.35, 0.75)),
        contrast=float(1 + rng.choice([-1, 1]) * rng.uniform(0.03, 0.1)),
        tint=(float(rng.uniform(-9, 9)), float(rng.uniform(-9, 9)), float(rng.uniform(-9, 9))),
        zoom=float(rng.uniform(0.97, 1.03)),
        shift=float(rng.choice([-0.05, 0.05])),
    )


def crop_faces(
    model: Model, items: Sequence[Item], parts: Sequence[str | None], seed: int = 0
) -> FaceCrops:
    """Crop the first face of each item for a model, with one part forged.

    Args:
        model: that the crops are for.
        items: with landmarks.
        parts: the part to forge, by name, for each item; ``None`` leaves the face as it is.
        seed: random seed of the forgeries.
    """
    card = model.card
    crops, landmarks, areas = [], [], []
    for index, (item, part) in enumerate(zip(items, parts, strict=True)):
        view = item.views[0]
        points = np.asarray(view.face.landmarks, np.float32)
        picture: RGBImage = np.asarray(view.picture)
        if part is not None:
            recipe = draw_recipe(_PARTS[part], np.random.default_rng([seed, index]))
            picture = forge(picture, points, recipe)[0]
        area = crop_area(view.face, card.crop)
        crops.append(extract_crop(picture, area, card.input_size))
        landmarks.append(points)
        areas.append(area)
    return FaceCrops(np.stack(crops), np.stack(landmarks), tuple(areas))


def examine_all(model: Model, crops: NDArray[np.uint8]) -> Evidence:
    """Return the evidence in any number of crops."""
    starts = range(0, len(crops), _BATCH)
    return join_evidence([model.examine(crops[at : at + _BATCH]) for at in starts])


def aligned_maps(maps: FloatArray, faces: FaceCrops) -> tuple[FloatArray, FloatArray]:
    """Align heatmaps (N, h, w) to the grid: values and coverage, each (N, GRID, GRID)."""
    aligned = [
        align_to_grid(cells, points, area)
        for cells, points, area in zip(maps, faces.landmarks, faces.areas, strict=True)
    ]
    return (
        np.stack([each.values for each in aligned]),
        np.stack([each.covered for each in aligned]),
    )
