"""Fixtures of the tests of the examiner's report."""

from pathlib import Path

import pytest

from fakelens.casework.case import Case
from fakelens.casework.examination import Examination, gather
from fakelens.report.save import save_report
from support.toys import FAKE, REAL, analyzed, film


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two people, one second long."""
    return film(tmp_path_factory.mktemp("clip") / "two.mp4", FAKE, REAL, frames=60)


@pytest.fixture(scope="session")
def results(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of that clip. Do not change them."""
    folder = tmp_path_factory.mktemp("results") / "out"
    save_report(analyzed(clip, FAKE, REAL, every=2), folder, video=False)
    return folder


@pytest.fixture(scope="session")
def examination(results: Path) -> Examination:
    """These results, with an empty CASE.toml."""
    return gather(results, Case())
