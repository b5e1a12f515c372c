"""Thresholds of a model from its scores on labelled clips, with a stated probability of errors.

Conformal order statistics (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World",
Springer 2005): if n values and a new one are exchangeable, the new one exceeds the k-th smallest of
the n with a probability of at most (n + 1 - k) / (n + 1), whatever their distribution. Clips of one
group are not exchangeable with those of others, so a group counts once: with its highest score if
it is genuine, with its lowest if it is fake. The rates therefore hold for a new group, whatever the
number of its clips.

The probability is over the calibration clips as well as the new one: for one set of calibration
clips, the rate on new clips can be higher or lower.
"""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import UsageError
from fakelens.records.arrays import log_odds, sigmoid
from fakelens.records.models import Thresholds

FALSE_ALARMS = 0.05
MISSES = 0.1

_FOLDS = 5
_DECIMALS = 3
_SMALLEST_TAIL = 1e-8  # the resolution of a float32 score near 1
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class ErrorLimits:
    """Limits of the probabilities of errors.

    Attributes:
        false_alarms: that a new genuine clip reaches the threshold for *likely fake*, 0..1.
        misses: that a new fake does not exceed the threshold for *likely real*, 0..1.
        neutral: score of a calibrated model at which its evidence favours neither side: *likely
            fake* begins at or above it, *likely real* ends at or below it. ``None`` without
            calibration.

    Raises:
        UsageError: a limit is not between 0 and 1.
    """

    false_alarms: float = FALSE_ALARMS
    misses: float = MISSES
    neutral: float | None = None

    def __post_init__(self) -> None:
        for option, rate in (("--false-alarms", self.false_alarms), ("--misses", self.misses)):
            if not 0 < rate < 1:
                raise UsageError(f"{option} must lie between 0 and 1, not {rate:g}")


def fit_thresholds(
    scores: NDArray[np.float64],
    fake: NDArray[np.bool_],
    groups: NDArray[np.str_],
    limits: ErrorLimits,
) -> Thresholds:
    """Choose the thresholds that leave the fewest clips inconclusive within the limits.

    If the classes are so far apart that both limits hold at any score between the two thresholds,
    both become the middle, in logits.

    Args:
        scores: (N,) of clips in which somebody is seen well enough, 0..1.
        fake: (N,) labels.
        groups: (N,) names; clips of one group have one origin.
        limits: of the probabilities of errors.

    Raises:
        UsageError: too few groups for the limits, or the model is saturated, so that no score lies
            beyond those that must not be exceeded.
    """
    check_groups(fake, groups, limits)
    genuine = _group_values(scores[~fake], groups[~fake], np.maximum)
    forged = _group_values(scores[fake], groups[fake], np.minimum)
    highest = float(np.sort(genuine)[-_beyond(len(genuine), limits.false_alarms)])
    lowest = float(np.sort(forged)[_beyond(len(forged), limits.misses) - 1])
    if highest >= 1:
        raise UsageError(
            f"the scores of genuine clips reach 1, so no threshold has {limits.false_alarms:g} "
            "false alarms: raise --false-alarms"
        )
    if lowest <= 0:
        raise UsageError(
            f"the scores of fakes reach 0, so no threshold has {limits.misses:g} misses: raise "
            "--misses"
        )
    # Beyond, not at: a score that is equal to a threshold counts.
    fake_from, real_to = _round_beyond(highest, 1), _round_beyond(lowest, -1)
    middle = ""
    if real_to > fake_from:
        middle = "; both rates hold at any score between the classes, and this is the middle"
        logit = (log_odds(fake_from) + log_odds(real_to)) / 2
        fake_from = real_to = min(max(_round(float(sigmoid(logit))), fake_from), real_to)
    if limits.neutral is not None:  # both only move outwards, so the limits still hold
        fake_from, real_to = max(fake_from, limits.neutral), min(real_to, limits.neutral)
    source = (
        f"{_number(len(scores) - fake.sum(), 'genuine clip')} of "
        f"{_number(len(genuine), 'group')} and {_number(fake.sum(), 'fake')} of "
        f"{_number(len(forged), 'group')}: a new genuine clip of the same kind reaches the "
        f"threshold of fake with a probability of at most {limits.false_alarms:.3g}, and a new "
        f"fake of the same kind does not exceed that of real with at most {limits.misses:.3g} "
        f"(conformal order statistics over groups){middle}. On other material these rates do not "
        "hold"
    )
    return Thresholds(fake_from, real_to, source)


def check_groups(
    fake: NDArray[np.bool_], groups: NDArray[np.str_], limits: ErrorLimits, *, spare: int = 0
) -> None:
    """Check that there are enough groups.

    Args:
        fake: (N,) labels.
        groups: (N,) names.
        limits: of the probabilities of errors.
        spare: number of groups of each label that must be left over, such as 1 for a group to test
            on.

    Raises:
        UsageError: too few groups; the message says how many are needed, and what is possible.
    """
    for which, kind, option, rate in (
        (~fake, "genuine clips", "--false-alarms", limits.false_alarms),
        (fake, "fakes", "--misses", limits.misses),
    ):
        found = len(np.unique(groups[which]))
        if found - spare < 1 or _beyond(found - spare, rate) < 1:
            needed = math.ceil(1 / rate - _ROUNDING) - 1 + spare
            message = (
                f"{option} {rate:g} needs {kind} of at least {needed} groups in which somebody is "
                f"seen well enough, but there are {found}"
            )
            possible = math.ceil(1000 / (found + 1 - spare) - _ROUNDING) / 1000 if found else 1
            advice = f", or {option} {possible:g}" if possible < 1 else ""
            raise UsageError(f"{message}: add clips{advice}")


def assign_folds(
    fake: NDArray[np.bool_], groups: NDArray[np.str_], limits: ErrorLimits
) -> NDArray[np.intp]:
    """Divide clips into folds, with all clips of a group in one fold.

    There are five folds, or one for each group if the thresholds could not be fit without a fifth
    of the groups. Each label is spread evenly over the folds, and the result does not depend on the
    order of the clips.

    Args:
        fake: (N,) labels.
        groups: (N,) names.
        limits: of the probabilities of errors.

    Returns:
        (N,) number of each clip's fold.

    Raises:
        UsageError: too few groups to fit thresholds without one of them.
    """
    check_groups(fake, groups, limits, spare=1)
    names, member = np.unique(groups, return_inverse=True)
    # Groups with genuine clips come first and those with fakes last: dealt out in this order, the
    # groups of either label are neighbours.
    share = np.bincount(member, fake) / np.bincount(member)
    place = np.empty(len(names), np.intp)
    place[np.argsort(np.ceil(share) + np.floor(share), kind="stable")] = np.arange(len(names))
    folds = (place % min(_FOLDS, len(names)))[member]
    try:
        for fold in np.unique(folds):
            check_groups(fake[folds != fold], groups[folds != fold], limits)
    except UsageError:
        return place[member]
    return folds


def _beyond(groups: int, rate: float) -> int:
    """Number of values that may lie at or beyond the order statistic, itself included."""
    return math.floor(rate * (groups + 1) + _ROUNDING)


def _group_values(
    scores: NDArray[np.float64], groups: NDArray[np.str_], most_misleading: np.ufunc
) -> NDArray[np.float64]:
    order = np.argsort(groups, kind="stable")
    _, starts = np.unique(groups[order], return_index=True)
    return np.asarray(most_misleading.reduceat(scores[order], starts), np.float64)


def _decimals(score: float) -> int:
    """Return the decimals that keep two digits of the distance from 0 or 1, at least 3."""
    tail = max(min(score, 1 - score), _SMALLEST_TAIL)
    return max(_DECIMALS, 1 - math.floor(math.log10(tail)))


def _round(score: float) -> float:
    return round(score, _decimals(score))


def _round_beyond(score: float, direction: int) -> float:
    """Return the next rounded score that is higher (direction 1) or lower (-1)."""
    unit = Decimal(1).scaleb(-_decimals(score))
    rounding = ROUND_CEILING if direction > 0 else ROUND_FLOOR
    rounded = Decimal(score).quantize(unit, rounding)
    if (float(rounded) - score) * direction <= 0:
        rounded += direction * unit
    return float(rounded)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
