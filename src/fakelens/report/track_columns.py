"""The observations of a person in ``report.json``: one list per column of a track."""

import json
from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from math import isclose
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from fakelens.faces.quality import QualityFlag
from fakelens.records.tracks import Track

# Limits beyond which a value can only be damage, and drawing it would fail.
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


def write_columns(track: Track) -> Iterator[str]:
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


def read_columns(columns: TrackColumns, person: int) -> Track:
    """Return the track of a person."""
    rows = len(columns.frames)
    missing = [(np.nan, np.nan)] * 5

    def floats(values: ArrayLike, *shape: int) -> NDArray[np.float32]:
        return np.asarray(values, dtype=np.float32).reshape(rows, *shape)

    return Track(
        person=person,
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
