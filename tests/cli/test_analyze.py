"""``fakelens analyze``: what it writes and prints."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fakelens.analysis import pipeline
from fakelens.evaluation import demo
from fakelens.records.report import Report
from support.commands import FILES, one_sentence, run, sound, timestamps
from support.comparing import SEALED, compared, specificity, with_records


def _change_reports(monkeypatch: pytest.MonkeyPatch, change: Callable[[Report], Report]) -> None:
    """Change every report between the analysis and the writing of files."""
    analyze = pipeline.analyze_models

    def changed(*given: Any, **more: Any) -> tuple[Report, ...]:
        return tuple(map(change, analyze(*given, **more)))

    monkeypatch.setattr(pipeline, "analyze_models", changed)


def test_analyze_writes_everything_it_promises(clip: Path, analyzed: Path) -> None:
    assert {path.name for path in analyzed.iterdir()} == FILES | {"mean_faces"}
    assert {path.name for path in (analyzed / "faces").iterdir()} == {
        "person-1.png",
        "person-2.png",
    }
    assert timestamps(analyzed / "annotated.mp4") == timestamps(clip)
    assert sound(analyzed / "annotated.mp4") == sound(clip)


def test_two_people_are_two_people_in_every_output(analyzed: Path) -> None:
    lines = (analyzed / "scores.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    assert lines[0].startswith("frame,time,person,x1,y1,x2,y2,logit,score")
    assert len(rows) == 2 * 25  # of 50 frames every second one is examined
    # The clip shows one person on either side; neither may ever change sides.
    sides = {(row["person"], float(row["x1"]) > demo.WIDTH / 2) for row in rows}
    assert len(sides) == 2
    document = json.loads((analyzed / "report.json").read_text(encoding="utf-8"))
    assert [person["finding"]["person"] for person in document["persons"]] == [1, 2]


def test_the_report_says_what_the_model_ran_on(analyzed: Path) -> None:
    document = json.loads((analyzed / "report.json").read_text(encoding="utf-8"))
    assert document["provenance"]["device"] == "cpu"
    assert "run on cpu" in (analyzed / "report.html").read_text(encoding="utf-8")


def test_the_error_rates_are_one_line_below_the_table(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _change_reports(monkeypatch, lambda report: with_records(report, SEALED))
    result = run(
        "analyze", clip, "-o", tmp_path / "out", "--no-video", "--every", 10, "--threshold", 0.5
    )
    assert result.exit_code == 0, result.output
    *_, table_end, line, results = result.stdout.splitlines()
    assert table_end.startswith("└")
    assert line == (
        "On 15 genuine clips that were not used to train or choose it, this model called 1 fake; "
        "of 8 fakes it called 2 fake and none real. These counts hold for the model's own "
        "thresholds, not for the ones used here."
    )
    assert results.startswith("Results: ")


@pytest.mark.parametrize("baseline", ["subtract", "keep"])
def test_the_baseline_is_subtracted_unless_it_is_kept(
    baseline: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here genuine faces have the mean heatmap of each person, so there is nothing to draw."""

    def usual(report: Report) -> Report:
        means = (
            np.mean([report.heatmaps[int(row)] for row in track.heatmaps], axis=0)
            for track in report.tracks
        )
        return compared(report, *map(specificity, means))

    _change_reports(monkeypatch, usual)
    options = () if baseline == "subtract" else ("--baseline", baseline)
    result = run("analyze", clip, "-o", tmp_path / "out", "--no-video", "--every", 10, *options)
    assert result.exit_code == 0, result.output
    picture = cv2.imread(str(tmp_path / "out" / "faces" / "person-2.png")).astype(int)
    before, after = np.split(picture, 2, axis=1)
    drawn = (np.abs(before - after) > 30).any(axis=2).mean() > 0.2
    assert drawn == (baseline == "keep")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert ('id="compare" checked' in page) == (baseline == "subtract")
    assert "specific" in result.stdout


@pytest.mark.slow
def test_the_program_is_quiet_where_nobody_looks(clip: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fakelens", "analyze", str(clip), "--every", "10", "-o"]
    command.append(str(tmp_path / "out"))
    done = subprocess.run([*command, "--no-video"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""  # no terminal, so no progress bar
    assert "person" in done.stdout
    assert "evidence, not proof" in done.stdout
    command[-1] = str(tmp_path / "other")
    done = subprocess.run(
        [*command, "--no-video", "--quiet"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "other" / "annotated.mp4").exists()


def test_the_time_is_accounted_for_on_request(clip: Path, tmp_path: Path) -> None:
    result = run("analyze", clip, "-o", tmp_path / "out", "--every", "auto", "--profile", "-q")
    assert result.exit_code == 0
    stages = {line.strip("│ ").split("  ")[0].rstrip("│ ") for line in result.stdout.splitlines()}
    assert stages >= {
        "decode",
        "detect and track faces",
        "model and heatmaps",
        "decode again",
        "draw",
        "encode",
        "total (stages overlap)",
    }


def test_results_are_not_overwritten_without_force(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")
    assert "--force" in one_sentence(refused := run("analyze", clip, "-o", tmp_path))
    assert refused.exit_code == 1
    assert (tmp_path / "report.json").read_text() == "mine"
    options = ("--force", "--no-video", "--every", 10)
    assert run("analyze", clip, "-o", tmp_path, *options).exit_code == 0
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["persons"]
    assert (tmp_path / "notes.txt").read_text() == "mine too"


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_an_interruption_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fakelens", "analyze", str(clip), "--every", "10"]
    command += ["-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".fakelens-partial-*/new/annotated.mp4")):  # until it draws
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "fakelens: interrupted; unfinished results were removed"
    assert not list(tmp_path.iterdir())
