"""Finds places for labels so that none covers another."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Rectangle = tuple[int, int, int, int]
"""Left, top, right and bottom edge in pixels; the right and the bottom one are not inside."""


def find_place(
    size: tuple[int, int], box: Rectangle, picture: tuple[int, int], taken: NDArray[np.int64]
) -> Rectangle | None:
    """Return the first place for a label near a box that is free; ``None`` if there is none.

    Args:
        size: height and width of the label, pixels.
        box: around the face.
        picture: height and width, pixels; the label is moved into it.
        taken: (n, 4), rectangles that the label must not cover.
    """
    height, width = size
    rows, columns = picture
    for x, y in _candidates(height, width, box):
        left = max(0, min(x, columns - width))
        top = max(0, min(y, rows - height))
        place = (left, top, left + width, top + height)
        if not _covers_any(place, taken):
            return place
    return None


def _candidates(height: int, width: int, box: Rectangle) -> Iterator[tuple[int, int]]:
    """Yield the left and top edge of places: around the box, then in it, then further away."""
    x1, y1, x2, y2 = box
    yield from ((x1, y1 - height), (x2 - width, y1 - height))
    yield from ((x1, y2), (x2 - width, y2))
    yield from ((x2, y1), (x1 - width, y1))
    yield from ((x1, y1), (x1, y2 - height))
    yield from ((x1, y1 - 2 * height), (x1, y2 + height))


def _covers_any(place: Rectangle, taken: NDArray[np.int64]) -> bool:
    """Return whether a rectangle overlaps with another one; a frame may have hundreds."""
    left, top, right, bottom = place
    x1, y1, x2, y2 = taken.T
    return bool(((left < x2) & (x1 < right) & (top < y2) & (y1 < bottom)).any())
