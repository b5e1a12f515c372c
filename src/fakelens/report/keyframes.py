"""Keyframes: a few whole frames with faces, as pictures for a reverse image search.

A shot change ends all tracks, so a period in which somebody is always in the picture lies within
one shot. The most telling frame of each such period is taken; a clip with few of them is divided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fakelens.media.frames import DecodedFrame, upright_frame
from fakelens.records.arrays import RGBImage, sigmoid
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.report.portraits import data_url, write_png

FOLDER = "keyframes"
MIN_FRAMES, MAX_FRAMES = 3, 5
_THUMBNAIL = 200  # width in the page, pixels

_Part = tuple[NDArray[np.int64], NDArray[np.float64]]  # frames in order, and how telling each is


@dataclass(frozen=True, slots=True)
class Keyframe:
    """One keyframe.

    Attributes:
        frame: index of the frame.
        time: its presentation timestamp, seconds.
        path: of the PNG file, relative to the page, with slashes.
        thumbnail: data URL of a small picture.
    """

    frame: int
    time: float
    path: str
    thumbnail: str


def keyframe_name(frame: int) -> str:
    """Return the file name of the keyframe with an index."""
    return f"frame-{frame}.png"


def choose_keyframes(report: Report) -> list[int]:
    """Return the indices of three to five frames, in order; fewer if there are fewer with faces.

    How telling a frame is, is the highest score of a good face on it.
    """
    parts = _split(_shots(report.tracks), MIN_FRAMES)
    ranked = sorted(parts, key=lambda part: float(part[1].max()), reverse=True)[:MAX_FRAMES]
    return sorted(int(frames[np.argmax(worth)]) for frames, worth in ranked)


def _shots(tracks: Sequence[Track]) -> list[_Part]:
    """Return the frames with faces, divided where nobody is in the picture."""
    spans: list[list[int]] = []
    for track in sorted(tracks, key=lambda one: int(one.frames[0])):
        first, last = int(track.frames[0]), int(track.frames[-1])
        if spans and first <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], last)
        else:
            spans.append([first, last])
    worth = _worth(tracks)
    frames = np.array(sorted(worth), dtype=np.int64)
    values = np.array([worth[frame] for frame in frames.tolist()], dtype=np.float64)
    inside = [(frames >= first) & (frames <= last) for first, last in spans]
    return [(frames[chosen], values[chosen]) for chosen in inside if chosen.any()]


def _worth(tracks: Sequence[Track]) -> dict[int, float]:
    """Return how telling each frame with a good face is; with any face, if there are no good ones.

    Frames between two detections are left out, since their boxes are interpolated.
    """
    for strict in (True, False):
        worth: dict[int, float] = {}
        for track in tracks:
            rows = track.usable & track.detected if strict else np.ones(len(track), dtype=np.bool_)
            scores = sigmoid(track.logits[rows]).astype(np.float64)
            for frame, score in zip(track.frames[rows].tolist(), scores.tolist(), strict=True):
                worth[frame] = max(worth.get(frame, 0.0), score)
        if worth:
            break
    return worth


def _split(parts: list[_Part], number: int) -> list[_Part]:
    """Halve the part with the most frames until there are enough parts."""
    parts = list(parts)
    while parts and len(parts) < number:
        longest = max(range(len(parts)), key=lambda n: len(parts[n][0]))
        frames, worth = parts.pop(longest)
        middle = len(frames) // 2
        if not middle:
            return [*parts, (frames, worth)]
        parts += [(frames[:middle], worth[:middle]), (frames[middle:], worth[middle:])]
    return parts


class Keyframes:
    """Writes the keyframes of a report while the frames of its video pass by.

    Args:
        report: of a video.
        folder: for the PNG files; created at once.

    Attributes:
        taken: the keyframes written so far.
    """

    def __init__(self, report: Report, folder: Path) -> None:
        self._report, self._folder = report, folder
        self._missing = set(choose_keyframes(report))
        self.taken: list[Keyframe] = []
        folder.mkdir()

    def add_frame(self, picture: DecodedFrame) -> None:
        """Write this frame of the report's video if it is a keyframe."""
        if picture.index not in self._missing:
            return
        self._missing.discard(picture.index)
        frame = upright_frame(picture, self._report.video)
        image: RGBImage = frame.image
        name = keyframe_name(frame.index)
        write_png(self._folder / name, image)
        path = f"{FOLDER}/{name}"
        self.taken.append(
            Keyframe(frame.index, float(frame.time), path, data_url(image, _THUMBNAIL))
        )

    @property
    def is_complete(self) -> bool:
        """Whether all keyframes have passed by."""
        return not self._missing
