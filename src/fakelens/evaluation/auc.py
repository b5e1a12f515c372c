"""Area under the ROC curve, with weights and with an interval by bootstrap over groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Auc:
    """Area under the ROC curve, and its 95 % interval by bootstrap over groups."""

    value: float
    low: float
    high: float


def balanced_weights(parts: Sequence[str], fake: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute weights: equal total weight for each part of a label, and a sum of 1 per label.

    Args:
        parts: parts of N items.
        fake: (N,) labels.
    """
    return _balanced(_cells(parts, fake), fake, np.ones(len(fake)))


def weighted_auc(
    scores: NDArray[np.floating], fake: NDArray[np.bool_], weights: NDArray[np.floating]
) -> float:
    """Compute the weighted AUC: the share of genuine-fake pairs in the right order, ties half."""
    _, rank = np.unique(scores, return_inverse=True)
    return _ranked_auc(rank, fake, weights)


def bootstrap(
    scores: NDArray[np.floating],
    fake: NDArray[np.bool_],
    parts: Sequence[str],
    groups: Sequence[str],
    seed: int = 0,
) -> Auc:
    """Compute the pooled AUC with its 95 % interval by bootstrap over groups.

    Args:
        scores: (N,) logits.
        fake: (N,) labels, both present.
        parts: N names; all parts have the same weight in every resample.
        groups: N names; items of one group are resampled together.
        seed: random seed. Resamples without both labels are drawn again.
    """
    _, rank = np.unique(scores, return_inverse=True)
    _, member = np.unique(groups, return_inverse=True)
    cell = _cells(parts, fake)
    number = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    values: list[float] = []
    while len(values) < _DRAWS:
        counts = np.bincount(rng.integers(number, size=number), minlength=number)[member]
        if counts[fake].any() and counts[~fake].any():
            values.append(_ranked_auc(rank, fake, _balanced(cell, fake, counts)))
    low, high = np.percentile(values, [2.5, 97.5])
    whole = _ranked_auc(rank, fake, _balanced(cell, fake, np.ones(len(fake))))
    return Auc(whole, float(low), float(high))


def _cells(parts: Sequence[str], fake: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number the combinations of part and label."""
    names = [f"{label} {part}" for label, part in zip(fake, parts, strict=True)]
    return np.unique(names, return_inverse=True)[1]


def _balanced(
    cell: NDArray[np.integer], fake: NDArray[np.bool_], counts: NDArray[np.floating | np.integer]
) -> NDArray[np.float64]:
    sums = np.bincount(cell, counts)
    weights = counts / np.maximum(sums, 1)[cell]
    for label in (fake, ~fake):
        weights[label] /= max(1e-12, weights[label].sum())
    return np.asarray(weights, np.float64)


def _ranked_auc(
    rank: NDArray[np.integer], fake: NDArray[np.bool_], weights: NDArray[np.floating]
) -> float:
    mass = np.bincount(rank[~fake], weights[~fake], minlength=int(rank.max()) + 1)
    below = np.cumsum(mass) - mass / 2
    return float(weights[fake] @ below[rank[fake]] / (weights[fake].sum() * mass.sum()))
