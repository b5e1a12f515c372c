"""Aggregations of the logits of a person's faces, compared on items with several faces."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from fakelens.analysis.statistics import trimmed_mean
from fakelens.evaluation.auc import Auc, bootstrap
from fakelens.records.arrays import FloatArray, sigmoid
from training.yardstick.items import Item

Aggregation: TypeAlias = Callable[[Item, FloatArray], float]

AGGREGATIONS: dict[str, Aggregation] = {
    "mean": lambda _, logits: float(logits.mean()),
    "trimmed mean": lambda _, logits: float(trimmed_mean(logits)),
    "median": lambda _, logits: float(np.median(logits)),
    "top third": lambda _, logits: float(np.sort(logits)[-max(1, len(logits) // 3) :].mean()),
    "by |p - .5|": lambda _, logits: weighted_mean(logits, np.abs(sigmoid(logits) - 0.5)),
    "by confidence": lambda item, logits: weighted_mean(
        logits, np.array([view.face.confidence for view in item.views])
    ),
    "by face width": lambda item, logits: weighted_mean(
        logits, np.array([view.native_side for view in item.views])
    ),
}
"""Functions from an item and the logits of its faces, (faces,), to one logit."""


def weighted_mean(logits: FloatArray, weights: np.ndarray) -> float:
    """Return the weighted mean of logits, or the plain mean if all weights are 0."""
    total = float(weights.sum())
    return float(logits @ weights / total) if total > 0 else float(logits.mean())


def compare_aggregations(
    items: Sequence[Item], logits: Sequence[FloatArray], mirrored: Sequence[FloatArray]
) -> dict[str, Auc]:
    """Compute the AUC of each aggregation on the genuine and forged tracks.

    Args:
        items: items of the set; those with one face are ignored.
        logits: logits of each item's faces.
        mirrored: logits of the mirror images of these faces.
    """
    rows = [row for row, item in enumerate(items) if len(item.views) > 1]
    tracks = [items[row] for row in rows]
    fake = np.array([track.fake for track in tracks])
    parts, groups = [track.part for track in tracks], [track.group for track in tracks]
    scores = {
        name: [aggregate(items[row], logits[row]) for row in rows]
        for name, aggregate in AGGREGATIONS.items()
    }
    scores["mean with mirror images"] = [
        float((logits[row] + mirrored[row]).mean() / 2) for row in rows
    ]
    return {
        name: bootstrap(np.array(values), fake, parts, groups) for name, values in scores.items()
    }
