"""``scores.csv``: one row per face and frame."""

import csv
from pathlib import Path

import numpy as np
import pytest

from fakelens.records.arrays import sigmoid
from fakelens.records.report import Report
from fakelens.report.table import COLUMNS, write_table
from support.builders import make_report, make_track


def test_the_table_has_one_row_per_face_ordered_by_frame_and_person(
    random_report: Report, tmp_path: Path
) -> None:
    write_table(random_report, tmp_path)
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert ",".join(header).startswith("frame,time,person,x1,y1,x2,y2,logit,score")
    assert tuple(header) == COLUMNS
    keys = [(int(row[0]), int(row[2])) for row in rows]
    assert keys == sorted(keys)
    by_key = dict(zip(keys, rows, strict=True))
    assert len(by_key) == 50
    for track in random_report.tracks:
        for observation in track:
            row = by_key[observation.frame, track.person]
            box = observation.box
            np.testing.assert_allclose(
                [float(value) for value in row[1:2] + row[3:8]],
                [observation.time, box.x1, box.y1, box.x2, box.y2, observation.logit],
                atol=0.0051,
            )
            assert float(row[7]) == pytest.approx(observation.logit, abs=1e-6)
            assert float(row[8]) == pytest.approx(float(sigmoid(float(row[7]))), abs=2e-6)
            assert row[9] == str(int(observation.quality_flags == 0))
            assert bool(row[10]) == bool(observation.quality_flags)


def test_the_table_names_the_quality_flags(tmp_path: Path) -> None:
    track = make_track([1, 2], quality_flags=[0, 0b111])
    write_table(make_report(track, maps=np.ones((2, 4, 4))), tmp_path)
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert [row["quality_flags"] for row in rows] == [
        "",
        "the face is too small; the face is too blurred; the detection may not be a face",
    ]


def test_a_table_without_people_has_only_a_header(tmp_path: Path) -> None:
    write_table(make_report(maps=np.ones((1, 4, 4))), tmp_path)
    assert (tmp_path / "scores.csv").read_text() == ",".join(COLUMNS) + "\n"
