"""``report.json``: the whole report except the heatmaps, which are in a file beside it.

The schema is published as ``docs/reference/report.schema.json``. ``schema_version`` increases when
a field is removed, renamed or changes its meaning, not when one is added.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise
from math import isclose
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fakelens.errors import ReportError, UsageError
from fakelens.explain.cam import METHODS
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.faces.quality import QualityFlag
from fakelens.media.source_file import file_sha256
from fakelens.records.findings import Finding
from fakelens.records.media import Damage, VideoInfo
from fakelens.records.models import ModelCard, Thresholds
from fakelens.records.report import SCHEMA_VERSION, Provenance, Report
from fakelens.records.settings import Settings
from fakelens.records.tracks import Track
from fakelens.render.overlay import specificity_of
from fakelens.report.error_rates import error_rate_sentence
from fakelens.report.source_video import NAMES as ORIGINAL_NAMES

FILE_NAME = "report.json"
HEATMAPS_NAME = "heatmaps.f16"

# Limits beyond which a value can only be damage, and drawing it would fail.
_MAX_SIDE = 100_000  # pixels
Pixel = Annotated[float, Field(ge=-1e6, le=1e6)]
Seconds = Annotated[float, Field(ge=-1e7, le=1e7)]
Quad = tuple[Pixel, Pixel, Pixel, Pixel]
Point = tuple[Pixel, Pixel]
Count = Annotated[int, Field(ge=0, lt=2**63)]
QualityBits = Annotated[int, Field(ge=0, le=(~QualityFlag(0)).value)]


class Part(BaseModel):
    """A part of the document."""

    # Unknown fields are ignored: a later version may have added them.
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class TrackColumns(Part):
    """A person's observations, column by column, ordered by frame; see ``tracks.Track``."""

    frames: list[Count]
    times: Annotated[list[Seconds], Field(description="seconds")]
    boxes: Annotated[list[Quad], Field(description="face: x1, y1, x2, y2, pixels")]
    areas: Annotated[list[Quad], Field(description="area of the face crop: x1, y1, x2, y2, pixels")]
    landmarks: Annotated[
        list[tuple[Point, Point, Point, Point, Point] | None],
        Field(description="two eyes, nose, two mouth corners: x, y, pixels"),
    ]
    confidences: list[float]
    detected: Annotated[list[bool], Field(description="false: interpolated")]
    sharpness: list[float]
    quality_flags: Annotated[
        list[QualityBits], Field(description="failed quality gates, bits; 0 = usable")
    ]
    logits: Annotated[list[float], Field(description="positive = fake")]
    heatmaps: Annotated[list[Count], Field(description="row of the heatmap file")]
    peaks: Annotated[list[float], Field(description="largest absolute value in the heatmap")]

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        if len({len(column) for _, column in self}) > 1 or not self.frames:
            raise PydanticCustomError("columns", "the columns are empty or of unequal length")
        if not all(before < after for before, after in pairwise(self.frames)):
            raise PydanticCustomError("frames", "the frames are not in order")
        if not all(x1 < x2 and y1 < y2 for x1, y1, x2, y2 in chain(self.boxes, self.areas)):
            raise PydanticCustomError("boxes", "a box has no width or height")
        if not all(isclose(x2 - x1, y2 - y1, rel_tol=0.01) for x1, y1, x2, y2 in self.areas):
            raise PydanticCustomError("areas", "the area of a face crop is not a square")
        return self


class Person(Part):
    """One person: the finding and the observations it is based on."""

    finding: Finding
    track: TrackColumns

    @model_validator(mode="after")
    def _has_its_frames(self) -> Self:
        assessment = self.finding.assessment
        named = {self.finding.key_frame, *(assessment.strongest if assessment else ())}
        if not named <= set(self.track.frames):
            raise PydanticCustomError("frames", "the finding refers to a frame without the person")
        return self


class HeatmapFile(Part):
    """The heatmap file: ``rows`` x ``height`` x ``width`` little-endian half floats."""

    file: Annotated[str, Field(pattern=r"^[^/\\]+$", description="name, in the same folder")]
    rows: Count
    height: Count
    width: Count
    sha256: Annotated[str, Field(description="of the file; empty in older reports")] = ""
    method: Annotated[str, Field(description="heatmap method")]
    unit: str
    signed: Annotated[bool, Field(description="negative values are evidence for real")]

    @field_validator("method")
    @classmethod
    def _is_known(cls, method: str) -> str:
        if method not in METHODS:
            raise PydanticCustomError("method", "is not a known heatmap method")
        return method


class Document(Part):
    """The content of ``report.json``."""

    schema_version: int  # first: checked before the fields that another version may have changed
    input_path: Annotated[str, Field(description="path of the input, relative to this file")]
    video: VideoInfo
    frames: Annotated[int, Field(description="number of frames decoded")]
    damage: list[Damage]
    model: ModelCard
    settings: Settings
    thresholds: Thresholds
    error_rates: Annotated[
        str,
        Field(description="how often the model was wrong on labelled clips"),
    ] = ""
    persons: list[Person]
    heatmaps: HeatmapFile
    provenance: Provenance

    @field_validator("schema_version")
    @classmethod
    def _is_ours(cls, version: int) -> int:
        if version != SCHEMA_VERSION:
            raise PydanticCustomError(
                "schema_version",
                "is {found}, but this version reads {known}",
                {"found": version, "known": SCHEMA_VERSION},
            )
        return version

    @field_validator("video")
    @classmethod
    def _is_plausible(cls, video: VideoInfo) -> VideoInfo:
        if not (0 < video.width <= _MAX_SIDE and 0 < video.height <= _MAX_SIDE):
            raise PydanticCustomError("size", "has no valid width and height")
        if video.rotation not in (0, 90, 180, 270):
            raise PydanticCustomError("rotation", "has no valid rotation")
        if video.time_base <= 0 or (video.rate is not None and video.rate <= 0):
            raise PydanticCustomError("rate", "has no valid frame rate or time base")
        if not abs(video.start) < 1e7 or not 0 <= (video.duration or 0) < 1e7:
            raise PydanticCustomError("times", "has no valid start and duration")
        return video

    @model_validator(mode="after")
    def _has_its_heatmaps(self) -> Self:
        rows = self.heatmaps.rows
        if any(max(person.track.heatmaps) >= rows for person in self.persons):
            raise PydanticCustomError("rows", "a face refers to a heatmap that does not exist")
        shape = (self.heatmaps.height, self.heatmaps.width)
        for person in self.persons:
            found = specificity_of(person.finding)
            if found and not _has_shape(found.baseline, *shape):
                raise PydanticCustomError("baseline", "a baseline is not of the heatmaps' size")
        return self


def write_document(report: Report, folder: Path, final_folder: Path) -> None:
    """Write ``report.json`` and the heatmap file into ``folder``.

    Args:
        report: to write.
        folder: to write into; exists.
        final_folder: where the files will be moved; the path to the input is relative to it.
    """
    method = METHODS[report.cam]
    height, width = report.heatmaps.shape or (0, 0)
    sha256 = report.heatmaps.save(folder / HEATMAPS_NAME)
    document = Document(
        schema_version=SCHEMA_VERSION,
        # A file name need not be valid Unicode, but JSON must be.
        input_path=relative_path(report.source, final_folder)
        .encode("utf-8", "backslashreplace")
        .decode(),
        video=report.video,
        frames=report.frames,
        damage=list(report.damage),
        model=report.model,
        settings=report.settings,
        thresholds=report.thresholds,
        error_rates=error_rate_sentence(report.model, report.thresholds),
        persons=[],
        heatmaps=HeatmapFile(
            file=HEATMAPS_NAME,
            rows=len(report.heatmaps),
            height=height,
            width=width,
            sha256=sha256,
            method=method.name,
            unit=method.unit,
            signed=method.signed,
        ),
        provenance=report.provenance,
    )
    # The persons of a long video are written in pieces: one string for all of them would take a
    # hundred times the memory. The separator cannot occur inside a JSON string, where its quotation
    # marks would be escaped.
    before, after = document.model_dump_json().split('"persons":[]')
    with (folder / FILE_NAME).open("w", encoding="utf-8") as file:
        file.write(f'{before}"persons":[')
        for number, (track, finding) in enumerate(zip(report.tracks, report.findings, strict=True)):
            file.write("," if number else "")
            file.write(f'{{"finding":{_FINDING.dump_json(finding).decode()},"track":{{')
            for text in _columns(track):
                file.write(text)
            file.write("}}")
        file.write(f"]{after}")


def read_report(path: Path | str, *, source: Path | None = None) -> Report:
    """Read a report that ``write_document`` wrote.

    Args:
        path: of ``report.json``; the heatmap file lies beside it.
        source: current path of the video, if it was moved. By default the recorded path or, if the
            video is not there, its exact copy beside the report.

    Raises:
        ReportError: the report or its heatmap file is missing or damaged, or the report was
            written by another version.
    """
    path = Path(path)
    try:
        document = Document.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, UsageError) as error:
        raise unreadable(path, error) from error
    saved = document.heatmaps
    shape = (saved.height, saved.width)
    return Report(
        source=source or _find_input(path.parent, document),
        video=document.video,
        frames=document.frames,
        damage=tuple(document.damage),
        model=document.model,
        settings=document.settings,
        cam=saved.method,
        thresholds=document.thresholds,
        tracks=tuple(_track(person) for person in document.persons),
        findings=tuple(person.finding for person in document.persons),
        heatmaps=HeatmapStore.open(path.parent / saved.file, shape, saved.rows, saved.sha256),
        provenance=document.provenance,
    )


def unreadable(path: Path, error: Exception) -> ReportError:
    """Return the error that says why a report cannot be read, and what to do."""
    if isinstance(error, OSError):
        return ReportError(
            f"{path}: cannot read the report: {error.strerror}; give the report.json of an analysis"
        )
    problem, advice = str(error), "analyze the video again"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        problem = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
        if first["type"] == "json_invalid":  # another file, or a damaged one
            advice = f"give the report.json of an analysis, or {advice}"
    return ReportError(f"{path}: not a report this version can read: {problem}; {advice}")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``report.json``."""
    return Document.model_json_schema(mode="serialization")


def relative_path(source: Path, folder: Path) -> str:
    """Return the path from a folder to a file, with slashes; absolute if on another drive."""
    try:
        return Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on Windows, another drive
        return source.resolve().as_posix()


def _find_input(folder: Path, document: Document) -> Path:
    """Return the recorded path of the input, or its exact copy if only that is there."""
    recorded = (folder / document.input_path).resolve()
    made = document.provenance
    if _has_size(recorded, made.input_bytes):
        return recorded
    for copy in (folder / name for name in ORIGINAL_NAMES):
        if _has_size(copy, made.input_bytes) and file_sha256(copy) == made.input_sha256:
            return copy
    return recorded


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError:
        return False


def _has_shape(rows: Sequence[Sequence[float]], height: int, width: int) -> bool:
    return len(rows) == height and all(len(row) == width for row in rows)


def _columns(track: Track) -> Iterator[str]:
    """Yield ``TrackColumns`` as JSON, in pieces and without the outer braces."""
    for number, (name, to_list) in enumerate(_COLUMNS.items()):
        yield f'{"," if number else ""}"{name}":['
        for begin in range(0, len(track), _PIECE):
            piece = json.dumps(
                to_list(track, slice(begin, begin + _PIECE)), separators=(",", ":"), allow_nan=False
            )
            yield ("," if begin else "") + piece[1:-1]
        yield "]"


def _rounded(column: NDArray[Any], digits: int) -> list[Any]:
    rounded: list[Any] = np.round(column.astype(np.float64), digits).tolist()
    return rounded


def _landmarks(landmarks: NDArray[np.float32]) -> list[Any]:
    missing = np.flatnonzero(np.isnan(landmarks).any(axis=(1, 2)))
    points = _rounded(landmarks, 2)
    for row in missing:
        points[row] = None
    return points


_PIECE = 4096  # rows in memory at a time
_FINDING = TypeAdapter(Finding)
_COLUMNS: dict[str, Callable[[Track, slice], list[Any]]] = {
    "frames": lambda track, rows: track.frames[rows].tolist(),
    "times": lambda track, rows: _rounded(track.times[rows], 6),
    "boxes": lambda track, rows: _rounded(track.boxes[rows], 2),
    "areas": lambda track, rows: _rounded(track.areas[rows], 2),
    "landmarks": lambda track, rows: _landmarks(track.landmarks[rows]),
    "confidences": lambda track, rows: _rounded(track.confidences[rows], 4),
    "detected": lambda track, rows: track.detected[rows].tolist(),
    "sharpness": lambda track, rows: _rounded(track.sharpness[rows], 3),
    "quality_flags": lambda track, rows: track.quality_flags[rows].tolist(),
    "logits": lambda track, rows: _rounded(track.logits[rows], 6),
    "heatmaps": lambda track, rows: track.heatmaps[rows].tolist(),
    "peaks": lambda track, rows: track.peaks[rows].astype(np.float64).tolist(),
}


def _track(person: Person) -> Track:
    columns = person.track
    rows = len(columns.frames)
    missing = [(np.nan, np.nan)] * 5

    def floats(values: ArrayLike, *shape: int) -> NDArray[np.float32]:
        return np.asarray(values, dtype=np.float32).reshape(rows, *shape)

    return Track(
        person=person.finding.person,
        frames=np.asarray(columns.frames, dtype=np.int64),
        times=np.asarray(columns.times, dtype=np.float64),
        boxes=floats(columns.boxes, 4),
        areas=floats(columns.areas, 4),
        landmarks=floats([points or missing for points in columns.landmarks], 5, 2),
        confidences=floats(columns.confidences),
        detected=np.asarray(columns.detected, dtype=np.bool_),
        sharpness=floats(columns.sharpness),
        quality_flags=np.asarray(columns.quality_flags, dtype=np.uint8),
        logits=floats(columns.logits),
        heatmaps=np.asarray(columns.heatmaps, dtype=np.int64),
        peaks=floats(columns.peaks),
    )
