"""``fakelens analyze --json``: a JSON object on one line of standard output for each input.

The schema is published as ``docs/reference/summary.schema.json``. ``schema_version`` increases when
a field is removed, renamed or changes its meaning, not when one is added.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import ErrorRecord, ModelCard, Thresholds
from fakelens.records.report import Report, SecondOpinion
from fakelens.report.error_rates import error_rate_sentence, first_record
from fakelens.report.opinions import overview
from fakelens.report.wording import damage_sentences, likelihood_ratio_sentence

SCHEMA_VERSION: Final = 1
"""Increased when a field is removed, renamed or changes its meaning."""

CAUTION: Final = "A score is evidence, not proof."

Score = Annotated[float, Field(ge=0, le=1, description="0 to 1, 1 = fake")]
Seconds = Annotated[float, Field(description="seconds since the first frame")]


class _Part(BaseModel):
    """A part of a line."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="forbid")


class Times(_Part):
    """A period of time."""

    start: Seconds
    end: Seconds


class HighTimes(Times):
    """A period in which a person's score is high."""

    score: Score


class PersonSummary(_Part):
    """What the model says about one person."""

    person: Annotated[int, Field(description="number, as in all files of the report")]
    verdict: Verdict
    score: Annotated[Score | None, Field(description="null without a usable face")]
    interval: Annotated[tuple[Score, Score] | None, Field(description="95 % interval of the score")]
    log10_likelihood_ratio: Annotated[
        float | None,
        Field(description="fake over real; null where the report page shows no ratio"),
    ]
    seen_well: Annotated[bool, Field(description="enough good faces for a verdict")]
    reasons: Annotated[tuple[str, ...], Field(description="sentences, the main one first")]
    seen: Times
    high: Annotated[tuple[HighTimes, ...], Field(description="when the score is high")]


class OpinionOnPerson(_Part):
    """What another model says about one person."""

    person: int
    verdict: Verdict
    score: Score | None
    seen_well: bool
    reasons: tuple[str, ...]


class ModelSummary(_Part):
    """Which model answered, with which thresholds."""

    name: str
    version: str
    sha256: Annotated[str, Field(description="of the weights; empty if they came from no file")]
    likely_fake_from: Score
    likely_real_up_to: Score


class VerdictTotals(_Part):
    """The verdicts on clips of one label, of all datasets together."""

    clips: int
    likely_fake: int
    likely_real: int
    inconclusive: int
    not_judged: Annotated[int, Field(description="clips in which nobody is seen well")]


class ErrorRates(_Part):
    """How often the model was wrong on labelled clips, with its own thresholds."""

    sentence: str
    independent: Annotated[
        bool | None,
        Field(description="clips not used to train or choose the model; null if not measured"),
    ]
    genuine_clips: Annotated[VerdictTotals | None, Field(description="null if not measured")]
    fakes: Annotated[VerdictTotals | None, Field(description="null if not measured")]


class SecondOpinionSummary(_Part):
    """What another model says, from the same pass over the input."""

    model: ModelSummary
    error_rates: ErrorRates
    verdict: Annotated[Verdict | None, Field(description="on its most suspicious person")]
    person: int | None
    persons: tuple[OpinionOnPerson, ...]


class Summary(_Part):
    """An input that was analyzed, now or before."""

    schema_version: Literal[1] = SCHEMA_VERSION
    input: Annotated[str, Field(description="path as given")]
    exit_code: Annotated[Literal[0, 4], Field(description="0: done; 4: no face found")]
    error: None = None
    results: Annotated[str, Field(description="folder with report.html and report.json")]
    input_sha256: str
    created: Annotated[str, Field(description="when it was analyzed, ISO 8601, UTC")]
    verdict: Annotated[
        Verdict | None,
        Field(description="on the most suspicious person seen well; null if there is nobody"),
    ]
    person: Annotated[int | None, Field(description="number of that person")]
    score: Annotated[Score | None, Field(description="of that person")]
    caution: Literal["A score is evidence, not proof."] = CAUTION
    error_rates: ErrorRates
    model: ModelSummary
    persons: Annotated[tuple[PersonSummary, ...], Field(description="by number")]
    second_opinions: tuple[SecondOpinionSummary, ...]
    agreement: Annotated[
        str | None, Field(description="how far the models agree; null for one model")
    ]
    damage: Annotated[tuple[str, ...], Field(description="what could not be read, sentences")]


class Failure(_Part):
    """An input that could not be analyzed."""

    schema_version: Literal[1] = SCHEMA_VERSION
    input: Annotated[str, Field(description="path as given")]
    exit_code: Annotated[Literal[1, 2], Field(description="1: failed; 2: wrong usage")]
    error: Annotated[str, Field(description="one sentence, as on standard error")]


def summarize(report: Report, path: Path, folder: Path) -> Summary:
    """Build the line of an input that was analyzed.

    Args:
        report: as analyzed, or as read from the results.
        path: of the input, as given.
        folder: of the results.
    """
    decisive = report.decisive
    return Summary(
        input=_unicode(path),
        exit_code=0 if report.tracks else 4,
        results=_unicode(folder),
        input_sha256=report.provenance.input_sha256,
        created=report.provenance.created,
        verdict=decisive.verdict if decisive else None,
        person=decisive.person if decisive else None,
        score=decisive.score if decisive else None,
        error_rates=_error_rates(report.model, report.thresholds),
        model=_model(report.model, report.provenance.model_sha256, report.thresholds),
        persons=tuple(_person(finding, report) for finding in report.findings),
        second_opinions=tuple(_second(opinion, report) for opinion in report.second_opinions),
        agreement=overview(report),
        damage=tuple(damage_sentences(report)),
    )


def failure(path: Path, code: int, sentence: str) -> Failure:
    """Build the line of an input that could not be analyzed."""
    return Failure(input=_unicode(path), exit_code=2 if code == 2 else 1, error=_unicode(sentence))


def to_line(summary: Summary | Failure) -> str:
    """Return a line of JSON in ASCII, which any encoding of the output can hold."""
    return json.dumps(summary.model_dump(mode="json"), ensure_ascii=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a line."""
    adapter: TypeAdapter[Summary | Failure] = TypeAdapter(Summary | Failure)
    return adapter.json_schema(mode="serialization")


def _person(finding: Finding, report: Report) -> PersonSummary:
    start = float(report.video.start)
    shown = likelihood_ratio_sentence(finding, report.model) is not None
    return PersonSummary(
        person=finding.person,
        verdict=finding.verdict,
        score=finding.score,
        interval=finding.interval,
        log10_likelihood_ratio=finding.log10_likelihood_ratio if shown else None,
        seen_well=finding.seen_well,
        reasons=finding.reasons,
        seen=Times(start=finding.first - start, end=finding.last - start),
        high=tuple(
            HighTimes(start=span.start - start, end=span.end - start, score=span.score)
            for span in finding.spans
        ),
    )


def _second(opinion: SecondOpinion, report: Report) -> SecondOpinionSummary:
    decisive = replace(report, findings=opinion.findings).decisive
    return SecondOpinionSummary(
        model=_model(opinion.model, opinion.model_sha256, opinion.thresholds),
        error_rates=_error_rates(opinion.model, opinion.thresholds),
        verdict=decisive.verdict if decisive else None,
        person=decisive.person if decisive else None,
        persons=tuple(
            OpinionOnPerson(
                person=finding.person,
                verdict=finding.verdict,
                score=finding.score,
                seen_well=finding.seen_well,
                reasons=finding.reasons,
            )
            for finding in opinion.findings
        ),
    )


def _model(card: ModelCard, sha256: str, thresholds: Thresholds) -> ModelSummary:
    return ModelSummary(
        name=card.name,
        version=card.version,
        sha256=sha256,
        likely_fake_from=thresholds.fake,
        likely_real_up_to=thresholds.real,
    )


def _error_rates(card: ModelCard, used: Thresholds) -> ErrorRates:
    record = first_record(card)
    return ErrorRates(
        sentence=error_rate_sentence(card, used),
        independent=record.independent if record else None,
        genuine_clips=_totals(record, "real"),
        fakes=_totals(record, "fake"),
    )


def _totals(record: ErrorRecord | None, label: Literal["real", "fake"]) -> VerdictTotals | None:
    counts = [one for one in record.counts if one.label == label] if record else []
    if not sum(one.clips for one in counts):
        return None
    return VerdictTotals(
        clips=sum(one.clips for one in counts),
        likely_fake=sum(one.fake for one in counts),
        likely_real=sum(one.real for one in counts),
        inconclusive=sum(one.inconclusive for one in counts),
        not_judged=sum(one.not_judged for one in counts),
    )


def _unicode(text: Path | str) -> str:
    """Return a text as JSON can hold it: a file name need not be valid Unicode."""
    return str(text).encode("utf-8", "backslashreplace").decode()
