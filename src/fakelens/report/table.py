"""``scores.csv``: one row per face and frame."""

import csv
import heapq
from collections.abc import Iterator
from pathlib import Path

from fakelens.faces.quality import QualityFlag
from fakelens.records.report import Report
from fakelens.records.tracks import Observation, Track

FILE_NAME = "scores.csv"
COLUMNS = (
    "frame",
    "time",
    "person",
    "x1",
    "y1",
    "x2",
    "y2",
    "logit",
    "score",
    "usable",
    "quality_flags",
)


def write_table(report: Report, folder: Path) -> None:
    """Write ``scores.csv``, ordered by frame and then by person."""
    rows = heapq.merge(*map(_rows, report.tracks), key=lambda row: row[:2])
    with (folder / FILE_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for frame, person, observation in rows:
            box = observation.box
            corners = (f"{value:.2f}" for value in (box.x1, box.y1, box.x2, box.y2))
            numbers = (f"{observation.logit:.6f}", f"{observation.score:.6f}")
            quality_flags = "; ".join(QualityFlag(observation.quality_flags).descriptions)
            usable = int(observation.quality_flags == 0)
            writer.writerow(
                (
                    frame,
                    f"{observation.time:.6f}",
                    person,
                    *corners,
                    *numbers,
                    usable,
                    quality_flags,
                )
            )


def _rows(track: Track) -> Iterator[tuple[int, int, Observation]]:
    return ((observation.frame, track.person, observation) for observation in track)
