"""What was measured of an explanation and a verdict: records, part of a ``results.Finding``."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Ablation = Literal["features", "deletion", "insertion", "road"]
"""How the marked fifth is taken away; see ``ablation``."""


class TrustMark(StrEnum):
    """How far a heatmap shows what the model's answer rests on."""

    SUPPORTED = "supported"
    WEAK = "weak"
    CHANCE = "not better than chance"


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """What becomes of the logit when the strongest fifth of the heatmap is taken away.

    Attributes:
        mark: in words.
        ablation: how it was taken away.
        drop: mean fall of the logit; for ``"insertion"`` when all but that fifth is taken away.
        random_drop: the same for random fifths whose heatmaps are as smooth as this one.
        p: share of the random ones, and this one, that do as well: 0..1.
        effect: ``drop`` less ``random_drop`` (for ``"insertion"``, or heatmaps that show what
            speaks for real, the contrary) over the distance of the model's two thresholds in
            logits: 1 takes a person from one to the other.
        share: that difference over the one of the best of the reference heatmaps, at most 1;
            ``None`` where these do nothing either.
        random_effect: the most that a heatmap of the same method takes away, in logits and less
            than random fifths do, of heads with their weights in random orders; ``None`` where
            there are none, or where the heatmap is not supported anyway.
        faces: number of faces it was measured on.
        completeness: sum of the heatmaps over the sum of the logits; 1 where the cells add up to
            the answer. ``None`` for methods other than HiResCAM and XGrad-CAM, or where the
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
        scores: 0..1, by perturbation; see ``robustness.PERTURBATIONS``.
        faces: number of faces measured.
    """

    score_range: tuple[float, float]
    scores: dict[str, float]
    faces: int


class ControlOutcome(StrEnum):
    """What the model makes of a synthetic forgery added to a person's own frames.

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
        evidence_inside: share of the increase of the heatmap that lies inside the forged area,
            0..1; ``None`` if nothing increases.
        area_inside: share of the heatmap that the forged area covers, the value expected of a
            heatmap that points nowhere.
        recompressed_score: score of the untouched face after recompression, 0..1.
        recompression_false_alarm: whether recompression alone makes the person look fake.
        faces: number of faces measured.
    """

    outcome: ControlOutcome
    forged_score: float
    evidence_inside: float | None
    area_inside: float
    recompressed_score: float
    recompression_false_alarm: bool
    faces: int


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the face and the evidence in it.

    Attributes:
        name: see ``regions.REGION_NAMES``.
        area: share of the heatmap that the part covers, 0..1.
        fake: share of the evidence for fake that lies in the part, 0..1.
        contribution: mean sum of its cells, signed, in the unit of the heatmap.
        fake_over_time: ``fake`` in each time step of ``Regions``; -1 where nothing was seen.
        contribution_over_time: ``contribution`` in each time step; 0 where nothing was seen.
        ablated_score: score with its cells of the explained layer set to zero, 0..1; ``None`` if
            the model has no head that runs on its own.
        control_score: score with as many cells elsewhere set to zero, 0..1; likewise.
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
    """Where on the face the evidence lies, of somebody who looks fake.

    Attributes:
        parts: in the order of ``regions.REGION_NAMES``.
        start: seconds, of the first stretch of time.
        step: seconds, length of each stretch.
        score: 0..1 of the faces that parts were hidden of, as they are.
        sentences: what hiding the parts that matter does.
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
        faithfulness: of the heatmaps; ``None`` where the model cannot be asked.
        robustness: of the score; ``None`` where there is too little to judge.
        controls: of the detector on this footage; likewise, and without landmarks.
        regions: of the face; only of somebody who is likely fake.
        agreement: mean correlation of each heatmap, aligned by the face, with the mean of all;
            ``None`` with fewer than three, or without landmarks.
        strongest: frame indices of the most evidence of fake, the strongest first.
        notes: what could not be measured and why; sentences.
    """

    faithfulness: Faithfulness | None
    robustness: Robustness | None
    controls: Controls | None
    regions: Regions | None
    agreement: float | None
    strongest: tuple[int, ...]
    notes: tuple[str, ...]
