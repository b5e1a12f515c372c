"""A clip of two actors and its report, for the tests of the analysis."""

from pathlib import Path

import pytest

from fakelens.records.report import Report
from support.examining import FRAMES, examine
from support.toys import FAKE, REAL, film


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "two.mp4", FAKE, REAL, frames=FRAMES)


@pytest.fixture(scope="session")
def report(clip: Path) -> Report:
    return examine(clip, FAKE, REAL)
