"""What to show on a frame: for each person a box, a steadied score and a heatmap on one scale."""

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
"""Standard deviation of the Gaussian that heatmaps and scores are smoothed with along a track."""

_REACH = 2.5  # standard deviations; what lies beyond weighs under 5 %
_LEAST_REACH = 0.05  # where the two thresholds coincide
_QUANTILE = 0.9  # of peaks and scores over a video, so that a few frames do not set the scale


@dataclass(frozen=True, slots=True)
class Mark:
    """One person on one frame.

    Attributes:
        person: number of the person.
        verdict: on the person, over the whole video.
        score: 0..1 of this moment, 1 = fake; ``None`` for somebody who cannot be judged.
        box: around the face.
        area: the square that the heatmap covers.
        strength: (h, w) float32, -1..1 on the video's one scale, positive = evidence of fake.
        trust: of the person's heatmaps; ``None`` where that was not measured.
    """

    person: int
    verdict: Verdict
    score: float | None
    box: Box
    area: Box
    strength: FloatArray
    trust: TrustMark | None = None


def heatmap_scale(report: Report) -> float:
    """The magnitude that is drawn at full strength, one number for all faces of a video.

    It is the largest magnitude in the video (90th percentile of the faces' peaks), divided by the
    *conviction* of the model: 1 where scores reach a threshold, less in proportion where they
    stay between the two. So the maps of a model that has no opinion are drawn faintly, instead
    of being stretched until they look like one. Methods that show evidence of fake (or real) alone
    are stretched by high (or low) scores only. Empty maps do not count. Where there are no others,
    or no conviction at all, the scale is infinite and nothing is drawn.
    """
    peaks = np.concatenate([t.peaks for t in report.tracks])
    peaks = peaks[peaks > 0]
    if not len(peaks):
        return math.inf
    scores = sigmoid(np.concatenate([t.logits for t in report.tracks]))
    middle = (report.thresholds.fake + report.thresholds.real) / 2
    reach = max(report.thresholds.fake - middle, _LEAST_REACH)
    method = METHODS[report.cam]
    beyond = []
    if method.signed or method.positive != "real":
        beyond.append(float(np.quantile(scores, _QUANTILE)) - middle)
    if method.signed or method.positive != "fake":
        beyond.append(middle - float(np.quantile(scores, 1 - _QUANTILE)))
    conviction = min(1.0, max(beyond) / reach)
    return float(np.quantile(peaks, _QUANTILE)) / conviction if conviction > 0 else math.inf


class Overlay:
    """Looks up what to show on any frame of a report's video.

    Args:
        report: with its heatmaps.
        smooth: steady heatmaps and scores over time along each track.
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
        """The persons on a frame; between two examined frames they are interpolated."""
        found = (self.mark(number, frame) for number in range(len(self._report.tracks)))
        return [mark for mark in found if mark]

    def mark(self, number: int, frame: int) -> Mark | None:
        """The person of the report's ``number``-th track on a frame; ``None`` if not there."""
        track, finding = self._report.tracks[number], self._report.findings[number]
        place = self._place(track, frame)
        if place is None:
            return None
        rows, weights = self._witnesses(track, place)
        heatmaps = [self._report.heatmaps[int(track.heatmaps[row])] for row in rows]
        values = smooth_heatmap(np.tensordot(weights, np.stack(heatmaps), axes=1))
        steadied = float(sigmoid(float(weights @ track.logits[rows])))
        return Mark(
            person=track.person,
            verdict=finding.verdict,
            score=None if finding.score is None else steadied,
            box=Box(*_between(track.boxes, place)),
            area=Box(*_between(track.areas, place)),
            strength=np.clip(values / self._scale, -1, 1).astype(np.float32),
            trust=finding.trust_mark,
        )

    def _place(self, track: Track, frame: int) -> float | None:
        """Where in a track a frame lies, in rows; ``None`` where the person is not there."""
        after = int(np.searchsorted(track.frames, frame))
        if after < len(track) and track.frames[after] == frame:
            return after
        if after == 0 or after == len(track):
            return None
        start, end = int(track.frames[after - 1]), int(track.frames[after])
        if end - start > self._report.settings.every:
            return None
        return after - 1 + (frame - start) / (end - start)

    def _witnesses(self, track: Track, place: float) -> tuple[NDArray[np.int64], FloatArray]:
        """The rows of a track that speak for a place in it, and their weights (sum 1)."""
        if not self._smooth:
            return np.array([round(place)]), np.ones(1, dtype=np.float32)
        time = _between(track.times, place)
        sigma = max(SMOOTHING_SECONDS, self._spacing[track.person] / 2)
        reach = _REACH * sigma
        first, last = np.searchsorted(track.times, (time - reach, time + reach))
        near = np.arange(first, last)
        weights = np.exp(-0.5 * ((track.times[near] - time) / sigma) ** 2)
        return near, (weights / weights.sum()).astype(np.float32)


def _between(column: NDArray[np.floating], place: float) -> NDArray[np.float64]:
    """A column's value at a fractional row, interpolated linearly."""
    row = int(place)
    share = place - row
    value = np.asarray(column[row], dtype=np.float64)
    return value + share * (column[row + 1] - value) if share else value
