"""Parts of the face, and heatmaps brought into one frame by the face's landmarks.

The frame is upright: its origin lies midway between the eyes, x points to the right, y down, and
the mouth's middle lies at (0, 1). So its unit is the distance from the eyes to the mouth, 67 mm or
so.
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
"""Parts of the face; every place belongs to one."""

SIDE = 64
"""Cells along a side of the frame's raster."""

# Where the landmarks of a frontal face lie: eyes, nose tip, mouth corners.
_LANDMARKS = np.array([(-0.47, 0), (0.47, 0), (0, 0.55), (-0.37, 1), (0.37, 1)])
_LEFT, _TOP, _WIDTH = -1.6, -1.25, 3.2  # what the raster covers
# The outline of a face: 2 wide, from the hairline above the eyes to the chin (adults' medians:
# 135 mm across the cheekbones, 45 mm from the mouth to the chin, 60 mm from pupils to hairline).
_MIDDLE, _HALF_WIDTH, _HALF_HEIGHT = 0.37, 1.0, 1.3
_INNER, _OUTER = 0.8, 1.15  # of that outline: what lies between is the boundary
_BROWS = -0.33  # above it is the forehead
_MOST_ROWS = 120  # of a track, that a mean is made of
_MOST_STEPS = 60  # so that there are rows for each
_LEAST_STEP = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class MeanEvidence:
    """The heatmaps of a person, brought into one frame and averaged.

    Attributes:
        values: (SIDE, SIDE) float32, the mean of those that cover a cell; 0 where none does.
        agreement: mean correlation of each with the mean of the others, -1..1, over the cells that
            all of them cover; ``None`` with fewer than three.
    """

    values: FloatArray
    agreement: float | None


def region_of(points: NDArray[np.floating]) -> NDArray[np.intp]:
    """Which part of the face (index into ``NAMES``) points (..., 2) of the frame belong to."""
    x, y = points[..., 0], points[..., 1]

    def within(cx: float, cy: float, half_width: float, half_height: float) -> NDArray[np.bool_]:
        return np.asarray(((x - cx) / half_width) ** 2 + ((y - cy) / half_height) ** 2 <= 1)

    radius = np.hypot(x / _HALF_WIDTH, (y - _MIDDLE) / _HALF_HEIGHT)
    conditions = [
        within(-0.47, -0.05, 0.36, 0.26) | within(0.47, -0.05, 0.36, 0.26),
        within(0, 0.42, 0.3, 0.36),
        within(0, 1, 0.52, 0.26),
        (radius <= _INNER) & (y < _BROWS),
        radius <= _INNER,
        radius <= _OUTER,
    ]
    return np.select(conditions, range(len(conditions)), default=len(conditions)).astype(np.intp)


def canonical_to_image(landmarks: FloatArray) -> NDArray[np.float64]:
    """The 2x3 similarity from the frame to a picture that brings its landmarks nearest (5, 2).

    Least squares (Umeyama, TPAMI 1991, without reflections).
    """
    source = _LANDMARKS - _LANDMARKS.mean(axis=0)
    target = landmarks.astype(np.float64) - landmarks.mean(axis=0)
    power = float((source**2).sum())
    cosine = float((source * target).sum()) / power
    sine = float((source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum()) / power
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, landmarks.mean(axis=0) - turn @ _LANDMARKS.mean(axis=0)])


def region_of_cells(landmarks: FloatArray, area: Box, shape: Sequence[int]) -> NDArray[np.intp]:
    """The part of the face that each cell's middle belongs to, (h, w).

    Args:
        landmarks: (5, 2) in pixels.
        area: the square that the cells cover, in the same pixels.
        shape: h and w.
    """
    down, across = ((np.arange(cells) + 0.5) / cells for cells in shape)
    across, down = np.meshgrid(area.x1 + across * area.width, area.y1 + down * area.height)
    matrix = canonical_to_image(landmarks)
    if abs(np.linalg.det(matrix[:, :2])) < 1e-9:  # landmarks that coincide
        return np.full(shape, len(REGION_NAMES) - 1)
    back = np.linalg.inv(matrix[:, :2])
    return region_of((np.stack([across, down], axis=-1) - matrix[:, 2]) @ back.T)


def align_heatmap(values: FloatArray, landmarks: FloatArray, area: Box) -> FloatArray:
    """A heatmap (h, w) over a square of the picture, resampled on the frame's raster.

    Returns:
        (SIDE, SIDE) float32 in the heatmap's unit; 0 where the raster leaves the square.
    """
    raster = np.array([[_WIDTH / SIDE, 0, _LEFT], [0, _WIDTH / SIDE, _TOP], [0, 0, 1]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # cells have their values in the middle
    picture = np.vstack([canonical_to_image(landmarks), [0, 0, 1]])
    cells = np.vstack([cell_transform(area, values.shape), [0, 0, 1]])
    matrix = (np.linalg.inv(half) @ cells @ picture @ raster @ half)[:2]
    return cv2.warpAffine(
        values, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    ).astype(np.float32, copy=False)


def align_face(image: NDArray[np.uint8], landmarks: FloatArray, side: int) -> NDArray[np.uint8]:
    """A picture resampled on what the raster covers: (side, side, 3) uint8, its edge repeated."""
    raster = np.array([[_WIDTH / side, 0, _LEFT], [0, _WIDTH / side, _TOP], [0, 0, 1]])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # pixels have theirs in the middle
    matrix = (
        np.linalg.inv(half) @ np.vstack([canonical_to_image(landmarks), [0, 0, 1]]) @ raster @ half
    )[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)


def mean_face(
    faces: Sequence[tuple[NDArray[np.uint8], FloatArray]], side: int = 128
) -> NDArray[np.uint8]:
    """The mean of faces in the frame, (side, side, 3) uint8, each a picture and its landmarks."""
    total = sum(align_face(image, points, side).astype(np.float32) for image, points in faces)
    return np.rint(total / len(faces)).astype(np.uint8)


def sample_rows(track: Track) -> NDArray[np.intp]:
    """Rows of a track to average: usable ones with landmarks, spread evenly, not too many."""
    known = ~np.isnan(track.landmarks).any(axis=(1, 2))
    rows = np.flatnonzero(known & track.usable)
    if len(rows) > _MOST_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_ROWS).round().astype(int)]
    return rows


def mean_evidence(track: Track, heatmaps: Heatmaps) -> MeanEvidence | None:
    """The mean heatmap of a person in the frame; ``None`` without any landmarks."""
    rows = sample_rows(track)
    if not len(rows):
        return None
    maps = np.stack([_aligned_row(track, heatmaps[int(track.heatmaps[r])], r) for r in rows])
    ones = np.ones_like(heatmaps[int(track.heatmaps[rows[0]])])
    # How much of each cell of the raster a crop covers: beyond it there is no evidence to agree on.
    covered = np.stack([_aligned_row(track, ones, row) for row in rows])
    times = covered.sum(axis=0)
    mean = np.divide(maps.sum(axis=0), times, out=np.zeros_like(times), where=times > 0.5)
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
    """Pearson's; 0 where either is the same everywhere."""
    a, b = one - one.mean(), other - other.mean()
    power = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / power if power > 0 else 0.0


@dataclass(frozen=True, slots=True)
class RegionShares:
    """Evidence by part of the face; rows and columns in the order of ``NAMES``.

    Attributes:
        area: (parts,) share of the heatmap.
        fake: (parts,) share of the positive evidence, over the whole track.
        contribution: (parts,) mean signed sum.
        fake_over_time: (steps, parts) share of the positive evidence; -1 where nothing was seen.
        contribution_over_time: (steps, parts) mean signed sum; 0 where nothing was seen.
        start: seconds, of the first step.
        step: seconds.
    """

    area: NDArray[np.float64]
    fake: NDArray[np.float64]
    contribution: NDArray[np.float64]
    fake_over_time: NDArray[np.float64]
    contribution_over_time: NDArray[np.float64]
    start: float
    step: float


def region_shares(track: Track, heatmaps: Heatmaps) -> RegionShares:
    """Evidence by part of the face and stretch of time; the track has usable landmarks."""
    rows = sample_rows(track)
    start, end = float(track.times[0]), float(track.times[-1])
    step = max(_LEAST_STEP, (end - start) / _MOST_STEPS)
    steps = max(1, math.ceil((end - start) / step - 1e-6))
    area = np.zeros((len(rows), len(REGION_NAMES)))
    signed, positive = np.zeros_like(area), np.zeros_like(area)
    for index, row in enumerate(rows):
        cells = heatmaps[int(track.heatmaps[row])].astype(np.float64)
        square = Box(*map(float, track.areas[row]))
        parts, values = (
            region_of_cells(track.landmarks[row], square, cells.shape).ravel(),
            cells.ravel(),
        )
        area[index] = np.bincount(parts, minlength=len(REGION_NAMES)) / len(values)
        signed[index] = np.bincount(parts, values, minlength=len(REGION_NAMES))
        positive[index] = np.bincount(parts, np.maximum(values, 0), minlength=len(REGION_NAMES))
    place = np.minimum(((track.times[rows] - start) / step).astype(int), steps - 1)
    fake_over_time = np.full((steps, len(REGION_NAMES)), -1.0)
    contribution_over_time = np.zeros_like(fake_over_time)
    for number in np.unique(place):
        fake_over_time[number] = _normal(positive[place == number].sum(axis=0))
        contribution_over_time[number] = signed[place == number].mean(axis=0)
    return RegionShares(
        area=area.mean(axis=0),
        fake=_normal(positive.sum(axis=0)),
        contribution=signed.mean(axis=0),
        fake_over_time=fake_over_time,
        contribution_over_time=contribution_over_time,
        start=start,
        step=step,
    )


def _normal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    total = values.sum()
    return values / total if total > 0 else values
