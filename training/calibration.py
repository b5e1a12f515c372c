"""From a model's logits on labelled persons to thresholds and a calibrated score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from fakelens.records.arrays import sigmoid
from fakelens.records.models import Calibration, CalibrationBin, Thresholds
from training.yardstick.figures import balanced_weights
from training.yardstick.items import Item

FALSE_ALARMS = 0.05
"""Share of genuine persons above the threshold of *likely fake*."""
MISSES = 0.1
"""Share of forged persons below the threshold of *likely real*."""
BINS = 10
"""Of the score, in the table of what became of it."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Labelled persons with a model's logits.

    Attributes:
        logits: (N,) float64, positive = fake.
        fake: (N,) bool.
        weights: (N,) float64; within each label all parts of the set weigh the same, and each
            label adds up to 1.
    """

    logits: NDArray[np.float64]
    fake: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, items: Sequence[Item], logits: Sequence[float]) -> "Scored":
        """Weigh the items of the yardstick."""
        fake = np.array([item.fake for item in items])
        weights = balanced_weights([item.part for item in items], fake)
        return cls(np.asarray(logits, np.float64), fake, weights)

    def scaled(self, factor: float, offset: float) -> "Scored":
        """The same persons with the logits ``factor * logit + offset``."""
        return Scored(factor * self.logits + offset, self.fake, self.weights)


def platt(persons: Scored) -> tuple[float, float]:
    """Platt's factor and offset (Platt, 1999): ``sigmoid(factor * logit + offset)`` is the chance
    of a fake where half of the persons are fake."""
    fit = LogisticRegression(C=1e6).fit(
        persons.logits[:, None], persons.fake, persons.weights * len(persons.fake)
    )
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def quantile(values: NDArray[np.floating], weights: NDArray[np.floating], share: float) -> float:
    """The smallest of the values at or below which at least ``share`` of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share - 1e-12)])


def choose_thresholds(persons: Scored) -> Thresholds:
    """Thresholds from the error rates on calibrated logits."""
    scores, weights, forged = sigmoid(persons.logits), persons.weights, persons.fake
    # Rounded away from each other, so that the rates hold for the thresholds as written.
    fake = math.ceil(1000 * quantile(scores[~forged], weights[~forged], 1 - FALSE_ALARMS)) / 1000
    real = math.floor(1000 * quantile(scores[forged], weights[forged], MISSES)) / 1000
    real = min(fake, real)

    def share(which: NDArray[np.bool_], above: NDArray[np.bool_]) -> float:
        return float(weights[which & above].sum() / weights[which].sum())

    source = (
        f"{np.count_nonzero(~forged)} genuine and {np.count_nonzero(forged)} forged faces and "
        "tracks that were not trained on, of the origins that the model card lists, each weighing "
        f"the same: {share(~forged, scores >= fake):.0%} of the genuine ones are above the "
        f"threshold of fake, {share(forged, scores >= fake):.0%} of the forged ones; "
        f"{share(forged, scores <= real):.0%} of the forged ones are below the threshold of real, "
        f"{share(~forged, scores <= real):.0%} of the genuine ones. On other material these rates "
        "do not hold"
    )
    return Thresholds(fake, real, source)


def supported_limit(persons: Scored) -> float:
    """The largest log10 likelihood ratio, fake over real, that so few persons support; either way.

    Acting on a ratio of at least t must not be worse than knowing nothing, even if one more person
    misled: hits have to be t times as frequent as false alarms. The limit is the first t, from 1
    outwards, for which they are not (the empirical lower and upper bounds of Vergeer et al.,
    "Numerical likelihood ratios outputted by LR systems are often based on extrapolation: when to
    stop extrapolating?", Science & Justice 2016).

    Args:
        persons: with calibrated logits.
    """
    forged = persons.fake
    sides = [
        (persons.logits[label], persons.weights[label] / persons.weights[label].sum())
        for label in (forged, ~forged)
    ]
    mirrored = [(-logits, weights) for logits, weights in reversed(sides)]
    return min(_supported(*sides), _supported(*mirrored)) / math.log(10)


_Side = tuple[NDArray[np.float64], NDArray[np.float64]]


def _supported(right: _Side, wrong: _Side) -> float:
    """The limit on one side, as a natural logarithm.

    Args:
        right: logarithms of ratios that should be high, and their weights, which sum up to 1.
        wrong: of those that should not.
    """
    # Between two neighbours of these the rates stay the same.
    steps = np.unique(np.concatenate([right[0], wrong[0]]))
    steps = steps[(steps > 0) & (steps <= right[0].max())]
    count = len(wrong[0])
    hits = np.array([right[1][right[0] >= step].sum() for step in steps])
    alarms = np.array([wrong[1][wrong[0] >= step].sum() for step in steps])
    bounds = np.log(hits / ((count * alarms + 1) / (count + 1)))
    failing = np.flatnonzero(bounds < steps)
    if len(failing) == 0:
        return float(steps[-1]) if len(steps) else 0.0
    first = failing[0]
    return max(float(bounds[first]), float(steps[first - 1]) if first else 0.0)


def describe(persons: Scored, factor: float, offset: float) -> Calibration:
    """What calibrated logits are worth.

    Args:
        persons: with calibrated logits.
        factor: that made them so.
        offset: likewise.
    """
    scores = sigmoid(persons.logits)
    numbers = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = tuple(
        CalibrationBin(
            round(float(np.average(scores[here], weights=persons.weights[here])), 3),
            round(float(np.average(persons.fake[here], weights=persons.weights[here])), 3),
            int(here.sum()),
        )
        for number in range(BINS)
        if (here := numbers == number).any()
    )
    return Calibration(
        method=f"logistic (Platt 1999): {factor:.4f} * logit {offset:+.4f}, folded into the file",
        data=f"{np.count_nonzero(~persons.fake)} genuine and {np.count_nonzero(persons.fake)} "
        "forged faces and tracks that were not trained on; other material can be worth less",
        limit=math.floor(100 * supported_limit(persons)) / 100,
        bins=bins,
    )
