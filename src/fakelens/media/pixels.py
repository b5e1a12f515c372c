"""Decoded frames that are converted to RGB on demand: only an area, or at a smaller size.

Most of a frame is never needed at full size: a face is a few per cent of it, and the face detector
takes a small picture. Converting a whole 1080p frame takes as long as decoding it.
"""

from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from fakelens.media.orientation import Orientation
from fakelens.records.arrays import RGBImage
from fakelens.records.media import Pixels

# Planar YUV formats in native byte order, of which a part can be converted on its own.
_PLANAR_FORMATS = {
    *("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le"),
}
# The corners of a part are moved outwards to multiples of this. The converter then processes the
# part like the whole frame (chroma in pairs, vectors of 32 pixels), with identical pixels.
_ALIGNMENT = 32
_CHROMA_REACH = 8  # distance, in pixels, from which interpolated chroma can depend on neighbours
_FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG


def upright_pixels(
    frame: av.VideoFrame, rotation: int, *, mirrored: bool = False
) -> "RGBImage | DecodedPixels":
    """Return a decoded frame as displayed, an RGB picture, (H, W, 3) uint8.

    Frames that cannot be converted in parts are converted at once.

    Args:
        frame: must not be changed while the result is in use.
        rotation: see ``VideoInfo``.
        mirrored: see ``VideoInfo``.
    """
    orientation = Orientation(rotation, mirrored)
    # With an odd side, the last chroma sample belongs to one pixel and the converter uses other
    # code. A picture stored upside down has a negative line size.
    if (
        frame.format.name in _PLANAR_FORMATS
        and not (frame.width % 2 or frame.height % 2)
        and all(plane.line_size > 0 for plane in frame.planes)
    ):
        return DecodedPixels(frame, orientation)
    return _to_rgb(frame, orientation)


class DecodedPixels:
    """A decoded frame as an upright RGB picture on demand; implements ``Pixels``.

    Create it with :func:`upright_pixels`.

    Args:
        frame: of a format and size of which parts can be converted on their own.
        orientation: of the picture.
    """

    def __init__(self, frame: av.VideoFrame, orientation: Orientation) -> None:
        self._frame = frame
        self._orientation = orientation
        width, height = frame.width, frame.height
        if orientation.is_sideways:
            width, height = height, width
        self.shape: tuple[int, ...] = (height, width, 3)

    def __array__(self, dtype: object = None, copy: object = None) -> RGBImage:
        return _to_rgb(self._frame, self._orientation)

    def __getitem__(self, area: tuple[slice, slice]) -> RGBImage:
        """Convert an area; its row and column slices have a start and a stop within the picture."""
        rows, columns = self._orientation.stored_area(*area, self.shape)
        x1, x2 = _aligned(columns.start, columns.stop, self._frame.width)
        y1, y2 = _aligned(rows.start, rows.stop, self._frame.height)
        part = self._part(x1, y1, x2 - x1, y2 - y1)
        image = part.to_ndarray(format="rgb24", threads=1)
        inside = image[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1]
        return np.ascontiguousarray(self._orientation.display(inside), np.uint8)

    def _part(self, left: int, top: int, width: int, height: int) -> av.VideoFrame:
        """Copy a part of the stored frame."""
        frame = self._frame
        if (width, height) == (frame.width, frame.height):
            return frame
        if frame.format.components[0].bits > 8:
            # Keeps the position of chroma samples, on which the conversion from 10 bits depends.
            part = frame.reformat(width, height, interpolation=Interpolation.POINT, threads=1)
        else:
            part = av.VideoFrame(width, height, frame.format.name)
            part.colorspace, part.color_range = frame.colorspace, frame.color_range
        for source, target in zip(planes(frame), planes(part), strict=True):
            down, across = (
                top * source.shape[0] // frame.height,
                left * source.shape[1] // frame.width,
            )
            high, wide = target.shape
            target[:] = source[down : down + high, across : across + wide]
        return part

    def resized(self, size: tuple[int, int]) -> "DecodedPixels":
        """Return the whole picture at another size (width, height), by area averaging."""
        width, height = size[::-1] if self._orientation.is_sideways else size
        small = self._frame.reformat(width, height, interpolation=Interpolation.AREA, threads=1)
        small.colorspace, small.color_range = self._frame.colorspace, self._frame.color_range
        return DecodedPixels(small, self._orientation)

    def luma(self, down: int, across: int) -> NDArray[np.uint8]:
        """Sample the luma, 0..255, of one pixel per cell of ``down`` x ``across`` pixels."""
        plane = self._orientation.display(planes(self._frame)[0])
        sample = plane[down // 2 :: down, across // 2 :: across]
        if sample.dtype == np.uint16:
            sample = (sample >> 2).astype(np.uint8)  # from 10 bits
        name = self._frame.format.name
        if int(self._frame.color_range) == _FULL_RANGE or name.startswith("yuvj"):
            return np.ascontiguousarray(sample)
        return np.asarray(cv2.LUT(sample, _FULL_FROM_LIMITED), np.uint8)


def _to_rgb(frame: av.VideoFrame, orientation: Orientation) -> RGBImage:
    """Convert a whole frame to RGB, as displayed."""
    image = frame.to_ndarray(format="rgb24", threads=1)
    return np.ascontiguousarray(orientation.display(image), np.uint8)


def _aligned(start: int, stop: int, length: int) -> tuple[int, int]:
    """Widen a range by the reach of chroma and to the alignment, within ``length``."""
    start = max(0, start - _CHROMA_REACH) // _ALIGNMENT * _ALIGNMENT
    return start, min(-(-(stop + _CHROMA_REACH) // _ALIGNMENT) * _ALIGNMENT, length)


_FULL_FROM_LIMITED = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)


def shrunk_size(image: RGBImage | Pixels, longest_side: int) -> tuple[int, int]:
    """Compute the width and height at which the longest side is at most ``longest_side`` pixels.

    A picture that has to be shrunk gets even sides.
    """
    height, width = image.shape[:2]
    if max(height, width) <= longest_side:
        return width, height
    half = longest_side // 2 / max(height, width)
    return 2 * max(1, round(width * half)), 2 * max(1, round(height * half))


def shrink(image: RGBImage | Pixels, longest_side: int) -> RGBImage | Pixels:
    """Return the whole picture at its :func:`shrunk_size`."""
    size = shrunk_size(image, longest_side)
    if size == (image.shape[1], image.shape[0]):
        return image
    if not isinstance(image, np.ndarray):
        return image.resized(size)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def luma(image: RGBImage | Pixels, down: int, across: int) -> NDArray[np.uint8]:
    """Sample the luma, 0..255, of one pixel per cell of ``down`` x ``across`` pixels."""
    if not isinstance(image, np.ndarray):
        return image.luma(down, across)
    sample = np.ascontiguousarray(image[down // 2 :: down, across // 2 :: across])
    return cv2.cvtColor(sample, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def planes(frame: av.VideoFrame) -> list[NDArray[Any]]:
    """Return the planes of a planar frame, uint8 or uint16, without the padding of rows.

    They are views: writing to them changes the frame.
    """
    dtype = np.dtype(np.uint16 if frame.format.components[0].bits > 8 else np.uint8)
    views = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), dtype)
        rows = rows.reshape(-1, plane.line_size // dtype.itemsize)
        views.append(rows[: plane.height, : plane.width])
    return views
