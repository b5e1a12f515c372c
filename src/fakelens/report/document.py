"""``report.json``: the whole report except the heatmaps, which are in a file beside it.

The schema is published as ``docs/reference/report.schema.json``. ``schema_version`` increases when
a field is removed, renamed or changes its meaning, not when one is added.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fakelens.errors import ReportError, UsageError
from fakelens.explain.cam import METHODS
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.media.source_file import file_sha256
from fakelens.records.findings import Finding
from fakelens.records.media import Damage, VideoInfo
from fakelens.records.models import ModelCard, Thresholds
from fakelens.records.report import SCHEMA_VERSION, Provenance, Report, SecondOpinion
from fakelens.records.settings import Settings
from fakelens.render.overlay import specificity_of
from fakelens.report.error_rates import error_rate_sentence
from fakelens.report.opinions import is_folder
from fakelens.report.source_video import NAMES as ORIGINAL_NAMES
from fakelens.report.track_columns import (
    Count,
    Part,
    TrackColumns,
    read_columns,
    write_columns,
)

FILE_NAME = "report.json"
HEATMAPS_NAME = "heatmaps.f16"

_MAX_SIDE = 100_000  # pixels; beyond it, a value can only be damage
_FINDING = TypeAdapter(Finding)


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
    second_opinions: Annotated[
        tuple[SecondOpinion, ...],
        Field(description="what other models say, from the same pass over the input"),
    ] = ()
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

    @field_validator("second_opinions")
    @classmethod
    def _are_beside_it(cls, opinions: tuple[SecondOpinion, ...]) -> tuple[SecondOpinion, ...]:
        if any(one.cam not in METHODS for one in opinions):
            raise PydanticCustomError("method", "has an unknown heatmap method")
        if not all(is_folder(one.folder) for one in opinions):
            raise PydanticCustomError("folder", "has a folder that is not one of a second opinion")
        return opinions

    @model_validator(mode="after")
    def _is_about_its_persons(self) -> Self:
        persons = [person.finding.person for person in self.persons]
        for opinion in self.second_opinions if persons else ():  # none yet while it is written
            if [finding.person for finding in opinion.findings] != persons:
                raise PydanticCustomError("persons", "a second opinion is about other persons")
        return self

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
        second_opinions=report.second_opinions,
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
            for text in write_columns(track):
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
        tracks=tuple(
            read_columns(person.track, person.finding.person) for person in document.persons
        ),
        findings=tuple(person.finding for person in document.persons),
        heatmaps=HeatmapStore.open(path.parent / saved.file, shape, saved.rows, saved.sha256),
        provenance=document.provenance,
        second_opinions=document.second_opinions,
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
    """Return the recorded path of the input, or its exact copy if only that is there.

    The copy lies beside the report of the first model.
    """
    recorded = (folder / document.input_path).resolve()
    made = document.provenance
    if _has_size(recorded, made.input_bytes):
        return recorded
    folders = [folder, *(folder / one.folder for one in document.second_opinions)]
    for copy in (place / name for place in folders for name in ORIGINAL_NAMES):
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
