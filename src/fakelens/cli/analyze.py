"""``fakelens analyze``: examine videos and pictures and write the results."""

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fakelens.cli.options import (
    DEFAULT,
    FAILED,
    INTERRUPTED,
    NO_FACE,
    SOME_FAILED,
    BaselineChoice,
    Ended,
    Force,
    ModelNames,
    NoSmooth,
    Output,
    Quiet,
    one_sentence,
)
from fakelens.cli.printing import say, surviving
from fakelens.errors import UsageError
from fakelens.explain.cam import METHODS, find_method
from fakelens.faces.detectors import DETECTORS
from fakelens.records.settings import AUTO_PER_SECOND, EXAMINE_EVERY, Settings

if TYPE_CHECKING:
    from fakelens.cli.results import Target
    from fakelens.media.profile import Profile
    from fakelens.records.faces import FaceDetector
    from fakelens.records.models import Model
    from fakelens.records.report import Report
    from fakelens.render.style import Style

_MODEL, _SPEED, _TRUST, _OUTPUT = "Model and face detector", "Speed", "Trust measures", "Output"


def analyze(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Videos or pictures.")],
    output: Output = None,
    model: ModelNames = None,
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
    stream: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Examine this video stream or page of the file, from 1; default: the main one.",
        ),
    ] = None,
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
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print a line of JSON for each input, and everything else to standard error.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Examine videos or pictures; write a report, an annotated video, tables and pictures.

    The results of clip.mp4 go to the folder clip_analyzed beside it, or to DIR.
    With several inputs, each gets a folder of its own in DIR.
    Inputs that have been analyzed already with the same settings are skipped.
    """
    with one_sentence():
        settings = Settings(
            every=EXAMINE_EVERY if every == "auto" else _parse_every(every),
            per_second=AUTO_PER_SECOND if every == "auto" else None,
            cam=cam,
            threshold=threshold,
            trust=not no_trust,
            ablation=ablation,
            stream=stream,
        )
        if cam is not None:
            find_method(cam)

        from fakelens.analysis.pipeline import check_models
        from fakelens.cli.results import plan, without_repetitions
        from fakelens.faces.detectors import load_detector
        from fakelens.models.loading import load_model
        from fakelens.render.style import Style

        models = [load_model(name, device=device) for name in model or [DEFAULT]]
        check_models(models, settings)
        job = _Job(
            models=models,
            detector=load_detector(detector),
            settings=settings,
            style=Style(smooth=not no_smooth, baseline=baseline),
            video=not no_video,
            force=force,
            quiet=quiet,
            profile=profile,
            json=json,
        )
        inputs, repeated = without_repetitions(videos)
        if not quiet:
            for path in repeated:
                say(f"fakelens: {path}: given more than once, analyzed once", err=json)
        codes = [_outcome(target, job) for target in plan(inputs, output)]
    failures = {code for code in codes if code not in (0, NO_FACE)}
    if failures and (0 in codes or NO_FACE in codes):
        raise typer.Exit(SOME_FAILED)
    if failures:
        raise typer.Exit(failures.pop() if len(failures) == 1 else FAILED)
    if 0 not in codes:
        raise typer.Exit(NO_FACE)


@dataclass(frozen=True, slots=True)
class _Job:
    """What is the same for all inputs."""

    models: "Sequence[Model]"
    detector: "FaceDetector"
    settings: Settings
    style: "Style"
    video: bool
    force: bool
    quiet: bool
    profile: bool
    json: bool


def _outcome(target: "Target", job: _Job) -> int:
    """Analyze an input and return the exit code; whatever happens, the next one can follow."""
    from fakelens.cli.summary_json import failure, to_line

    try:
        with one_sentence(target.path):
            return 0 if _analyze(target, job) else NO_FACE
    except Ended as ended:
        if ended.exit_code == INTERRUPTED:
            raise
        code, problem = ended.exit_code, ended.sentence
    except Exception:
        code, problem = FAILED, f"{target.path}: an error in fakelens, please report it"
        with surviving(err=True):
            traceback.print_exc()
        say(f"fakelens: {problem}", err=True)
    if job.json:
        say(to_line(failure(target.path, code, problem)))
    return code


def _analyze(target: "Target", job: _Job) -> bool:
    """Analyze an input, unless that has been done, and return whether it shows a face."""
    from fakelens.analysis.pipeline import analyze_models
    from fakelens.cli.console import print_table, profile_table, progress_bar
    from fakelens.cli.finished import check_complete, check_same, has_face
    from fakelens.cli.results import find_folder
    from fakelens.cli.summary_json import summarize, to_line
    from fakelens.media.profile import Profile
    from fakelens.media.source_file import check_source
    from fakelens.media.staging import nearest_existing
    from fakelens.report.document import FILE_NAME, read_report
    from fakelens.report.save import check_free

    path = target.path
    check_source(path)
    folder, known = find_folder(target, force=job.force)
    if known and not job.force:
        check_same(path, known, job.models, job.detector, job.settings)
        check_complete(path, known, folder, video=job.video)
        if not job.quiet:
            say(
                f"fakelens: {path}: already analyzed, results in {folder}; use --force to analyze "
                "it again",
                err=job.json,
            )
        if job.json:
            say(to_line(summarize(read_report(folder / FILE_NAME), path, folder)))
        return has_face(known)
    check_free(folder, path, force=job.force)
    spent, began = Profile(), time.perf_counter()
    with progress_bar(f"examining {path.name}", quiet=job.quiet) as progress:
        report, *others = analyze_models(
            path,
            models=job.models,
            detector=job.detector,
            settings=job.settings,
            progress=progress,
            profile=spent,
            workspace=nearest_existing(folder),
        )
    save(
        report,
        folder,
        job.style,
        spent,
        others=others,
        video=job.video,
        force=job.force,
        quiet=job.quiet,
    )
    if job.json:
        say(to_line(summarize(report, path, folder)))
    elif not job.quiet:
        print_results(report, folder, others)
    if job.profile:
        print_table(profile_table(spent, time.perf_counter() - began), err=job.json)
    return bool(report.tracks)


def save(
    report: "Report",
    folder: Path,
    style: "Style",
    profile: "Profile | None" = None,
    *,
    others: "Sequence[Report]" = (),
    video: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write the results of an analysis, and print what was damaged, and whether faces are missing.

    Args:
        report: of the first model.
        folder: for the results.
        style: how to draw.
        profile: collects the time spent in each stage.
        others: reports of the other models.
        video: also write the annotated video and copy the input.
        force: overwrite existing results.
        quiet: show no progress.
    """
    from fakelens.cli.console import progress_bar
    from fakelens.report.save import save_report
    from fakelens.report.wording import damage_sentences

    with progress_bar("drawing", quiet=quiet) as progress:
        save_report(
            report,
            folder,
            others=others,
            style=style,
            video=video,
            force=force,
            progress=progress,
            profile=profile,
        )
    for sentence in damage_sentences(report):
        say(f"fakelens: {report.source}: {sentence}", err=True)
    if not report.tracks:
        say(f"fakelens: {report.source}: no face found, nothing to examine", err=True)


def print_results(report: "Report", folder: Path, others: "Sequence[Report]" = ()) -> None:
    """Print the verdicts, how often the models err, and where the results are.

    Args:
        report: of the first model.
        folder: of the results.
        others: reports of the other models.
    """
    from fakelens.cli.console import output_width, print_sentences, print_table
    from fakelens.cli.summary_table import sentences_below, summary

    if report.tracks:
        print_table(summary(report, *others, width=output_width()))
        print_sentences(sentences_below(report))
    say(f"Results: {folder} (open report.html). A score is evidence, not proof.")


def _parse_every(every: str) -> int:
    try:
        return int(every)
    except ValueError:
        raise UsageError(f"--every takes a number of frames or auto, not {every!r}") from None
