"""``fakelens analyze``: examine videos and pictures and write the results."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fakelens.cli.options import (
    DEFAULT,
    FAILED,
    NO_FACE,
    SOME_FAILED,
    BaselineChoice,
    Force,
    ModelName,
    NoSmooth,
    Output,
    Quiet,
    one_sentence,
)
from fakelens.errors import UsageError
from fakelens.explain.cam import METHODS, find_method
from fakelens.faces.detectors import DETECTORS
from fakelens.records.settings import AUTO_PER_SECOND, EXAMINE_EVERY, Settings

if TYPE_CHECKING:
    from fakelens.media.profile import Profile
    from fakelens.records.report import Report
    from fakelens.render.style import Style

_MODEL, _SPEED, _TRUST, _OUTPUT = "Model and face detector", "Speed", "Trust measures", "Output"


def analyze(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Videos or pictures.")],
    output: Output = None,
    model: ModelName = DEFAULT,
    detector: Annotated[
        str,
        typer.Option(help=f"Face detector: {', '.join(DETECTORS)}.", rich_help_panel=_MODEL),
    ] = "yunet",
    cam: Annotated[
        str | None,
        typer.Option(
            help=f"Heatmap method: {', '.join(METHODS)}. Default: chosen by the model.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Score from 0 to 1 from which a person is likely fake. Default: the model's.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    every: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Examine every n-th frame and interpolate the others; auto: about 5 a second.",
            rich_help_panel=_SPEED,
        ),
    ] = str(EXAMINE_EVERY),
    device: Annotated[
        str,
        typer.Option(
            help="Run the model on cpu, cuda, coreml, directml or openvino; auto: the first "
            "accelerator available.",
            rich_help_panel=_SPEED,
        ),
    ] = "cpu",
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Print the time spent in each stage.", rich_help_panel=_SPEED
        ),
    ] = False,
    no_trust: Annotated[
        bool,
        typer.Option(
            "--no-trust",
            help="Skip the trust measures.",
            rich_help_panel=_TRUST,
        ),
    ] = False,
    ablation: Annotated[
        Literal["features", "deletion", "insertion", "road"],
        typer.Option(
            help="Method used to test heatmap faithfulness.",
            rich_help_panel=_TRUST,
        ),
    ] = "features",
    no_video: Annotated[
        bool,
        typer.Option(
            "--no-video",
            help="Do not write the annotated video or copy the input.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    baseline: BaselineChoice = "subtract",
    no_smooth: NoSmooth = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Examine videos or pictures; write a report, an annotated video, tables and pictures.

    The results of clip.mp4 go to the folder clip_analyzed beside it, or to DIR.
    With several inputs, each gets a folder of its own in DIR.
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

        from fakelens.analysis.pipeline import analyze as run
        from fakelens.cli.console import print_table, profile_table, progress_bar
        from fakelens.faces.detectors import load_detector
        from fakelens.media.profile import Profile
        from fakelens.models.loading import load_model
        from fakelens.render.style import Style
        from fakelens.report.save import check_free

        jobs = list(zip(videos, _folders(videos, output), strict=True))
        loaded, face_detector = load_model(model, device=device), load_detector(detector)
        for path, folder in jobs:
            check_free(folder, path, force=force)
    style = Style(smooth=not no_smooth, baseline=baseline)
    failed, faceless = 0, 0
    for path, folder in jobs:
        spent, began = Profile(), time.perf_counter()
        try:
            with one_sentence():
                with progress_bar(f"examining {path.name}", quiet=quiet) as progress:
                    report = run(
                        path,
                        model=loaded,
                        detector=face_detector,
                        settings=settings,
                        progress=progress,
                        profile=spent,
                    )
                save(report, folder, style, spent, video=not no_video, force=force, quiet=quiet)
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


def save(
    report: "Report",
    folder: Path,
    style: "Style",
    profile: "Profile | None" = None,
    *,
    video: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write the results of an analysis and print the summary."""
    from fakelens.cli.console import print_table, progress_bar, summary
    from fakelens.records.times import format_time
    from fakelens.report.error_rates import error_rate_sentence
    from fakelens.report.save import save_report

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
    name = report.provenance.input_name
    for damage in report.damage:
        when = format_time(float(damage.time - report.video.start))
        typer.echo(f"fakelens: {name}: at {when}: {damage.message}", err=True)
    if not report.tracks:
        typer.echo(f"fakelens: {name}: no face found, nothing to examine", err=True)
    if quiet:
        return
    if report.tracks:
        print_table(summary(report))
        typer.echo(error_rate_sentence(report.model, report.thresholds))
    typer.echo(f"Results: {folder} (open report.html). A score is evidence, not proof.")


def _parse_every(every: str) -> int:
    try:
        return int(every)
    except ValueError:
        raise UsageError(f"--every takes a number of frames or auto, not {every!r}") from None


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
