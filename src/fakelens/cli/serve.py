"""``fakelens serve``: the analysis in a browser and as a REST API."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakelens.cli.options import DEFAULT, ModelName, Quiet, one_sentence
from fakelens.errors import MissingExtraError

if TYPE_CHECKING:
    from fakelens.web.server import Address


_LIMITS = "Limits"


def serve(
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; a token is required if it is not loopback."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8321,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Keep uploads and results in DIR.")
    ] = Path("fakelens-results"),
    model: ModelName = DEFAULT,
    token: Annotated[
        str | None,
        typer.Option(
            help="Token that clients must send. Default: none on loopback, else a random one."
        ),
    ] = None,
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
    quiet: Quiet = False,
) -> None:
    """Run a web page and a REST API for examining videos; stop with Ctrl-C.

    Uploads and results are kept in the folder fakelens-results, or in DIR.
    """
    with one_sentence():
        if find_spec("fastapi") is None or find_spec("uvicorn") is None:
            raise MissingExtraError("fakelens serve", "web")
        from fakelens.web.limits import MEGABYTE, Limits
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
        )
        run(Options(host, port, folder, model, token, limits), listening)
