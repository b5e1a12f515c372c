"""What all commands share: exit codes, common options, and errors as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from fakelens.errors import FakelensError, UsageError

FAILED, USAGE, SOME_FAILED, NO_FACE, INTERRUPTED = 1, 2, 3, 4, 130

Force = Annotated[bool, typer.Option("--force", help="Replace results that lie there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


@contextmanager
def one_sentence() -> Iterator[None]:
    """Errors raised on purpose, and Ctrl-C, become one line and an exit code."""
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("fakelens: interrupted; unfinished results were taken away", err=True)
        raise typer.Exit(INTERRUPTED) from error
    except UsageError as error:
        _complain(error)
        raise typer.Exit(USAGE) from error
    except FakelensError as error:
        _complain(error)
        raise typer.Exit(FAILED) from error


def _complain(error: FakelensError) -> None:
    typer.echo(f"fakelens: {error}", err=True)
