"""Decoded pictures, converted to RGB only where and as large as they are looked at.

Most of a frame is never looked at in full: a face is a few per cent of it, and the face detector
wants it small. Converting all of a 1080p frame takes as long as decoding it.
"""

from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from fakelens.records.arrays import RGBImage
from fakelens.records.media import Pixels

_Span = tuple[int, int]

# Planar YUV in the byte order of this machine; their parts can be converted alone.
_PLANAR = {
    *("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le"),
}
# Corners are moved outwards to multiples of this, so that the converter takes the same way through
# a part as through the whole (chroma in pairs, vectors of 32 pixels), and each pixel is the same.
_ALIGNED = 32
_REACH = 8  # pixels on which a pixel's colour may depend, where chroma is interpolated
_FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG


def upright(frame: av.VideoFrame, rotation: int) -> "RGBImage | DecodedPixels":
    """A decoded frame as an upright RGB picture (H, W, 3) uint8, at once if it must be.

    Args:
        frame: not to be changed while the result is in use.
        rotation: degrees counter-clockwise that make it upright: 0, 90, 180 or 270.
    """
    # With an odd side the last chroma belongs to one pixel, and the converter takes other ways; a
    # negative line size is that of a picture stored upside down.
    if (
        frame.format.name in _PLANAR
        and not (frame.width % 2 or frame.height % 2)
        and all(plane.line_size > 0 for plane in frame.planes)
    ):
        return DecodedPixels(frame, rotation)
    return _upright(frame, rotation // 90)


class DecodedPixels:
    """A decoded frame as an upright RGB picture; ``data.Pixels``. Use :func:`upright`.

    Args:
        frame: of a format and size whose parts can be converted alone.
        rotation: degrees counter-clockwise that make it upright: 0, 90, 180 or 270.
    """

    def __init__(self, frame: av.VideoFrame, rotation: int) -> None:
        self._frame = frame
        self._turns = rotation // 90
        height, width = frame.height, frame.width
        self.shape: tuple[int, ...] = (width, height, 3) if self._turns % 2 else (height, width, 3)

    def __array__(self, dtype: object = None, copy: object = None) -> RGBImage:
        return _upright(self._frame, self._turns)

    def __getitem__(self, area: tuple[slice, slice]) -> RGBImage:
        """Rows and columns, both with a begin and an end within the picture."""
        (top, bottom), (left, right) = self._stored(*area)
        x1, x2 = _widened(left, right, self._frame.width)
        y1, y2 = _widened(top, bottom, self._frame.height)
        part = av.VideoFrame(x2 - x1, y2 - y1, self._frame.format.name)
        part.colorspace, part.color_range = self._frame.colorspace, self._frame.color_range
        for source, target in zip(planes(self._frame), planes(part), strict=True):
            down = y1 * source.shape[0] // self._frame.height
            across = x1 * source.shape[1] // self._frame.width
            rows, columns = target.shape
            target[:] = source[down : down + rows, across : across + columns]
        image = part.to_ndarray(format="rgb24", threads=1)
        inside = image[top - y1 : bottom - y1, left - x1 : right - x1]
        return np.ascontiguousarray(np.rot90(inside, self._turns), np.uint8)

    def shrunk(self, size: tuple[int, int]) -> "DecodedPixels":
        """The whole picture at another width and height; each pixel the mean of what it covers."""
        width, height = size[::-1] if self._turns % 2 else size
        small = self._frame.reformat(width, height, interpolation=Interpolation.AREA, threads=1)
        small.colorspace, small.color_range = self._frame.colorspace, self._frame.color_range
        return DecodedPixels(small, 90 * self._turns)

    def luma(self, down: int, across: int) -> NDArray[np.uint8]:
        """One pixel of each cell of ``down`` rows and ``across`` columns, 0..255."""
        plane = np.rot90(planes(self._frame)[0], self._turns)
        sample = plane[down // 2 :: down, across // 2 :: across]
        if sample.dtype == np.uint16:
            sample = (sample >> 2).astype(np.uint8)  # ten bits
        name = self._frame.format.name
        if int(self._frame.color_range) == _FULL_RANGE or name.startswith("yuvj"):
            return np.ascontiguousarray(sample)
        return np.asarray(cv2.LUT(sample, _FROM_LIMITED), np.uint8)

    def _stored(self, rows: slice, columns: slice) -> tuple[_Span, _Span]:
        """Begin and end of the rows and columns of the frame as it is stored."""
        height, width = self.shape[:2]
        y, x = (rows.start, rows.stop), (columns.start, columns.stop)
        down, across = (
            (height - rows.stop, height - rows.start),
            (width - columns.stop, width - columns.start),
        )
        return ((y, x), (x, down), (down, across), (across, y))[self._turns]


def _upright(frame: av.VideoFrame, turns: int) -> RGBImage:
    image = frame.to_ndarray(format="rgb24", threads=1)
    return np.ascontiguousarray(np.rot90(image, turns), np.uint8)


def _widened(begin: int, end: int, length: int) -> tuple[int, int]:
    begin = max(0, begin - _REACH) // _ALIGNED * _ALIGNED
    return begin, min(-(-(end + _REACH) // _ALIGNED) * _ALIGNED, length)


_FROM_LIMITED = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)


def shrunk_size(image: RGBImage | Pixels, longest_side: int) -> tuple[int, int]:
    """Width and height of the picture once its longest side is at most ``longest_side`` pixels.

    A picture that has to be made smaller gets even sides.
    """
    height, width = image.shape[:2]
    if max(height, width) <= longest_side:
        return width, height
    half = longest_side // 2 / max(height, width)
    return 2 * max(1, round(width * half)), 2 * max(1, round(height * half))


def shrunk(image: RGBImage | Pixels, longest_side: int) -> RGBImage | Pixels:
    """The whole picture in its :func:`shrunk_size`."""
    size = shrunk_size(image, longest_side)
    if size == (image.shape[1], image.shape[0]):
        return image
    if not isinstance(image, np.ndarray):
        return image.shrunk(size)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def luma(image: RGBImage | Pixels, down: int, across: int) -> NDArray[np.uint8]:
    """One pixel of each cell of ``down`` rows and ``across`` columns, 0..255."""
    if not isinstance(image, np.ndarray):
        return image.luma(down, across)
    sample = np.ascontiguousarray(image[down // 2 :: down, across // 2 :: across])
    return cv2.cvtColor(sample, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def planes(frame: av.VideoFrame) -> list[NDArray[Any]]:
    """The planes of a planar frame, uint8 or uint16, without the padding at the ends of rows.

    What is written to them is written to the frame.
    """
    kind = np.dtype(np.uint16 if frame.format.components[0].bits > 8 else np.uint8)
    views = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), kind)
        rows = rows.reshape(-1, plane.line_size // kind.itemsize)
        views.append(rows[: plane.height, : plane.width])
    return views
