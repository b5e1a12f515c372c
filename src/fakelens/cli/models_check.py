"""``fakelens models check``: find out what would mislead before a model is believed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakelens.cli.options import FAILED, Quiet, examples, one_sentence
from fakelens.cli.printing import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from fakelens.evaluation.check_results import Check

EPILOG = examples(
    "fakelens models check fakelens-patch",
    "fakelens models check my_model.toml --labelled clips/labels.csv",
)


def check(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name from 'fakelens models' or a file.")
    ],
    labelled: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.csv",
            help="Genuine and fake videos or pictures: path,label[,group].",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(help="Largest number of faces taken from the labelled files.")
    ] = 400,
    quiet: Quiet = False,
) -> None:
    """Check polarity, colour order, scale, saturation, margin, heatmaps and speed of a model.

    Without --labelled, two portraits and synthetic forgeries of them are used.
    Ends with exit code 1 if something is wrong.
    """
    with one_sentence():
        from fakelens.cli.console import print_table, progress_bar
        from fakelens.evaluation.labelled_faces import gather_faces
        from fakelens.evaluation.labels import read_labels
        from fakelens.evaluation.model_check import check_model
        from fakelens.evaluation.sample_faces import sample_faces
        from fakelens.faces.detectors import load_detector
        from fakelens.models.loading import load_model

        files = read_labels(labelled) if labelled else []
        loaded = load_model(model)
        if files:
            with progress_bar("reading files", quiet=quiet) as progress:
                found = gather_faces(files, loaded.card, load_detector("yunet"), limit, progress)
            faces, title = found.faces, found.describe()
        else:
            faces = sample_faces(loaded.card)
            title = f"{len(faces)} sample faces"
        with progress_bar("checking", quiet=quiet) as progress:
            results = check_model(loaded, faces, labelled=bool(files), progress=progress)
        print_table(_table(f"{model}: {title}", results))
        wrong = [result.name for result in results if result.outcome == "wrong"]
        if wrong:
            say(f"fakelens: {model} would mislead: {', '.join(wrong)}", err=True)
            raise typer.Exit(FAILED)


def _table(title: str, results: "Sequence[Check]") -> "Table":
    """Build the table of results; in 80 columns, the sentences are folded."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "caution": "yellow", "wrong": "bold red", "not checked": "dim"}
    table = Table(title=escape(title), title_justify="left", show_lines=True)
    for heading in ("check", "outcome"):
        table.add_column(heading, no_wrap=True)
    table.add_column("finding", overflow="fold")
    for result in results:
        outcome = Text(result.outcome, style=colours[result.outcome])
        table.add_row(result.name, outcome, escape(result.sentence))
    return table
