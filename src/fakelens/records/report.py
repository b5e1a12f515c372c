"""The report of an analysis: its tracks, findings, heatmaps, provenance and second opinions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from fakelens.records.arrays import FloatArray
from fakelens.records.findings import Finding, Verdict
from fakelens.records.media import Damage, VideoInfo
from fakelens.records.models import ModelCard, Thresholds
from fakelens.records.settings import Settings
from fakelens.records.tracks import Track

SCHEMA_VERSION = 3
"""Version of ``report.json``; increased if a field is removed, renamed or changes its meaning."""


class Heatmaps(Protocol):
    """The heatmaps of a report, by row.

    ``explain.heatmaps.HeatmapStore`` implements this with a file on disk.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> FloatArray:
        """Return one heatmap, (h, w) float32."""
        ...

    @property
    def shape(self) -> tuple[int, int] | None:
        """Shape (h, w) of every heatmap; ``None`` if there are no heatmaps."""
        ...

    def save(self, path: Path) -> str:
        """Write all heatmaps to a file, as little-endian float16, row after row.

        Returns:
            The SHA-256 of the file, hexadecimal.
        """
        ...


@dataclass(frozen=True, slots=True)
class Provenance:
    """The information needed to repeat an analysis.

    Attributes:
        input_name: file name of the input.
        input_sha256: SHA-256 of the input, hexadecimal.
        input_bytes: size of the input, bytes.
        model_sha256: SHA-256 of the weights file, hexadecimal.
        device: device that the model ran on; empty if unknown.
        detector: name and version of the face detector.
        versions: of fakelens and of the libraries that can change a result.
        platform: operating system, processor and Python version.
        created: time of the analysis, ISO 8601, UTC.
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


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What another model says about the people of a report, from the same pass over the input.

    That model's own report has the heatmaps, the trust measures and the rest of its card.

    Attributes:
        model: card of the other model, without its baseline and its domain.
        model_sha256: SHA-256 of its weights file, hexadecimal; empty if they came from no file.
        thresholds: scores at which its verdict changes.
        cam: its heatmap method, a key of ``explain.cam.METHODS``.
        findings: one per track of the report, in the same order, without assessment and domain
            check.
        folder: of that model's own report, relative to the folder of this one, with slashes; empty
            if it was not written beside this one.
    """

    model: ModelCard
    model_sha256: str
    thresholds: Thresholds
    cam: str
    findings: tuple[Finding, ...]
    folder: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The result of an analysis.

    Attributes:
        source: path of the input on this machine.
        video: properties of the input.
        frames: number of frames decoded.
        damage: places where the input could not be read.
        model: card of the detector model.
        settings: the settings used.
        cam: heatmap method used, a key of ``explain.cam.METHODS``.
        thresholds: scores at which a verdict changes, as used.
        tracks: one per person.
        findings: one per track, in the same order.
        heatmaps: indexed by the rows in ``Track.heatmaps``.
        provenance: the information needed to repeat the analysis.
        mean_faces: by person, a JPEG of the mean of some aligned faces, see
            ``explain.regions.mean_face``; not part of ``report.json``.
        signature: device, inode, size and time of change of the input when it was examined, to
            tell whether it changed since; ``None`` in a report that was read from a file.
        second_opinions: of the other models that were run on the same pass over the input.
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
    signature: tuple[int, int, int, int] | None = None
    second_opinions: tuple[SecondOpinion, ...] = ()

    @property
    def opinion(self) -> SecondOpinion:
        """What this report says, as a second opinion for the report of another model."""
        return SecondOpinion(
            model=replace(self.model, baseline=None, domain=None),
            model_sha256=self.provenance.model_sha256,
            thresholds=self.thresholds,
            cam=self.cam,
            findings=tuple(
                replace(finding, assessment=None, domain=None) for finding in self.findings
            ),
        )

    @property
    def decisive(self) -> Finding | None:
        """Finding of the most suspicious person who is seen well: the answer for the whole input.

        A person who is seen too briefly, whose faces are too small for the model or who may not
        be a face does not count. ``None`` if no person is seen well.
        """
        seen = [finding for finding in self.findings if finding.seen_well]
        return max(seen, key=_suspicion, default=None)


def _suspicion(finding: Finding) -> tuple[bool, float]:
    """Return a sort key: verdict first, since a high score need not be a robust one."""
    return finding.verdict is Verdict.FAKE, finding.score or 0.0
