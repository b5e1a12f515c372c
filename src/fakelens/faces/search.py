"""Runs a face detector on a whole frame, or only near the faces that are expected."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fakelens.media.pixels import shrink, shrunk_size
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face, FaceDetector, ScaledDetector, TiledDetector
from fakelens.records.media import Frame, Pixels

# In areas of this size, YuNet's boxes overlap those of the whole picture by .98 or more (median of
# each of six clips), in a third of the time.
_AREA_SCALE = 2.0  # side of an area over the side of the face
_MIN_SIDE = 192  # of an area, in pixels of the scaled picture
_MAX_SHARE = 0.7  # of the picture; searching larger areas saves little time


def search(frames: Sequence[Frame], detector: FaceDetector) -> list[list[Face]]:
    """Detect the faces in each of several frames of one size, in pixels of the frame."""
    pictures = [
        np.asarray(shrink(frame.pixels, _longest_side(detector, frame))) for frame in frames
    ]
    return [
        [_to_frame(face, picture, frame) for face in faces]
        for frame, picture, faces in zip(frames, pictures, detector.detect(pictures), strict=True)
    ]


def search_near(frame: Frame, detector: FaceDetector, expected: Sequence[Box]) -> list[Face] | None:
    """Detect faces only in areas around the expected boxes.

    Args:
        frame: frame to search.
        detector: face detector.
        expected: boxes where faces are expected, in pixels of the frame.

    Returns:
        All faces that lie completely in one of the areas, area by area, in pixels of the frame;
        ``None`` if the detector is not a ``TiledDetector``, or if the areas cover so much of the
        picture that little time would be saved.
    """
    if not isinstance(detector, TiledDetector):
        return None
    width, height = shrunk_size(frame.pixels, _longest_side(detector, frame))
    factor = width / frame.pixels.shape[1]
    areas = _merge([_area_around(box, factor, detector.grid, width, height) for box in expected])
    if sum(area.pixels for area in areas) > _MAX_SHARE * width * height:
        return None
    picture = shrink(frame.pixels, _longest_side(detector, frame))
    found = []
    for area in areas:
        (faces,) = detector.detect([picture[area.top : area.bottom, area.left : area.right]])
        for face in faces:
            moved = face.moved(area.left, area.top)
            if area.contains(moved.box, width, height):
                found.append(_to_frame(moved, picture, frame))
    return found


class _Area(NamedTuple):
    """A part of the scaled picture."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def pixels(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def overlaps(self, other: "_Area") -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def union(self, other: "_Area") -> "_Area":
        """Return the smallest area that contains both."""
        return _Area(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def contains(self, box: Box, width: int, height: int) -> bool:
        """Return whether the area does not cut off a face; the edge of the picture may."""
        return (
            (self.left == 0 or box.x1 > self.left)
            and (self.top == 0 or box.y1 > self.top)
            and (self.right == width or box.x2 < self.right)
            and (self.bottom == height or box.y2 < self.bottom)
        )


def _area_around(expected: Box, factor: float, grid: int, width: int, height: int) -> _Area:
    x, y = expected.center
    half = max(_AREA_SCALE * max(expected.width, expected.height) * factor, _MIN_SIDE) / 2

    def span(center: float, length: int) -> tuple[int, int]:
        # At least one cell of the grid, even if the face is expected outside the picture.
        start = min(max(0, int((center - half) // grid)), (length - 1) // grid)
        stop = max(-int(-(center + half) // grid), start + 1)
        return start * grid, min(stop * grid, length)

    left, right = span(x * factor, width)
    top, bottom = span(y * factor, height)
    return _Area(left, top, right, bottom)


def _merge(areas: Sequence[_Area]) -> list[_Area]:
    """Merge areas that overlap, until all are disjoint."""
    merged: list[_Area] = []
    for area in areas:
        union = area
        while overlapping := [other for other in merged if other.overlaps(union)]:
            for other in overlapping:
                merged.remove(other)
                union = union.union(other)
        merged.append(union)
    return merged


def _longest_side(detector: FaceDetector, frame: Frame) -> int:
    """Return the longest side of the picture that the detector takes."""
    if isinstance(detector, ScaledDetector):
        return detector.longest_side
    return max(frame.pixels.shape)


def _to_frame(face: Face, picture: RGBImage | Pixels, frame: Frame) -> Face:
    """Scale a face from pixels of the scaled picture to pixels of the frame."""
    (height, width), (rows, columns) = frame.pixels.shape[:2], picture.shape[:2]
    return face.scaled(width / columns, height / rows)
