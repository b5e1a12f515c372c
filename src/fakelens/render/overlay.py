"""Computes what to draw on a frame: for each person a box, a smoothed score and a heatmap."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.cam import METHODS
from fakelens.explain.heatmaps import smooth_heatmap
from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.faces import Box
from fakelens.records.findings import Verdict
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.records.trust import TrustMark

SMOOTHING_SECONDS = 0.1
"""Standard deviation, in seconds, of the Gaussian that smooths heatmaps and scores over time."""

_CUTOFF = 2.5  # standard deviations; weights beyond are below 5 %
_MIN_HALF_DISTANCE = 0.05  # between the thresholds, in case they coincide
_QUANTILE = 0.9  # of peaks and scores over a video, so that a few frames do not define the scale


@dataclass(frozen=True, slots=True)
class Mark:
    """One person on one frame.

    Attributes:
        person: number of the person.
        verdict: on the person, over the whole video.
        score: at this time, 0..1, 1 = fake; ``None`` for a person without a score.
        box: around the face.
        area: the square that the heatmap covers.
        strength: (h, w) float32, -1..1 on one scale for the whole video, positive = evidence for
            fake.
        trust: trust mark of the person's heatmaps; ``None`` if it was not measured.
    """

    person: int
    verdict: Verdict
    score: float | None
    box: Box
    area: Box
    strength: FloatArray
    trust: TrustMark | None = None


def heatmap_scale(report: Report) -> float:
    """Compute the magnitude that is drawn at full strength, for all faces of a video.

    It is the largest magnitude in the video (90th percentile of the faces' peaks), divided by the
    *certainty* of the model: 1 if scores reach a threshold, proportionally less if they stay
    between the two thresholds. The heatmaps of an undecided model are therefore drawn faintly,
    instead of being stretched to full strength. For methods that show only evidence for fake (or
    real), only high (or low) scores count. Empty heatmaps are ignored. If there are no others, or
    if the certainty is 0, the scale is infinite and nothing is drawn.
    """
    peaks = np.concatenate([t.peaks for t in report.tracks])
    peaks = peaks[peaks > 0]
    if not len(peaks):
        return math.inf
    scores = sigmoid(np.concatenate([t.logits for t in report.tracks]))
    middle = (report.thresholds.fake + report.thresholds.real) / 2
    half_distance = max(report.thresholds.fake - middle, _MIN_HALF_DISTANCE)
    method = METHODS[report.cam]
    beyond = []
    if method.signed or method.positive != "real":
        beyond.append(float(np.quantile(scores, _QUANTILE)) - middle)
    if method.signed or method.positive != "fake":
        beyond.append(middle - float(np.quantile(scores, 1 - _QUANTILE)))
    certainty = min(1.0, max(beyond) / half_distance)
    return float(np.quantile(peaks, _QUANTILE)) / certainty if certainty > 0 else math.inf


class Overlay:
    """Computes what to draw on any frame of a report's video.

    Args:
        report: with its heatmaps.
        smooth: smooth heatmaps and scores over time along each track.
    """

    def __init__(self, report: Report, *, smooth: bool = True) -> None:
        self._report = report
        self._smooth = smooth
        self._scale = heatmap_scale(report) if report.tracks else 1.0
        self._spacing = {
            track.person: float(np.median(np.diff(track.times))) if len(track) > 1 else 0.0
            for track in report.tracks
        }

    def marks(self, frame: int) -> list[Mark]:
        """Return the marks of all persons on a frame, interpolated between examined frames."""
        marks = (self.mark(number, frame) for number in range(len(self._report.tracks)))
        return [mark for mark in marks if mark]

    def mark(self, number: int, frame: int) -> Mark | None:
        """Return the mark of the ``number``-th track on a frame; ``None`` if it is not visible."""
        track, finding = self._report.tracks[number], self._report.findings[number]
        position = self._position(track, frame)
        if position is None:
            return None
        rows, weights = self._smoothing_weights(track, position)
        heatmaps = [self._report.heatmaps[int(track.heatmaps[row])] for row in rows]
        values = smooth_heatmap(np.tensordot(weights, np.stack(heatmaps), axes=1))
        smoothed_score = float(sigmoid(float(weights @ track.logits[rows])))
        return Mark(
            person=track.person,
            verdict=finding.verdict,
            score=None if finding.score is None else smoothed_score,
            box=Box(*_interpolate(track.boxes, position)),
            area=Box(*_interpolate(track.areas, position)),
            strength=np.clip(values / self._scale, -1, 1).astype(np.float32),
            trust=finding.trust_mark,
        )

    def _position(self, track: Track, frame: int) -> float | None:
        """Return the fractional row of a frame in a track; ``None`` if it is not visible."""
        after = int(np.searchsorted(track.frames, frame))
        if after < len(track) and track.frames[after] == frame:
            return after
        if after == 0 or after == len(track):
            return None
        start, end = int(track.frames[after - 1]), int(track.frames[after])
        if end - start > self._report.settings.every:
            return None
        return after - 1 + (frame - start) / (end - start)

    def _smoothing_weights(
        self, track: Track, position: float
    ) -> tuple[NDArray[np.int64], FloatArray]:
        """Return the rows of a track to average at a fractional row, and their weights (sum 1)."""
        if not self._smooth:
            return np.array([round(position)]), np.ones(1, dtype=np.float32)
        time = _interpolate(track.times, position)
        sigma = max(SMOOTHING_SECONDS, self._spacing[track.person] / 2)
        cutoff = _CUTOFF * sigma
        first, last = np.searchsorted(track.times, (time - cutoff, time + cutoff))
        rows = np.arange(first, last)
        weights = np.exp(-0.5 * ((track.times[rows] - time) / sigma) ** 2)
        return rows, (weights / weights.sum()).astype(np.float32)


def _interpolate(column: NDArray[np.floating], position: float) -> NDArray[np.float64]:
    """Interpolate a column linearly at a fractional row."""
    row = int(position)
    fraction = position - row
    value = np.asarray(column[row], dtype=np.float64)
    return value + fraction * (column[row + 1] - value) if fraction else value
