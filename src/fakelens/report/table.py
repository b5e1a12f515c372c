"""``scores.csv``: one row per face and frame, for spreadsheets and scripts."""

import csv
import heapq
from collections.abc import Iterator
from pathlib import Path

from fakelens.faces.quality import Doubt
from fakelens.records.report import Report
from fakelens.records.tracks import Sighting, Track

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
    "doubts",
)


def write_table(report: Report, folder: Path) -> None:
    """Write the table, ordered by frame, then by person."""
    rows = heapq.merge(*map(_rows, report.tracks), key=lambda row: row[:2])
    with (folder / FILE_NAME).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for frame, person, sighting in rows:
            box = sighting.box
            corners = (f"{value:.2f}" for value in (box.x1, box.y1, box.x2, box.y2))
            numbers = (f"{sighting.logit:.6f}", f"{sighting.score:.6f}")
            doubts = "; ".join(Doubt(sighting.doubts).words)
            usable = int(sighting.doubts == 0)
            writer.writerow(
                (frame, f"{sighting.time:.6f}", person, *corners, *numbers, usable, doubts)
            )


def _rows(track: Track) -> Iterator[tuple[int, int, Sighting]]:
    return ((sighting.frame, track.person, sighting) for sighting in track)
