"""The analysis pipeline: from a video to a report, in one pass over the frames."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fakelens.analysis.examination import Examination
from fakelens.analysis.face_crops import face_crops
from fakelens.errors import UsageError
from fakelens.explain.cam import find_method
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.faces.detectors import load_detector
from fakelens.media.profile import Profile
from fakelens.media.reader import open_video
from fakelens.media.source_file import check_unchanged, identify
from fakelens.models.loading import load_model
from fakelens.models.registry import DEFAULT
from fakelens.records.faces import FaceDetector
from fakelens.records.media import VideoInfo
from fakelens.records.models import Model
from fakelens.records.report import Report
from fakelens.records.settings import Progress, Settings
from fakelens.trust.imputation import check_ablation

_FALLBACK_RATE = 25  # frames per second, for files without a frame rate


def analyze(
    path: Path | str,
    *,
    model: Model | None = None,
    detector: FaceDetector | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    profile: Profile | None = None,
    workspace: Path | None = None,
) -> Report:
    """Find and track every face in a video or picture, score it and explain the score.

    Args:
        path: video, GIF or picture.
        model: detector model; the bundled default if ``None``. See ``fakelens.load_model``.
        detector: face detector; YuNet if ``None``. See ``fakelens.load_detector``. It runs in a
            background thread, the model in the calling thread.
        settings: see ``fakelens.Settings``.
        progress: called after each frame.
        profile: collects the time spent in each stage.
        workspace: folder for the temporary heatmap file, up to 450 MB per person and two hours;
            the system's temporary folder if ``None``.

    Returns:
        A report; it lists no persons if no face was found.

    Raises:
        MediaError: the input cannot be read, or changes while it is examined.
        OutputError: the temporary file cannot be written.
        ModelError: the model cannot be loaded or run.
        UsageError: a setting is out of range or names nothing.
        MissingExtraError: a setting needs an optional package that is not installed.
    """
    (report,) = analyze_models(
        path,
        models=[model or load_model(DEFAULT)],
        detector=detector,
        settings=settings,
        progress=progress,
        profile=profile,
        workspace=workspace,
    )
    return report


def analyze_models(
    path: Path | str,
    *,
    models: Sequence[Model],
    detector: FaceDetector | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    profile: Profile | None = None,
    workspace: Path | None = None,
) -> tuple[Report, ...]:
    """Analyze a video or picture with several models on one pass over its frames.

    The frames are decoded, and faces detected and tracked, once. Each model sees its own crops and
    gets its own heatmaps, verdicts and trust measures, as if it had been run alone. A person has
    the same number in all reports. Scores are not combined.

    Args:
        path: as for ``analyze``, like all other arguments.
        models: different detector models.
        detector: face detector.
        settings: a threshold may be set for a single model only.
        progress: called after each frame.
        profile: collects the time spent in each stage.
        workspace: folder for the temporary heatmap files, one per model.

    Returns:
        A report for each model, with the answers of the others as its ``second_opinions``.

    Raises:
        UsageError: there is no model or one is given twice, or as for ``analyze``.
        MediaError, OutputError, ModelError, MissingExtraError: as for ``analyze``.
    """
    settings, profile = settings or Settings(), profile or Profile()
    check_models(models, settings)
    detector = detector or load_detector("yunet")
    source = identify(Path(path))
    with open_video(source.path, settings.stream) as reader:
        settings = _resolved(settings, reader.info)
        examinations = [
            Examination(model, settings, reader.info, HeatmapStore(workspace), profile)
            for model in models
        ]
        cards = [model.card for model in models]
        with face_crops(reader, detector, cards, settings, profile) as frames:
            for faces in frames:
                for examination, own in zip(examinations, faces, strict=True):
                    examination.add(own)
                if progress and faces[0].frame is not None:
                    progress(faces[0].frame + 1, reader.info.frame_estimate)
        check_unchanged(source)
        reports = [one.report(source, reader, detector) for one in examinations]
    return tuple(
        replace(one, second_opinions=tuple(other.opinion for other in reports if other is not one))
        for one in reports
    )


def check_models(models: Sequence[Model], settings: Settings) -> None:
    """Check that models can be run on one input with these settings.

    Raises:
        UsageError: there is no model or one is given twice, there are several and a threshold is
            set, or a setting names nothing.
        MissingExtraError: a setting needs an optional package that is not installed.
    """
    if not models:
        raise UsageError("no model is given: give one or more")
    for (name, _), count in Counter((model.card.name, model.sha256) for model in models).items():
        if count > 1:
            raise UsageError(f"the model {name} is given twice: a second opinion needs another one")
    if len(models) > 1 and settings.threshold is not None:
        raise UsageError(
            f"a threshold holds for one model, but {len(models)} are given: leave it out, so that "
            "each model uses its own"
        )
    for model in models:
        find_method(settings.cam or model.card.cam)
    if settings.trust:
        check_ablation(settings.ablation)


def _resolved(settings: Settings, video: VideoInfo) -> Settings:
    """Return the settings with ``every`` set to the value for this input."""
    if video.is_picture:
        return replace(settings, every=1)
    if settings.per_second is None:
        return settings
    rate = float(video.rate or _FALLBACK_RATE)
    return replace(settings, every=max(1, round(rate / settings.per_second)))
