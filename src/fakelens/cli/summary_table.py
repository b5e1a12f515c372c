"""The table of persons that ``fakelens analyze`` prints, and the sentences below it."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report
from fakelens.records.times import format_time
from fakelens.records.trust import SpecificityMark
from fakelens.report.error_rates import error_rate_sentence
from fakelens.report.opinions import NOT_INDEPENDENT, agreement_sentence, answers, model_labels
from fakelens.report.page import FILE_NAME as PAGE_NAME
from fakelens.report.wording import overall

_COLOURS = {Verdict.FAKE: "bold red", Verdict.REAL: "green", Verdict.INCONCLUSIVE: "yellow"}
_PEOPLE_SHOWN = 10
_PEOPLE_COMPARED = 6
_SPANS_SHOWN = 3
_BORDER = 3  # characters beside each cell; and one more for the whole table
_MODEL_WIDTH = 24  # most of that column, before a name is folded
_USUAL_REASON = "the score 0.50 lies between 0.40 and 0.60"

# The columns that need not be there, the most important first, and their place in the table.
_BY_IMPORTANCE = ("95 % interval", "high", "heatmap", "robustness", "seen")
_IN_ORDER = ("95 % interval", "robustness", "heatmap", "seen", "high")

_Row = tuple[Finding, ...]  # what each model says about a person


def summary(report: Report, *others: Report, width: int) -> Table:
    """Build the table of persons, the most suspicious first.

    Of many people only the first are shown, and those without a usable face are only counted. The
    verdict, the score and the reason are always there; further columns as far as the width allows.

    Args:
        report: to summarise.
        others: reports of other models from the same analysis; each person then has a row per
            model.
        width: of the terminal, characters.
    """
    rows = _ranked(list(zip(*(one.findings for one in (report, *others)), strict=True)))
    shown = rows[:_PEOPLE_SHOWN]
    start, labels = float(report.video.start), model_labels(report) if others else []
    cells = [[_cells(finding, start) for finding in row] for row in shown]
    optional = _fitting(report, [one for row in cells for one in row], labels, width)
    table = Table(
        title=escape(report.provenance.input_name), title_justify="left", caption_justify="left"
    )
    table.add_column("person", no_wrap=True)
    if others:
        table.add_column("model", overflow="fold", max_width=_MODEL_WIDTH)
    for heading in ("verdict", "score", *optional):
        table.add_column(heading, no_wrap=True)
    table.add_column("why", overflow="fold")
    for row, texts in zip(shown, cells, strict=True):
        for number, (finding, known) in enumerate(zip(row, texts, strict=True)):
            table.add_row(
                "" if number else str(finding.person),
                *([escape(labels[number])] if others else []),
                Text(finding.verdict, style=_COLOURS[finding.verdict]),
                *(known[heading] for heading in ("score", *optional)),
                escape(finding.reasons[0]),
                end_section=bool(others) and number == len(others),
            )
    table.caption = escape("\n".join(_left_out(len(rows), len(report.findings)))) or None
    return table


def sentences_below(report: Report) -> list[str]:
    """Return what stands below the table: whether the models agree, and how often they err."""
    rates = [
        error_rate_sentence(report.model, report.thresholds),
        *(error_rate_sentence(one.model, one.thresholds) for one in report.second_opinions),
    ]
    crowd = [overall(report)] if len(report.findings) > _PEOPLE_SHOWN else []
    if not report.second_opinions:
        return [*crowd, *rates]
    compared = {row[0].finding.person: row for row in answers(report)}
    columns = (report.findings, *(one.findings for one in report.second_opinions))
    ranked = _ranked(list(zip(*columns, strict=True)))
    said = [agreement_sentence(compared[row[0].person]) for row in ranked[:_PEOPLE_COMPARED]]
    if hidden := len(ranked) - len(said):
        said.append(f"{hidden} more people are compared in the report.")
    labelled = zip(model_labels(report), rates, strict=True)
    return [*crowd, *said, *(f"{label}: {rate}" for label, rate in labelled), NOT_INDEPENDENT]


def _ranked(rows: Sequence[_Row]) -> list[_Row]:
    """Return those whom any model scored, the most suspicious first; see ``Report.decisive``."""
    scored = [row for row in rows if any(finding.score is not None for finding in row)]
    return sorted(scored, key=lambda row: max(map(_suspicion, row)), reverse=True)


def _suspicion(finding: Finding) -> tuple[bool, bool, float]:
    return finding.seen_well, finding.verdict is Verdict.FAKE, finding.score or 0.0


def _left_out(scored: int, people: int) -> Iterator[str]:
    if scored > _PEOPLE_SHOWN:
        yield f"and {scored - _PEOPLE_SHOWN} more, see {PAGE_NAME}"
    if unjudged := people - scored:
        yield f"{unjudged} more without a usable face, see {PAGE_NAME}"


def _fitting(
    report: Report, cells: Sequence[dict[str, str]], labels: Sequence[str], width: int
) -> list[str]:
    """Return the headings of further columns that fit beside a reason on one line."""
    still = {"seen", "high"} if report.video.is_picture else set()
    always = [len("person"), max(map(len, Verdict)), len("score"), len(_USUAL_REASON)]
    if labels:
        always.append(min(_MODEL_WIDTH, max(map(cell_len, labels))))
    taken = 1 + sum(_BORDER + size for size in always)
    chosen = set()
    for heading in _BY_IMPORTANCE:
        lines = [heading, *(line for known in cells for line in known[heading].splitlines())]
        wider = taken + _BORDER + max(map(cell_len, lines))
        if heading not in still and wider <= width:
            chosen.add(heading)
            taken = wider
    return [heading for heading in _IN_ORDER if heading in chosen]


def _cells(finding: Finding, start: float) -> dict[str, str]:
    """Return the cells of a row by heading, except those of the person, verdict and reason."""
    interval = finding.interval
    return {
        "score": "-" if finding.score is None else f"{finding.score:.2f}",
        "95 % interval": "-" if interval is None else "{:.2f} - {:.2f}".format(*interval),
        "robustness": _range(finding),
        "heatmap": _heatmap(finding),
        "seen": f"{format_time(finding.first - start)} - {format_time(finding.last - start)}",
        "high": _spans(finding, start),
    }


def _heatmap(finding: Finding) -> str:
    """Return the two answers on a person's heatmap, as far as they were measured."""
    specificity = finding.assessment.specificity if finding.assessment else None
    answers: list[str] = [finding.trust_mark] if finding.trust_mark else []
    if specificity:
        specific = specificity.mark is SpecificityMark.SPECIFIC
        answers.append("specific" if specific else "not specific")
    return ",\n".join(answers) or "-"


def _range(finding: Finding) -> str:
    measured = finding.assessment.robustness if finding.assessment else None
    return "{:.2f} - {:.2f}".format(*measured.score_range) if measured else "-"


def _spans(finding: Finding, start: float) -> str:
    shown = [
        f"{format_time(span.start - start)} - {format_time(span.end - start)}"
        for span in finding.spans[:_SPANS_SHOWN]
    ]
    if hidden := len(finding.spans) - len(shown):
        shown.append(f"and {hidden} more")
    return "\n".join(shown) or "-"
