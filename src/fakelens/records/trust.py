"""Trust measures of a verdict and its heatmaps; part of a ``Finding``."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Ablation = Literal["features", "deletion", "insertion", "road"]
"""How the marked cells are removed; see ``trust.faithfulness``."""


class TrustMark(StrEnum):
    """Whether a heatmap shows what the model's output depends on."""

    SUPPORTED = "supported"
    WEAK = "weak"
    CHANCE = "not better than chance"


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """How the logit changes when the strongest fifth of the heatmap is removed.

    Attributes:
        mark: the result.
        ablation: how the cells were removed.
        drop: mean decrease of the logit; for ``"insertion"``, when all but that fifth is removed.
        random_drop: the same for random fifths, taken from random maps as smooth as the heatmap.
        p: share of the random fifths, this one included, whose effect is as large, 0..1.
        effect: ``drop`` minus ``random_drop`` (with the opposite sign for ``"insertion"`` and for
            heatmaps that show evidence for real), divided by the distance between the model's two
            thresholds in logits: 1 moves a person from one threshold to the other.
        share: that difference divided by the one of the best reference heatmap, at most 1;
            ``None`` if the reference heatmaps have no effect either.
        random_effect: the largest such difference, in logits, of heatmaps of the same method on
            heads with permuted weights; ``None`` if the model has no such heads, or if the
            heatmap is not supported anyway.
        faces: number of faces measured.
        completeness: sum of the heatmaps divided by the sum of the logits; 1 if the cells add up
            to the logit. ``None`` for methods other than HiResCAM and XGrad-CAM, or if the
            logits are close to 0.
    """

    mark: TrustMark
    ablation: Ablation
    drop: float
    random_drop: float
    p: float
    effect: float
    share: float | None
    random_effect: float | None
    faces: int
    completeness: float | None


@dataclass(frozen=True, slots=True)
class Robustness:
    """How much the score changes with small perturbations of the crop or the compression.

    Attributes:
        score_range: lowest and highest score, 0..1, over all perturbations.
        scores: 0..1, by perturbation; see ``trust.robustness.PERTURBATIONS``.
        faces: number of faces measured.
    """

    score_range: tuple[float, float]
    scores: dict[str, float]
    faces: int


class SpecificityMark(StrEnum):
    """Whether a heatmap shows something else than the model's heatmaps on genuine faces."""

    SPECIFIC = "specific to this face"
    USUAL = "not specific to this face"


@dataclass(frozen=True, slots=True)
class Specificity:
    """How a person's heatmaps differ from the mean heatmap of the model on genuine faces.

    That mean is the *baseline*; see ``explain.baseline``. Neither mark says that a marked area was
    edited.

    Attributes:
        mark: the result.
        similarity: correlation of the person's mean heatmap with the baseline, -1..1.
        excess: mean drop of the logit when the fifth of the cells that exceeds the baseline most
            is removed, beyond the drop that the baseline predicts; logits.
        limit: excess that one in twenty genuine faces reaches; logits.
        share: ``excess`` divided by that of the best reference heatmap on these faces, at most 1;
            ``None`` if that is not positive.
        parts: parts of the face in which the evidence exceeds the baseline by more than chance,
            the strongest first; see ``explain.baseline.PARTS``. None if the heatmaps are not
            specific.
        baseline: (h, w) the baseline on this person's crops, in the unit of the heatmaps.
        faces: number of faces measured.
    """

    mark: SpecificityMark
    similarity: float
    excess: float
    limit: float
    share: float | None
    parts: tuple[str, ...]
    baseline: tuple[tuple[float, ...], ...]
    faces: int


class ControlOutcome(StrEnum):
    """How the model scores synthetic forgeries added to a person's own frames.

    ``DETECTED``: the score reaches *likely fake*; ``PARTIAL``: it rises, but not that far;
    ``MISSED``: it does not rise; ``UNKNOWN``: the person already scores as fake, so the control
    says nothing.
    """

    DETECTED = "detected"
    PARTIAL = "partial"
    MISSED = "missed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Controls:
    """The model tested on a person's own frames: with a synthetic forgery, and recompressed.

    Attributes:
        outcome: whether the synthetic forgeries are detected.
        forged_score: score with a synthetic forgery, 0..1.
        evidence_inside: share of the heatmap's increase that lies inside the forged area, 0..1;
            ``None`` if it does not increase anywhere.
        area_inside: share of the heatmap that the forged area covers, 0..1: the value expected
            of ``evidence_inside`` for a heatmap that does not locate the forgery.
        recompressed_score: score of the untouched face after recompression, 0..1.
        recompression_false_alarm: whether recompression alone makes the person look fake.
        faces: number of faces measured.
        parts_forged: number of synthetic forgeries, each of one part of the face or of all of it.
        parts_named: number of these whose part the change of the heatmap names, see
            ``explain.baseline``; ``None`` if the model has no baseline for the heatmap method.
    """

    outcome: ControlOutcome
    forged_score: float
    evidence_inside: float | None
    area_inside: float
    recompressed_score: float
    recompression_false_alarm: bool
    faces: int
    parts_forged: int = 0
    parts_named: int | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A region of the face and the evidence in it.

    Attributes:
        name: one of ``explain.regions.REGION_NAMES``.
        area: share of the heatmap that the region covers, 0..1.
        fake: share of the evidence for fake that lies in the region, 0..1.
        contribution: mean sum of the region's cells, signed, in the unit of the heatmap.
        fake_over_time: ``fake`` in each time step of ``Regions``; -1 for steps without faces.
        contribution_over_time: ``contribution`` in each time step; 0 for steps without faces.
        ablated_score: score with the region's cells of the explained layer set to zero, 0..1;
            ``None`` if the model has no head that can run on its own.
        control_score: score with equally many cells elsewhere set to zero, 0..1; ``None`` in the
            same case.
    """

    name: str
    area: float
    fake: float
    contribution: float
    fake_over_time: tuple[float, ...]
    contribution_over_time: tuple[float, ...]
    ablated_score: float | None
    control_score: float | None


@dataclass(frozen=True, slots=True)
class Regions:
    """Where on the face the evidence lies, for a person who is likely fake.

    Attributes:
        parts: one per region, in the order of ``explain.regions.REGION_NAMES``.
        start: of the first time step, seconds.
        step: length of each time step, seconds.
        score: score of the measured faces without ablation, 0..1.
        sentences: effect of ablating the regions that matter.
    """

    parts: tuple[Region, ...]
    start: float
    step: float
    score: float | None
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """How far a finding and its heatmaps can be trusted.

    Attributes:
        faithfulness: of the heatmaps; ``None`` if the model does not allow the measurement.
        robustness: of the score; ``None`` if the person is not seen well.
        controls: of the model on this footage; ``None`` if the person is not seen well, or
            without landmarks.
        regions: of the face; ``None`` unless the person is likely fake.
        agreement: mean correlation of each heatmap, aligned by landmarks, with the mean of the
            others; ``None`` with fewer than three heatmaps, or without landmarks.
        strongest: indices of the frames with the most evidence for fake, the strongest first.
        notes: what could not be measured, and why; sentences.
        specificity: of the heatmaps; ``None`` if the model has no baseline for this heatmap method,
            or without landmarks.
    """

    faithfulness: Faithfulness | None
    robustness: Robustness | None
    controls: Controls | None
    regions: Regions | None
    agreement: float | None
    strongest: tuple[int, ...]
    notes: tuple[str, ...]
    specificity: Specificity | None = None
