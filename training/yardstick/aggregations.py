"""Ways from the logits of a person's faces to that of the person, compared on the tracks."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from fakelens.analysis.verdicts import trimmed_mean
from fakelens.records.arrays import FloatArray, sigmoid
from training.yardstick.figures import Auc, bootstrap
from training.yardstick.items import Item

Way: TypeAlias = Callable[[Item, FloatArray], float]

WAYS: dict[str, Way] = {
    "mean": lambda _, logits: float(logits.mean()),
    "trimmed mean": lambda _, logits: float(trimmed_mean(logits)),
    "median": lambda _, logits: float(np.median(logits)),
    "top third": lambda _, logits: float(np.sort(logits)[-max(1, len(logits) // 3) :].mean()),
    "by |p - .5|": lambda _, logits: weighted_mean(logits, np.abs(sigmoid(logits) - 0.5)),
    "by confidence": lambda item, logits: weighted_mean(
        logits, np.array([view.face.confidence for view in item.views])
    ),
    "by face width": lambda item, logits: weighted_mean(
        logits, np.array([view.native for view in item.views])
    ),
}
"""From an item and the logits of its faces, (faces,), to one logit."""


def weighted_mean(logits: FloatArray, weights: np.ndarray) -> float:
    """The plain mean where all weights are 0."""
    total = float(weights.sum())
    return float(logits @ weights / total) if total > 0 else float(logits.mean())


def compare(
    items: Sequence[Item], logits: Sequence[FloatArray], mirrored: Sequence[FloatArray]
) -> dict[str, Auc]:
    """The AUC of each way over the items with several faces, genuine tracks and planted ones.

    Args:
        items: of the set.
        logits: of their faces.
        mirrored: of the mirror images of their faces.
    """
    rows = [row for row, item in enumerate(items) if len(item.views) > 1]
    some = [items[row] for row in rows]
    fake = np.array([item.fake for item in some])
    parts, groups = [item.part for item in some], [item.group for item in some]
    scores = {name: [way(items[row], logits[row]) for row in rows] for name, way in WAYS.items()}
    scores["mean with mirror images"] = [
        float((logits[row] + mirrored[row]).mean() / 2) for row in rows
    ]
    return {
        name: bootstrap(np.array(values), fake, parts, groups) for name, values in scores.items()
    }
