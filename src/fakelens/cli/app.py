"""The ``fakelens`` program: its commands and the options of the program itself."""

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import fakelens
from fakelens.cli.analyze import analyze
from fakelens.cli.benchmark import benchmark
from fakelens.cli.demo import demo
from fakelens.cli.models import models
from fakelens.cli.options import INTERRUPTED, examples
from fakelens.cli.printing import say
from fakelens.cli.render import render
from fakelens.cli.report import report
from fakelens.cli.serve import serve


class _Program(TyperGroup):
    """Prints every file name, whatever the encoding of the terminal or of the file printed to.

    An ``obj`` given to the program is called when the arguments have been read: from then on Ctrl-C
    is handled here.
    """

    def main(self, *args: Any, **options: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            if ctx.obj is not None:
                ctx.obj()
            return super().invoke(ctx)
        except (KeyboardInterrupt, ImportError) as error:
            # Ctrl-C outside of what a command handles itself, or while a compiled module is
            # imported, which some of them report as a failed import.
            if isinstance(error, ImportError) and not isinstance(
                error.__cause__, KeyboardInterrupt
            ):
                raise
            say("fakelens: interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=_Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, or done before; 1 failed; 2 wrong usage; 3 done, but some inputs "
    "failed; 4 no face found, nothing to examine; 130 interrupted. A score is evidence, not proof.",
)
app.command(
    epilog=examples(
        "fakelens analyze interview.mp4",
        "fakelens analyze *.mp4 -o results --every auto",
        "fakelens analyze clip.mov --model mesoinception4-df --detector dlib --cam gradcam",
        "fakelens analyze clip.mp4 --model fakelens-patch --model mine.toml",
    )
)(analyze)
app.command(
    epilog=examples(
        "fakelens render interview_analyzed/report.json --evidence both",
        "fakelens render interview_analyzed/report.json -o drawn --side-by-side --contour",
    )
)(render)
app.command(
    epilog=examples(
        "fakelens report interview_analyzed --examiner CASE.toml",
        "fakelens report interview_analyzed --examiner CASE.toml -o case-17.pdf --paper letter",
    )
)(report)
app.command()(demo)
app.command(epilog=examples("fakelens serve", "fakelens serve --host 0.0.0.0 --workers 2"))(serve)
app.add_typer(models, name="models")
app.add_typer(benchmark, name="benchmark")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fakelens {fakelens.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Find and track every face in a video, score each person as real or fake, and show why."""
