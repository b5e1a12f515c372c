"""Fixtures shared by all tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from browser import running_browser

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


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts this process and those it starts, also where a shell runs the tests in the
    background, which ignores it."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)
