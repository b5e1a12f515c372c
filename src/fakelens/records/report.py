"""What an analysis results in: tracks, findings and the report that holds them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import UsageError
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.records.models import (
    Box,
    Damage,
    FloatArray,
    NetworkCard,
    Thresholds,
    VideoInfo,
    sigmoid,
)
from fakelens.records.trust import Ablation, Assessment, TrustMark

SCHEMA_VERSION = 1
"""Of ``report.json``; raised when a field changes its meaning or goes."""

EXAMINE_EVERY = 2
"""By default, frames from one examined frame to the next."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One person in one examined frame.

    Attributes:
        frame: index of the frame.
        time: its presentation timestamp, seconds.
        box: around the face.
        area: the square that the network saw and the heatmap covers.
        logit: positive = fake.
        doubts: bit set of ``crops.Doubt``; 0 = usable.
        heatmap: row in the report's heatmaps.
    """

    frame: int
    time: float
    box: Box
    area: Box
    logit: float
    doubts: int
    heatmap: int

    @property
    def score(self) -> float:
        """0..1, 1 = fake."""
        return float(sigmoid(self.logit))


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person through the video: n sightings as columns, ordered by frame.

    Columns because everything downstream (findings, drawing, files) works on whole columns, and
    because a two-hour video has hundreds of thousands of sightings.

    Attributes:
        person: number of the person, from 1, the same in every output.
        frames: (n,) int64 frame indices, increasing.
        times: (n,) float64 presentation timestamps, seconds.
        boxes: (n, 4) float32 x1, y1, x2, y2 around the face.
        areas: (n, 4) float32, the square that the network saw and the heatmap covers.
        landmarks: (n, 5, 2) float32 as in ``data.Face``, NaN where the detector gives none.
        confidences: (n,) float32, the detector's.
        detected: (n,) bool, false where the box is interpolated between two detections.
        sharpness: (n,) float32, see ``crops.sharpness``.
        doubts: (n,) uint8 bit sets of ``crops.Doubt``; 0 = usable.
        logits: (n,) float32, positive = fake.
        heatmaps: (n,) int64 rows in the report's heatmaps.
        peaks: (n,) float32, largest magnitude in each heatmap as drawn, see ``heatmaps.spread``.
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
    doubts: NDArray[np.uint8]
    logits: FloatArray
    heatmaps: NDArray[np.int64]
    peaks: FloatArray

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sighting:
        return Sighting(
            frame=int(self.frames[index]),
            time=float(self.times[index]),
            box=Box(*map(float, self.boxes[index])),
            area=Box(*map(float, self.areas[index])),
            logit=float(self.logits[index]),
            doubts=int(self.doubts[index]),
            heatmap=int(self.heatmaps[index]),
        )

    def __iter__(self) -> Iterator[Sighting]:
        return (self[index] for index in range(len(self)))

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(n,) where no quality gate objects."""
        return np.equal(self.doubts, 0)


class Verdict(StrEnum):
    """What fakelens says of a person."""

    FAKE = "likely fake"
    REAL = "likely real"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which a person's score is high.

    Attributes:
        start: seconds.
        end: seconds.
        score: 0..1 over the stretch.
    """

    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one person.

    Attributes:
        person: number of the person.
        verdict: in words.
        score: 0..1, robust to single frames; ``None`` when no face was good enough.
        interval: 95 % bootstrap interval of the score; ``None`` when there is too little to say.
        log10_likelihood_ratio: of fake over real, by the network's calibration and within its
            limit: 1 means that a typical face of this person would be ten times as frequent among
            the fakes of the calibration data as among its real faces. ``None`` without a
            calibration, or where there is too little to say.
        spans: where the score is high.
        reasons: why the verdict is what it is, and what limits it; sentences.
        first: seconds, first sighting.
        last: seconds, last sighting.
        examined: number of faces examined.
        usable: number of those that pass the quality gates.
        key_frame: frame index with the strongest usable evidence for the score's side.
        assessment: how far the score and the heatmaps can be trusted; ``None`` if that was not
            measured.
        seen_well: enough good faces, large enough for the model, for a verdict.
    """

    person: int
    verdict: Verdict
    score: float | None
    interval: tuple[float, float] | None
    spans: tuple[Span, ...]
    reasons: tuple[str, ...]
    first: float
    last: float
    examined: int
    usable: int
    key_frame: int
    log10_likelihood_ratio: float | None = None
    assessment: Assessment | None = None
    seen_well: bool = False

    @property
    def trust_mark(self) -> TrustMark | None:
        """Of the person's heatmaps; ``None`` where it was not measured."""
        measured = self.assessment and self.assessment.faithfulness
        return measured.mark if measured else None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the caller may choose about an analysis.

    Attributes:
        every: examine every n-th frame, while boxes and heatmaps of the others are interpolated;
            in a report, what ``per_second`` came to.
        per_second: examine about so many frames a second instead; ``None`` goes by ``every``.
        cam: heatmap method; ``None`` takes the one that suits the network.
        threshold: score from which a person is *likely fake*; ``None`` takes the network's.
        batch: crops in one call of the network.
        trust: measure how far scores and heatmaps can be trusted.
        ablation: how it is measured whether heatmaps are true to the network, see ``ablation``.

    Raises:
        UsageError: a value is out of range.
    """

    every: int = EXAMINE_EVERY
    cam: str | None = None
    threshold: float | None = None
    batch: int = 8
    per_second: float | None = None
    trust: bool = True
    ablation: Ablation = "features"

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError(f"every must be 1 (each frame) or more, not {self.every}")
        if self.per_second is not None and not 0 < self.per_second < math.inf:
            raise UsageError(f"frames a second must be above 0, not {self.per_second:g}")
        if self.batch < 1:
            raise UsageError(f"a batch holds 1 crop or more, not {self.batch}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise UsageError(f"the threshold is a score between 0 and 1, not {self.threshold:g}")
        if self.ablation not in get_args(Ablation):
            known = ", ".join(get_args(Ablation))
            raise UsageError(f"there is no ablation {self.ablation!r}: choose one of {known}")


@dataclass(frozen=True, slots=True)
class Provenance:
    """All that is needed to repeat an analysis.

    Attributes:
        input_name: file name of the input.
        input_sha256: hexadecimal.
        input_bytes: size.
        network_sha256: of the file the weights came from.
        device: that the network ran on; empty where it does not tell.
        detector: name and version of the face detector.
        versions: of fakelens and of the libraries that can change a number.
        platform: operating system, processor, Python.
        created: ISO 8601, UTC.
    """

    input_name: str
    input_sha256: str
    input_bytes: int
    network_sha256: str
    detector: str
    versions: Mapping[str, str]
    platform: str
    created: str
    device: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything that is known after an analysis; writers make files of it.

    Attributes:
        source: the input's path on this machine.
        video: what the input is.
        frames: number of frames decoded.
        damage: where the input could not be read.
        network: the card of the network that judged.
        settings: as the caller chose.
        cam: heatmap method used, a key of ``explain.METHODS``.
        thresholds: score -> verdict, as used.
        tracks: one per person.
        findings: one per track, in the same order.
        heatmaps: rows that ``Track.heatmaps`` points to.
        provenance: how to repeat it.
        mean_faces: by person, a JPEG of the mean of some faces brought into one frame, see
            ``regions.mean_face``; not part of ``report.json``.
    """

    source: Path
    video: VideoInfo
    frames: int
    damage: tuple[Damage, ...]
    network: NetworkCard
    settings: Settings
    cam: str
    thresholds: Thresholds
    tracks: tuple[Track, ...]
    findings: tuple[Finding, ...]
    heatmaps: HeatmapStore
    provenance: Provenance
    mean_faces: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def decisive(self) -> Finding | None:
        """The most suspicious person who was seen well enough: the answer for the whole input.

        Persons of whom too little was seen, whose faces are too small for the model or who may be
        no faces do not decide. ``None`` if nobody was seen well enough.
        """
        seen = [finding for finding in self.findings if finding.seen_well]
        return max(seen, key=_suspicion, default=None)


def _suspicion(finding: Finding) -> tuple[bool, float]:
    """A verdict counts for more than a score that was found not to be robust."""
    return finding.verdict is Verdict.FAKE, finding.score or 0.0
