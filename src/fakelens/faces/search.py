"""Where in a frame a face detector looks: everywhere, or near the faces that are known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fakelens.media.pixels import shrunk, shrunk_size
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face, FaceDetector, ScaledDetector, TiledDetector
from fakelens.records.media import Frame, Pixels

# An area's side over the face's, and at least. YuNet's boxes in such areas overlap those in the
# whole picture by .98 or more (median of each of six clips), in a third of the time.
_REACH = 2.0
_LEAST = 192  # pixels as the detector sees them
_WORTHWHILE = 0.7  # of the picture; areas that are larger together save little


def search(frames: Sequence[Frame], detector: FaceDetector) -> list[list[Face]]:
    """The faces in each of some frames of one size, in pixels of the frame."""
    pictures = [
        np.asarray(shrunk(frame.pixels, _longest_side(detector, frame))) for frame in frames
    ]
    return [
        [_back(face, picture, frame) for face in faces]
        for frame, picture, faces in zip(frames, pictures, detector.detect(pictures), strict=True)
    ]


def search_near(frame: Frame, detector: FaceDetector, expected: Sequence[Box]) -> list[Face] | None:
    """The faces about where they are expected, and whoever else is there.

    Args:
        frame: to be searched.
        detector: finds the faces.
        expected: where, in pixels of the frame.

    Returns:
        Faces that lie in these areas as a whole, area by area, in pixels of the frame; ``None`` if
        the detector has no grid or the areas take so much of the picture that little is saved.
    """
    if not isinstance(detector, TiledDetector):
        return None
    width, height = shrunk_size(frame.pixels, _longest_side(detector, frame))
    factor = width / frame.pixels.shape[1]
    areas = _disjoint([_area(box, factor, detector.grid, width, height) for box in expected])
    if sum(area.pixels for area in areas) > _WORTHWHILE * width * height:
        return None
    picture = shrunk(frame.pixels, _longest_side(detector, frame))
    found = []
    for area in areas:
        (faces,) = detector.detect([picture[area.top : area.bottom, area.left : area.right]])
        for face in faces:
            here = face.moved(area.left, area.top)
            if area.holds(here.box, width, height):
                found.append(_back(here, picture, frame))
    return found


class _Area(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int

    @property
    def pixels(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def touches(self, other: "_Area") -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def with_(self, other: "_Area") -> "_Area":
        return _Area(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def holds(self, box: Box, width: int, height: int) -> bool:
        """Whether a face is not cut off, but by the edge of the whole picture."""
        return (
            (self.left == 0 or box.x1 > self.left)
            and (self.top == 0 or box.y1 > self.top)
            and (self.right == width or box.x2 < self.right)
            and (self.bottom == height or box.y2 < self.bottom)
        )


def _area(expected: Box, factor: float, grid: int, width: int, height: int) -> _Area:
    x, y = expected.center
    half = max(_REACH * max(expected.width, expected.height) * factor, _LEAST) / 2

    def span(center: float, length: int) -> tuple[int, int]:
        # At least one cell of the grid, even where the face is expected outside of the picture.
        begin = min(max(0, int((center - half) // grid)), (length - 1) // grid)
        end = max(-int(-(center + half) // grid), begin + 1)
        return begin * grid, min(end * grid, length)

    left, right = span(x * factor, width)
    top, bottom = span(y * factor, height)
    return _Area(left, top, right, bottom)


def _disjoint(areas: Sequence[_Area]) -> list[_Area]:
    """The same areas, those that overlap joined into one rectangle."""
    found: list[_Area] = []
    for area in areas:
        joined = area
        while near := [other for other in found if other.touches(joined)]:
            for other in near:
                found.remove(other)
                joined = joined.with_(other)
        found.append(joined)
    return found


def _longest_side(detector: FaceDetector, frame: Frame) -> int:
    """Of the picture that the detector wants."""
    if isinstance(detector, ScaledDetector):
        return detector.longest_side
    return max(frame.pixels.shape)


def _back(face: Face, picture: RGBImage | Pixels, frame: Frame) -> Face:
    """The face in pixels of the frame."""
    (height, width), (rows, columns) = frame.pixels.shape[:2], picture.shape[:2]
    return face.scaled(width / columns, height / rows)
