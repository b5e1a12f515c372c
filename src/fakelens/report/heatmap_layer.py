"""Heatmaps, boxes and scores as data in the page, drawn over the untouched video by its script.

Small enough to lie in the page: long videos are thinned out in time, in between the page
interpolates. The layout of the bytes is told in ``pack``.
"""

import base64
import zlib
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.records.trust import TrustMark
from fakelens.render.overlay import Mark, Overlay
from fakelens.render.painter import ink_tables
from fakelens.render.style import Style
from fakelens.report.portraits import suspicious_first

TICKS = 10_000  # a second
LEVELS = 63  # of a strength, each sign; finer than an eye sees
MAX_ROWS = 24_000  # boxes and scores, all persons together; twice that where they are short
MAX_CELLS = 4_000_000  # of all heatmaps
MAX_BYTES = 1_400_000  # of the layer in the page
_MAX_SIDE = 28  # cells; finer heatmaps are averaged
_BOX_STEPS = 8000  # in the longer side of the picture

# By number of the track, the rows and whether each is joined to the next.
_Kept = dict[int, tuple[NDArray[np.int64], NDArray[np.bool_]]]

_USABLE, _JOINED, _HAS_MAP = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Layer:
    """What the page's script draws.

    Attributes:
        facts: for JSON: sizes, persons and how many rows they have.
        data: base64 of the deflated columns.
        maps_per_second: that are stored of a person, at most; less than the frames where the
            video is long.
        left_out: number of persons who are not in it.
    """

    facts: dict[str, Any]
    data: str
    maps_per_second: float
    left_out: int


def pack(report: Report, style: Style) -> Layer:
    """Make the layer of a report.

    Of each person, in order, the columns below lie one after the other, little-endian. Integers
    of more than 8 bits and the cells of heatmaps are differences to the row before (cells modulo
    256); the page adds them up.

    ========== ======= ===================================================================
    time       int32   ``TICKS`` of a second since the video's first frame
    frame      int32   index
    box        4 int16 x1, y1, x2, y2 of the face, in steps of ``facts["step"]`` pixels
    area       3 int16 x, y and side of the square that the heatmap covers, likewise
    score      uint8   of the frame, 255 = fake
    steady     uint8   the same, steadied over time as in the annotated video
    flags      uint8   1 = usable, 2 = interpolate to the next row, 4 = has a heatmap
    heatmaps   int8    of the rows that have one, (h, w) each, ``LEVELS`` = full strength
    ========== ======= ===================================================================
    """
    faces = sum(map(len, report.tracks))
    height, width = _cells(report)
    stride = _stride(faces, MAX_ROWS)
    map_stride = _stride(faces // stride * height * width, MAX_CELLS)
    kept, thinner = _kept(report, stride), 2
    while len((layer := _pack(report, style, kept, map_stride)).data) > MAX_BYTES:
        if map_stride > MAX_ROWS:
            break  # no heatmaps are left that could go
        map_stride, thinner = map_stride * thinner, thinner * 2
    return replace(layer, maps_per_second=layer.maps_per_second / stride)


def _kept(report: Report, stride: int) -> _Kept:
    """By number of the track the rows to keep, see ``_thinned``; the most suspicious first."""
    kept: _Kept = {}
    rows = 0
    ranked = suspicious_first(report)
    for number in [*ranked, *sorted(set(range(len(report.tracks))) - set(ranked))]:
        thinned = _thinned(report.tracks[number], report.settings.every, stride)
        rows += len(thinned[0])
        if kept and rows > 2 * MAX_ROWS:
            break
        kept[number] = thinned
    return dict(sorted(kept.items()))


def _pack(
    report: Report,
    style: Style,
    kept: _Kept,
    map_stride: int,
) -> Layer:
    overlay = Overlay(report, smooth=style.smooth)
    step = max(report.video.width, report.video.height) / _BOX_STEPS
    persons, columns, before = [], [], 0
    for number, (rows, joined) in kept.items():
        track, finding = report.tracks[number], report.findings[number]
        # Counted through all persons, so that stretches of few frames do not all have one.
        mapped = np.arange(before, before + len(rows)) % map_stride == 0
        before += len(rows)
        seen = [mark for row in rows if (mark := overlay.mark(number, int(track.frames[row])))]
        flags = track.usable[rows] * _USABLE + joined * _JOINED + mapped * _HAS_MAP
        columns += [
            *_columns(report, track, rows, seen, step),
            flags.astype("u1"),
            _codes([mark for mark, wanted in zip(seen, mapped, strict=True) if wanted], report),
        ]
        persons.append(
            {
                "person": track.person,
                "verdict": finding.verdict.value,
                "judged": finding.score is not None,
                "hatched": finding.trust_mark is TrustMark.CHANCE,
                "rows": len(rows),
                "maps": int(mapped.sum()),
            }
        )
    colours, alpha = ink_tables(replace(style, evidence="both", opacity=1))
    facts = {
        "width": report.video.width,
        "height": report.video.height,
        "start": float(report.video.start),
        "step": step,
        "cells": _cells(report),
        "persons": persons,
        "inks": _base64(np.column_stack([colours, alpha]).astype("u1").tobytes()),
    }
    spacing = [float(np.median(np.diff(track.times))) for track in report.tracks if len(track) > 1]
    return Layer(
        facts,
        _base64(zlib.compress(b"".join(column.tobytes() for column in columns))),
        1 / (min(spacing) * map_stride) if spacing else 0.0,
        len(report.tracks) - len(kept),
    )


def _cells(report: Report) -> tuple[int, int]:
    height, width = report.heatmaps.shape or (1, 1)
    return min(height, _MAX_SIDE), min(width, _MAX_SIDE)


def _stride(number: int, limit: int) -> int:
    return max(1, -(-number // limit))


def _thinned(track: Track, every: int, stride: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows of a track to keep, and whether each is followed without a gap by the next kept.

    Of each stretch without a gap every ``stride``-th row is kept, and the last.
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
    steady = np.array([mark.score or 0.0 for mark in marks])
    return [
        _differences(times, "<i4"),
        _differences(track.frames[rows], "<i4"),
        *(_differences(column / step, "<i2") for column in track.boxes[rows].T),
        *(_differences(column / step, "<i2") for column in sides.T),
        np.round(255 * sigmoid(track.logits[rows])).astype("u1"),
        np.round(255 * steady).astype("u1"),
    ]


def _differences(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """Whole numbers as differences to the one before; sums wrap round and come out right."""
    limit = np.iinfo(kind)
    whole = np.clip(np.round(values.astype(np.float64)), limit.min, limit.max).astype(np.int64)
    return np.diff(whole, prepend=0).astype(kind)


def _codes(marks: list[Mark], report: Report) -> NDArray[np.int8]:
    if not marks:
        return np.empty(0, np.int8)
    maps = np.stack([_fitted(mark.strength, *_cells(report)) for mark in marks])
    codes = np.round(maps * LEVELS).astype(np.int64)
    return np.diff(codes, axis=0, prepend=0).astype(np.int8)


def _fitted(strength: FloatArray, height: int, width: int) -> FloatArray:
    if strength.shape == (height, width):
        return strength
    return cv2.resize(strength, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
