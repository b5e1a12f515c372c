"""Helpers to transcode a clip and to read what was written."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from fakelens.media.planes import Planes
from fakelens.media.reader import open_video
from fakelens.media.transcode import transcode


def draw_nothing(index: int, planes: Planes) -> None:
    """Leave the frame as it is."""


def copy(source: Path, draw: Callable[[int, Planes], None] = draw_nothing, **options: bool) -> Path:
    """Transcode a clip whose sound can be copied, to ``copy.mp4`` beside it."""
    target = source.with_name("copy.mp4")
    notes = transcode(source, target, draw, **options)
    assert not any("ound" in note for note in notes)  # no note about sound: it was copied
    return target


def stored_luma(path: Path) -> NDArray[np.int64]:
    """Read the luma as stored, (frames, height, width)."""
    with av.open(path) as container:
        return np.stack(
            [
                np.frombuffer(frame.planes[0], np.uint8)
                .reshape(-1, frame.planes[0].line_size)[:, : frame.width]
                .astype(int)
                for frame in container.decode(video=0)
            ]
        )


def rgb(path: Path) -> NDArray[np.int64]:
    """Read the upright frames, (frames, height, width, 3)."""
    with open_video(path) as reader:
        return np.stack([frame.image for frame in reader.frames()]).astype(int)


def frame_times(path: Path) -> list[Fraction]:
    with open_video(path) as reader:
        return [frame.time for frame in reader.frames()]


def sound_packets(path: Path, stream: int) -> list[tuple[bytes, Fraction]]:
    """Read the content and time of each packet of a sound stream."""
    with av.open(path) as container:
        sound = container.streams.audio[stream]
        return [
            (bytes(packet), packet.pts * packet.time_base)
            for packet in container.demux(sound)
            if packet.size
        ]


def draw_white_square(index: int, planes: Planes) -> None:
    planes.y[40:60, 60:80], planes.u[20:30, 30:40], planes.v[20:30, 30:40] = 235, 128, 128
