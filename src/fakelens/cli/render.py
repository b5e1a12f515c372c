"""``fakelens render``: draw a saved report again."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fakelens.cli.options import (
    NO_FACE,
    BaselineChoice,
    Force,
    NoSmooth,
    Output,
    Quiet,
    one_sentence,
)
from fakelens.cli.printing import say
from fakelens.render.style import COLORMAPS, Style


def render(
    report: Annotated[
        Path,
        typer.Argument(
            metavar="REPORT", help="A report.json of 'fakelens analyze', or the folder it is in."
        ),
    ],
    output: Output = None,
    colormap: Annotated[str, typer.Option(help=f"Colour map: {', '.join(COLORMAPS)}.")] = "inferno",
    opacity: Annotated[
        float, typer.Option(help="Opacity of the strongest evidence, 0 to 1.")
    ] = 0.6,
    evidence: Annotated[
        Literal["fake", "real", "both"], typer.Option(help="Which evidence to draw.")
    ] = "fake",
    contour: Annotated[
        bool, typer.Option("--contour", help="Draw only the isolines, without colours.")
    ] = False,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Put the original picture on the left.")
    ] = False,
    baseline: BaselineChoice = "subtract",
    no_smooth: NoSmooth = False,
    video: Annotated[
        Path | None, typer.Option(help="The video, if it has moved since the analysis.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Draw a saved report again in another style, without running the model.

    The drawings go to the folder 'rendered' beside the report, or to DIR.
    """
    with one_sentence():
        style = Style(
            colormap=colormap,
            opacity=opacity,
            evidence=evidence,
            contour=contour,
            smooth=not no_smooth,
            side_by_side=side_by_side,
            baseline=baseline,
        )
        from fakelens.cli.console import progress_bar
        from fakelens.report.document import FILE_NAME, read_report
        from fakelens.report.save import save_drawings

        if report.is_dir():
            report /= FILE_NAME
        loaded = read_report(report, source=video)
        if not loaded.tracks:
            say(f"fakelens: {report}: no face in this report, nothing to draw", err=True)
            raise typer.Exit(NO_FACE)
        with progress_bar("drawing", quiet=quiet) as progress:
            files = save_drawings(
                loaded,
                output or report.parent / "rendered",
                style=style,
                force=force,
                progress=progress,
            )
        if not quiet:
            say("\n".join(map(str, files)))
