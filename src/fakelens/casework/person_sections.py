"""The results for each person."""

from collections.abc import Sequence

import numpy as np

from fakelens.casework.blocks import (
    Beside,
    Block,
    Bullets,
    Fields,
    Paragraph,
    Picture,
    ScoreChart,
    Section,
    Table,
)
from fakelens.casework.coverage import PersonCoverage, cover_person, excluded_sentence
from fakelens.casework.examination import Examination, Unread
from fakelens.casework.likelihood import has_ratio, ratio_statement, scale_sentence
from fakelens.records.findings import Finding
from fakelens.records.report import Report
from fakelens.records.times import format_time
from fakelens.records.tracks import Track
from fakelens.report.charts import Axis, score_curve
from fakelens.report.same_person import possibly_same
from fakelens.report.wording import domain_sentence, trust_sentences

_MAX_ROWS = 100
_MIN_POINTS = 2
_PERIODS = 8


def results(examination: Examination, number: int) -> list[Section]:
    """Return the section of results: one part a person, and a table of the others.

    Args:
        examination: of the item.
        number: of the section.
    """
    report = examination.report
    if not report.tracks:
        return [Section(f"{number} Results", (Paragraph("No face was found."),))]
    intro = (
        "Times are from the first frame of the item. Scores run from 0 (real) to 1 (fake). "
        "Verdicts, scores and reasons are output of the software. A likelihood ratio is about the "
        "software's own propositions: that a face is like the forged faces of the calibration "
        "data, or like the genuine ones. It is not about the propositions of the case."
    )
    parts = [
        Section(
            f"{number}.{part} Person {report.tracks[n].person}", _person(examination, n), level=2
        )
        for part, n in enumerate(examination.detailed, 1)
    ]
    if examination.others:
        title = f"{number}.{len(parts) + 1} Other people"
        parts.append(Section(title, _others(examination), level=2))
    blocks = [Paragraph(intro)]
    if any(has_ratio(report.findings[n], report.model) for n in examination.detailed):
        blocks.append(Paragraph(scale_sentence(), "note"))
    return [Section(f"{number} Results", tuple(blocks)), *parts]


def _person(examination: Examination, number: int) -> tuple[Block, ...]:
    report = examination.report
    track, finding = report.tracks[number], report.findings[number]
    covered = cover_person(report, track)
    rows = [
        ("Output of the software", str(finding.verdict)),
        ("Reasons", reasons(finding)),
        ("Score", score_text(finding)),
        ("Seen", _times(report, finding)),
        (
            "Faces",
            f"{finding.examined:,} examined, {finding.usable:,} counted; not counted: "
            f"{excluded_sentence(covered.excluded)}",
        ),
        *_seconds(covered),
        *_same_person(report, finding),
        ("High stretches", _spans(report, finding)),
        ("Likelihood ratio", ratio_statement(finding, report.model)),
        ("Validated conditions", domain_sentence(finding.domain) or "not checked"),
    ]
    return (
        Fields(tuple(rows)),
        *_pictures(examination, number),
        *_series(report, track),
        Paragraph("Reliability, as measured by the software:"),
        Bullets(tuple(trust_sentences(finding.assessment))),
    )


def _pictures(examination: Examination, number: int) -> tuple[Block, ...]:
    report = examination.report
    track, finding = report.tracks[number], report.findings[number]
    still = examination.faces[finding.person]
    chart = None if report.video.is_picture or len(track) < _MIN_POINTS else _chart(report, number)
    if isinstance(still, Unread):
        missing = Paragraph(f"No picture of this person: {still.why}.", "note")
        return (missing, chart) if chart else (missing,)
    time = float(track.times[np.searchsorted(track.frames, finding.key_frame)])
    where = "" if report.video.is_picture else f" at {_clock(report, time)}"
    caption = (
        f"Face{where} (frame {finding.key_frame}), and the same face with its heatmap. The heatmap "
        "shows what moved the model, not what was edited."
    )
    picture = Picture(still.jpeg, still.size, caption, 0.45)
    return (Beside(picture, chart),) if chart else (picture,)


def _series(report: Report, track: Track) -> tuple[Block, ...]:
    """Return the scores as numbers: those of faces that count, in periods of equal length."""
    times, scores = track.times[track.usable], 1 / (1 + np.exp(-track.logits[track.usable]))
    if report.video.is_picture or len(times) < _MIN_POINTS:
        return ()
    edges = np.linspace(times[0], times[-1], _PERIODS + 1)
    periods = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, _PERIODS - 1)
    rows = tuple(
        (
            f"{_clock(report, float(edges[k]))} to {_clock(report, float(edges[k + 1]))}",
            str(len(inside)),
            *(f"{value:.2f}" for value in (inside.min(), np.median(inside), inside.max())),
        )
        for k in range(_PERIODS)
        if len(inside := scores[periods == k])
    )
    return (
        Table(
            "Scores over time, of the faces that count",
            ("Period", "Faces", "Lowest", "Median", "Highest"),
            rows,
            (3, 1, 1, 1, 1),
        ),
    )


def _chart(report: Report, number: int) -> ScoreChart:
    track = report.tracks[number]
    start = float(report.video.start)
    last = max(finding.last for finding in report.findings)
    duration = max(float(report.video.duration or 0), last - start, 1e-3)
    axis = Axis(start, duration)
    return ScoreChart(
        curve=score_curve(track, report.settings.every, axis, curves=len(report.tracks)),
        ticks=tuple((format_time(time), position) for time, position in axis.ticks()),
        fake=report.thresholds.fake,
        real=report.thresholds.real,
        caption=(
            "Score over time, 0 (real) to 1 (fake), of all faces examined. Dashed: thresholds of "
            f"likely fake ({report.thresholds.fake:.2f}) and likely real "
            f"({report.thresholds.real:.2f})."
        ),
    )


def _others(examination: Examination) -> tuple[Block, ...]:
    report, numbers = examination.report, examination.others
    rows = tuple(_row(report, report.findings[n]) for n in numbers[:_MAX_ROWS])
    table = Table(
        f"The {len(numbers)} people without a part of their own",
        (
            "Person",
            "Seen",
            "Faces counted",
            "Score (95 % interval)",
            "Output of the software",
            "Why",
        ),
        rows,
        (0.9, 1.8, 1.2, 1.8, 1.5, 5),
    )
    if len(numbers) > _MAX_ROWS:
        rest = f"{len(numbers) - _MAX_ROWS} more people are listed in report.json only."
        return (table, Paragraph(rest))
    return (table,)


def _row(report: Report, finding: Finding) -> tuple[str, ...]:
    return (
        str(finding.person),
        _times(report, finding),
        f"{finding.usable} of {finding.examined}",
        score_text(finding, short=True),
        str(finding.verdict),
        "\n".join((reasons(finding), *(text for _, text in _same_person(report, finding)))),
    )


def reasons(finding: Finding) -> str:
    """Return the reasons of a verdict."""
    return "; ".join(finding.reasons) or "none stated"


def score_text(finding: Finding, *, short: bool = False) -> str:
    """Return a score and its interval in words; ``short`` for a cell of a table."""
    if finding.score is None:
        return "none" if short else "none: no face passes the quality gates"
    if finding.interval is None:
        return f"{finding.score:.2f}" + ("" if short else " (no interval: too little data)")
    low, high = finding.interval
    if short:
        return f"{finding.score:.2f} ({low:.2f} to {high:.2f})"
    return f"{finding.score:.2f}, 95 % interval {low:.2f} to {high:.2f}"


def _times(report: Report, finding: Finding) -> str:
    if report.video.is_picture:
        return "in the picture"
    return f"{_clock(report, finding.first)} to {_clock(report, finding.last)}"


def _clock(report: Report, time: float) -> str:
    return format_time(time - float(report.video.start))


def _seconds(covered: PersonCoverage) -> Sequence[tuple[str, str]]:
    if covered.counted is None:
        return ()
    return (
        (
            "Seconds",
            f"about {covered.counted:.1f} s counted; not analysed: {covered.not_counted:.1f} s "
            "with "
            f"faces that do not count, {covered.unseen:.1f} s between first and last without a "
            "face",
        ),
    )


def _same_person(report: Report, finding: Finding) -> Sequence[tuple[str, str]]:
    same = possibly_same(report.findings)[finding.person]
    if not same:
        return ()
    people = " and ".join(f"person {number}" for number in same)
    return (
        (
            "Same person",
            f"possibly the same person as {people}: at a similar place at another time, and alike. "
            "Nobody was identified; scores and verdicts are not combined",
        ),
    )


def _spans(report: Report, finding: Finding) -> str:
    found = [
        f"{_clock(report, span.start)} to {_clock(report, span.end)} ({span.score:.2f})"
        for span in finding.spans
    ]
    if not found:
        return "none"
    more = f", and {len(found) - 8} more" if len(found) > 8 else ""
    return ", ".join(found[:8]) + more
