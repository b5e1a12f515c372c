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

from fakelens.crops import Gates, crop_area, cut, doubts, sharpness
from fakelens.data import FaceDetector, Network, NetworkCard, Thresholds, VideoInfo
from fakelens.explain import Method, find_method
from fakelens.faces import load_detector
from fakelens.findings import find
from fakelens.heatmaps import HeatmapStore
from fakelens.networks import DEFAULT, load_network
from fakelens.networks.contract import check_evidence
from fakelens.recorder import Glimpse, Recorder
from fakelens.results import Provenance, Report, Settings
from fakelens.stages import Profile, ahead
from fakelens.tracks import Followed, follow
from fakelens.video import VideoReader, file_sha256, open_video

Progress = Callable[[int, int | None], None]
"""Called with the number of frames done and of frames in all, if that is known."""

DETECT_EVERY = 3
"""Frames from one face detection to the next, when every frame is examined."""

SEARCH_SECONDS = Fraction(2, 5)
"""From one detection in the whole picture to the next, while there is somebody; at most."""

_FRAMES_AHEAD = 4
_USUAL_RATE = 25  # frames a second, where the file does not tell
_FRAMES_OF_CROPS_AHEAD = 8

_NETWORK = "network and heatmaps"

_VERSIONS_OF = ("fakelens", "numpy", "onnxruntime", "opencv-python-headless", "av", "scipy")


def analyze(
    path: Path | str,
    *,
    network: Network | None = None,
    faces: FaceDetector | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    profile: Profile | None = None,
) -> Report:
    """Find and follow every face in a video or picture, score it and explain the score.

    Args:
        path: video, GIF or picture.
        network: the bundled default if ``None``; see ``fakelens.load_network``.
        faces: YuNet if ``None``; see ``fakelens.load_detector``. It is called in another thread
            than this one, the network in this one.
        settings: what else may be chosen.
        progress: told after each frame.
        profile: told where the time goes.

    Returns:
        A report, with no persons in it if no face was found.

    Raises:
        MediaError: the input cannot be read.
        NetworkError: the network cannot be loaded or run.
        UsageError: a setting is out of range or names nothing.
    """
    settings = settings or Settings()
    network = network or load_network(DEFAULT)
    faces = faces or load_detector("yunet")
    method = find_method(settings.cam or network.card.cam)
    thresholds = _thresholds(network.card.thresholds, settings.threshold)
    path, profile = Path(path), profile or Profile()

    with open_video(path) as reader:
        settings = _resolved(settings, reader.info)
        heatmaps, recorder = HeatmapStore(), Recorder()
        waiting: list[Glimpse] = []
        with _overlapped(reader, faces, network.card, settings, profile) as crowds:
            for crowd in crowds:
                waiting += crowd.glimpses
                while len(waiting) >= settings.batch:
                    batch, waiting = waiting[: settings.batch], waiting[settings.batch :]
                    with profile.spend(_NETWORK):
                        _examine(batch, network, method, heatmaps, recorder)
                if progress:
                    progress(crowd.frame + 1, reader.info.frame_estimate)
        if waiting:
            with profile.spend(_NETWORK):
                _examine(waiting, network, method, heatmaps, recorder)
        tracks = recorder.tracks()
        return Report(
            source=path,
            video=reader.info,
            frames=reader.decoded,
            damage=tuple(reader.damage),
            network=network.card,
            settings=settings,
            cam=method.name,
            thresholds=thresholds,
            tracks=tracks,
            findings=tuple(
                find(t, thresholds, network.card.calibration, still=reader.info.is_picture)
                for t in tracks
            ),
            heatmaps=heatmaps,
            provenance=_provenance(path, network, faces),
        )


def _thresholds(of_network: Thresholds, chosen: float | None) -> Thresholds:
    if chosen is None:
        return of_network
    return Thresholds(chosen, min(of_network.real, chosen), "chosen by the user")


def _resolved(settings: Settings, video: VideoInfo) -> Settings:
    if settings.per_second is None:
        return settings
    rate = float(video.rate or _USUAL_RATE)
    return replace(settings, every=max(1, round(rate / settings.per_second)))


@contextmanager
def _overlapped(
    reader: VideoReader,
    faces: FaceDetector,
    card: NetworkCard,
    settings: Settings,
    profile: Profile,
) -> Iterator[Iterator["_Crowd"]]:
    """Decode in one thread, find, follow and cut out faces in another."""
    stride = max(1, DETECT_EVERY // settings.every)
    gates = Gates(min_confidence=faces.sure_confidence)
    decoding = profile.timed("decode", reader.frames(settings.every))
    with closing(ahead(decoding, _FRAMES_AHEAD)) as frames:
        followed = follow(frames, faces, every=stride, narrow=SEARCH_SECONDS)
        crowds = _crowds(followed, card, gates)
        following = profile.timed("find and follow faces", crowds)
        with closing(ahead(following, _FRAMES_OF_CROPS_AHEAD)) as made:
            yield made


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The faces of one frame, without the frame."""

    frame: int
    glimpses: list[Glimpse]


def _crowds(stream: Iterable[Followed], card: NetworkCard, gates: Gates) -> Generator[_Crowd]:
    for followed in stream:
        yield _Crowd(followed.frame.index, _glimpses(followed, card, gates))


def _glimpses(followed: Followed, card: NetworkCard, gates: Gates) -> list[Glimpse]:
    index, time = followed.frame.index, float(followed.frame.time)
    glimpses = []
    for tracked in followed.faces:
        area = crop_area(tracked.face, card.crop)
        crop = cut(followed.frame.pixels, area, card.input_size)
        sharp = sharpness(crop)
        doubt = doubts(tracked.face, sharp, gates).value
        glimpses.append(Glimpse(index, time, tracked, area, crop, sharp, doubt))
    return glimpses


def _examine(
    batch: list[Glimpse],
    network: Network,
    method: Method,
    heatmaps: HeatmapStore,
    recorder: Recorder,
) -> None:
    evidence = network.examine(np.stack([glimpse.crop for glimpse in batch]))
    check_evidence(evidence, len(batch), network.card.name)  # it may be a caller's own network
    maps = method.function(evidence)
    rows = heatmaps.append(maps)
    for glimpse, logit, heatmap, row in zip(batch, evidence.logit, maps, rows, strict=True):
        recorder.add(glimpse, float(logit), heatmap, row)


def _provenance(path: Path, network: Network, faces: FaceDetector) -> Provenance:
    return Provenance(
        input_name=path.name,
        input_sha256=file_sha256(path),
        input_bytes=path.stat().st_size,
        network_sha256=network.sha256,
        detector=faces.name,
        versions={name: metadata.version(name) for name in _VERSIONS_OF},
        platform=f"{platform.platform()}, Python {platform.python_version()}",
        device=getattr(network, "device", ""),  # a caller's own network need not tell
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
