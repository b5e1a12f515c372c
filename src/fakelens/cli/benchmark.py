"""``fakelens benchmark``: heatmap methods measured on faces whose forged area is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fakelens.cli.console import figures, print_table, progress_bar
from fakelens.cli.options import NO_FACE, Force, Quiet, one_sentence
from fakelens.errors import UsageError
from fakelens.evaluation import save
from fakelens.evaluation.materials import gather_materials
from fakelens.evaluation.measure import BenchmarkSettings, left_out, measure
from fakelens.evaluation.methods import choose_methods
from fakelens.evaluation.tables import LEGEND, tables
from fakelens.faces.detectors import load_detector
from fakelens.models.loading import DEFAULT, load_model
from fakelens.records.models import Model

benchmark = typer.Typer(no_args_is_help=True, help="Measure what fakelens says and how well.")


@benchmark.command("explain")
def explain(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PICTURE|FOLDER", help="Real faces, to plant forgeries in."),
    ] = None,
    real: Annotated[
        list[Path] | None, typer.Option(metavar="VIDEO", help="The original of a --fake.")
    ] = None,
    fake: Annotated[
        list[Path] | None,
        typer.Option(metavar="VIDEO", help="The same frames as --real, forged; both repeatable."),
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Table of fakes: image,mask[,group].")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|PATH", help=f"Repeatable. Default: {DEFAULT}."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Repeatable: a heatmap of 'analyze --cam', or scorecam, rise, occlusion, "
            "kernelshap. Default: all that do not explain real.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="Faces of each kind of material.")] = 100,
    few: Annotated[
        int, typer.Option(help="Of these, how many for what takes longest; 0 leaves it out.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="Of all that hangs on chance.")] = 0,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Results folder.")
    ] = Path("fakelens-benchmark"),
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Measure heatmaps on faces whose forged area is known; write tables and plots.

    Forgeries are planted in your pictures of real faces, measured between a real and a fake video
    of the same frames, or labelled with masks.
    """
    with one_sentence():
        if len(real or ()) != len(fake or ()):
            raise UsageError("--real and --fake belong together: give as many of each, in order")
        save.check_free(output, force=force)
        settings = BenchmarkSettings(few=few, seed=seed)
        methods, notes = choose_methods(method or [])
        models = _load_models(model or [DEFAULT])
        pairs = list(zip(real or (), fake or (), strict=True))
        detector = load_detector("yunet")
        materials, empty = gather_materials(
            pictures or [], pairs, labelled, detector, limit=limit, seed=seed
        )
        notes += left_out() + empty
        if not quiet:
            typer.echo("".join(f"fakelens: {note}\n" for note in notes), err=True, nl=False)
        if not materials:
            typer.echo("fakelens: no face with a known forgery, nothing to measure", err=True)
            raise typer.Exit(NO_FACE)
        with progress_bar("measuring faces", quiet=quiet) as progress:
            outcomes = measure(models, materials, methods, settings, progress)
        description = save.describe(models, materials, methods, settings, notes)
        files = save.save(outcomes, description, output, force=force)
    if not quiet:
        for table in tables(outcomes):
            print_table(figures(*table))
        typer.echo("\n".join([LEGEND, *map(str, files)]))


def _load_models(names: Sequence[str]) -> dict[str, Model]:
    """By what they are called in tables: a name, or a file without its suffix."""
    models = {Path(name).stem: load_model(name) for name in names}
    if len(models) < len(names):
        raise UsageError("two models have one name: give each once, or rename a file")
    return models
