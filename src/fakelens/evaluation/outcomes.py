"""What the benchmark found: one number with its interval for each measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fakelens.evaluation.localisation import bootstrap_mean

TOPS = (1, 2, 3)
"""How many of a map's segments the adversary may change."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One of the measures.

    Attributes:
        title: on plots.
        meaning: one sentence.
        better: which values speak for a heatmap method; ``"neither"`` of yardsticks.
        neutral: the value of a map that knows nothing, if it is the same for all.
    """

    title: str
    meaning: str
    better: Literal["high", "low", "neither"]
    neutral: float | None = None


_PUSHED = {
    "push": (
        "push, top {}",
        "Fall of the score of a face called fake when an adversary may change the first {} of the "
        "map's segments.",
    ),
    "fall": ("push in logits, top {}", "The same fall in logits, which do not saturate."),
    "turned": (
        "turned, top {}",
        "Share of the faces called fake that the adversary so turns to real.",
    ),
}
_PUSHES = {
    key: measure
    for name, (title, meaning) in _PUSHED.items()
    for top in TOPS
    for key, measure in {
        f"{name}_{top}": Measure(title.format(top), meaning.format(top), "high"),
        f"{name}_{top}_random": Measure(
            f"{title.format(top)}, at random", "The same of as many random segments.", "neither"
        ),
    }.items()
}

MEASURES = {
    "inside": Measure(
        "evidence inside", "Share of the positive evidence inside the forged area.", "high"
    ),
    "uniform": Measure("uniform map", "The same of a map without any knowledge.", "neither"),
    "others": Measure("another face's map", "The same of the map of another face.", "neither"),
    "auc": Measure(
        "pixel AUC",
        "Chance that a forged pixel has more evidence than an untouched one.",
        "high",
        0.5,
    ),
    "hits": Measure(
        "hits", "Pointing game: the strongest cell is in the forged area or next to it.", "high"
    ),
    "chance": Measure("chance of a hit", "The same of a random cell.", "neither"),
    "deletion": Measure(
        "deletion",
        "How much further the logit falls when the map's cells are blurred, strongest first, than "
        "by a random map of the same power spectrum; mean over the steps.",
        "high",
        0,
    ),
    "insertion": Measure(
        "insertion",
        "How much higher the logit rises when the map's cells are shown in a blurred crop, "
        "strongest first, than by such a random map; mean over the steps.",
        "high",
        0,
    ),
    "ablation": Measure(
        "feature ablation",
        "How much further the logit falls without a fifth of the explained layer's cells, the "
        "strongest of the map, than without those of such random maps.",
        "high",
        0,
    ),
    **_PUSHES,
    "randomised": Measure(
        "weights at random",
        "Rank correlation with the map of the same model with its weights shuffled.",
        "low",
        0,
    ),
    "neighbours": Measure(
        "next frame", "Rank correlation with the map of the next frame of the video.", "high"
    ),
}
"""In the order of the tables; deletion, insertion and ablation are in logits."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over faces.

    Attributes:
        value: the mean.
        low: of the 95 % interval over groups; ``None`` where there is one group only.
        high: likewise.
        faces: how many the mean is of.
    """

    value: float
    low: float | None
    high: float | None
    faces: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one heatmap method of one model got on one kind of material.

    Attributes:
        model: name.
        material: name.
        method: name.
        faces: that were measured.
        groups: that they come from.
        without_evidence: of the faces, those whose map has no positive cell; they do not count
            for evidence inside, AUC and hits.
        milliseconds: for one map with all its passes, the median; on this machine, whatever else
            it was doing.
        measures: by keys of ``MEASURES``; what could not be measured is missing.
    """

    model: str
    material: str
    method: str
    faces: int
    groups: int
    without_evidence: int
    milliseconds: float
    measures: Mapping[str, Estimate]


def estimate(values: Sequence[float], groups: Sequence[str], seed: int) -> Estimate | None:
    """The mean of what is not NaN, with its interval under resampling of groups; ``None`` of none.

    Args:
        values: one of each face.
        groups: names of their groups.
        seed: of the resampling.
    """
    told = [index for index, value in enumerate(values) if not np.isnan(value)]
    if not told:
        return None
    numbers = np.array([values[index] for index in told])
    names = [groups[index] for index in told]
    low, high = None, None
    if len(set(names)) > 1:
        low, high = bootstrap_mean(numbers, names, seed=seed)
    return Estimate(float(numbers.mean()), low, high, len(told))
