"""Where isolines must be, computed by scipy and scikit-image."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage.measure import find_contours


def interpolated(strengths: NDArray, side: int) -> NDArray[np.float64]:
    """Interpolate strengths (h, w) between the centres of cells at the centres of pixels."""
    places = (np.arange(side) + 0.5) * len(strengths) / side - 0.5
    grid = np.meshgrid(places, places, indexing="ij")
    return np.asarray(map_coordinates(strengths, grid, order=1, mode="nearest"))


def crossings(strengths: NDArray, side: int) -> NDArray[np.float64]:
    """Return points (n, 2), row and column, at which strengths cross a third and two thirds."""
    shown = interpolated(strengths, side)
    lines = [line for level in (1 / 3, 2 / 3) for line in find_contours(shown, level)]
    return np.concatenate(lines)


def farthest(points: NDArray, others: NDArray) -> float:
    """Return the largest distance of a point from the nearest of the others."""
    return float(
        max(np.hypot(*(others - point).T).min() for point in np.asarray(points, dtype=float))
    )
