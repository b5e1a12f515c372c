"""Figures of one model at one margin, from one score per item.

Pooled figures weigh the parts of the set alike: within each label every part has the same weight,
shared equally by its items. So the genuine tracks count as much as the many more genuine stills.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.yardstick.items import Item

FALSE_ALARMS = 0.05
"""Share of the genuine items that the common threshold calls fake, at most."""

_DRAWS = 1000
_STILLS = "stills"
_UNALTERED = ("tracks", _STILLS, "DFDC")


@dataclass(frozen=True, slots=True)
class Auc:
    """An area under the ROC curve and its 95 % interval under resampling of whole groups."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What the yardstick says of a model at one margin.

    Attributes:
        pooled: all items, the parts weighted alike.
        parts: of each part with both labels.
        origins: genuine items against fakes of the same origin.
        kinds: "part kind" -> the kind's fakes against the genuine items of the part.
        threshold: logit above which at most ``FALSE_ALARMS`` of the genuine items lie (weighted).
        found: "pooled" and each part -> share of the fakes above it.
        alarms: share of the genuine single pictures above it, together and by origin.
        own_alarms: the same at the model's own threshold.
        medians: of the genuine scores, by origin, without degraded counterparts of forgeries.
        spread: standard deviation of these medians, in standard deviations of the genuine scores.
        reach: their range, in the same unit.
    """

    pooled: Auc
    parts: dict[str, Auc]
    origins: dict[str, float]
    kinds: dict[str, float]
    threshold: float
    found: dict[str, float]
    alarms: dict[str, float]
    own_alarms: dict[str, float]
    medians: dict[str, float]
    spread: float
    reach: float


def measure(items: Sequence[Item], scores: NDArray[np.floating], fake_logit: float) -> Figures:
    """Compute all figures.

    Args:
        items: of the set, N.
        scores: (N,) logits.
        fake_logit: the model's own threshold.
    """
    fake = np.array([item.fake for item in items])
    parts, groups = [item.part for item in items], [item.group for item in items]
    origins = [item.origin for item in items]
    weights = balanced_weights(parts, fake)
    by_part = {
        part: rows for part, rows in _members(parts).items() if 0 < fake[rows].sum() < len(rows)
    }
    kinds = {}
    for part, rows in by_part.items():
        real = rows[~fake[rows]]
        forged = rows[fake[rows]]
        for kind, some in _members([items[row].kind for row in forged]).items():
            kinds[f"{part} {kind}"] = _plain_auc(scores, fake, np.concatenate([real, forged[some]]))
    threshold = alarm_threshold(scores[~fake], weights[~fake])
    above = scores > threshold
    found = {"pooled": float(weights[fake] @ above[fake] / weights[fake].sum())}
    for part, rows in by_part.items():
        found[part] = float(above[rows][fake[rows]].mean())
    stills = np.array([item.part == _STILLS and not item.fake for item in items])
    # As they come: the counterparts of planted tracks and of blends are degraded.
    genuine = np.flatnonzero(~fake & np.isin(parts, _UNALTERED))
    medians = {
        origin: float(np.median(scores[genuine[rows]]))
        for origin, rows in _members([origins[row] for row in genuine]).items()
    }
    spread, reach = median_spread(list(medians.values()), scores[~fake])
    return Figures(
        bootstrap(scores, fake, parts, groups),
        {
            part: bootstrap(
                scores[rows], fake[rows], [part] * len(rows), [groups[row] for row in rows]
            )
            for part, rows in by_part.items()
        },
        {
            origin: _plain_auc(scores, fake, rows)
            for origin, rows in _members(origins).items()
            if 0 < fake[rows].sum() < len(rows)
        },
        kinds,
        threshold,
        found,
        _shares(above, stills, origins),
        _shares(scores >= fake_logit, stills, origins),
        medians,
        spread,
        reach,
    )


def balanced_weights(parts: Sequence[str], fake: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights that give every part of a label the same sum; those of a label add up to 1.

    Args:
        parts: of N items.
        fake: (N,) labels.
    """
    return _balanced(_cells(parts, fake), fake, np.ones(len(fake)))


def weighted_auc(
    scores: NDArray[np.floating], fake: NDArray[np.bool_], weights: NDArray[np.floating]
) -> float:
    """The weighted share of pairs of a genuine and a fake item in the right order; ties half."""
    _, rank = np.unique(scores, return_inverse=True)
    return _ranked_auc(rank, fake, weights)


def bootstrap(
    scores: NDArray[np.floating],
    fake: NDArray[np.bool_],
    parts: Sequence[str],
    groups: Sequence[str],
    seed: int = 0,
) -> Auc:
    """The pooled AUC with its 95 % interval under resampling of whole groups.

    Args:
        scores: (N,) logits.
        fake: (N,) labels, both present.
        parts: N names; they are weighted alike in every resample.
        groups: N names; items of one group are drawn together.
        seed: of the resampling; draws without both labels are drawn again.
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


def alarm_threshold(genuine: NDArray[np.floating], weights: NDArray[np.floating]) -> float:
    """The lowest genuine score above which at most ``FALSE_ALARMS`` of the weight lies."""
    order = np.argsort(genuine)
    values = genuine[order]
    share = np.cumsum(weights[order][::-1])[::-1] / weights.sum()
    # Of equal scores none is above the threshold: look at the first score that is higher.
    above = np.append(share, 0.0)[np.searchsorted(values, values, side="right")]
    return float(values[above <= FALSE_ALARMS + 1e-9][0])


def median_spread(medians: Sequence[float], genuine: NDArray[np.floating]) -> tuple[float, float]:
    """Standard deviation and range of medians over the standard deviation of the genuine scores.

    0 where all genuine scores are equal.
    """
    unit = float(np.std(genuine))
    if unit == 0:
        return 0.0, 0.0
    return float(np.std(medians)) / unit, float(np.ptp(medians)) / unit


def _cells(parts: Sequence[str], fake: NDArray[np.bool_]) -> NDArray[np.intp]:
    """A number for each part and label."""
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


def _plain_auc(
    scores: NDArray[np.floating], fake: NDArray[np.bool_], rows: NDArray[np.integer]
) -> float:
    return weighted_auc(scores[rows], fake[rows], np.ones(len(rows)))


def _members(names: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Row numbers of each name, in the order in which the names appear."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows[name].append(row)
    return {name: np.array(some) for name, some in rows.items()}


def _shares(
    above: NDArray[np.bool_], rows: NDArray[np.bool_], origins: Sequence[str]
) -> dict[str, float]:
    """The share of some items that is above, together and by origin; empty without items."""
    if not rows.any():
        return {}
    names = {origin: above[some][rows[some]] for origin, some in _members(origins).items()}
    shares = {origin: float(some.mean()) for origin, some in names.items() if len(some)}
    return {"all": float(above[rows].mean())} | shares
