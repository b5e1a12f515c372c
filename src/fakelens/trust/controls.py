"""Does the detector see a forgery planted into this very footage?"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.faces.crops import crop_area, cut
from fakelens.faces.sampler import Specimen
from fakelens.records.arrays import FloatArray, RGBImage, log_odds, sigmoid
from fakelens.records.models import NetworkCard, Thresholds
from fakelens.records.trust import Controls, Sight
from fakelens.trust.ablation import threshold_distance
from fakelens.trust.synthetic_forgery import RECIPES, plant

FORGERIES = 2
"""Planted into each specimen, by one recipe after the other."""

_LEAST = 0.1  # of the distance of the thresholds; a smaller rise is none


def forgeries(
    specimens: Sequence[Specimen], card: NetworkCard, masks: list[NDArray[np.bool_]]
) -> Iterator[RGBImage]:
    """``FORGERIES`` of each specimen, cropped; what is forged in each crop goes to ``masks``.

    Raises:
        ValueError: a specimen's landmarks are not known.
    """
    for number, specimen in enumerate(specimens):
        landmarks = specimen.face.landmarks
        if landmarks is None:
            raise ValueError("a forgery can be planted only where landmarks are known")
        area = crop_area(specimen.face, card.crop)
        for turn in range(FORGERIES):
            recipe = RECIPES[_recipe(number * FORGERIES + turn)]
            image, mask = plant(specimen.image, landmarks, recipe)
            masks.append(cut(np.rint(255 * mask).astype(np.uint8), area, card.input_size) > 127)
            yield cut(image, area, card.input_size)


def _recipe(number: int) -> int:
    return number % len(RECIPES)


def in_cells(masks: Sequence[NDArray[np.bool_]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks (N, S, S) on the cells of a heatmap of (h, w), (N, h, w)."""
    small = [
        cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA) > 0.5
        for mask in masks
    ]
    return np.array(small, np.bool_).reshape(-1, *shape)


def controls(
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
        thresholds: in use, and the network's own, which small moves are measured by.
    """
    in_use, own = thresholds
    planted = person + float(moves.mean())
    least = _LEAST * threshold_distance(own)
    gains = None if rises is None else np.maximum(rises, 0)
    total = 0.0 if gains is None else float(gains.sum())
    fake = log_odds(in_use.fake)
    return Controls(
        sight=_sight(person, planted, moves, fake, least),
        planted=float(sigmoid(planted)),
        inside=float(gains[forged].sum()) / total if gains is not None and total > 0 else None,
        area=float(forged.mean()),
        recompressed=float(sigmoid(recompressed)),
        trigger_happy=person < fake <= recompressed and recompressed - person >= least,
        faces=len(moves) // FORGERIES,
    )


def _sight(person: float, planted: float, moves: FloatArray, fake: float, least: float) -> Sight:
    if person >= fake:
        return Sight.UNKNOWN
    if planted >= fake:
        return Sight.SEES
    # Blind is who is blind to every kind: not all kinds leave the same traces.
    recipes = np.array([_recipe(number) for number in range(len(moves))])
    by_kind = [float(moves[recipes == kind].mean()) for kind in np.unique(recipes)]
    return Sight.RISES if max(by_kind) >= least else Sight.BLIND
