"""Fixtures shared by all tests. Needs no more than pytest, so that one test can be run alone."""

import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import fakelens  # noqa: F401 - switches telemetry off before onnxruntime is imported

if find_spec("hypothesis"):
    from hypothesis import settings

    # The time an example takes depends on what else the machine does.
    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

SLOW_FOLDERS = (
    "browser",
    "web",
    "cli",
    "project",
    "models",
    "evaluation",
    "media",
    "training",
    "trust",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow folders first, so that processes that share the tests end at about the same time."""
    ranks = {Path(__file__).with_name(name): rank for rank, name in enumerate(SLOW_FOLDERS)}
    items.sort(key=lambda item: ranks.get(item.path.parent, len(ranks)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data; tests that use it are marked ``shared``."""
    if not (SHARED_DATA / "manifest.csv").is_file():
        pytest.skip("the development data is not on this machine")
    return SHARED_DATA


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts this process and those it starts, even under a shell that ignores it."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run torch on one thread: two that wait for each other are slow on a busy machine."""
    import torch  # noqa: PLC0415 - an extra; tests that use this have it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
