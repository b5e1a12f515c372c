"""What a reader returns: frames, their pixels, header information and damage."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import RGBImage


class Pixels(Protocol):
    """An upright RGB picture that is converted only where its pixels are read.

    ``numpy.asarray`` converts the whole picture.

    Attributes:
        shape: height, width and 3.
    """

    shape: tuple[int, ...]

    def __array__(self) -> RGBImage:
        """Convert the whole picture, (H, W, 3) uint8."""
        ...

    def __getitem__(self, area: tuple[slice, slice], /) -> RGBImage:
        """Convert an area; its row and column slices have a start and a stop within the picture."""
        ...

    def resized(self, size: tuple[int, int]) -> "Pixels":
        """Return the whole picture at a smaller size (width, height)."""
        ...

    def luma(self, down: int, across: int) -> NDArray[np.uint8]:
        """Sample the luma, 0..255, of one pixel per cell of ``down`` x ``across`` pixels."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video, as displayed.

    Attributes:
        index: 0-based position among the frames that could be decoded.
        time: presentation timestamp, seconds.
        pixels: (H, W, 3) uint8 RGB, upright; an array, or ``Pixels`` to be converted on demand.
        damaged: whether a part of the picture could not be decoded; that part is of one colour.
    """

    index: int
    time: Fraction
    pixels: RGBImage | Pixels
    damaged: bool = False

    @property
    def image(self) -> RGBImage:
        """The whole picture, (H, W, 3) uint8 RGB, upright."""
        return np.asarray(self.pixels)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Properties of an input, read from its header.

    Attributes:
        width: pixels, as displayed (square, after rotation).
        height: pixels, as displayed.
        rotation: degrees counter-clockwise applied for display: 0, 90, 180 or 270.
        rate: average frames per second, if known.
        time_base: seconds per tick of the timestamps.
        start: timestamp of the first frame, seconds; not always 0, such as in broadcast recordings.
        frame_estimate: number of frames according to the header or the duration, if known; may be
            wrong.
        duration: seconds, if known.
        codec: of the video stream, by FFmpeg's name.
        pixel_format: by FFmpeg's name.
        is_picture: whether the input is a still picture, not a video or an animation.
        audio: codec of each audio stream, by FFmpeg's name.
        mirrored: whether the frames are mirrored left to right for display, after the rotation.
        changes: sentences on what was changed before the frames were examined, such as the removal
            of interlacing.
        stream: number of the video stream or page that is examined, from 1.
        other_streams: the video streams and pages that are not examined, in words.
    """

    width: int
    height: int
    rotation: int
    rate: Fraction | None
    time_base: Fraction
    start: Fraction
    frame_estimate: int | None
    duration: Fraction | None
    codec: str
    pixel_format: str
    is_picture: bool
    audio: tuple[str, ...]
    mirrored: bool = False
    changes: tuple[str, ...] = ()
    stream: int = 1
    other_streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Damage:
    """A place in the input that could not be read.

    Attributes:
        time: where the damage was found, seconds.
        message: what is wrong.
    """

    time: Fraction
    message: str
