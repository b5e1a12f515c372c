"""Computes what to draw on a frame: for each person a box, a smoothed score and a heatmap."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.cam import METHODS
from fakelens.explain.heatmaps import smooth_heatmap
from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.faces import Box
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Heatmaps, Report
from fakelens.records.tracks import Track
from fakelens.records.trust import Specificity, SpecificityMark, TrustMark
from fakelens.render.ranking import MOST_IN_FULL, rank_all
from fakelens.render.style import BaselineChoice

SMOOTHING_SECONDS = 0.1
"""Standard deviation, in seconds, of the Gaussian that smooths heatmaps and scores over time."""

_CUTOFF = 2.5  # standard deviations; weights beyond are below 5 %
_MIN_HALF_DISTANCE = 0.05  # between the thresholds, in case they coincide
_QUANTILE = 0.9  # of peaks and scores over a video, so that a few frames do not define the scale
_MIN_DIFFERENCE = 0.25  # of the whole heatmaps' scale: noise must not be drawn at full strength
_MIN_BUCKET = 64  # frames that share an index of the tracks visible on them
_MAX_SAMPLES, _MAX_TOTAL_SAMPLES = 120, 6000  # heatmaps compared with the baseline for the scale


@dataclass(frozen=True, slots=True)
class Mark:
    """One person on one frame.

    Attributes:
        person: number of the person.
        verdict: on the person, over the whole video.
        score: at this time, 0..1, 1 = fake; ``None`` for a person who is not judged.
        box: around the face.
        area: the square that the heatmap covers.
        strength: (h, w) float32, -1..1 on one scale for the whole video, positive = evidence for
            fake.
        trust: trust mark of the person's heatmaps; ``None`` if it was not measured.
        specificity: whether they differ from those of genuine faces; ``None`` likewise.
        in_full: whether the person has a heatmap and a label, and not only a thin box with the
            number. Without it, ``strength`` is (0, 0).
    """

    person: int
    verdict: Verdict
    score: float | None
    box: Box
    area: Box
    strength: FloatArray
    trust: TrustMark | None = None
    specificity: SpecificityMark | None = None
    in_full: bool = True


def specificity_of(finding: Finding) -> Specificity | None:
    """Return how a person's heatmaps differ from those of genuine faces, if it was measured."""
    return finding.assessment.specificity if finding.assessment else None


def baseline_of(finding: Finding) -> FloatArray | None:
    """Return the baseline of a person's heatmaps (h, w) in their unit, smoothed for drawing.

    ``None`` if the person's heatmaps were not compared with those of genuine faces.
    """
    found = specificity_of(finding)
    return smooth_heatmap(np.array(found.baseline, dtype=np.float32)) if found else None


def heatmap_scale(report: Report, baseline: BaselineChoice = "subtract") -> float:
    """Compute the magnitude that is drawn at full strength, for all faces of a video.

    It is the largest magnitude in the video (90th percentile of the faces' peaks), divided by the
    *certainty* of the model: 1 if scores reach a threshold, proportionally less if they stay
    between the two thresholds. The heatmaps of an undecided model are therefore drawn faintly,
    instead of being stretched to full strength. For methods that show only evidence for fake (or
    real), only high (or low) scores count. Empty heatmaps are ignored. If there are no others, or
    if the certainty is 0, the scale is infinite and nothing is drawn.

    If baselines are subtracted, it is the largest magnitude of the differences, but no less than a
    quarter of that of the whole heatmaps: a person who differs from the baseline by noise only
    would be drawn at full strength otherwise.

    Args:
        report: with its heatmaps.
        baseline: whether the baseline of each person who has one is subtracted.
    """
    peaks = np.concatenate([t.peaks for t in report.tracks])
    peaks = peaks[peaks > 0]
    if not len(peaks):
        return math.inf
    largest = float(np.quantile(peaks, _QUANTILE))
    if baseline == "subtract" and any(map(specificity_of, report.findings)):
        differences = _difference_peaks(report)
        differences = differences[differences > 0]
        among_them = float(np.quantile(differences, _QUANTILE)) if len(differences) else 0.0
        largest = max(among_them, _MIN_DIFFERENCE * largest)
    sure = certainty(report)
    return largest / sure if sure > 0 else math.inf


def certainty(report: Report) -> float:
    """Return how certain the model is of its scores on a video, at most 1, see ``heatmap_scale``.

    It is 0 or less if no score is on the side of the evidence that the heatmaps show.
    """
    scores = sigmoid(np.concatenate([t.logits for t in report.tracks]))
    middle = (report.thresholds.fake + report.thresholds.real) / 2
    half_distance = max(report.thresholds.fake - middle, _MIN_HALF_DISTANCE)
    method = METHODS[report.cam]
    beyond = []
    if method.signed or method.positive != "real":
        beyond.append(float(np.quantile(scores, _QUANTILE)) - middle)
    if method.signed or method.positive != "fake":
        beyond.append(middle - float(np.quantile(scores, 1 - _QUANTILE)))
    return min(1.0, max(beyond) / half_distance)


def _difference_peaks(report: Report) -> FloatArray:
    """Return the largest magnitude of every heatmap minus its baseline, of all tracks together.

    It is computed for some evenly spaced heatmaps of each track; the others take the value of the
    nearest one, so that each track keeps its weight.
    """
    samples = max(1, min(_MAX_SAMPLES, _MAX_TOTAL_SAMPLES // len(report.tracks)))
    peaks = []
    for track, finding in zip(report.tracks, report.findings, strict=True):
        usual = baseline_of(finding)
        peaks.append(
            track.peaks
            if usual is None
            else _sampled_peaks(track, report.heatmaps, usual, min(samples, len(track)))
        )
    return np.concatenate(peaks)


def _sampled_peaks(track: Track, heatmaps: Heatmaps, usual: FloatArray, samples: int) -> FloatArray:
    rows = np.linspace(0, len(track) - 1, samples).round().astype(int)
    differences = (smooth_heatmap(heatmaps[int(track.heatmaps[row])]) - usual for row in rows)
    peaks: FloatArray = np.array([np.abs(one).max() for one in differences], dtype=np.float32)
    nearest = np.interp(np.arange(len(track)), rows, np.arange(samples)).round().astype(int)
    return np.take(peaks, nearest)


class Overlay:
    """Computes what to draw on any frame of a report's video.

    Args:
        report: with its heatmaps.
        smooth: smooth heatmaps and scores over time along each track.
        baseline: subtract the baseline of each person who has one, or keep the whole heatmaps.
        limit: largest strength of a mark.

    Attributes:
        scale: magnitude that is drawn at full strength, see ``heatmap_scale``.
        baselines: by track index, as subtracted, in the unit of the heatmaps; ``None`` for a
            person whose whole heatmaps are drawn.
    """

    def __init__(
        self,
        report: Report,
        *,
        smooth: bool = True,
        baseline: BaselineChoice = "subtract",
        limit: float = 1.0,
    ) -> None:
        self._report = report
        self._smooth = smooth
        self._limit = limit
        self.scale = heatmap_scale(report, baseline) if report.tracks else 1.0
        self.baselines = [
            baseline_of(finding) if baseline == "subtract" else None for finding in report.findings
        ]
        self._spacing = {
            track.person: float(np.median(np.diff(track.times))) if len(track) > 1 else 0.0
            for track in report.tracks
        }

        self._places = {number: place for place, number in enumerate(rank_all(report))}

        # A film has thousands of tracks, few of them visible at a time. Two examined frames between
        # which a person is drawn lie in the same bucket or in two successive ones.
        self._bucket = max(_MIN_BUCKET, report.settings.every)
        self._numbers: defaultdict[int, list[int]] = defaultdict(list)
        for number, track in enumerate(report.tracks):
            for bucket in np.unique(track.frames // self._bucket).tolist():
                self._numbers[bucket].append(number)

    def marks(self, frame: int) -> list[Mark]:
        """Return the marks of all persons on a frame, interpolated between examined frames.

        The ``MOST_IN_FULL`` most suspicious ones are in full.
        """
        near = self._numbers.get(frame // self._bucket, ())
        visible = {
            number: position
            for number in near
            if (position := self._position(self._report.tracks[number], frame)) is not None
        }
        in_full = self._most_suspicious(visible)
        return [
            self._mark(number, position) if number in in_full else self._outline(number, position)
            for number, position in visible.items()
        ]

    def mark(self, number: int, frame: int) -> Mark | None:
        """Return the mark of the ``number``-th track on a frame; ``None`` if it is not visible."""
        position = self._position(self._report.tracks[number], frame)
        return None if position is None else self._mark(number, position)

    def _most_suspicious(self, numbers: Iterable[int]) -> set[int]:
        return set(sorted(numbers, key=self._places.__getitem__)[:MOST_IN_FULL])

    def _outline(self, number: int, position: float) -> Mark:
        """Return the mark of a person who is not drawn in full."""
        track, finding = self._report.tracks[number], self._report.findings[number]
        box = Box(*_interpolate(track.boxes, position))
        nothing: FloatArray = np.empty((0, 0), dtype=np.float32)
        return Mark(track.person, finding.verdict, None, box, box, nothing, in_full=False)

    def _mark(self, number: int, position: float) -> Mark:
        track, finding = self._report.tracks[number], self._report.findings[number]
        rows, weights = self._smoothing_weights(track, position)
        heatmaps = [self._report.heatmaps[int(track.heatmaps[row])] for row in rows]
        values = smooth_heatmap(np.tensordot(weights, np.stack(heatmaps), axes=1))
        usual, specificity = self.baselines[number], specificity_of(finding)
        if usual is not None:  # both are smoothed, which equals smoothing their difference
            values = values - usual
        smoothed_score = float(sigmoid(float(weights @ track.logits[rows])))
        return Mark(
            person=track.person,
            verdict=finding.verdict,
            score=smoothed_score if finding.seen_well else None,
            box=Box(*_interpolate(track.boxes, position)),
            area=Box(*_interpolate(track.areas, position)),
            strength=np.clip(values / self.scale, -self._limit, self._limit).astype(np.float32),
            trust=finding.trust_mark,
            specificity=specificity.mark if specificity else None,
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
        if not len(rows):  # in the middle of a gap that is longer than usual
            rows = np.array([round(position)])
        weights = np.exp(-0.5 * ((track.times[rows] - time) / sigma) ** 2)
        return rows, (weights / weights.sum()).astype(np.float32)


def _interpolate(column: NDArray[np.floating], position: float) -> NDArray[np.float64]:
    """Interpolate a column linearly at a fractional row."""
    row = int(position)
    fraction = position - row
    value = np.asarray(column[row], dtype=np.float64)
    return value + fraction * (column[row + 1] - value) if fraction else value
