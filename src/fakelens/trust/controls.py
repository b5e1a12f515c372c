"""Controls: whether the model detects synthetic forgeries in this footage.

A synthetic forgery is added to a person's own frames, and the frames are recompressed. The first
must raise the score; the second must not.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.explain.baseline import align_to_grid, part_outputs, strongest_part
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.sampler import FaceSample
from fakelens.records.arrays import FloatArray, RGBImage, log_odds, sigmoid
from fakelens.records.models import Baseline, ModelCard, Thresholds
from fakelens.records.trust import ControlOutcome, Controls
from fakelens.trust.ablation import threshold_distance
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, PART_NAMES, forge

FORGERIES_PER_SAMPLE = 2
"""Synthetic forgeries made of each face sample, with the recipes in turn."""

_MIN_RISE = 0.1  # over the distance of the thresholds


def forged_crops(
    samples: Sequence[FaceSample], card: ModelCard, masks: list[NDArray[np.bool_]]
) -> Iterator[RGBImage]:
    """Yield the crops of ``FORGERIES_PER_SAMPLE`` forgeries of each sample.

    Args:
        samples: with landmarks.
        card: of the model that the crops are for.
        masks: the forged pixels (S, S) of each crop are appended to this list.

    Raises:
        ValueError: a sample has no landmarks.
    """
    for number, sample in enumerate(samples):
        landmarks = sample.face.landmarks
        if landmarks is None:
            raise ValueError("a synthetic forgery needs the landmarks of the face")
        area = crop_area(sample.face, card.crop)
        for turn in range(FORGERIES_PER_SAMPLE):
            recipe = FORGERY_RECIPES[_recipe_index(number * FORGERIES_PER_SAMPLE + turn)]
            image, mask = forge(sample.image, landmarks, recipe)
            masks.append(
                extract_crop(np.rint(255 * mask).astype(np.uint8), area, card.input_size) > 127
            )
            yield extract_crop(image, area, card.input_size)


def _recipe_index(forgery: int) -> int:
    return forgery % len(FORGERY_RECIPES)


def masks_to_cells(masks: Sequence[NDArray[np.bool_]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Reduce masks (N, S, S) to the cells (h, w) of a heatmap, (N, h, w)."""
    small = [
        cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA) > 0.5
        for mask in masks
    ]
    return np.array(small, np.bool_).reshape(-1, *shape)


def measure_controls(
    person: float,
    recompressed: float,
    logit_changes: FloatArray,
    heatmap_changes: FloatArray | None,
    masks: NDArray[np.bool_],
    thresholds: tuple[Thresholds, Thresholds],
) -> Controls:
    """Judge how synthetic forgeries and recompression change a person's score.

    Args:
        person: logit of the person.
        recompressed: logit of the person after recompression.
        logit_changes: (N,), by each forgery in the order of ``forged_crops``.
        heatmap_changes: (N, h, w), likewise; ``None`` if positive cells are not evidence for fake.
        masks: (N, h, w), the forged cells.
        thresholds: the thresholds in use, and the model's own, which define a small change.
    """
    in_use, own = thresholds
    forged = person + float(logit_changes.mean())
    min_rise = _MIN_RISE * threshold_distance(own)
    increase = None if heatmap_changes is None else np.maximum(heatmap_changes, 0)
    total = 0.0 if increase is None else float(increase.sum())
    fake = log_odds(in_use.fake)
    return Controls(
        outcome=_outcome(person, forged, logit_changes, fake, min_rise),
        forged_score=float(sigmoid(forged)),
        evidence_inside=float(increase[masks].sum()) / total
        if increase is not None and total > 0
        else None,
        area_inside=float(masks.mean()),
        recompressed_score=float(sigmoid(recompressed)),
        recompression_false_alarm=(
            person < fake <= recompressed and recompressed - person >= min_rise
        ),
        faces=len(logit_changes) // FORGERIES_PER_SAMPLE,
        parts_forged=len(logit_changes),
    )


def count_named_parts(
    samples: Sequence[FaceSample],
    card: ModelCard,
    baseline: Baseline,
    heatmap_changes: FloatArray,
) -> int:
    """Count the forgeries whose part is the strongest in the change of the heatmap.

    Args:
        samples: of which the forgeries were made, with landmarks.
        card: of the model.
        baseline: of the model.
        heatmap_changes: (N, h, w), in the order of ``forged_crops``.

    Raises:
        ValueError: a sample has no landmarks.
    """
    named = 0
    for number, change in enumerate(heatmap_changes):
        face = samples[number // FORGERIES_PER_SAMPLE].face
        if face.landmarks is None:
            raise ValueError("a synthetic forgery needs the landmarks of the face")
        aligned = align_to_grid(change, face.landmarks, crop_area(face, card.crop))
        outputs = part_outputs(aligned.values[None], baseline)[0]
        part = FORGERY_RECIPES[_recipe_index(number)].part
        named += strongest_part(outputs, baseline) == PART_NAMES[part]
    return named


def _outcome(
    person: float, forged: float, logit_changes: FloatArray, fake: float, min_rise: float
) -> ControlOutcome:
    if person >= fake:
        return ControlOutcome.UNKNOWN
    if forged >= fake:
        return ControlOutcome.DETECTED
    # Recipes leave different artefacts. The control is missed only if all of them are.
    recipes = np.array([_recipe_index(number) for number in range(len(logit_changes))])
    rises = [float(logit_changes[recipes == recipe].mean()) for recipe in np.unique(recipes)]
    return ControlOutcome.PARTIAL if max(rises) >= min_rise else ControlOutcome.MISSED
