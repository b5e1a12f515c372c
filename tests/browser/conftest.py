"""Fixtures of the tests that drive a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from fakelens.report.save import save_report
from support.browser import Watched, running_browser
from support.looking import FRAMES, show
from support.toys import FAKE, REAL, analyzed, film


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window.

    Not for the whole session: while it runs, no test can run an event loop of its own.
    """
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two people, one red and one blue."""
    place = tmp_path_factory.mktemp("clip")
    clip = film(place / "two.mp4", FAKE, REAL, frames=FRAMES)
    save_report(analyzed(clip, FAKE, REAL), place / "out")
    return place / "out"


@pytest.fixture
def opened(chromium: Browser, folder: Path) -> Iterator[Watched]:
    """That report's page; it must not complain or make a request."""
    watched = show(chromium, folder)
    yield watched
    assert watched.complaints == []
    assert watched.hosts() == set()
    watched.close()
