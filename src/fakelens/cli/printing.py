"""Prints to the terminal; a terminal or file that takes no more text does not end the work."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer


def say(text: str, *, err: bool = False) -> None:
    """Print a line to standard output, or to standard error."""
    with surviving(err=err):
        typer.echo(text, err=err)


@contextmanager
def surviving(*, err: bool = False) -> Iterator[None]:
    """Print to standard output or standard error; what it does not take is dropped from then on.

    The reader of a pipe may have gone, or the disk with the file may be full.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is None:  # closed before the program began: click and rich print nothing
        yield
        return
    try:
        yield
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
