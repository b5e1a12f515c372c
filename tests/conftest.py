"""Fixtures shared by all tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from browser import Watched, running_browser
from fakelens.report.save import save_report
from looking import FRAMES, show
from toys import FAKE, REAL, analyzed, film

# How long an example takes hangs on what else the machine does.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data; tests that use it are marked ``shared``."""
    if not (SHARED_DATA / "manifest.csv").is_file():
        pytest.skip("the development data is not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window.

    Not for the whole session: as long as it is there, no test can run an event loop of its own.
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
    """That report's page, which must not complain, nor ask anybody for anything."""
    watched = show(chromium, folder)
    yield watched
    assert watched.complaints == []
    assert watched.hosts() == set()
    watched.close()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts this process and those it starts, also where a shell runs the tests in the
    background, which ignores it."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch on one thread: two that wait for each other crawl on a busy machine."""
    import torch  # noqa: PLC0415 - an extra; tests that want this have it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
