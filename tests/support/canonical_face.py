"""Faces at known places, for tests that compute canonical coordinates by themselves.

The canonical face has the origin midway between its eyes; the middle of its mouth is at (0, 1).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box
from fakelens.records.models import Baseline

LANDMARKS = np.array([(-0.47, 0), (0.47, 0), (0, 0.55), (-0.37, 1), (0.37, 1)])
"""Eyes, nose tip and mouth corners in canonical coordinates."""

CORNER, WIDTH = np.array([-1.6, -1.25]), 3.2
"""Top left corner and side of the square that the canonical grid covers."""

PARTS = ("eyes", "nose", "mouth", "jaw and cheeks", "whole face")


def place(points: ArrayLike, angle: float, size: float, x: float, y: float) -> FloatArray:
    """Rotate canonical points (..., 2) by an angle in degrees, scale and shift them."""
    a = np.radians(angle)
    rotation = size * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return (np.asarray(points) @ rotation.T + (x, y)).astype(np.float32)


def canonical_centres(
    shape: tuple[int, int], area: Box, angle: float, size: float, x: float, y: float
) -> NDArray[np.float64]:
    """Return the canonical coordinates of the centres of cells over an area, (h, w, 2).

    Args:
        shape: h and w.
        area: in pixels.
        angle: of the face, as given to ``place``; likewise the others.
        size: in pixels.
        x: in pixels.
        y: in pixels.
    """
    rows, columns = np.indices(shape)
    across = area.x1 + (columns + 0.5) * area.width / shape[1] - x
    down = area.y1 + (rows + 0.5) * area.height / shape[0] - y
    cosine, sine = np.cos(np.radians(angle)) / size, np.sin(np.radians(angle)) / size
    return np.stack([cosine * across + sine * down, cosine * down - sine * across], axis=-1)


def grid_centres(side: int) -> NDArray[np.float64]:
    """Return the canonical coordinates of the centres of a grid's cells, (side, side, 2)."""
    rows, columns = np.indices((side, side))
    return CORNER + (np.stack([columns, rows], axis=-1) + 0.5) * WIDTH / side


def make_baseline(
    mean: ArrayLike,
    filters: ArrayLike | None = None,
    *,
    responses: ArrayLike | None = None,
    part_limit: float = 1,
    excess_limit: float = 1,
) -> Baseline:
    """Make a baseline for HiResCAM.

    Args:
        mean: (side, side).
        filters: (5, side, side) in the order of ``PARTS``; zeros by default.
        responses: (5, 5); by default a part has no effect on other filters.
        part_limit: see ``Baseline``.
        excess_limit: see ``Baseline``.
    """
    rows = np.asarray(mean, np.float64)
    each = np.zeros((5, *rows.shape)) if filters is None else np.asarray(filters, np.float64)
    return Baseline(
        cam="hirescam",
        mean=tuple(map(tuple, rows.tolist())),
        parts=PARTS,
        filters=tuple(tuple(map(tuple, one)) for one in each.tolist()),
        responses=tuple(
            map(tuple, (np.eye(5) if responses is None else np.asarray(responses)).tolist())
        ),
        part_limit=part_limit,
        excess_limit=excess_limit,
        faces=100,
        data="made by hand",
    )
