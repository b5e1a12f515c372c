"""Fixtures of the tests of the server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakelens.evaluation import demo
from fakelens.web.schemas import State
from support.media import draw_frame, make_clip
from support.serving import Server, serving
from support.stored_jobs import add, opened
from support.toys import photograph


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second with two people."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    demo.make_clip(path, seconds=1)
    return path


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip without faces, with enough frames to be interrupted."""
    path = tmp_path_factory.mktemp("clip") / "long.mp4"
    return make_clip(path, frames=1500, size=(640, 360), options={"preset": "ultrafast"})


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture without faces, which is analysed quickly."""
    return photograph(tmp_path_factory.mktemp("clip") / "small.png", draw_frame(1))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with default options."""
    with serving(tmp_path_factory.mktemp("server") / "results") as running:
        yield running


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """The folder of a server that has stopped, with a job in every state."""
    with opened(tmp_path / "results") as store:
        for state in (State.DONE, State.FAILED, State.CANCELLED, State.QUEUED):
            add(store, state, state)
        store.start(add(store, "interrupted"))
    return tmp_path / "results"
