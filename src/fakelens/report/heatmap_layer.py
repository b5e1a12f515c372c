"""The heatmap layer: heatmaps, boxes and scores as data that the page draws over the video.

The data must be small enough to be part of the page. Of long videos only some frames are kept; the
page interpolates between them. ``pack`` describes the byte layout.
"""

import base64
import math
import zlib
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.records.trust import SpecificityMark, TrustMark
from fakelens.render.overlay import Mark, Overlay, heatmap_scale, specificity_of
from fakelens.render.painter import FADED, ISOLINES, colour_tables
from fakelens.render.ranking import MOST_IN_FULL, rank_all
from fakelens.render.style import Style

TICKS = 10_000
"""Time steps per second."""

LEVELS = 63
"""Steps of heatmap strength for each sign; finer than the eye can tell apart."""

MAX_ROWS = 24_000
"""Faces kept, of all people together; up to twice as many where tracks are short."""

MAX_CELLS = 4_000_000
"""Cells kept, of all heatmaps together."""

MAX_BYTES = 1_400_000
"""Largest size of ``Layer.data``."""

_MAX_SIDE = 28  # cells; finer heatmaps are averaged
_BOX_STEPS = 8000  # along the longer side of the frame

# By track index: the rows kept, and whether each continues without a gap to the next.
_KeptRows = dict[int, tuple[NDArray[np.int64], NDArray[np.bool_]]]

_USABLE, _JOINED, _HAS_MAP = 1, 2, 4  # flags of a row
_MOST = 127 / LEVELS  # strength that fits into a cell


@dataclass(frozen=True, slots=True)
class Layer:
    """The data that the page's script draws.

    Attributes:
        facts: as JSON in the page: sizes, people and their numbers of rows.
        data: base64 of the deflated columns.
        maps_per_second: most heatmaps per second stored for a person; less than the examined
            frames per second where the video is long.
        omitted: number of people who are not in the layer.
    """

    facts: dict[str, Any]
    data: str
    maps_per_second: float
    omitted: int


def pack(report: Report, style: Style) -> Layer:
    """Return the layer of a report.

    For each person, the columns below follow one another, little-endian. Integers of more than 8
    bits and the cells of heatmaps are stored as differences from the row before (cells modulo
    256), which the page adds up.

    ========== ======= ===================================================================
    time       int32   in 1 / ``TICKS`` seconds since the video's first frame
    frame      int32   frame index
    box        4 int16 x1, y1, x2, y2 of the face, in steps of ``facts["step"]`` pixels
    area       3 int16 x, y and side of the square that the heatmap covers, likewise
    score      uint8   score of the frame, 255 = fake
    smoothed   uint8   the same, smoothed over time as in the annotated video
    flags      uint8   1 = usable, 2 = interpolate to the next row, 4 = has a heatmap
    heatmaps   int8    one (h, w) map for each row that has one, ``LEVELS`` = full strength
    baseline   int16   one (h, w) map in the same unit, if the person has a baseline
    ========== ======= ===================================================================

    Heatmaps of a person with a baseline are differences from it. With the baseline added, and
    multiplied by ``facts["whole"]``, they are on the scale of whole heatmaps, as all others are
    with that factor. Strengths beyond full strength are kept for that, up to twice as much.
    """
    faces = sum(map(len, report.tracks))
    height, width = _cells(report)
    stride = _stride(faces, MAX_ROWS)
    map_stride = _stride(faces // stride * height * width, MAX_CELLS)
    kept, factor = _kept_rows(report, stride), 2
    compared = any(map(specificity_of, report.findings))
    overlay = Overlay(report, smooth=style.smooth, limit=_MOST if compared else 1)
    while len((layer := _pack(report, overlay, style, kept, map_stride)).data) > MAX_BYTES:
        if map_stride > MAX_ROWS:
            break  # no more heatmaps can be dropped
        map_stride, factor = map_stride * factor, factor * 2
    return replace(layer, maps_per_second=layer.maps_per_second / stride)


def _kept_rows(report: Report, stride: int) -> _KeptRows:
    """Return the rows to keep of each track, see ``_thinned``.

    If there are too many, the least suspicious people are dropped.
    """
    kept: _KeptRows = {}
    rows = 0
    for number in rank_all(report):
        thinned = _thinned(report.tracks[number], report.settings.every, stride)
        rows += len(thinned[0])
        if kept and rows > 2 * MAX_ROWS:
            break
        kept[number] = thinned
    return dict(sorted(kept.items()))


def _pack(
    report: Report,
    overlay: Overlay,
    style: Style,
    kept: _KeptRows,
    map_stride: int,
) -> Layer:
    step = max(report.video.width, report.video.height) / _BOX_STEPS
    places = {number: place for place, number in enumerate(rank_all(report))}
    persons, columns, before = [], [], 0
    for number, (rows, joined) in kept.items():
        track, finding = report.tracks[number], report.findings[number]
        # Counted across people: otherwise every track, however short, would have a heatmap.
        mapped = np.arange(before, before + len(rows)) % map_stride == 0
        before += len(rows)
        marks = [mark for row in rows if (mark := overlay.mark(number, int(track.frames[row])))]
        flags = track.usable[rows] * _USABLE + joined * _JOINED + mapped * _HAS_MAP
        columns += [
            *_columns(report, track, rows, marks, step),
            flags.astype("u1"),
            _encode_maps([m for m, has_map in zip(marks, mapped, strict=True) if has_map], report),
        ]
        baseline = overlay.baselines[number]
        if baseline is not None:
            columns.append(_encode_baseline(baseline / np.float32(overlay.scale), report))
        found = specificity_of(finding)
        persons.append(
            {
                "person": track.person,
                "rank": places[number],
                "verdict": finding.verdict.value,
                "judged": finding.seen_well,
                "hatched": finding.trust_mark is TrustMark.CHANCE,
                "opacity": FADED if found and found.mark is SpecificityMark.USUAL else 1,
                "baseline": baseline is not None,
                "rows": len(rows),
                "maps": int(mapped.sum()),
            }
        )
    colours, alpha = colour_tables(replace(style, evidence="both", opacity=1))
    facts = {
        "width": report.video.width,
        "height": report.video.height,
        "start": float(report.video.start),
        "step": step,
        "cells": _cells(report),
        "whole": _whole_factor(report, overlay),
        "faded": FADED,
        "isolines": ISOLINES,
        "most": MOST_IN_FULL,
        "persons": persons,
        "colours": _base64(np.column_stack([colours, alpha]).astype("u1").tobytes()),
    }
    spacing = [float(np.median(np.diff(track.times))) for track in report.tracks if len(track) > 1]
    return Layer(
        facts,
        _base64(zlib.compress(b"".join(column.tobytes() for column in columns))),
        1 / (min(spacing) * map_stride) if spacing else 0.0,
        len(report.tracks) - len(kept),
    )


def _whole_factor(report: Report, overlay: Overlay) -> float:
    """Return what converts the strength of differences to that of whole heatmaps."""
    factor = overlay.scale / heatmap_scale(report, "keep")
    return factor if math.isfinite(factor) else 1.0  # otherwise nothing is drawn at all


def _cells(report: Report) -> tuple[int, int]:
    height, width = report.heatmaps.shape or (1, 1)
    return min(height, _MAX_SIDE), min(width, _MAX_SIDE)


def _stride(number: int, limit: int) -> int:
    return max(1, -(-number // limit))


def _thinned(track: Track, every: int, stride: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the rows of a track to keep, and whether each continues to the next without a gap.

    Within each stretch without a gap, every ``stride``-th row and the last one are kept.
    """
    gaps = np.diff(track.frames) > every
    starts = np.flatnonzero(np.concatenate([[True], gaps]))
    ends = np.flatnonzero(np.concatenate([gaps, [True]]))
    kept, joined = [], []
    for first, last in zip(starts, ends, strict=True):
        rows = np.unique(np.append(np.arange(first, last, stride), last))
        kept.append(rows)
        joined.append(rows < last)
    return np.concatenate(kept), np.concatenate(joined)


def _columns(
    report: Report, track: Track, rows: NDArray[np.int64], marks: list[Mark], step: float
) -> list[NDArray[Any]]:
    times = np.round((track.times[rows] - float(report.video.start)) * TICKS)
    areas = track.areas[rows]
    sides = np.column_stack([areas[:, :2], areas[:, 2] - areas[:, 0]])
    smoothed = np.array([mark.score or 0.0 for mark in marks])
    return [
        _differences(times, "<i4"),
        _differences(track.frames[rows], "<i4"),
        *(_differences(column / step, "<i2") for column in track.boxes[rows].T),
        *(_differences(column / step, "<i2") for column in sides.T),
        np.round(255 * sigmoid(track.logits[rows])).astype("u1"),
        np.round(255 * smoothed).astype("u1"),
    ]


def _differences(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """Round values and return the difference of each from the one before.

    Differences may overflow ``kind``; added up with the same overflow they give the values again.
    """
    limit = np.iinfo(kind)
    whole = np.clip(np.round(values.astype(np.float64)), limit.min, limit.max).astype(np.int64)
    return np.diff(whole, prepend=0).astype(kind)


def _encode_maps(marks: list[Mark], report: Report) -> NDArray[np.int8]:
    if not marks:
        return np.empty(0, np.int8)
    maps = np.stack([_resize_map(mark.strength, *_cells(report)) for mark in marks])
    codes = np.round(maps * LEVELS).astype(np.int64)
    return np.diff(codes, axis=0, prepend=0).astype(np.int8)


def _encode_baseline(strength: FloatArray, report: Report) -> NDArray[np.int16]:
    codes = np.round(_resize_map(strength, *_cells(report)) * LEVELS)
    return np.clip(codes, -32768, 32767).astype("<i2")


def _resize_map(strength: FloatArray, height: int, width: int) -> FloatArray:
    if strength.shape == (height, width):
        return strength
    return cv2.resize(strength, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
