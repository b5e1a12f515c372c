"""What commands print: progress bars and tables."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from fakelens.cli.printing import surviving
from fakelens.media.profile import Profile
from fakelens.models.loading import find_card, find_weights
from fakelens.models.registry import DEFAULT, KNOWN
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report
from fakelens.records.times import format_time
from fakelens.records.trust import SpecificityMark
from fakelens.report.error_rates import error_rate_sentence
from fakelens.report.opinions import (
    NOT_INDEPENDENT,
    agreement_sentence,
    answers,
    model_labels,
)

_COLOURS = {Verdict.FAKE: "bold red", Verdict.REAL: "green", Verdict.INCONCLUSIVE: "yellow"}
_SPANS_SHOWN = 3
_PEOPLE_COMPARED = 6
_WIDTH_OF_A_MODEL = 24
_WIDTH_OF_A_FILE = 160
_WIDTH_OF_ALL_COLUMNS = 140


class _Rate(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} fps", style="progress.data.speed")


@contextmanager
def progress_bar(title: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar with frame rate and ETA on stderr; yield the function that moves it.

    Nothing is shown if ``quiet``, or if stderr is not a terminal.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden) as bar:
        task = bar.add_task(escape(title), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def summary(report: Report, *others: Report) -> Table:
    """Build the table of persons; those without a usable face are only counted.

    In a terminal too narrow for all columns, and for a picture, it has fewer columns.

    Args:
        report: to summarise.
        others: reports of other models from the same analysis; each person then has a row per
            model.
    """
    table = Table(title=escape(report.provenance.input_name), title_justify="left")
    table.add_column("person", no_wrap=True)
    if others:
        table.add_column("model", overflow="fold", max_width=_WIDTH_OF_A_MODEL)
    for heading in ("verdict", "score"):
        table.add_column(heading, no_wrap=True)
    console = Console()
    wide = not console.is_terminal or console.width >= _WIDTH_OF_ALL_COLUMNS
    moving = not report.video.is_picture
    measured = ("95 % interval", "robustness", "heatmap") if wide else ()
    times = ("seen", "high") if wide and moving else ()
    for heading in (*measured, *times):
        table.add_column(heading, no_wrap=True)
    table.add_column("why", overflow="fold")
    start = float(report.video.start)
    labels = model_labels(report)
    people = list(zip(*(one.findings for one in (report, *others)), strict=True))
    for findings in people:
        if all(finding.score is None for finding in findings):
            continue
        for number, finding in enumerate(findings):
            cells = _cells(finding, start)
            table.add_row(
                "" if number else str(finding.person),
                *([escape(labels[number])] if others else []),
                Text(finding.verdict, style=_COLOURS[finding.verdict]),
                "-" if finding.score is None else f"{finding.score:.2f}",
                *(cells[heading] for heading in (*measured, *times)),
                escape(finding.reasons[0]),
                end_section=bool(others) and number == len(others),
            )
    unjudged = sum(all(finding.score is None for finding in findings) for findings in people)
    if unjudged:
        table.caption = f"{unjudged} more without a usable face: see the report"
    return table


def verdict_sentences(report: Report) -> list[str]:
    """Return what stands below the table: whether the models agree, and how often they err."""
    rates = [
        error_rate_sentence(report.model, report.thresholds),
        *(error_rate_sentence(one.model, one.thresholds) for one in report.second_opinions),
    ]
    if not report.second_opinions:
        return rates
    rows = answers(report)
    said = [agreement_sentence(row) for row in rows[:_PEOPLE_COMPARED]]
    if hidden := len(rows) - len(said):
        said.append(f"{hidden} more people are compared in the report.")
    labelled = zip(model_labels(report), rates, strict=True)
    return [*said, *(f"{label}: {rate}" for label, rate in labelled), NOT_INDEPENDENT]


def _cells(finding: Finding, start: float) -> dict[str, str]:
    """Return the cells of the columns that a narrow table does not have."""
    interval = finding.interval
    return {
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


def profile_table(profile: Profile, passed: float) -> Table:
    """Build the table of seconds spent in each stage; ``passed`` is the total in seconds."""
    table = Table(title="Time spent in each stage", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds busy", justify="right")
    table.add_column("share of total", justify="right")
    for stage, seconds in profile.seconds.items():
        table.add_row(stage, f"{seconds:.2f}", f"{seconds / passed:.0%}")
    table.add_row("total (stages overlap)", f"{passed:.2f}", "")
    return table


def model_table() -> Table:
    """Build the table of models that have a name."""
    table = Table()
    for heading in (
        "name",
        "description",
        "licence",
        "size",
        "input",
        "crop",
        "original output",
        "weights",
    ):
        table.add_column(heading, overflow="fold")
    for name in KNOWN:
        card, weights, download = find_card(name), find_weights(name), KNOWN[name].download
        size = download.size if download else weights.stat().st_size if weights else 0
        table.add_row(
            f"{name} (default)" if name == DEFAULT else name,
            escape(card.description),
            escape(card.licence),
            f"{size / 1000:.0f} kB",
            f"{card.input_size} x {card.input_size} RGB",
            f"{card.crop.scale:g} x {card.crop.reference}",
            escape(card.polarity),
            escape(str(weights)) if weights else f"not installed: fakelens models pull {name}",
        )
    return table


def figures(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str
) -> Table:
    """Build a table of figures with their names in the first column."""
    table = Table(title=escape(title), title_justify="left", caption=escape(caption))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this where it has caught the error, and would exit


def print_table(table: Table) -> None:
    """Print to stdout; if that is not a terminal, wide enough that no line is folded."""
    console = _Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    with surviving():
        console.print(table)


def _spans(finding: Finding, start: float) -> str:
    shown = [
        f"{format_time(span.start - start)} - {format_time(span.end - start)}"
        for span in finding.spans[:_SPANS_SHOWN]
    ]
    if hidden := len(finding.spans) - len(shown):
        shown.append(f"and {hidden} more")
    return "\n".join(shown) or "-"
