"""``fakelens report``: write the examiner's report of a finished analysis."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fakelens.cli.options import Force, Quiet, one_sentence
from fakelens.cli.printing import say


def report(
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS",
            help="The folder of a finished 'fakelens analyze', or the report.json in it.",
        ),
    ],
    examiner: Annotated[
        Path,
        typer.Option(
            "--examiner",
            metavar="CASE.toml",
            help="What the examiner states: case, question, item, conclusion.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write to FILE.pdf, and FILE.html beside it; FILE.html alone needs no extra. "
            "Default: examiner-report.pdf in RESULTS.",
        ),
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="The input, if it has moved since the analysis.")
    ] = None,
    paper: Annotated[Literal["a4", "letter"], typer.Option(help="Size of the pages.")] = "a4",
    font: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.ttf", help="Font for characters that the built-in one lacks; repeatable."
        ),
    ] = None,
    trust_anchors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pem", help="Certificates that C2PA signatures are to be traced to."
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write the examiner's report of a finished analysis, as PDF and HTML.

    The model is not run again. Nothing in RESULTS is changed, and nothing is sent anywhere.
    """
    with one_sentence():
        from fakelens.casework.case import read_case
        from fakelens.casework.examination import gather
        from fakelens.casework.save import FILE_NAME, check_outputs, output_files, save

        folder = results if results.is_dir() else results.parent
        files = output_files(output or folder / FILE_NAME)
        check_outputs(files, force=force)
        case = read_case(examiner)
        examination = gather(results, case, source=video, anchors=trust_anchors)
        written, missing = save(examination, files, paper=paper, fonts=font or (), force=force)
        if not quiet:
            say("\n".join(map(str, written)))
        if missing:
            say(
                f"fakelens: {len(missing)} characters without a glyph are written as numbers such "
                "as [U+4E00]; give a font that has them with --font, if they are written from left "
                "to right",
                err=True,
            )
