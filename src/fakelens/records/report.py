"""What an analysis results in: tracks, findings and the report that holds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fakelens.records.arrays import FloatArray
from fakelens.records.findings import Finding, Verdict
from fakelens.records.media import Damage, VideoInfo
from fakelens.records.models import ModelCard, Thresholds
from fakelens.records.settings import Settings
from fakelens.records.tracks import Track

SCHEMA_VERSION = 2
"""Of ``report.json``; increased when a field is removed, renamed or changes its meaning."""


class Heatmaps(Protocol):
    """The heatmaps of a report, by row. ``explain.heatmaps.HeatmapStore`` keeps them on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> FloatArray:
        """One heatmap, (h, w) float32."""
        ...

    @property
    def shape(self) -> tuple[int, int] | None:
        """(h, w) of every heatmap; ``None`` if there is none."""
        ...

    def save(self, path: Path) -> None:
        """Write all heatmaps to a file, little-endian float16, row after row."""
        ...


@dataclass(frozen=True, slots=True)
class Provenance:
    """All that is needed to repeat an analysis.

    Attributes:
        input_name: file name of the input.
        input_sha256: hexadecimal.
        input_bytes: size.
        model_sha256: of the file the weights came from.
        device: that the model ran on; empty where it does not tell.
        detector: name and version of the face detector.
        versions: of fakelens and of the libraries that can change a number.
        platform: operating system, processor, Python.
        created: ISO 8601, UTC.
    """

    input_name: str
    input_sha256: str
    input_bytes: int
    model_sha256: str
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
        model: the card of the model that judged.
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
    model: ModelCard
    settings: Settings
    cam: str
    thresholds: Thresholds
    tracks: tuple[Track, ...]
    findings: tuple[Finding, ...]
    heatmaps: Heatmaps
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
