"""The main path: a video in, a report out, in one pass over the frames."""

import platform
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np

from fakelens.crops import Gates, crop_area, cut, doubts, sharpness
from fakelens.data import FaceDetector, Frame, Network, NetworkCard, Thresholds
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

# Frames of a video may be large, glimpses are not.
_FRAMES_AHEAD = 4
_LOOKS_AHEAD = 32

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
        heatmaps, recorder = HeatmapStore(), Recorder()
        gates = Gates(min_confidence=faces.sure_confidence)
        waiting: list[Glimpse] = []
        gap, last = 1, 0
        with (
            closing(
                ahead(profile.timed("decode", _frames(reader, settings)), _FRAMES_AHEAD)
            ) as frames,
            closing(
                ahead(
                    profile.timed(
                        "find and follow faces",
                        _looks(follow(frames, faces, every=_stride(settings)), network.card, gates),
                    ),
                    _LOOKS_AHEAD,
                )
            ) as looks,
        ):
            for look in looks:
                waiting += look.glimpses
                while len(waiting) >= settings.batch:
                    batch, waiting = waiting[: settings.batch], waiting[settings.batch :]
                    with profile.spend("network and heatmaps"):
                        _examine(batch, network, method, heatmaps, recorder)
                gap, last = max(gap, look.frame - last), look.frame
                if progress:
                    progress(look.frame + 1, reader.info.frame_estimate)
        if waiting:
            _examine(waiting, network, method, heatmaps, recorder)
        tracks = recorder.tracks()
        return Report(
            source=path,
            video=reader.info,
            frames=reader.decoded,
            damage=tuple(reader.damage),
            network=network.card,
            settings=settings if settings.per_second is None else replace(settings, every=gap),
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


def _frames(reader: VideoReader, settings: Settings) -> Iterator[Frame]:
    if settings.per_second is not None:
        return reader.sample(settings.per_second)
    return reader.frames(settings.every)


def _stride(settings: Settings) -> int:
    """Examined frames from one face detection to the next."""
    return 1 if settings.per_second is not None else max(1, DETECT_EVERY // settings.every)


@dataclass(frozen=True, slots=True)
class _Look:
    """The faces of one frame, without the frame."""

    frame: int
    glimpses: list[Glimpse]


def _looks(stream: Iterable[Followed], card: NetworkCard, gates: Gates) -> Generator[_Look]:
    for followed in stream:
        yield _Look(followed.frame.index, _glimpses(followed, card, gates))


def _glimpses(followed: Followed, card: NetworkCard, gates: Gates) -> list[Glimpse]:
    index, time = followed.frame.index, float(followed.frame.time)
    glimpses = []
    for tracked in followed.faces:
        area = crop_area(tracked.face, card.crop)
        crop = cut(followed.frame.image, area, card.input_size)
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
