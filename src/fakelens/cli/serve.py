"""``fakelens serve``: the analysis in a browser and as a REST API."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakelens.cli.options import Quiet, one_sentence
from fakelens.errors import MissingExtraError
from fakelens.models.loading import DEFAULT

if TYPE_CHECKING:
    from fakelens.web.server import Address


def serve(
    host: Annotated[
        str, typer.Option(help="Where to listen; others than this machine will need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 8321,
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Uploads and results; made if it does not exist.")
    ] = Path("fakelens-results"),
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME|PATH", help="See 'fakelens models', or a file."),
    ] = DEFAULT,
    workers: Annotated[int, typer.Option(help="Videos that are examined at a time.")] = 1,
    token: Annotated[
        str | None,
        typer.Option(help="Ask for it. Without: made where others can reach the server."),
    ] = None,
    max_upload: Annotated[int, typer.Option(metavar="MB", help="Largest upload.")] = 2000,
    max_minutes: Annotated[int, typer.Option(metavar="N", help="Longest video.")] = 120,
    max_queue: Annotated[int, typer.Option(metavar="N", help="Most videos that wait.")] = 100,
    quiet: Quiet = False,
) -> None:
    """Examine videos in a browser, and offer a REST API, until Ctrl-C.

    Uploads and results are kept in the folder fakelens-results of the current directory, or in DIR.
    """
    with one_sentence():
        try:
            import fastapi  # noqa: F401, PLC0415 - optional
            import uvicorn  # noqa: F401, PLC0415 - optional
        except ImportError as error:
            raise MissingExtraError("fakelens serve", "web") from error
        from fakelens.web.limits import MEGABYTE, Limits  # noqa: PLC0415 - slow to load
        from fakelens.web.server import Options, serve  # noqa: PLC0415 - slow to load

        def listening(address: "Address") -> None:
            if not quiet or address.token_made:
                typer.echo(f"fakelens: listening on {address.url}")
            if not quiet:
                typer.echo(f"Results: {folder}. Ctrl-C ends it; jobs that wait are kept.")

        limits = Limits(
            upload_bytes=max_upload * MEGABYTE,
            minutes=max_minutes,
            queue=max_queue,
            workers=workers,
        )
        serve(Options(host, port, folder, model, token, limits), listening)
