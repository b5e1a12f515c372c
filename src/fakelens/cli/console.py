"""How commands print: progress bars, tables and long sentences, at the width of the terminal."""

import textwrap
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

from fakelens.cli.printing import say, surviving
from fakelens.media.profile import Profile

_WIDTH_OF_A_FILE = 160
_LONGEST_TITLE = 40  # characters beside a progress bar


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
        task = bar.add_task(escape(_shortened(title)), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


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


def output_width(*, err: bool = False) -> int:
    """Return how many characters fit on a line of standard output, or of standard error.

    A file or pipe has room for a wide table.
    """
    console = _Console(stderr=err)
    return console.width if console.is_terminal else _WIDTH_OF_A_FILE


def print_table(table: Table, *, err: bool = False) -> None:
    """Print to standard output, or to standard error."""
    console = _Console(stderr=err)
    console.width = output_width(err=err)
    with surviving(err=err):
        console.print(table)


def print_sentences(sentences: Iterable[str]) -> None:
    """Print sentences to standard output, each on a line; in a terminal, broken between words."""
    console = _Console()
    for sentence in sentences:
        if console.is_terminal:
            say(textwrap.fill(sentence, console.width, break_long_words=False))
        else:
            say(sentence)


def _shortened(title: str) -> str:
    """Return a title without its middle if it is too long: what is cut can be read elsewhere."""
    if len(title) <= _LONGEST_TITLE:
        return title
    half = (_LONGEST_TITLE - 3) // 2
    return f"{title[:-half][:half]}...{title[-half:]}"
