"""``fakelens benchmark``: compare heatmap methods on faces whose forged area is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakelens.cli.options import DEFAULT, NO_FACE, Force, Quiet, examples, one_sentence
from fakelens.errors import UsageError

if TYPE_CHECKING:
    from fakelens.records.models import Model

benchmark = typer.Typer(no_args_is_help=True, help="Measure how good heatmaps are.")

_DATA = "Faces to measure on"


@benchmark.command(
    epilog=examples(
        "fakelens benchmark explain photos/",
        "fakelens benchmark explain --real original.mp4 --fake swapped.mp4 --method gradcam",
    )
)
def explain(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PICTURE|FOLDER", help="Genuine faces to add forgeries to."),
    ] = None,
    real: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="VIDEO", help="Original of a --fake video; repeatable.", rich_help_panel=_DATA
        ),
    ] = None,
    fake: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="VIDEO",
            help="The same frames as --real, forged; repeatable.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Table of fakes: image,mask[,group].", rich_help_panel=_DATA
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(help="Largest number of faces of each kind.", rich_help_panel=_DATA)
    ] = 100,
    few: Annotated[
        int,
        typer.Option(
            help="Faces of each kind for the slowest measurements; 0 skips these.",
            rich_help_panel=_DATA,
        ),
    ] = 8,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help=f"Detector model; repeatable. Default: {DEFAULT}."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Heatmap method of 'analyze --cam', or scorecam, rise, occlusion, kernelshap; "
            "repeatable. Default: all methods that explain fake.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Write the results to DIR.")
    ] = Path("fakelens-benchmark"),
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Measure heatmaps on faces whose forged area is known; write tables and plots.

    The forged area is known because fakelens forges your pictures of genuine
    faces itself, compares a real and a fake video frame by frame, or reads a mask.
    """
    with one_sentence():
        from fakelens.cli.console import figures, print_table, progress_bar
        from fakelens.evaluation import save
        from fakelens.evaluation.datasets import gather_datasets
        from fakelens.evaluation.measure import (
            BenchmarkSettings,
            check_packages,
            measure,
            missing_packages,
        )
        from fakelens.evaluation.methods import choose_methods
        from fakelens.evaluation.tables import LEGEND, tables
        from fakelens.faces.detectors import load_detector
        from fakelens.media.results_folder import check_free

        check_packages()
        if len(real or ()) != len(fake or ()):
            raise UsageError("--real and --fake go in pairs: give as many of each, in order")
        check_free(output, save.FILES, force=force)
        settings = BenchmarkSettings(slow_faces=few, seed=seed)
        methods, notes = choose_methods(method or [])
        models = _load_models(model or [DEFAULT])
        pairs = list(zip(real or (), fake or (), strict=True))
        detector = load_detector("yunet")
        datasets, empty = gather_datasets(
            pictures or [], pairs, labelled, detector, limit=limit, seed=seed
        )
        notes += missing_packages() + empty
        if not quiet:
            typer.echo("".join(f"fakelens: {note}\n" for note in notes), err=True, nl=False)
        if not datasets:
            typer.echo("fakelens: no face with a known forgery, nothing to measure", err=True)
            raise typer.Exit(NO_FACE)
        with progress_bar("measuring faces", quiet=quiet) as progress:
            outcomes = measure(models, datasets, methods, settings, progress)
        description = save.describe_run(models, datasets, methods, settings, notes)
        files = save.save(outcomes, description, output, force=force)
    if not quiet:
        for table in tables(outcomes):
            print_table(figures(*table))
        typer.echo("\n".join([LEGEND, *map(str, files)]))


def _load_models(names: Sequence[str]) -> "dict[str, Model]":
    """By what they are called in tables: a name, or a file without its suffix."""
    from fakelens.models.loading import load_model

    models = {Path(name).stem: load_model(name) for name in names}
    if len(models) < len(names):
        raise UsageError("two models have the same name: give each once, or rename a file")
    return models
