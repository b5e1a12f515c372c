"""``fakelens serve``: the analysis in a browser and as a REST API."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from fakelens.cli.options import DEFAULT, INTERRUPTED, ModelName, Quiet, one_sentence
from fakelens.errors import MissingExtraError

if TYPE_CHECKING:
    from fakelens.web.server import Address


_LIMITS = "Limits"


def serve(
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; the default is reachable from this machine only."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8321,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Keep uploads and results in DIR.")
    ] = Path("fakelens-results"),
    model: ModelName = DEFAULT,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="FAKELENS_TOKEN",
            help="Token that clients must send. Default: a new one, printed with the address.",
        ),
    ] = None,
    no_token: Annotated[
        bool,
        typer.Option(
            "--no-token",
            help="Require no token: every user of this machine can read and delete all results.",
        ),
    ] = False,
    workers: Annotated[
        int, typer.Option(help="Videos examined at the same time.", rich_help_panel=_LIMITS)
    ] = 1,
    max_upload: Annotated[
        int, typer.Option(metavar="MB", help="Largest upload.", rich_help_panel=_LIMITS)
    ] = 2000,
    max_minutes: Annotated[
        int, typer.Option(metavar="N", help="Longest video, in minutes.", rich_help_panel=_LIMITS)
    ] = 120,
    max_queue: Annotated[
        int,
        typer.Option(metavar="N", help="Largest number of queued jobs.", rich_help_panel=_LIMITS),
    ] = 100,
    keep: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS",
            help="Delete jobs DAYS after they ended. Default: keep them.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    quota: Annotated[
        int | None,
        typer.Option(
            metavar="GB",
            help="Most space for uploads and results. Default: no limit.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run a web page and a REST API for examining videos; stop with Ctrl-C.

    Uploads and results are kept in the folder fakelens-results, or in DIR.
    """
    with _stopped_by_signals(), one_sentence():
        if find_spec("fastapi") is None or find_spec("uvicorn") is None:
            raise MissingExtraError("fakelens serve", "web")
        from fakelens.web.limits import GIGABYTE, MEGABYTE, Limits
        from fakelens.web.server import Options
        from fakelens.web.server import serve as run

        def listening(address: "Address") -> None:
            if not quiet or address.token_made:
                typer.echo(f"fakelens: listening on {address.url}")
            if not quiet:
                typer.echo(f"Results: {folder}. Press Ctrl-C to stop; queued jobs are kept.")

        limits = Limits(
            upload_bytes=max_upload * MEGABYTE,
            minutes=max_minutes,
            queue=max_queue,
            workers=workers,
            keep_days=keep,
            quota_bytes=None if quota is None else quota * GIGABYTE,
        )
        run(Options(host, port, folder, model, token, no_token, limits), listening)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Exit at once and silently on Ctrl-C or SIGTERM, until the server handles them itself.

    An exception would be raised anywhere in the imports, some of which catch or print it. Nothing
    has to be cleaned up, since the server can be killed at any time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: FrameType | None) -> None:
        os._exit(INTERRUPTED if number == signal.SIGINT else 0)

    previous = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
