"""Figures of one model at one margin, from one score per item.

Pooled figures give all parts of the set the same weight: within each label, every part has the same
total weight, shared equally by its items. The few genuine tracks thus count as much as the many
genuine stills.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fakelens.evaluation.auc import Auc, balanced_weights, bootstrap, weighted_auc
from training.yardstick.items import Item

FALSE_ALARMS = 0.05
"""Largest share of the genuine items above the common threshold."""

_STILLS = "stills"
_UNALTERED = ("tracks", _STILLS, "DFDC")


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a model at one margin.

    Attributes:
        pooled: AUC over all items, with equal weight for each part.
        parts: AUC of each part with both labels.
        origins: AUC of genuine items against fakes, for each origin with both labels.
        kinds: AUC of one kind's fakes against the genuine items of the part, by "part kind".
        threshold: common threshold: at most ``FALSE_ALARMS`` of the genuine items, weighted, have
            a logit above it.
        found: share of the fakes above the common threshold, "pooled" and by part.
        alarms: share of the genuine single pictures above the common threshold, "all" and by
            origin.
        own_alarms: share of the genuine single pictures at or above the model's own threshold,
            likewise.
        medians: median genuine score by origin, without the degraded counterparts of forgeries.
        spread: standard deviation of the medians, in standard deviations of the genuine scores.
        reach: range of the medians, in the same unit.
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


def compute_figures(
    items: Sequence[Item], scores: NDArray[np.floating], fake_logit: float
) -> Figures:
    """Compute all figures.

    Args:
        items: N items of the set.
        scores: (N,) logits.
        fake_logit: the model's own threshold, as a logit.
    """
    fake = np.array([item.fake for item in items])
    parts, groups = [item.part for item in items], [item.group for item in items]
    origins = [item.origin for item in items]
    weights = balanced_weights(parts, fake)
    by_part = {
        part: rows
        for part, rows in _rows_by_name(parts).items()
        if 0 < fake[rows].sum() < len(rows)
    }
    kinds = {}
    for part, rows in by_part.items():
        real = rows[~fake[rows]]
        forged = rows[fake[rows]]
        for kind, some in _rows_by_name([items[row].kind for row in forged]).items():
            kinds[f"{part} {kind}"] = _plain_auc(scores, fake, np.concatenate([real, forged[some]]))
    threshold = alarm_threshold(scores[~fake], weights[~fake])
    above = scores > threshold
    found = {"pooled": float(weights[fake] @ above[fake] / weights[fake].sum())}
    for part, rows in by_part.items():
        found[part] = float(above[rows][fake[rows]].mean())
    stills = np.array([item.part == _STILLS and not item.fake for item in items])
    # Only unaltered items: the counterparts of forged tracks and of blends are degraded.
    genuine = np.flatnonzero(~fake & np.isin(parts, _UNALTERED))
    medians = {
        origin: float(np.median(scores[genuine[rows]]))
        for origin, rows in _rows_by_name([origins[row] for row in genuine]).items()
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
            for origin, rows in _rows_by_name(origins).items()
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


def alarm_threshold(genuine: NDArray[np.floating], weights: NDArray[np.floating]) -> float:
    """Return the lowest genuine score above which at most ``FALSE_ALARMS`` of the weight lies."""
    order = np.argsort(genuine)
    values = genuine[order]
    share = np.cumsum(weights[order][::-1])[::-1] / weights.sum()
    # Scores equal to the threshold are not above it: take the first higher score.
    above = np.append(share, 0.0)[np.searchsorted(values, values, side="right")]
    return float(values[above <= FALSE_ALARMS + 1e-9][0])


def median_spread(medians: Sequence[float], genuine: NDArray[np.floating]) -> tuple[float, float]:
    """Compute standard deviation and range of medians, in standard deviations of genuine scores.

    Both are 0 if all genuine scores are equal.
    """
    unit = float(np.std(genuine))
    if unit == 0:
        return 0.0, 0.0
    return float(np.std(medians)) / unit, float(np.ptp(medians)) / unit


def _plain_auc(
    scores: NDArray[np.floating], fake: NDArray[np.bool_], rows: NDArray[np.integer]
) -> float:
    return weighted_auc(scores[rows], fake[rows], np.ones(len(rows)))


def _rows_by_name(names: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Return the row numbers of each name, in order of first appearance."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows[name].append(row)
    return {name: np.array(some) for name, some in rows.items()}


def _shares(
    above: NDArray[np.bool_], rows: NDArray[np.bool_], origins: Sequence[str]
) -> dict[str, float]:
    """Compute the share of some items that is above, "all" and by origin; empty without items."""
    if not rows.any():
        return {}
    names = {origin: above[some][rows[some]] for origin, some in _rows_by_name(origins).items()}
    shares = {origin: float(some.mean()) for origin, some in names.items() if len(some)}
    return {"all": float(above[rows].mean())} | shares
