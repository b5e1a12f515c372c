"""Scripted detections and drawn frames for tests of tracking."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from fakelens.faces.tracking import TrackedFrame
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face
from fakelens.records.media import Frame

FPS = 30


def face_at(x: float, y: float = 50, size: float = 20, confidence: float = 0.9) -> Face:
    half = size / 2
    box = Box(x - half, y - half, x + half, y + half)
    landmarks = np.array([(x - 4, y - 4), (x + 4, y - 4), (x, y), (x - 3, y + 4), (x + 3, y + 4)])
    return Face(box, landmarks.astype(np.float32), confidence)


def frame(index: int, picture: RGBImage, time: Fraction | None = None) -> Frame:
    """Create a frame whose first pixel encodes its index, for ``ScriptedDetector``."""
    image = picture.copy()
    image[0, 0] = index // 65536, index // 256 % 256, index % 256
    return Frame(index, Fraction(index, FPS) if time is None else time, image)


def still_frames(count: int) -> list[Frame]:
    picture = texture(0)
    return [frame(i, picture) for i in range(count)]


def texture(seed: int, height: int = 90, width: int = 160) -> RGBImage:
    """Draw soft coloured spots of 10 pixels, different for each seed."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 10, width // 10, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


class ScriptedDetector:
    """Returns given faces by the index of the frame.

    Args:
        truth: returns the faces of a frame by its index.
    """

    name = "script"

    def __init__(self, truth: Callable[[int], Sequence[Face]]) -> None:
        self.truth = truth
        self.seen: list[int] = []

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        indices = [int(i[0, 0] @ np.array([65536, 256, 1])) for i in images]
        self.seen += indices
        return [list(self.truth(index)) for index in indices]


def one_shot(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Yield the frames of a film without a cut, as ``track_faces`` takes them."""
    for position, item in enumerate(frames):
        yield item, position == 0


def faces_by_track(tracked: Iterable[TrackedFrame]) -> list[dict[int, Face]]:
    return [{one.track: one.face for one in item.faces} for item in tracked]


def decode_frames(file: Path, limit: int = 10_000, width: int = 10_000) -> Iterator[Frame]:
    """Decode up to ``limit`` frames, shrunk to at most ``width`` pixels wide."""
    with av.open(file) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for index, decoded in enumerate(container.decode(stream)):
            if index == limit:
                return
            scale = min(1.0, width / decoded.width)
            size = {"width": int(decoded.width * scale), "height": int(decoded.height * scale)}
            image = decoded.to_ndarray(format="rgb24", **size)
            yield Frame(index, decoded.pts * decoded.time_base, image)
