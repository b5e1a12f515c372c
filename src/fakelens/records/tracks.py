"""Tracks: the observations of each person over time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.faces import Box


@dataclass(frozen=True, slots=True)
class Observation:
    """One person in one examined frame.

    Attributes:
        frame: index of the frame.
        time: its presentation timestamp, seconds.
        box: around the face.
        area: the square that the model examined and the heatmap covers.
        logit: positive = fake.
        quality_flags: bit set of ``faces.quality.QualityFlag``; 0 = usable.
        heatmap: row of ``Report.heatmaps``.
    """

    frame: int
    time: float
    box: Box
    area: Box
    logit: float
    quality_flags: int
    heatmap: int

    @property
    def score(self) -> float:
        """Score, 0..1, 1 = fake."""
        return float(sigmoid(self.logit))


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """All observations of one person: n rows, stored as columns, ordered by frame.

    Stored as columns because verdicts, drawing and files work on whole columns, and because a
    two-hour video has hundreds of thousands of observations.

    Attributes:
        person: number of the person, from 1; the same in every output.
        frames: (n,) int64 frame indices, increasing.
        times: (n,) float64 presentation timestamps, seconds.
        boxes: (n, 4) float32 x1, y1, x2, y2 around the face.
        areas: (n, 4) float32, the square that the model examined and the heatmap covers.
        landmarks: (n, 5, 2) float32 as in ``Face``; NaN if the detector has no landmarks.
        confidences: (n,) float32, of the face detector.
        detected: (n,) bool; false where the box is interpolated between two detections.
        sharpness: (n,) float32, see ``faces.quality.sharpness``.
        quality_flags: (n,) uint8 bit sets of ``faces.quality.QualityFlag``; 0 = usable.
        logits: (n,) float32, positive = fake.
        heatmaps: (n,) int64 rows of ``Report.heatmaps``.
        peaks: (n,) float32, largest magnitude of each heatmap as drawn, see
            ``explain.heatmaps.smooth_heatmap``.
    """

    person: int
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    boxes: FloatArray
    areas: FloatArray
    landmarks: FloatArray
    confidences: FloatArray
    detected: NDArray[np.bool_]
    sharpness: FloatArray
    quality_flags: NDArray[np.uint8]
    logits: FloatArray
    heatmaps: NDArray[np.int64]
    peaks: FloatArray

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Observation:
        return Observation(
            frame=int(self.frames[index]),
            time=float(self.times[index]),
            box=Box(*map(float, self.boxes[index])),
            area=Box(*map(float, self.areas[index])),
            logit=float(self.logits[index]),
            quality_flags=int(self.quality_flags[index]),
            heatmap=int(self.heatmaps[index]),
        )

    def __iter__(self) -> Iterator[Observation]:
        return (self[index] for index in range(len(self)))

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) bool, where the face passes all quality gates."""
        return np.equal(self.quality_flags, 0)
