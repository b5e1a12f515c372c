"""Fixtures of the tests of reports."""

from pathlib import Path

import numpy as np
import pytest

from fakelens.records.report import Report
from fakelens.report.save import save_report
from support.builders import make_report
from support.report_files import FRAMES, random_track
from support.toys import FAKE, REAL, analyzed, film


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two people."""
    return film(tmp_path_factory.mktemp("clip") / "two.mp4", FAKE, REAL, frames=FRAMES)


@pytest.fixture(scope="session")
def report(clip: Path) -> Report:
    """The report of that clip."""
    return analyzed(clip, FAKE, REAL)


@pytest.fixture(scope="session")
def saved(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of that report. Do not change it."""
    folder = tmp_path_factory.mktemp("saved") / "out"
    save_report(report, folder)
    return folder


@pytest.fixture
def random_report() -> Report:
    """A report with random values in every column."""
    maps = np.random.default_rng(9).normal(0, 1, (50, 6, 6))
    return make_report(
        random_track(1, range(30)), random_track(2, range(30, 50)), maps=maps, every=2
    )
