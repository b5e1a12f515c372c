"""Outcomes of the benchmark: a mean with its interval for each measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fakelens.evaluation.localisation import bootstrap_mean
from fakelens.explain.baseline import PARTS, WHOLE_FACE

TOPS = (1, 2, 3)
"""Numbers of a heatmap's top segments that the adversarial attack may change."""

BY_REGION, BY_FILTER = "named_by_region", "named_by_filter"
"""Keys of the measures of how often the forged part is named, see ``planted_parts``."""

CHANCE = {BY_REGION: 1 / 4, BY_FILTER: 1 / len(PARTS)}
"""Shares of the faces whose forged part a random choice names."""


def part_key(measure: str, part: str) -> str:
    """Return the key of ``BY_REGION`` or ``BY_FILTER`` over the faces with one forged part."""
    return f"{measure}_{part.replace(' ', '_')}"


@dataclass(frozen=True, slots=True)
class Measure:
    """The description of a measure.

    Attributes:
        title: title on plots.
        meaning: one sentence.
        better: which values are better for a heatmap method; ``"neither"`` for baselines.
        neutral: the value of an uninformative heatmap, if it is the same for all faces; for shares
            of right answers, chance.
    """

    title: str
    meaning: str
    better: Literal["high", "low", "neither"]
    neutral: float | None = None


_ATTACK = {
    "attack_score_drop": (
        "attack on top {}: score drop",
        "Drop of the score of a face called fake when an adversarial attack changes the heatmap's "
        "top {} segments.",
    ),
    "attack_logit_drop": (
        "attack on top {}: logit drop",
        "The same in logits, which do not saturate; top {} segments.",
    ),
    "attack_flipped": (
        "attack on top {}: flipped",
        "Share of the faces called fake that the attack on the top {} segments turns into real.",
    ),
}
_ATTACK_MEASURES = {
    key: measure
    for name, (title, meaning) in _ATTACK.items()
    for top in TOPS
    for key, measure in {
        f"{name}_{top}": Measure(title.format(top), meaning.format(top), "high"),
        f"{name}_{top}_random": Measure(
            f"{title.format(top)}, random segments",
            "The same for as many random segments.",
            "neither",
        ),
    }.items()
}

_PART_MEASURES = {
    BY_REGION: Measure(
        "part named by region",
        "Share of the faces with forged eyes, nose, mouth, or jaw and cheeks whose forged part is "
        "the one of these four with the highest mean of the heatmap.",
        "high",
        CHANCE[BY_REGION],
    ),
    BY_FILTER: Measure(
        "part named by filter",
        "Share of the faces whose forged part has the strongest matched filter of the model's "
        "baseline, of five with the whole face.",
        "high",
        CHANCE[BY_FILTER],
    ),
}
_PART_MEASURES |= {
    part_key(key, part): Measure(
        f"{measure.title}: {part}",
        f"The same for the faces with this forged part: {part}.",
        measure.better,
        measure.neutral,
    )
    for key, measure in _PART_MEASURES.items()
    for part in PARTS
    if (key, part) != (BY_REGION, WHOLE_FACE)
}

MEASURES = {
    "inside": Measure(
        "evidence inside", "Share of the positive evidence inside the forged area.", "high"
    ),
    "inside_uniform": Measure(
        "evidence inside, uniform heatmap", "The same for an uninformative heatmap.", "neither"
    ),
    "inside_other_face": Measure(
        "evidence inside, another face's heatmap",
        "The same for the heatmap of another face.",
        "neither",
    ),
    "pixel_auc": Measure(
        "pixel AUC",
        "Probability that a forged pixel has more evidence than an unforged one.",
        "high",
        0.5,
    ),
    "hits": Measure(
        "hits", "Pointing game: the strongest cell is in the forged area or next to it.", "high"
    ),
    "hits_random": Measure("hits, random cell", "The same for a random cell.", "neither"),
    **_PART_MEASURES,
    "deletion": Measure(
        "deletion",
        "Drop of the logit while the heatmap's cells are blurred, strongest first, less the drop "
        "with a random heatmap of the same power spectrum; mean over the steps.",
        "high",
        0,
    ),
    "insertion": Measure(
        "insertion",
        "Rise of the logit while the heatmap's cells are revealed in a blurred crop, strongest "
        "first, less the rise with such a random heatmap; mean over the steps.",
        "high",
        0,
    ),
    "ablation": Measure(
        "feature ablation",
        "Drop of the logit without the top fifth of the explained layer's cells, less the drop "
        "with such random heatmaps.",
        "high",
        0,
    ),
    **_ATTACK_MEASURES,
    "random_weights": Measure(
        "random weights",
        "Rank correlation with the heatmap of the same model with permuted weights.",
        "low",
        0,
    ),
    "next_frame": Measure(
        "next frame", "Rank correlation with the heatmap of the next frame of the video.", "high"
    ),
}
"""Measures in the order of the tables; deletion, insertion and ablation are in logits."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over faces.

    Attributes:
        value: the mean.
        low: lower end of the 95 % interval over groups; ``None`` if there is only one group.
        high: upper end, likewise.
        faces: number of faces.
    """

    value: float
    low: float | None
    high: float | None
    faces: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of one heatmap method of one model on one dataset.

    Attributes:
        model: name.
        dataset: name.
        method: name.
        faces: number of faces measured.
        groups: number of groups they belong to.
        without_evidence: number of faces whose heatmap has no positive cell; they do not count for
            evidence inside, pixel AUC, hits and named parts.
        milliseconds: median time for one heatmap with all its forward passes, on this machine.
        measures: by keys of ``MEASURES``; measures that were not possible are missing.
    """

    model: str
    dataset: str
    method: str
    faces: int
    groups: int
    without_evidence: int
    milliseconds: float
    measures: Mapping[str, Estimate]


def estimate(values: Sequence[float], groups: Sequence[str], seed: int) -> Estimate | None:
    """Average the values that are not NaN; ``None`` if there are none.

    Args:
        values: one for each face.
        groups: name of each face's group; the interval resamples whole groups.
        seed: random seed of the resampling.
    """
    known = [index for index, value in enumerate(values) if not np.isnan(value)]
    if not known:
        return None
    numbers = np.array([values[index] for index in known])
    names = [groups[index] for index in known]
    low, high = None, None
    if len(set(names)) > 1:
        low, high = bootstrap_mean(numbers, names, seed=seed)
    return Estimate(float(numbers.mean()), low, high, len(known))
