"""The command line: parses, calls the library, prints. Exit codes are listed in ``--help``."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from fakelens import __version__
from fakelens.analysis.pipeline import AUTO_PER_SECOND, analyze
from fakelens.cli.benchmark import benchmark
from fakelens.cli.console import model_table, print_table, profile_table, progress_bar, summary
from fakelens.cli.options import FAILED, NO_FACE, SOME_FAILED, Force, Quiet, one_sentence
from fakelens.cli.serve import serve
from fakelens.errors import UsageError
from fakelens.evaluation import demo
from fakelens.explain.cam import METHODS, find_method
from fakelens.faces.detectors import DETECTORS, load_detector
from fakelens.media.profile import Profile
from fakelens.models.loading import DEFAULT, load_model, pull
from fakelens.records.report import Report
from fakelens.records.settings import EXAMINE_EVERY, Settings
from fakelens.render.painter import COLORMAPS, Style
from fakelens.report.document import read_report
from fakelens.report.save import check_free, save_drawings, save_report

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but some inputs failed; "
    "4 no face found, nothing to examine; 130 interrupted. A score is evidence, not proof.",
)
models = typer.Typer()
app.add_typer(models, name="models")
app.add_typer(benchmark, name="benchmark")
app.command("serve")(serve)

Folder = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Results folder.")
]
NoSmooth = Annotated[
    bool, typer.Option("--no-smooth", help="Draw each frame's own heatmap, not steadied over time.")
]
ModelName = Annotated[
    str,
    typer.Option("--model", metavar="NAME|PATH", help="See 'fakelens models', or a file."),
]


def _parse_every(every: str) -> int:
    try:
        return int(every)
    except ValueError:
        raise UsageError(f"--every is a number of frames or auto, not {every!r}") from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fakelens {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Find and follow every face in a video, ask whether it is a deepfake, and show why."""


@app.command("analyze")
def analyze_command(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Videos or pictures.")],
    output: Folder = None,
    model: ModelName = DEFAULT,
    faces: Annotated[str, typer.Option(help=f"Face detector: {', '.join(DETECTORS)}.")] = "yunet",
    cam: Annotated[
        str | None,
        typer.Option(help=f"Heatmap: {', '.join(METHODS)}. Default: the model's own choice."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a person is likely fake, 0 to 1.")
    ] = None,
    every: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Examine every n-th frame and interpolate the others; auto: about 5 a second.",
        ),
    ] = str(EXAMINE_EVERY),
    no_trust: Annotated[
        bool,
        typer.Option("--no-trust", help="Do not measure how far scores and heatmaps hold."),
    ] = False,
    ablation: Annotated[
        Literal["features", "deletion", "insertion", "road"],
        typer.Option(help="How it is measured whether heatmaps are true to the model."),
    ] = "features",
    no_video: Annotated[bool, typer.Option("--no-video", help="No annotated video.")] = False,
    no_smooth: NoSmooth = False,
    device: Annotated[
        str, typer.Option(help="For the model: cpu, cuda, coreml, directml, openvino or auto.")
    ] = "cpu",
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time went.")] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Examine videos or pictures; write the annotated video, a report, a table and pictures.

    The results of clip.mp4 go to the folder clip_analyzed beside it, or with -o to DIR (several
    inputs: to one folder each in DIR).
    """
    with one_sentence():
        settings = Settings(
            every=EXAMINE_EVERY if every == "auto" else _parse_every(every),
            per_second=AUTO_PER_SECOND if every == "auto" else None,
            cam=cam,
            threshold=threshold,
            trust=not no_trust,
            ablation=ablation,
        )
        if cam is not None:
            find_method(cam)
        jobs = list(zip(videos, _folders(videos, output), strict=True))
        for path, folder in jobs:
            check_free(folder, path, force=force)
        loaded, detector = load_model(model, device=device), load_detector(faces)
    style = Style(smooth=not no_smooth)
    failed, faceless = 0, 0
    for path, folder in jobs:
        spent, began = Profile(), time.perf_counter()
        try:
            with one_sentence():
                with progress_bar(f"examining {path.name}", quiet=quiet) as progress:
                    report = analyze(
                        path,
                        model=loaded,
                        faces=detector,
                        settings=settings,
                        progress=progress,
                        profile=spent,
                    )
                _save(report, folder, style, spent, video=not no_video, force=force, quiet=quiet)
        except typer.Exit as ended:
            if ended.exit_code != FAILED:
                raise
            failed += 1
            continue
        faceless += not report.tracks
        if profile:
            print_table(profile_table(spent, time.perf_counter() - began))
    if failed:
        raise typer.Exit(FAILED if failed == len(jobs) else SOME_FAILED)
    if faceless == len(jobs):
        raise typer.Exit(NO_FACE)


@app.command()
def render(
    report: Annotated[Path, typer.Argument(metavar="REPORT.json")],
    output: Folder = None,
    colormap: Annotated[str, typer.Option(help=f"One of {', '.join(COLORMAPS)}.")] = "inferno",
    opacity: Annotated[float, typer.Option(help="Of the strongest evidence, 0 to 1.")] = 0.6,
    evidence: Annotated[
        Literal["fake", "real", "both"], typer.Option(help="Which evidence to draw.")
    ] = "fake",
    contour: Annotated[bool, typer.Option("--contour", help="Outline strong areas.")] = False,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="The untouched picture on the left.")
    ] = False,
    no_smooth: NoSmooth = False,
    video: Annotated[
        Path | None, typer.Option(help="The video, if it is no longer where it was.")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Draw a saved report again in another style, without the model.

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
        )
        loaded = read_report(report, source=video)
        if not loaded.tracks:
            typer.echo(f"fakelens: {report}: no face in this report, so nothing to draw", err=True)
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
            typer.echo("\n".join(map(str, files)))


@app.command("demo")
def demo_command(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Results folder.")
    ] = Path("fakelens-demo"),
    model: ModelName = DEFAULT,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Make a clip with a known answer, examine it, and say whether the heatmap points there."""
    with one_sentence():
        clip = output / "demo.mp4"
        check_free(output, clip, force=force)
        loaded = load_model(model)
        demo.make_clip(clip, force=force)
        with progress_bar("examining the demo clip", quiet=quiet) as progress:
            report = analyze(clip, model=loaded, progress=progress)
        _save(report, output, Style(), video=True, force=force, quiet=quiet)
        if not quiet:
            typer.echo(_pointing_sentence(demo.pointing(report)))


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the models that have a name and where their weights are, or fetch published ones."""
    if context.invoked_subcommand is None:
        with one_sentence():
            print_table(model_table())


@models.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="As in 'fakelens models'.")],
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Copy this, do not download.")
    ] = None,
) -> None:
    """Fetch published weights, verified by their SHA-256, and keep them for later."""
    with one_sentence():
        typer.echo(pull(name, source=source))


def _folders(videos: Sequence[Path], output: Path | None) -> list[Path]:
    if output is not None and len(videos) == 1:
        return [output]
    named = [path.resolve() for path in videos]  # "." has no name of its own
    folders = [
        output / path.stem if output else path.parent / f"{path.stem}_analyzed" for path in named
    ]
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            raise UsageError(f"two inputs would both write to {folder}: analyze them one by one")
    return folders


def _save(
    report: Report,
    folder: Path,
    style: Style,
    profile: Profile | None = None,
    *,
    video: bool,
    force: bool,
    quiet: bool,
) -> None:
    with progress_bar("drawing", quiet=quiet) as progress:
        save_report(
            report,
            folder,
            style=style,
            video=video,
            force=force,
            progress=progress,
            profile=profile,
        )
    for damage in report.damage:
        typer.echo(f"fakelens: at {float(damage.time):.2f} s: {damage.message}", err=True)
    if not report.tracks:
        name = report.provenance.input_name
        typer.echo(f"fakelens: {name}: no face found, so there is nothing to examine", err=True)
    if quiet:
        return
    if report.tracks:
        print_table(summary(report))
    typer.echo(f"Results: {folder} (open report.html). A score is evidence, not proof.")


def _pointing_sentence(found: demo.Pointing | None) -> str:
    if found is None:
        return "The tampered person was not found."
    verb = "points" if found.pointed else "does not point"
    return (
        f"Person {found.person} is tampered with: the heatmap {verb} at the planted area "
        f"({found.evidence_inside:.0%} of the evidence of fake lies inside, chance is "
        f"{found.area_inside:.0%}; the strongest cell is inside in {found.hits:.0%} of frames)."
    )
