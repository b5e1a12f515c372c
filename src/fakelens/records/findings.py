"""The verdict on one person and what it rests on."""

from dataclasses import dataclass
from enum import StrEnum

from fakelens.records.trust import Assessment, TrustMark


class Verdict(StrEnum):
    """The verdict on a person."""

    FAKE = "likely fake"
    REAL = "likely real"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Span:
    """A period of time in which a person's score is high.

    Attributes:
        start: seconds.
        end: seconds.
        score: 0..1, over the whole span.
    """

    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class DomainCheck:
    """Whether a person is seen under conditions like those of the model's validation data.

    Attributes:
        inside: whether all measured conditions are in the range of the validation data.
        outside: the conditions that are not, with the measured value and the range; sentences.
    """

    inside: bool
    outside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of the analysis for one person.

    Attributes:
        person: number of the person.
        verdict: *likely fake*, *likely real* or *inconclusive*.
        score: 0..1, robust to outlier frames; ``None`` if no face passes the quality gates.
        interval: 95 % interval of the score, see ``statistics.mean_interval``; ``None`` if there is
            too little data.
        log10_likelihood_ratio: base-10 logarithm of the likelihood ratio, fake over real, by the
            model's calibration and within its limit: 1 means that a typical face of this person
            is ten times as frequent among the fake faces of the calibration data as among its
            real faces. ``None`` without a calibration, or if the person is not seen well.
        spans: periods in which the score is high.
        reasons: reasons for the verdict, and its limits; sentences.
        first: time of the first observation, seconds.
        last: time of the last observation, seconds.
        examined: number of faces examined.
        usable: number of examined faces that pass the quality gates.
        key_frame: index of the frame with the strongest usable evidence in the direction of the
            score (for fake from 0.5 on, for real below).
        assessment: how far the score and the heatmaps can be trusted; ``None`` if not measured.
        seen_well: whether there are enough good faces, large enough for the model, for a verdict.
        domain: whether the conditions are those of the model's validation data; ``None`` if the
            model's card does not describe these data.
        possibly_same_as: number of an earlier person who may be the same one, see
            ``analysis.fragments``; ``None`` if there is none or it was not measured. It changes no
            score and no verdict.
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
    domain: DomainCheck | None = None
    possibly_same_as: int | None = None

    @property
    def trust_mark(self) -> TrustMark | None:
        """Trust mark of the person's heatmaps; ``None`` if it was not measured."""
        faithfulness = self.assessment and self.assessment.faithfulness
        return faithfulness.mark if faithfulness else None
