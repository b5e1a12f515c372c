"""The main path: a video in, a report out, in one pass over the frames."""

import platform
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from importlib import metadata
from pathlib import Path

import numpy as np

from fakelens.analysis.assessment import Assessor
from fakelens.analysis.track_table import FaceCrop, TrackTable
from fakelens.analysis.verdicts import judge_track
from fakelens.explain.cam import CamMethod, find_method
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.explain.regions import mean_face
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.detectors import load_detector
from fakelens.faces.quality import QualityGates, quality_flags, sharpness
from fakelens.faces.sampler import FaceSample, FaceSampler
from fakelens.faces.tracking import TrackedFrame, track_faces
from fakelens.media.images import encode_jpeg
from fakelens.media.prefetch import prefetch
from fakelens.media.profile import Profile
from fakelens.media.reader import VideoReader, file_sha256, open_video
from fakelens.models.checks import check_evidence
from fakelens.models.loading import DEFAULT, load_model
from fakelens.records.faces import FaceDetector
from fakelens.records.findings import Finding
from fakelens.records.media import VideoInfo
from fakelens.records.models import Model, ModelCard, Thresholds
from fakelens.records.report import Provenance, Report
from fakelens.records.settings import Settings

Progress = Callable[[int, int | None], None]
"""Called with the number of frames done and of frames in all, if that is known."""

DETECT_EVERY = 3
"""Frames from one face detection to the next. Faces are followed through all frames as long as they
are examined that often; where they are examined more rarely, the frames between are not looked at.
"""

AUTO_PER_SECOND = 5.0
"""Frames a second that are examined where a user asks for a quick look."""

SEARCH_SECONDS = Fraction(2, 5)
"""From one detection in the whole picture to the next, while there is somebody; at most."""

_FRAMES_AHEAD = 4
_USUAL_RATE = 25  # frames a second, where the file does not tell
_FRAMES_OF_CROPS_AHEAD = 8

_MODEL = "model and heatmaps"
_TRUST = "verdicts and how far to trust them"

_VERSIONS_OF = ("fakelens", "numpy", "onnxruntime", "opencv-python-headless", "av", "scipy")


def analyze(
    path: Path | str,
    *,
    model: Model | None = None,
    faces: FaceDetector | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    profile: Profile | None = None,
) -> Report:
    """Find and follow every face in a video or picture, score it and explain the score.

    Args:
        path: video, GIF or picture.
        model: the bundled default if ``None``; see ``fakelens.load_model``.
        faces: YuNet if ``None``; see ``fakelens.load_detector``. It is called in another thread
            than this one, the model in this one.
        settings: what else may be chosen.
        progress: told after each frame.
        profile: told where the time goes.

    Returns:
        A report, with no persons in it if no face was found.

    Raises:
        MediaError: the input cannot be read.
        ModelError: the model cannot be loaded or run.
        UsageError: a setting is out of range or names nothing.
    """
    settings = settings or Settings()
    model = model or load_model(DEFAULT)
    faces = faces or load_detector("yunet")
    method = find_method(settings.cam or model.card.cam)
    thresholds = _thresholds(model.card.thresholds, settings.threshold)
    path, profile = Path(path), profile or Profile()

    with open_video(path) as reader:
        settings = _resolved(settings, reader.info)
        heatmaps, table = HeatmapStore(), TrackTable()
        findings: dict[int, Finding] = {}
        mean_faces: dict[int, bytes] = {}
        assessor = Assessor(model, method, thresholds, settings.ablation)

        def conclude(person: int, samples: list[FaceSample]) -> None:
            track = table.track(person)
            found = judge_track(
                track,
                thresholds,
                model.card.calibration,
                still=reader.info.is_picture,
                smallest_face=model.card.smallest_face,
            )
            findings[person] = assessor.assess(found, track, heatmaps, samples)
            if found.interval or reader.info.is_picture:
                pictures = [(kept.image, kept.face.landmarks) for kept in samples]
                known = [(image, points) for image, points in pictures if points is not None]
                if known:
                    mean_faces[person] = encode_jpeg(mean_face(known))

        waiting: list[FaceCrop] = []
        with _overlapped(reader, faces, model.card, settings, profile) as crowds:
            for crowd in crowds:
                waiting += crowd.face_crops
                # Whoever has gone must have been examined to the last face.
                while len(waiting) >= settings.batch or (waiting and crowd.gone):
                    batch, waiting = waiting[: settings.batch], waiting[settings.batch :]
                    with profile.spend(_MODEL):
                        _examine(batch, model, method, heatmaps, table)
                for person, samples in crowd.gone:
                    with profile.spend(_TRUST):
                        conclude(person, samples)
                if progress and crowd.frame is not None:
                    progress(crowd.frame + 1, reader.info.frame_estimate)
        tracks = table.tracks()
        return Report(
            source=path,
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
            provenance=_provenance(path, model, faces),
            mean_faces=mean_faces,
        )


def _thresholds(of_model: Thresholds, chosen: float | None) -> Thresholds:
    if chosen is None:
        return of_model
    return Thresholds(chosen, min(of_model.real, chosen), "chosen by the user")


def _resolved(settings: Settings, video: VideoInfo) -> Settings:
    if video.is_picture:
        return replace(settings, every=1)
    if settings.per_second is None:
        return settings
    rate = float(video.rate or _USUAL_RATE)
    return replace(settings, every=max(1, round(rate / settings.per_second)))


@contextmanager
def _overlapped(
    reader: VideoReader,
    faces: FaceDetector,
    card: ModelCard,
    settings: Settings,
    profile: Profile,
) -> Iterator[Iterator["_Crowd"]]:
    """Decode in one thread, find, follow and cut out faces in another."""
    skip = settings.every if settings.every > DETECT_EVERY else 1
    stride = DETECT_EVERY if skip == 1 else 1
    gates = QualityGates(min_confidence=faces.sure_confidence)
    decoding = profile.timed("decode", reader.frames(skip))
    with closing(prefetch(decoding, _FRAMES_AHEAD)) as frames:
        followed = track_faces(frames, faces, every=stride, narrow=SEARCH_SECONDS)
        crowds = _crowds(followed, card, gates, settings)
        following = profile.timed("find and follow faces", crowds)
        with closing(prefetch(following, _FRAMES_OF_CROPS_AHEAD)) as made:
            yield made


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The faces of one frame, without the frame; ``frame`` is ``None`` after the last one.

    ``gone`` are persons who will not be seen again, with what was kept of them.
    """

    frame: int | None
    face_crops: list[FaceCrop]
    gone: list[tuple[int, list[FaceSample]]]


def _crowds(
    stream: Iterable[TrackedFrame], card: ModelCard, gates: QualityGates, settings: Settings
) -> Generator[_Crowd]:
    sampler = FaceSampler(card)
    for followed in stream:
        examined = followed.frame.index % settings.every == 0
        face_crops = _glimpses(followed, card, gates) if examined else []
        for face_crop in face_crops:
            sampler.see(
                face_crop.tracked.track,
                face_crop.time,
                followed.frame.pixels,
                face_crop.tracked.face,
                usable=settings.trust and not face_crop.quality_flags,
            )
        yield _Crowd(followed.frame.index, face_crops, sampler.gone(float(followed.frame.time)))
    yield _Crowd(None, [], sampler.everybody())


def _glimpses(followed: TrackedFrame, card: ModelCard, gates: QualityGates) -> list[FaceCrop]:
    index, time = followed.frame.index, float(followed.frame.time)
    face_crops = []
    for tracked in followed.faces:
        area = crop_area(tracked.face, card.crop)
        crop = extract_crop(followed.frame.pixels, area, card.input_size)
        sharp = sharpness(crop)
        doubt = quality_flags(tracked.face, sharp, gates).value
        face_crops.append(FaceCrop(index, time, tracked, area, crop, sharp, doubt))
    return face_crops


def _examine(
    batch: list[FaceCrop],
    model: Model,
    method: CamMethod,
    heatmaps: HeatmapStore,
    table: TrackTable,
) -> None:
    evidence = model.examine(np.stack([face_crop.crop for face_crop in batch]))
    check_evidence(evidence, len(batch), model.card.name)  # it may be a caller's own model
    maps = method.function(evidence)
    rows = heatmaps.append(maps)
    for face_crop, logit, heatmap, row in zip(batch, evidence.logit, maps, rows, strict=True):
        table.add(face_crop, float(logit), heatmap, row)


def _written(name: str) -> str:
    """A file's name as it can be written down: names need not be valid Unicode."""
    return name.encode("utf-8", "backslashreplace").decode()


def _provenance(path: Path, model: Model, faces: FaceDetector) -> Provenance:
    return Provenance(
        input_name=_written(path.name),
        input_sha256=file_sha256(path),
        input_bytes=path.stat().st_size,
        model_sha256=model.sha256,
        detector=faces.name,
        versions={name: metadata.version(name) for name in _VERSIONS_OF},
        platform=f"{platform.platform()}, Python {platform.python_version()}",
        device=getattr(model, "device", ""),  # a caller's own model need not tell
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
