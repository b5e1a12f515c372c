"""Thresholds and calibration of a model, from its logits on labelled persons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from fakelens.evaluation.auc import balanced_weights
from fakelens.records.arrays import sigmoid
from fakelens.records.models import Calibration, CalibrationBin, Thresholds
from training.yardstick.items import Item

FALSE_ALARMS = 0.05
"""Share of the genuine persons of each medium above the threshold for *likely fake*."""
MISSES = 0.1
"""Share of forged persons below the threshold for *likely real*."""
UNSEEN_KINDS = ("bottleneck", "warp")
"""Kinds of forgery that the model hardly sees; see ``is_visible``."""
_TRACKS = ("tracks", "forged tracks")
BINS = 10
"""Number of score intervals in the reliability table."""


def is_person(item: Item) -> bool:
    """Return whether an item is a person as ``analyze`` scores them: not a single-crop blend."""
    return item.part != "blends"


def is_visible(item: Item) -> bool:
    """Return whether an item is genuine or a forgery that the model can see.

    Thresholds are chosen without the others. Their scores are those of genuine faces, so no
    threshold can call one in two genuine persons real and only one in ten of these forgeries.
    """
    return item.kind not in UNSEEN_KINDS


@dataclass(frozen=True, slots=True)
class ScoredPersons:
    """Labelled persons with a model's logits.

    Attributes:
        logits: (N,) float64, positive = fake.
        fake: (N,) bool labels.
        weights: (N,) float64. Within each label, all parts of the set have the same total weight
            and the weights sum to 1.
        media: (N,) what each person is seen in: "videos" for tracks, genuine or forged, else the
            name of the part of the set.
    """

    logits: NDArray[np.float64]
    fake: NDArray[np.bool_]
    weights: NDArray[np.float64]
    media: NDArray[np.str_]

    @classmethod
    def from_items(cls, items: Sequence[Item], logits: Sequence[float]) -> "ScoredPersons":
        """Weight the items of the yardstick."""
        fake = np.array([item.fake for item in items])
        parts = [item.part for item in items]
        weights = balanced_weights(parts, fake)
        media = ["videos" if part in _TRACKS else part for part in parts]
        return cls(np.asarray(logits, np.float64), fake, weights, np.array(media))

    def scaled(self, factor: float, offset: float) -> "ScoredPersons":
        """Return the same persons with the logits ``factor * logit + offset``."""
        logits = factor * self.logits + offset
        return ScoredPersons(logits, self.fake, self.weights, self.media)


def fit_platt(persons: ScoredPersons) -> tuple[float, float]:
    """Fit the factor and offset of Platt scaling (Platt, 1999).

    ``sigmoid(factor * logit + offset)`` is then the probability of a fake if half of the persons
    are fake.
    """
    fit = LogisticRegression(C=1e6).fit(
        persons.logits[:, None], persons.fake, persons.weights * len(persons.fake)
    )
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def weighted_quantile(
    values: NDArray[np.floating], weights: NDArray[np.floating], share: float
) -> float:
    """Return the smallest value at or below which at least ``share`` of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share - 1e-12)])


def choose_thresholds(persons: ScoredPersons) -> Thresholds:
    """Choose thresholds from error rates.

    At most ``FALSE_ALARMS`` of the genuine persons of each medium lie above the threshold for fake:
    a rate over all of them would hide that compressed videos are called fake more often
    than photographs. At most ``MISSES`` of all forged persons lie below the threshold for real.

    Args:
        persons: persons with calibrated logits.
    """
    scores, weights, forged = sigmoid(persons.logits), persons.weights, persons.fake
    # Rounded outwards, so that the rates also hold for the rounded thresholds.
    genuine = [~forged & (persons.media == name) for name in np.unique(persons.media[~forged])]
    limits = [weighted_quantile(scores[g], weights[g], 1 - FALSE_ALARMS) for g in genuine]
    fake = math.ceil(1000 * max(limits)) / 1000
    real = math.floor(1000 * weighted_quantile(scores[forged], weights[forged], MISSES)) / 1000
    real = min(fake, real)

    def share(which: NDArray[np.bool_], above: NDArray[np.bool_]) -> float:
        return float(weights[which & above].sum() / weights[which].sum())

    source = (
        f"{np.count_nonzero(~forged)} genuine and {np.count_nonzero(forged)} forged faces and "
        "tracks that were not trained on, of the origins that the model card lists, each weighing "
        "the same, without forgeries that leave no trace the model sees: "
        f"{share(~forged, scores >= fake):.0%} of the genuine ones, and at most "
        f"{FALSE_ALARMS:.0%} of those in videos, in pictures and in crops, are above the "
        f"threshold of fake, {share(forged, scores >= fake):.0%} of the forged ones; "
        f"{share(forged, scores <= real):.0%} of the forged ones are below the threshold of real, "
        f"{share(~forged, scores <= real):.0%} of the genuine ones. On other material these rates "
        "do not hold"
    )
    return Thresholds(fake, real, source)


def supported_limit(persons: ScoredPersons) -> float:
    """Compute the largest log10 likelihood ratio that the persons support, in either direction.

    Decisions at a ratio of at least t must not be worse than decisions without evidence, even if
    one more person had a misleading ratio: hits must be at least t times as frequent as false
    alarms. The limit is the first t above 1 for which they are not (the empirical lower and upper
    bounds of Vergeer et al., "Numerical likelihood ratios outputted by LR systems are often based
    on extrapolation: when to stop extrapolating?", Science & Justice 2016).

    Args:
        persons: persons with calibrated logits.
    """
    forged = persons.fake
    sides = [
        (persons.logits[label], persons.weights[label] / persons.weights[label].sum())
        for label in (forged, ~forged)
    ]
    mirrored = [(-logits, weights) for logits, weights in reversed(sides)]
    return min(_one_sided_limit(*sides), _one_sided_limit(*mirrored)) / math.log(10)


_Side = tuple[NDArray[np.float64], NDArray[np.float64]]


def _one_sided_limit(right: _Side, wrong: _Side) -> float:
    """Compute the limit in one direction, as a natural logarithm.

    Args:
        right: log ratios that should be high, and their weights, which sum to 1.
        wrong: log ratios that should be low, and their weights.
    """
    # The rates are constant between two consecutive steps.
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


def build_calibration(persons: ScoredPersons, factor: float, offset: float) -> Calibration:
    """Build the calibration record of the model card, with its reliability table.

    Args:
        persons: persons with calibrated logits.
        factor: factor of the calibration.
        offset: offset of the calibration.
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
