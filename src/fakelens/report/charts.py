"""SVG paths of the page's charts, in a box of 1000 x 100 units.

Time runs from x = 0 to 1000, values from y = 100 (0) to y = 0 (1).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import sigmoid
from fakelens.records.tracks import Track
from fakelens.records.trust import Regions

_MAX_POINTS = 600  # of a curve: about the width of a screen
_MAX_TOTAL_POINTS = 6000  # of all curves of a page
# One for each of ``regions.REGION_NAMES``: greys, since colours stand for verdicts. Neighbours in
# the chart differ clearly in lightness.
_PART_COLOURS = ("#3d4852", "#a9b4bf", "#6f7d8a", "#d3dae0", "#55616c", "#bcc5cd", "#8b97a3")
_TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)  # seconds
_MAX_TICKS = 5


@dataclass(frozen=True, slots=True)
class Axis:
    """The time axis: maps timestamps to 0..1000.

    Attributes:
        start: timestamp of the left end, seconds.
        duration: seconds from the left to the right end; more than 0.
    """

    start: float
    duration: float

    def positions(self, times: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the position of each timestamp, 0..1000."""
        return 1000 * np.clip((np.asarray(times, np.float64) - self.start) / self.duration, 0, 1)

    def position(self, time: float) -> float:
        """Return the position of one timestamp, 0..1000."""
        return float(self.positions(np.array(time)))

    def ticks(self) -> list[tuple[float, float]]:
        """Return round times, in seconds since the start, with their positions."""
        fitting = (step for step in _TICK_STEPS if self.duration / step <= _MAX_TICKS)
        step = next(fitting, _TICK_STEPS[-1])
        marks = np.arange(0, self.duration + step / 1000, step)
        return [(float(mark), 1000 * float(mark) / self.duration) for mark in marks]


@dataclass(frozen=True, slots=True)
class Curve:
    """A person's score over time, 1 (fake) at the top.

    Attributes:
        line: SVG path of the median score of each bin, with gaps where the person is not seen.
        cloud: SVG path of the area from the lowest to the highest score of each bin; empty where
            every face has its own point.
    """

    line: str
    cloud: str


def score_curve(track: Track, every: int, axis: Axis, curves: int) -> Curve:
    """Return the score curve of a track.

    Args:
        track: of one person.
        every: frames from one examined frame to the next; a larger distance is a gap.
        axis: of the page.
        curves: number of curves on the page, which share a budget of points.
    """
    points = max(_MAX_POINTS // 5, min(_MAX_POINTS, _MAX_TOTAL_POINTS // curves))
    heights = 100 - 100 * sigmoid(track.logits).astype(np.float64)
    positions = axis.positions(track.times)
    bins = np.minimum((positions * points / 1000).astype(int), points - 1)
    breaks = np.flatnonzero((np.diff(track.frames) > every) & (np.diff(bins) > 0)) + 1
    line, cloud = [], []
    for stretch in np.split(np.arange(len(track)), breaks):
        edges = np.flatnonzero(np.diff(bins[stretch], prepend=-1))
        groups = [rows for rows in np.split(stretch, edges[1:]) if len(rows)]
        x = [float(positions[rows].mean()) for rows in groups]
        middle = [float(np.median(heights[rows])) for rows in groups]
        if len(groups) == 1:  # a path of one point would not be drawn
            x, middle = [x[0] - 0.5, x[0] + 0.5], middle * 2
        line.append(_path(zip(x, middle, strict=True)))
        if len(groups) > 1 and len(stretch) > len(groups):
            top = [float(heights[rows].min()) for rows in groups]
            bottom = [float(heights[rows].max()) for rows in groups]
            outline = [*zip(x, top, strict=True), *zip(x[::-1], bottom[::-1], strict=True)]
            cloud.append(_path(iter(outline)) + "Z")
    return Curve("".join(line), "".join(cloud))


def part_colours(regions: Regions) -> list[str]:
    """Return the CSS colour of each part of the face."""
    return [colour for _, colour in zip(regions.parts, cycle(_PART_COLOURS), strict=False)]


def part_areas(regions: Regions, axis: Axis) -> list[str]:
    """Return an SVG polygon for each part: its share of the evidence for fake over time, stacked.

    Where the person is not seen, the stack drops to the bottom.
    """
    fake_over_time = np.maximum(np.array([part.fake_over_time for part in regions.parts]), 0)
    edges = axis.positions(np.arange(fake_over_time.shape[1] + 1) * regions.step + regions.start)
    x = np.repeat(edges, 2)[1:-1]
    tops = 100 - 100 * np.repeat(np.cumsum(fake_over_time, axis=0), 2, axis=1)
    bottoms = np.vstack([np.full_like(tops[:1], 100), tops[:-1]])
    return [
        " ".join(
            f"{a:.1f},{b:.1f}"
            for a, b in zip(
                np.concatenate([x, x[::-1]]),
                np.concatenate([top, bottom[::-1]]),
                strict=True,
            )
        )
        for top, bottom in zip(tops, bottoms, strict=True)
    ]


def _path(points: Iterator[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
