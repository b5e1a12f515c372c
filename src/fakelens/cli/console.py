"""What the command line shows while it works and when it is done."""

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

from fakelens.media.profile import Profile
from fakelens.models.loading import DEFAULT, KNOWN, find_card, find_weights
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report

_COLOURS = {Verdict.FAKE: "bold red", Verdict.REAL: "green", Verdict.INCONCLUSIVE: "yellow"}
_SPANS_SHOWN = 3
_WIDTH_OF_A_FILE = 160


class _Rate(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} fps", style="progress.data.speed")


@contextmanager
def progress_bar(title: str, *, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on standard error with frame rate and ETA; yields what to call with each frame.

    It is not shown when ``quiet`` or when standard error is no terminal.
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


def summary(report: Report) -> Table:
    """The closing table: one row per person, but for those who cannot be judged at all."""
    unjudged = sum(finding.score is None for finding in report.findings)
    table = Table(title=escape(report.provenance.input_name), title_justify="left")
    for heading in (
        "person",
        "verdict",
        "score",
        "95 % interval",
        "score range",
        "heatmap",
        "seen",
        "high",
    ):
        table.add_column(heading, no_wrap=True)
    table.add_column("why", overflow="fold")
    for finding in report.findings:
        if finding.score is None:
            continue
        table.add_row(
            str(finding.person),
            Text(finding.verdict, style=_COLOURS[finding.verdict]),
            f"{finding.score:.2f}",
            "-" if finding.interval is None else "{:.2f} - {:.2f}".format(*finding.interval),
            _range(finding),
            finding.trust_mark or "-",
            f"{finding.first:.1f} - {finding.last:.1f} s",
            _spans(finding),
            escape(finding.reasons[0]),
        )
    if unjudged:
        table.caption = f"{unjudged} more had no face that is good enough to judge; see the report"
    return table


def _range(finding: Finding) -> str:
    steady = finding.assessment.robustness if finding.assessment else None
    return "{:.2f} - {:.2f}".format(*steady.score_range) if steady else "-"


def profile_table(profile: Profile, passed: float) -> Table:
    """Where the time went; ``passed`` are the seconds in all."""
    table = Table(title="Where the time went", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds at work", justify="right")
    table.add_column("of the time that passed", justify="right")
    for stage, seconds in profile.seconds.items():
        table.add_row(stage, f"{seconds:.2f}", f"{seconds / passed:.0%}")
    table.add_row("in all (stages overlap)", f"{passed:.2f}", "")
    return table


def model_table() -> Table:
    """The models that have a name."""
    table = Table()
    for heading in (
        "name",
        "what",
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
            escape(str(weights)) if weights else f"not here: fakelens models pull {name}",
        )
    return table


def figures(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str
) -> Table:
    """A table of figures with their names in the first column."""
    table = Table(title=escape(title), title_justify="left", caption=escape(caption))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def print_table(table: Table) -> None:
    """To standard output; where that is no window, wide enough not to be folded."""
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    console.print(table)


def _spans(finding: Finding) -> str:
    shown = [f"{span.start:.1f} - {span.end:.1f} s" for span in finding.spans[:_SPANS_SHOWN]]
    if hidden := len(finding.spans) - len(shown):
        shown.append(f"and {hidden} more")
    return "\n".join(shown) or "-"
