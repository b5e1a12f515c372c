"""Helpers to read the frames of a clip."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fakelens.media.reader import open_video
from fakelens.records.media import Frame
from support.media import read_number


def read_frames(path: Path, every: int = 1) -> list[Frame]:
    with open_video(path) as reader:
        return list(reader.frames(every))


def frame_numbers(frames: list[Frame]) -> list[int]:
    return [read_number(frame.image) for frame in frames]


def opencv_frames(path: Path) -> Iterator[np.ndarray]:
    """Yield the upright RGB frames of a file as read by OpenCV."""
    capture = cv2.VideoCapture(str(path))
    while True:
        more, image = capture.read()
        if not more:
            return
        yield image[..., ::-1]
