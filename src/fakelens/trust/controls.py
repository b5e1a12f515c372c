"""Does the detector see a forgery planted into this very footage?"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.sampler import FaceSample
from fakelens.records.arrays import FloatArray, RGBImage, log_odds, sigmoid
from fakelens.records.models import ModelCard, Thresholds
from fakelens.records.trust import ControlOutcome, Controls
from fakelens.trust.ablation import threshold_distance
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, forge

FORGERIES_PER_SAMPLE = 2
"""Planted into each sample, by one recipe after the other."""

_LEAST = 0.1  # of the distance of the thresholds; a smaller rise is none


def forged_crops(
    samples: Sequence[FaceSample], card: ModelCard, masks: list[NDArray[np.bool_]]
) -> Iterator[RGBImage]:
    """``FORGERIES`` of each sample, cropped; what is forged in each crop goes to ``masks``.

    Raises:
        ValueError: a sample's landmarks are not known.
    """
    for number, sample in enumerate(samples):
        landmarks = sample.face.landmarks
        if landmarks is None:
            raise ValueError("a forgery can be planted only where landmarks are known")
        area = crop_area(sample.face, card.crop)
        for turn in range(FORGERIES_PER_SAMPLE):
            recipe = FORGERY_RECIPES[_recipe(number * FORGERIES_PER_SAMPLE + turn)]
            image, mask = forge(sample.image, landmarks, recipe)
            masks.append(
                extract_crop(np.rint(255 * mask).astype(np.uint8), area, card.input_size) > 127
            )
            yield extract_crop(image, area, card.input_size)


def _recipe(number: int) -> int:
    return number % len(FORGERY_RECIPES)


def masks_to_cells(masks: Sequence[NDArray[np.bool_]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks (N, S, S) on the cells of a heatmap of (h, w), (N, h, w)."""
    small = [
        cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA) > 0.5
        for mask in masks
    ]
    return np.array(small, np.bool_).reshape(-1, *shape)


def measure_controls(
    person: float,
    recompressed: float,
    moves: FloatArray,
    rises: FloatArray | None,
    forged: NDArray[np.bool_],
    thresholds: tuple[Thresholds, Thresholds],
) -> Controls:
    """What forgeries and compression do to a person.

    Args:
        person: logit.
        recompressed: logit when the pictures are compressed anew.
        moves: (N,), of the logit by each forgery, in the order of ``forgeries``.
        rises: (N, h, w), of the heatmap; ``None`` if it does not show what speaks for fake.
        forged: (N, h, w), the planted areas.
        thresholds: in use, and the model's own, which small moves are measured by.
    """
    in_use, own = thresholds
    planted = person + float(moves.mean())
    least = _LEAST * threshold_distance(own)
    gains = None if rises is None else np.maximum(rises, 0)
    total = 0.0 if gains is None else float(gains.sum())
    fake = log_odds(in_use.fake)
    return Controls(
        outcome=_outcome(person, planted, moves, fake, least),
        forged_score=float(sigmoid(planted)),
        evidence_inside=float(gains[forged].sum()) / total
        if gains is not None and total > 0
        else None,
        area_inside=float(forged.mean()),
        recompressed_score=float(sigmoid(recompressed)),
        recompression_false_alarm=person < fake <= recompressed and recompressed - person >= least,
        faces=len(moves) // FORGERIES_PER_SAMPLE,
    )


def _outcome(
    person: float, planted: float, moves: FloatArray, fake: float, least: float
) -> ControlOutcome:
    if person >= fake:
        return ControlOutcome.UNKNOWN
    if planted >= fake:
        return ControlOutcome.DETECTED
    # Blind is who is blind to every kind: not all kinds leave the same traces.
    recipes = np.array([_recipe(number) for number in range(len(moves))])
    by_kind = [float(moves[recipes == kind].mean()) for kind in np.unique(recipes)]
    return ControlOutcome.PARTIAL if max(by_kind) >= least else ControlOutcome.MISSED
