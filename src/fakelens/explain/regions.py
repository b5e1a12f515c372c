"""Regions of the face, and heatmaps aligned in canonical face coordinates.

The canonical face is upright. Its origin lies midway between the eyes, x points to the right, y
points down, and the middle of the mouth is at (0, 1). So the unit is the distance from the eyes to
the mouth, about 67 mm. The landmarks of a face define the similarity transform between its image
and the canonical face.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.faces.sampler import cell_transform
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box
from fakelens.records.report import Heatmaps
from fakelens.records.tracks import Track

REGION_NAMES = ("eyes", "nose", "mouth", "forehead", "cheeks", "jaw and boundary", "surroundings")
"""Regions of the face; every point belongs to exactly one."""

SIDE = 64
"""Cells along a side of the canonical grid, on which aligned heatmaps are sampled."""

# Landmarks of a frontal face in canonical coordinates: eyes, nose tip, mouth corners.
_LANDMARKS = np.array([(-0.47, 0), (0.47, 0), (0, 0.55), (-0.37, 1), (0.37, 1)])
_LEFT, _TOP, _WIDTH = -1.6, -1.25, 3.2  # the square that the canonical grid covers
# The outline of a face: 2 wide, from the hairline above the eyes to the chin (adults' medians:
# 135 mm across the cheekbones, 45 mm from the mouth to the chin, 60 mm from pupils to hairline).
_CENTER_Y, _HALF_WIDTH, _HALF_HEIGHT = 0.37, 1.0, 1.3
_INNER, _OUTER = 0.8, 1.15  # the ring between these multiples of the outline is the boundary
_BROW_Y = -0.33  # the forehead lies above
# From array indices, which are the centres of cells or pixels, to coordinates.
_CENTERS = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
_MAX_ROWS = 120  # rows of a track that are averaged
_MAX_STEPS = 60  # half of _MAX_ROWS, so that every time step has rows
_MIN_STEP = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class MeanEvidence:
    """The mean of a person's heatmaps, aligned to the canonical face.

    Attributes:
        values: (SIDE, SIDE) float32, the mean of the heatmaps that cover a cell; 0 where none does.
        agreement: mean correlation of each heatmap with the mean of the others, -1..1, over the
            cells that all of them cover; ``None`` with fewer than three heatmaps.
    """

    values: FloatArray
    agreement: float | None


def region_of(points: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the region (index into ``REGION_NAMES``) of canonical points (..., 2)."""
    x, y = points[..., 0], points[..., 1]

    def in_ellipse(
        cx: float, cy: float, half_width: float, half_height: float
    ) -> NDArray[np.bool_]:
        return np.asarray(((x - cx) / half_width) ** 2 + ((y - cy) / half_height) ** 2 <= 1)

    radius = np.hypot(x / _HALF_WIDTH, (y - _CENTER_Y) / _HALF_HEIGHT)
    conditions = [
        in_ellipse(-0.47, -0.05, 0.36, 0.26) | in_ellipse(0.47, -0.05, 0.36, 0.26),
        in_ellipse(0, 0.42, 0.3, 0.36),
        in_ellipse(0, 1, 0.52, 0.26),
        (radius <= _INNER) & (y < _BROW_Y),
        radius <= _INNER,
        radius <= _OUTER,
    ]
    return np.select(conditions, range(len(conditions)), default=len(conditions)).astype(np.intp)


def region_of_grid(side: int) -> NDArray[np.intp]:
    """Return the region of the face that each cell of a canonical grid lies in, (side, side)."""
    rows, columns = np.indices((side, side)) + 0.5
    cells = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    return region_of((cells @ _grid(side).T)[..., :2])


def canonical_to_image(landmarks: FloatArray) -> NDArray[np.float64]:
    """Compute the 2x3 similarity transform from canonical to image coordinates.

    The transform maps the canonical landmarks onto the given ones (5, 2) with the least squared
    error (Umeyama, TPAMI 1991, without reflections).
    """
    source = _LANDMARKS - _LANDMARKS.mean(axis=0)
    target = landmarks.astype(np.float64) - landmarks.mean(axis=0)
    power = float((source**2).sum())
    cosine = float((source * target).sum()) / power
    sine = float((source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum()) / power
    rotation = np.array([[cosine, -sine], [sine, cosine]])  # times the scale
    return np.column_stack([rotation, landmarks.mean(axis=0) - rotation @ _LANDMARKS.mean(axis=0)])


def region_of_cells(landmarks: FloatArray, area: Box, shape: Sequence[int]) -> NDArray[np.intp]:
    """Return the region of the face that each cell's centre lies in, (h, w).

    Args:
        landmarks: (5, 2) in image pixels.
        area: the square that the cells cover, in image pixels.
        shape: h and w.
    """
    down, across = ((np.arange(cells) + 0.5) / cells for cells in shape)
    x, y = np.meshgrid(area.x1 + across * area.width, area.y1 + down * area.height)
    matrix = canonical_to_image(landmarks)
    if abs(np.linalg.det(matrix[:, :2])) < 1e-9:  # all landmarks coincide
        return np.full(shape, len(REGION_NAMES) - 1)
    inverse = np.linalg.inv(matrix[:, :2])
    return region_of((np.stack([x, y], axis=-1) - matrix[:, 2]) @ inverse.T)


def align_heatmap(values: FloatArray, landmarks: FloatArray, area: Box) -> FloatArray:
    """Resample a heatmap (h, w) over a square of the image on the canonical grid.

    Args:
        values: the heatmap.
        landmarks: (5, 2) in image pixels.
        area: the square that the heatmap covers, in image pixels.

    Returns:
        (SIDE, SIDE) float32 in the heatmap's unit; 0 outside the square.
    """
    to_cells = np.vstack([cell_transform(area, values.shape), [0, 0, 1]])
    matrix = (
        np.linalg.inv(_CENTERS) @ to_cells @ _homogeneous(landmarks) @ _grid(SIDE) @ _CENTERS
    )[:2]
    return cv2.warpAffine(
        values, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    ).astype(np.float32, copy=False)


def cell_to_grid(
    landmarks: FloatArray, area: Box, shape: Sequence[int], side: int
) -> NDArray[np.float64]:
    """Compute the 2x3 transform from cells of a heatmap to those of a canonical grid.

    Both are array indices: whole numbers are the centres of cells.

    Args:
        landmarks: (5, 2) in image pixels.
        area: the square that the heatmap covers, in image pixels.
        shape: h and w of the heatmap.
        side: cells along a side of the canonical grid.
    """
    to_cells = np.vstack([cell_transform(area, shape), [0, 0, 1]])
    from_grid = np.linalg.inv(_CENTERS) @ to_cells @ _homogeneous(landmarks) @ _grid(side)
    return np.asarray(np.linalg.inv(from_grid @ _CENTERS)[:2])


def align_face(image: NDArray[np.uint8], landmarks: FloatArray, side: int) -> NDArray[np.uint8]:
    """Resample an image on the canonical grid: (side, side, 3) uint8, its edge repeated."""
    matrix = (np.linalg.inv(_CENTERS) @ _homogeneous(landmarks) @ _grid(side) @ _CENTERS)[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)


def _grid(side: int) -> NDArray[np.float64]:
    """Return the 3x3 transform from a canonical grid of ``side`` cells to canonical coordinates."""
    return np.array([[_WIDTH / side, 0, _LEFT], [0, _WIDTH / side, _TOP], [0, 0, 1]])


def _homogeneous(landmarks: FloatArray) -> NDArray[np.float64]:
    """Return ``canonical_to_image`` as a 3x3 matrix."""
    return np.vstack([canonical_to_image(landmarks), [0, 0, 1]])


def mean_face(
    faces: Sequence[tuple[NDArray[np.uint8], FloatArray]], side: int = 128
) -> NDArray[np.uint8]:
    """Average faces aligned to the canonical face, (side, side, 3) uint8.

    Args:
        faces: at least one image (H, W, 3) uint8 and its landmarks (5, 2).
        side: of the result, in pixels.
    """
    total = sum(align_face(image, points, side).astype(np.float32) for image, points in faces)
    return np.rint(total / len(faces)).astype(np.uint8)


def sample_rows(track: Track) -> NDArray[np.intp]:
    """Choose the rows of a track to average: usable, with landmarks, evenly spaced, at most 120."""
    known = ~np.isnan(track.landmarks).any(axis=(1, 2))
    rows = np.flatnonzero(known & track.usable)
    if len(rows) > _MAX_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, _MAX_ROWS).round().astype(int)]
    return rows


def mean_evidence(track: Track, heatmaps: Heatmaps) -> MeanEvidence | None:
    """Average a person's heatmaps on the canonical grid; ``None`` without usable landmarks."""
    rows = sample_rows(track)
    if not len(rows):
        return None
    maps = np.stack([_aligned_row(track, heatmaps[int(track.heatmaps[r])], r) for r in rows])
    ones = np.ones_like(heatmaps[int(track.heatmaps[rows[0]])])
    # How much of each grid cell a crop covers. There is no evidence outside the crops.
    covered = np.stack([_aligned_row(track, ones, row) for row in rows])
    count = covered.sum(axis=0)
    mean = np.divide(maps.sum(axis=0), count, out=np.zeros_like(count), where=count > 0.5)
    common = (covered > 0.99).all(axis=0)
    agreement = None
    if len(rows) >= 3 and np.count_nonzero(common) > 1:
        shared = maps[:, common]
        total = shared.sum(axis=0)
        agreement = float(np.mean([_correlation(one, total - one) for one in shared]))
    return MeanEvidence(mean, agreement)


def _aligned_row(track: Track, values: FloatArray, row: int) -> FloatArray:
    return align_heatmap(values, track.landmarks[row], Box(*map(float, track.areas[row])))


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Compute Pearson's correlation; 0 if either input is constant."""
    a, b = one - one.mean(), other - other.mean()
    power = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / power if power > 0 else 0.0


@dataclass(frozen=True, slots=True)
class RegionShares:
    """Evidence by region of the face, in the order of ``REGION_NAMES``.

    Attributes:
        area: (regions,) share of the heatmap's area.
        fake: (regions,) share of the positive evidence, over the whole track.
        contribution: (regions,) mean signed sum.
        fake_over_time: (steps, regions) share of the positive evidence; -1 in steps without an
            observation.
        contribution_over_time: (steps, regions) mean signed sum; 0 in steps without an observation.
        start: time of the first step, in seconds.
        step: length of a step, in seconds.
    """

    area: NDArray[np.float64]
    fake: NDArray[np.float64]
    contribution: NDArray[np.float64]
    fake_over_time: NDArray[np.float64]
    contribution_over_time: NDArray[np.float64]
    start: float
    step: float


def region_shares(track: Track, heatmaps: Heatmaps) -> RegionShares:
    """Compute the evidence by region of the face and time step.

    Args:
        track: at least one row must be usable and have landmarks.
        heatmaps: that the track points to.
    """
    rows = sample_rows(track)
    start, end = float(track.times[0]), float(track.times[-1])
    step = max(_MIN_STEP, (end - start) / _MAX_STEPS)
    steps = max(1, math.ceil((end - start) / step - 1e-6))
    area = np.zeros((len(rows), len(REGION_NAMES)))
    signed, positive = np.zeros_like(area), np.zeros_like(area)
    for index, row in enumerate(rows):
        cells = heatmaps[int(track.heatmaps[row])].astype(np.float64)
        square = Box(*map(float, track.areas[row]))
        regions = region_of_cells(track.landmarks[row], square, cells.shape).ravel()
        values = cells.ravel()
        area[index] = np.bincount(regions, minlength=len(REGION_NAMES)) / len(values)
        signed[index] = np.bincount(regions, values, minlength=len(REGION_NAMES))
        positive[index] = np.bincount(regions, np.maximum(values, 0), minlength=len(REGION_NAMES))
    step_of_row = np.minimum(((track.times[rows] - start) / step).astype(int), steps - 1)
    fake_over_time = np.full((steps, len(REGION_NAMES)), -1.0)
    contribution_over_time = np.zeros_like(fake_over_time)
    for number in np.unique(step_of_row):
        fake_over_time[number] = _normalise(positive[step_of_row == number].sum(axis=0))
        contribution_over_time[number] = signed[step_of_row == number].mean(axis=0)
    return RegionShares(
        area=area.mean(axis=0),
        fake=_normalise(positive.sum(axis=0)),
        contribution=signed.mean(axis=0),
        fake_over_time=fake_over_time,
        contribution_over_time=contribution_over_time,
        start=start,
        step=step,
    )


def _normalise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale values to a sum of 1; values without a positive sum stay as they are."""
    total = values.sum()
    return values / total if total > 0 else values
