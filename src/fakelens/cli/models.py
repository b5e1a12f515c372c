"""``fakelens models``: list the models that have a name, and fetch their weights."""

from pathlib import Path
from typing import Annotated

import typer

from fakelens.cli.options import one_sentence
from fakelens.cli.printing import say

models = typer.Typer()


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the models by name and where their weights are, or fetch published weights."""
    if context.invoked_subcommand is None:
        with one_sentence():
            from fakelens.cli.console import model_table, print_table

            print_table(model_table())


@models.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name from 'fakelens models'.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Copy FILE instead of downloading."),
    ] = None,
) -> None:
    """Fetch published weights, verify their SHA-256 and keep them in the cache."""
    with one_sentence():
        from fakelens.models.loading import pull as fetch

        say(str(fetch(name, source=source)))
