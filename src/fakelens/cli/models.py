"""``fakelens models``: list, fetch, check, calibrate and export detector models."""

from pathlib import Path
from typing import Annotated

import typer

from fakelens.cli.models_calibrate import calibrate
from fakelens.cli.models_check import EPILOG, check
from fakelens.cli.models_export import export
from fakelens.cli.options import examples, one_sentence
from fakelens.cli.printing import say

models = typer.Typer()


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the models by name and where their weights are; fetch, check or calibrate a model."""
    if context.invoked_subcommand is None:
        with one_sentence():
            from fakelens.cli.console import print_table
            from fakelens.cli.model_tables import model_table

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


@models.command()
def layers(
    model: Annotated[Path, typer.Argument(metavar="FILE.toml", help="A model file.")],
) -> None:
    """List the layers of a model file's classifier that a heatmap can explain.

    The name of a layer can be stated in the model file as layer, in the table card.
    """
    with one_sentence():
        from fakelens.cli.console import print_table
        from fakelens.cli.model_tables import layer_table
        from fakelens.models.described import list_layers

        print_table(layer_table(list_layers(model)))


models.command(epilog=EPILOG)(check)
models.command(epilog=examples("fakelens models calibrate mine.toml LABELS.csv -o new.toml"))(
    calibrate
)
models.command(
    epilog=examples(
        "fakelens models export mine.toml -o mine.onnx",
        "fakelens models export mine.toml -o mine.onnx --int8 faces/",
    )
)(export)
