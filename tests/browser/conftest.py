"""Fixtures of the tests with a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from fakelens.report.save import save_report
from support.browser import RecordedPage, running_browser
from support.report_page import FRAMES, open_report
from support.toys import FAKE, REAL, analyzed, film


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window.

    Of module scope, because no test can run an event loop of its own while the browser is open.
    """
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on a clip of two people, one red and one blue."""
    parent = tmp_path_factory.mktemp("clip")
    clip = film(parent / "two.mp4", FAKE, REAL, frames=FRAMES)
    save_report(analyzed(clip, FAKE, REAL), parent / "out")
    return parent / "out"


@pytest.fixture
def opened(chromium: Browser, folder: Path) -> Iterator[RecordedPage]:
    """The page of that report, which must cause no errors and send no requests."""
    recorded = open_report(chromium, folder)
    yield recorded
    assert recorded.errors == []
    assert recorded.hosts() == set()
    recorded.close()
