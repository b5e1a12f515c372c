"""The command line: parses, calls the library, prints. Exit codes are listed in ``--help``."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from fakelens import __version__, demo
from fakelens.console import (
    figures,
    model_table,
    print_table,
    profile_table,
    progress_bar,
    summary,
)
from fakelens.data import Network
from fakelens.draw import COLORMAPS, Style
from fakelens.errors import FakelensError, UsageError
from fakelens.explain import METHODS, find_method
from fakelens.faces import DETECTORS, load_detector
from fakelens.networks import DEFAULT, load_network, pull
from fakelens.pipeline import analyze
from fakelens.report.document import read_report
from fakelens.report.save import check_free, save_drawings, save_report
from fakelens.results import Report, Settings
from fakelens.stages import Profile

_AUTO_PER_SECOND = 5.0
"""Frames a second that ``--every auto`` examines."""

FAILED, USAGE, SOME_FAILED, NO_FACE, INTERRUPTED = 1, 2, 3, 4, 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but some inputs failed; "
    "4 no face found, nothing to examine; 130 interrupted. A score is evidence, not proof.",
)
models = typer.Typer()
app.add_typer(models, name="models")
benchmark = typer.Typer(no_args_is_help=True, help="Measure what fakelens says and how well.")
app.add_typer(benchmark, name="benchmark")

Folder = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Results folder.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace results that lie there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
NoSmooth = Annotated[
    bool, typer.Option("--no-smooth", help="Draw each frame's own heatmap, not steadied over time.")
]
NetworkName = Annotated[
    str,
    typer.Option("--network", metavar="NAME|PATH", help="See 'fakelens models', or a file."),
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
    network: NetworkName = DEFAULT,
    faces: Annotated[str, typer.Option(help=f"Face detector: {', '.join(DETECTORS)}.")] = "yunet",
    cam: Annotated[
        str | None,
        typer.Option(help=f"Heatmap: {', '.join(METHODS)}. Default: the network's own choice."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a person is likely fake, 0 to 1.")
    ] = None,
    every: Annotated[
        str,
        typer.Option(metavar="N|auto", help="Examine every n-th frame; auto: about 5 a second."),
    ] = "1",
    no_trust: Annotated[
        bool,
        typer.Option("--no-trust", help="Do not measure how far scores and heatmaps hold."),
    ] = False,
    ablation: Annotated[
        Literal["features", "deletion", "insertion", "road"],
        typer.Option(help="How it is measured whether heatmaps are true to the network."),
    ] = "features",
    no_video: Annotated[bool, typer.Option("--no-video", help="No annotated video.")] = False,
    no_smooth: NoSmooth = False,
    device: Annotated[
        str, typer.Option(help="For the network: cpu, cuda, coreml, directml, openvino or auto.")
    ] = "cpu",
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time went.")] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Examine videos or pictures; write the annotated video, a report, a table and pictures.

    The results of clip.mp4 go to the folder clip_analyzed beside it, or with -o to DIR (several
    inputs: to one folder each in DIR).
    """
    with _one_sentence():
        settings = Settings(
            every=1 if every == "auto" else _parse_every(every),
            per_second=_AUTO_PER_SECOND if every == "auto" else None,
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
        loaded, detector = load_network(network, device=device), load_detector(faces)
    style = Style(smooth=not no_smooth)
    failed, faceless = 0, 0
    for path, folder in jobs:
        spent, began = Profile(), time.perf_counter()
        try:
            with _one_sentence():
                with progress_bar(f"examining {path.name}", quiet=quiet) as progress:
                    report = analyze(
                        path,
                        network=loaded,
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
    """Draw a saved report again in another style, without the network.

    The drawings go to the folder 'rendered' beside the report, or to DIR.
    """
    with _one_sentence():
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
    network: NetworkName = DEFAULT,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Make a clip with a known answer, examine it, and say whether the heatmap points there."""
    with _one_sentence():
        clip = output / "demo.mp4"
        check_free(output, clip, force=force)
        loaded = load_network(network)
        demo.make_clip(clip, force=force)
        with progress_bar("examining the demo clip", quiet=quiet) as progress:
            report = analyze(clip, network=loaded, progress=progress)
        _save(report, output, Style(), video=True, force=force, quiet=quiet)
        if not quiet:
            typer.echo(_pointing_sentence(demo.pointing(report)))


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the networks that have a name and where their weights are, or fetch published ones."""
    if context.invoked_subcommand is None:
        with _one_sentence():
            print_table(model_table())


@models.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="As in 'fakelens models'.")],
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Copy this, do not download.")
    ] = None,
) -> None:
    """Fetch published weights, verified by their SHA-256, and keep them for later."""
    with _one_sentence():
        typer.echo(pull(name, source=source))


@benchmark.command("explain")
def benchmark_explain(
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
    network: Annotated[
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
    from fakelens.benchmark import save  # noqa: PLC0415 - slow to load
    from fakelens.benchmark.materials import gather  # noqa: PLC0415 - slow to load
    from fakelens.benchmark.measure import Settings as HowToMeasure  # noqa: PLC0415 - slow to load
    from fakelens.benchmark.measure import left_out, measure  # noqa: PLC0415 - slow to load
    from fakelens.benchmark.methods import choose_methods  # noqa: PLC0415 - slow to load
    from fakelens.benchmark.tables import LEGEND, tables  # noqa: PLC0415 - slow to load

    with _one_sentence():
        if len(real or ()) != len(fake or ()):
            raise UsageError("--real and --fake belong together: give as many of each, in order")
        save.check_free(output, force=force)
        settings = HowToMeasure(few=few, seed=seed)
        methods, notes = choose_methods(method or [])
        networks = _load_networks(network or [DEFAULT])
        pairs = list(zip(real or (), fake or (), strict=True))
        detector = load_detector("yunet")
        materials, empty = gather(pictures or [], pairs, labelled, detector, limit=limit, seed=seed)
        notes += left_out() + empty
        if not quiet:
            typer.echo("".join(f"fakelens: {note}\n" for note in notes), err=True, nl=False)
        if not materials:
            typer.echo("fakelens: no face with a known forgery, nothing to measure", err=True)
            raise typer.Exit(NO_FACE)
        with progress_bar("measuring faces", quiet=quiet) as progress:
            outcomes = measure(networks, materials, methods, settings, progress)
        description = save.describe(networks, materials, methods, settings, notes)
        files = save.save(outcomes, description, output, force=force)
    if not quiet:
        for table in tables(outcomes):
            print_table(figures(*table))
        typer.echo("\n".join([LEGEND, *map(str, files)]))


def _load_networks(names: Sequence[str]) -> dict[str, Network]:
    """By what they are called in tables: a name, or a file without its suffix."""
    networks = {Path(name).stem: load_network(name) for name in names}
    if len(networks) < len(names):
        raise UsageError("two networks have one name: give each once, or rename a file")
    return networks


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Errors raised on purpose, and Ctrl-C, become one line and an exit code."""
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("fakelens: interrupted; unfinished results were taken away", err=True)
        raise typer.Exit(INTERRUPTED) from error
    except UsageError as error:
        _complain(error)
        raise typer.Exit(USAGE) from error
    except FakelensError as error:
        _complain(error)
        raise typer.Exit(FAILED) from error


def _complain(error: FakelensError) -> None:
    typer.echo(f"fakelens: {error}", err=True)


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
