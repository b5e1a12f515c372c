"""What the commands share: exit codes, common options, and errors as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from fakelens.cli.printing import say
from fakelens.errors import FakelensError, UsageError
from fakelens.models.registry import DEFAULT

FAILED, USAGE, SOME_FAILED, NO_FACE, INTERRUPTED = 1, 2, 3, 4, 130

Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write the results to DIR.")
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|FILE",
        help="Detector model: a name from 'fakelens models' or a file.",
        rich_help_panel="Model and face detector",
    ),
]
ModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME|FILE",
        help="Detector model: a name from 'fakelens models' or a file. Repeat it for the second "
        "opinion of another model.",
        show_default=DEFAULT,
        rich_help_panel="Model and face detector",
    ),
]
NoSmooth = Annotated[
    bool,
    typer.Option(
        "--no-smooth",
        help="Draw the heatmap of each frame as it is, without smoothing over time.",
        rich_help_panel="Output",
    ),
]
BaselineChoice = Annotated[
    Literal["subtract", "keep"],
    typer.Option(
        help="Draw heatmaps without what the model shows on genuine faces (subtract), or whole "
        "(keep).",
        rich_help_panel="Output",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing results.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]

__all__ = [
    "DEFAULT",
    "BaselineChoice",
    "Ended",
    "Force",
    "ModelName",
    "ModelNames",
    "NoSmooth",
    "Output",
    "Quiet",
    "one_sentence",
]


class Ended(typer.Exit):
    """The end of a command, or of the work on one input, by an error that was printed.

    Attributes:
        sentence: that says what is wrong.
    """

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(code)
        self.sentence = sentence


def examples(*lines: str) -> str:
    """The end of a command's help: example calls, one per line."""
    return "\n\n".join(["Examples:", *(f"  {line}" for line in lines)])


@contextmanager
def one_sentence(about: Path | None = None) -> Iterator[None]:
    """Turn errors raised on purpose, and Ctrl-C, into one line on stderr and an exit code.

    Args:
        about: input that is handled; named by errors that do not name it themselves.

    Raises:
        Ended: instead of such an error.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        problem = "interrupted; unfinished results were removed"
        raise _complain(INTERRUPTED, problem) from error
    except UsageError as error:
        raise _complain(USAGE, str(error)) from error
    except FakelensError as error:
        raise _complain(FAILED, str(error)) from error
    except (OSError, UnicodeError) as error:
        raise _complain(FAILED, _describe(error, about)) from error


def _describe(error: OSError | UnicodeError, about: Path | None) -> str:
    """Return what happened, after the files that it happened to as far as these are known."""
    if not isinstance(error, OSError) or not error.strerror:
        return ": ".join([str(about)] * (about is not None) + [str(error)])
    places = [str(place) for place in (about, error.filename) if place is not None]
    return ": ".join([*dict.fromkeys(places), error.strerror])


def _complain(code: int, problem: str) -> Ended:
    say(f"fakelens: {problem}", err=True)
    return Ended(code, problem)
