"""Curves and areas of the page as SVG: time lies on 0..1000, values on 100..0."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import sigmoid
from fakelens.records.tracks import Track
from fakelens.records.trust import Regions

_POINTS = 600  # of a curve: about what a screen shows
_ALL_POINTS = 6000  # of all curves of a page
# One for each of ``regions.NAMES``, after Okabe and Ito.
_PART_COLOURS = ("#0072b2", "#f0e442", "#d55e00", "#56b4e9", "#cc79a7", "#009e73", "#999999")
_NICE = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_TICKS = 10  # at most


@dataclass(frozen=True, slots=True)
class Axis:
    """Time on 0..1000.

    Attributes:
        start: seconds, timestamp of the left end.
        duration: seconds, to the right end; more than 0.
    """

    start: float
    duration: float

    def across(self, times: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where timestamps lie."""
        return 1000 * np.clip((np.asarray(times, np.float64) - self.start) / self.duration, 0, 1)

    def place(self, time: float) -> float:
        """Where one timestamp lies."""
        return float(self.across(np.array(time)))

    def ticks(self) -> list[tuple[float, float]]:
        """Round times, seconds since the start, and where they lie."""
        step = next((step for step in _NICE if self.duration / step <= _TICKS), _NICE[-1])
        marks = np.arange(0, self.duration + step / 1000, step)
        return [(float(mark), 1000 * float(mark) / self.duration) for mark in marks]


@dataclass(frozen=True, slots=True)
class Curve:
    """A person's score over time, 1 (fake) at the top.

    Attributes:
        line: SVG path of the median of each moment, with gaps where the person is not seen.
        cloud: SVG path of the area from the lowest to the highest score of each moment; empty
            where every face has its own point.
    """

    line: str
    cloud: str


def score_curve(track: Track, every: int, axis: Axis, curves: int) -> Curve:
    """The curve of a track whose faces are ``every`` frames apart, one of several on a page."""
    points = max(_POINTS // 5, min(_POINTS, _ALL_POINTS // curves))
    heights = 100 - 100 * sigmoid(track.logits).astype(np.float64)
    across = axis.across(track.times)
    bins = np.minimum((across * points / 1000).astype(int), points - 1)
    breaks = np.flatnonzero((np.diff(track.frames) > every) & (np.diff(bins) > 0)) + 1
    line, cloud = [], []
    for stretch in np.split(np.arange(len(track)), breaks):
        edges = np.flatnonzero(np.diff(bins[stretch], prepend=-1))
        moments = [rows for rows in np.split(stretch, edges[1:]) if len(rows)]
        x = [float(across[rows].mean()) for rows in moments]
        middle = [float(np.median(heights[rows])) for rows in moments]
        if len(moments) == 1:  # a point alone would not be drawn
            x, middle = [x[0] - 0.5, x[0] + 0.5], middle * 2
        line.append(_path(zip(x, middle, strict=True)))
        if len(moments) > 1 and len(stretch) > len(moments):
            top = [float(heights[rows].min()) for rows in moments]
            bottom = [float(heights[rows].max()) for rows in moments]
            outline = [*zip(x, top, strict=True), *zip(x[::-1], bottom[::-1], strict=True)]
            cloud.append(_path(iter(outline)) + "Z")
    return Curve("".join(line), "".join(cloud))


def part_colours(regions: Regions) -> list[str]:
    """CSS colour of each part of the face."""
    return [colour for _, colour in zip(regions.parts, cycle(_PART_COLOURS), strict=False)]


def part_areas(regions: Regions, axis: Axis) -> list[str]:
    """SVG polygon of each part: shares of the evidence of fake over time, stacked.

    Where nobody was seen, there is a gap down to the bottom.
    """
    fake_over_time = np.maximum(np.array([part.fake_over_time for part in regions.parts]), 0)
    edges = axis.across(np.arange(fake_over_time.shape[1] + 1) * regions.step + regions.start)
    across = np.repeat(edges, 2)[1:-1]
    tops = 100 - 100 * np.repeat(np.cumsum(fake_over_time, axis=0), 2, axis=1)
    bottoms = np.vstack([np.full_like(tops[:1], 100), tops[:-1]])
    return [
        " ".join(
            f"{a:.1f},{b:.1f}"
            for a, b in zip(
                np.concatenate([across, across[::-1]]),
                np.concatenate([top, bottom[::-1]]),
                strict=True,
            )
        )
        for top, bottom in zip(tops, bottoms, strict=True)
    ]


def _path(points: Iterator[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
