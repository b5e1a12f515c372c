"""The analysis pipeline: from a video to a report, in one pass over the frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fakelens.analysis.assessment import Assessor
from fakelens.analysis.face_crops import FaceCrop, face_crops
from fakelens.analysis.provenance import collect_provenance
from fakelens.analysis.track_table import TrackTable
from fakelens.analysis.verdicts import judge_track
from fakelens.explain.cam import CamMethod, find_method
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.explain.regions import mean_face
from fakelens.faces.detectors import load_detector
from fakelens.faces.sampler import FaceSample
from fakelens.media.images import encode_jpeg
from fakelens.media.profile import Profile
from fakelens.media.reader import open_video
from fakelens.media.source_file import check_unchanged, identify
from fakelens.models.checks import check_evidence
from fakelens.models.loading import load_model
from fakelens.models.registry import DEFAULT
from fakelens.records.faces import FaceDetector
from fakelens.records.findings import Finding
from fakelens.records.media import VideoInfo
from fakelens.records.models import Model, Thresholds
from fakelens.records.report import Report
from fakelens.records.settings import Progress, Settings
from fakelens.trust.imputation import check_ablation

_FALLBACK_RATE = 25  # frames per second, for files without a frame rate

_EXAMINE = "model and heatmaps"
_ASSESS = "verdicts and trust measures"


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
    settings = settings or Settings()
    model = model or load_model(DEFAULT)
    detector = detector or load_detector("yunet")
    method = find_method(settings.cam or model.card.cam)
    thresholds = _thresholds(model.card.thresholds, settings.threshold)
    if settings.trust:
        check_ablation(settings.ablation)
    path, profile = Path(path), profile or Profile()

    source = identify(path)
    with open_video(path, settings.stream) as reader:
        settings = _resolved(settings, reader.info)
        heatmaps, table = HeatmapStore(workspace), TrackTable()
        findings: dict[int, Finding] = {}
        mean_faces: dict[int, bytes] = {}
        assessor = Assessor(model, method, thresholds, settings.ablation)

        def conclude(person: int, samples: list[FaceSample]) -> None:
            track = table.track(person)
            finding = judge_track(
                track,
                thresholds,
                model.card.calibration,
                still=reader.info.is_picture,
                smallest_face=model.card.smallest_face,
                start=float(reader.info.start),
            )
            findings[person] = assessor.assess(
                finding, track, heatmaps, samples, still=reader.info.is_picture
            )
            if finding.interval or reader.info.is_picture:
                pictures = [(sample.image, sample.face.landmarks) for sample in samples]
                known = [(image, points) for image, points in pictures if points is not None]
                if known:
                    mean_faces[person] = encode_jpeg(mean_face(known))

        pending: list[FaceCrop] = []
        with face_crops(reader, detector, model.card, settings, profile) as frames:
            for frame in frames:
                pending += frame.crops
                # A person is judged once all their faces have been examined.
                while len(pending) >= settings.batch or (pending and frame.finished):
                    batch, pending = pending[: settings.batch], pending[settings.batch :]
                    with profile.measure(_EXAMINE):
                        _examine(batch, model, method, heatmaps, table)
                for person, samples in frame.finished:
                    with profile.measure(_ASSESS):
                        conclude(person, samples)
                if progress and frame.frame is not None:
                    progress(frame.frame + 1, reader.info.frame_estimate)
        check_unchanged(source)
        tracks = table.tracks()
        return Report(
            source=path,
            signature=source.signature,
            video=reader.info,
            frames=reader.decoded,
            damage=tuple(reader.damage),
            model=model.card,
            settings=settings,
            cam=method.name,
            thresholds=thresholds,
            tracks=tracks,
            findings=tuple(findings[track.person] for track in tracks),
            heatmaps=heatmaps,
            provenance=collect_provenance(source, model, detector),
            mean_faces=mean_faces,
        )


def _thresholds(of_model: Thresholds, fake: float | None) -> Thresholds:
    """Return the model's thresholds, or those for a fake threshold chosen by the user."""
    if fake is None:
        return of_model
    return Thresholds(fake, min(of_model.real, fake), "chosen by the user")


def _resolved(settings: Settings, video: VideoInfo) -> Settings:
    """Return the settings with ``every`` set to the value for this input."""
    if video.is_picture:
        return replace(settings, every=1)
    if settings.per_second is None:
        return settings
    rate = float(video.rate or _FALLBACK_RATE)
    return replace(settings, every=max(1, round(rate / settings.per_second)))


def _examine(
    batch: list[FaceCrop],
    model: Model,
    method: CamMethod,
    heatmaps: HeatmapStore,
    table: TrackTable,
) -> None:
    """Run the model on a batch of crops, and store the heatmaps and observations."""
    evidence = model.examine(np.stack([crop.pixels for crop in batch]))
    check_evidence(evidence, len(batch), model.card.name)  # it may be a user-defined model
    maps = method.function(evidence)
    rows = heatmaps.append(maps)
    for crop, logit, heatmap, row in zip(batch, evidence.logit, maps, rows, strict=True):
        table.add(crop, float(logit), heatmap, row)
