"""The verdict on one person and what it rests on."""

from dataclasses import dataclass
from enum import StrEnum

from fakelens.records.trust import Assessment, TrustMark


class Verdict(StrEnum):
    """What fakelens says of a person."""

    FAKE = "likely fake"
    REAL = "likely real"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which a person's score is high.

    Attributes:
        start: seconds.
        end: seconds.
        score: 0..1 over the stretch.
    """

    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one person.

    Attributes:
        person: number of the person.
        verdict: in words.
        score: 0..1, robust to single frames; ``None`` when no face was good enough.
        interval: 95 % bootstrap interval of the score; ``None`` when there is too little to say.
        log10_likelihood_ratio: of fake over real, by the model's calibration and within its
            limit: 1 means that a typical face of this person would be ten times as frequent among
            the fakes of the calibration data as among its real faces. ``None`` without a
            calibration, or where there is too little to say.
        spans: where the score is high.
        reasons: why the verdict is what it is, and what limits it; sentences.
        first: seconds, first observation.
        last: seconds, last observation.
        examined: number of faces examined.
        usable: number of those that pass the quality gates.
        key_frame: frame index with the strongest usable evidence for the score's side.
        assessment: how far the score and the heatmaps can be trusted; ``None`` if that was not
            measured.
        seen_well: enough good faces, large enough for the model, for a verdict.
    """

    person: int
    verdict: Verdict
    score: float | None
    interval: tuple[float, float] | None
    spans: tuple[Span, ...]
    reasons: tuple[str, ...]
    first: float
    last: float
    examined: int
    usable: int
    key_frame: int
    log10_likelihood_ratio: float | None = None
    assessment: Assessment | None = None
    seen_well: bool = False

    @property
    def trust_mark(self) -> TrustMark | None:
        """Of the person's heatmaps; ``None`` where it was not measured."""
        measured = self.assessment and self.assessment.faithfulness
        return measured.mark if measured else None
