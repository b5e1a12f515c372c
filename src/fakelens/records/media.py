"""What is read from a video or picture."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import RGBImage


class Pixels(Protocol):
    """An upright RGB picture that is not converted before its pixels are asked for.

    ``numpy.asarray`` gives all of it.

    Attributes:
        shape: height, width and 3.
    """

    shape: tuple[int, ...]

    def __array__(self) -> RGBImage:
        """(H, W, 3) uint8."""
        ...

    def __getitem__(self, area: tuple[slice, slice], /) -> RGBImage:
        """Rows and columns, each from a begin to an end within the picture."""
        ...

    def shrunk(self, size: tuple[int, int]) -> "Pixels":
        """The whole picture at a smaller width and height."""
        ...

    def luma(self, down: int, across: int) -> NDArray[np.uint8]:
        """The luma, 0..255, of one pixel in each cell of ``down`` rows and ``across`` columns."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One displayed picture of a video.

    Attributes:
        index: 0-based position among the frames that could be decoded.
        time: presentation timestamp, seconds.
        pixels: (H, W, 3) uint8 RGB, upright; an array, or what makes one where it is looked at.
    """

    index: int
    time: Fraction
    pixels: RGBImage | Pixels

    @property
    def image(self) -> RGBImage:
        """The whole picture, (H, W, 3) uint8 RGB, upright."""
        return np.asarray(self.pixels)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What an input is, as far as its header says.

    Attributes:
        width: pixels, as displayed (after rotation).
        height: pixels, as displayed.
        rotation: degrees counter-clockwise that were applied to get there: 0, 90, 180 or 270.
        rate: average frames per second, if known.
        time_base: seconds in one tick of the timestamps.
        start: timestamp of the first frame, seconds; not 0 in recordings of broadcasts.
        frame_estimate: number of frames, if the header or the duration tells; may be wrong.
        duration: seconds, if known.
        codec: of the video stream, FFmpeg's name.
        pixel_format: FFmpeg's name.
        is_picture: a still picture rather than a video or an animation.
        audio: codec of every sound stream.
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


@dataclass(frozen=True, slots=True)
class Damage:
    """A place in the input that could not be read.

    Attributes:
        time: seconds, where it was noticed.
        message: what is wrong, in words.
    """

    time: Fraction
    message: str
