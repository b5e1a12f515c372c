"""Fixtures of the tests of the server."""

import time
from collections.abc import Iterator
from pathlib import Path

import av
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
    """A clip without faces, with enough frames to be interrupted: 1500."""
    folder = tmp_path_factory.mktemp("clip")
    short = make_clip(
        folder / "short.mp4", frames=50, size=(640, 360), options={"preset": "ultrafast"}
    )
    return repeated(short, 30, folder / "long.mp4")


def repeated(clip: Path, times: int, path: Path) -> Path:
    """Write a clip whose packets repeat those of another one, which has no B-frames."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        ticks = 0
        for packet in packets * times:
            copy = av.Packet(bytes(packet))
            copy.pts = copy.dts = ticks
            copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
            copy.stream = stream
            target.mux(copy)
            ticks += packet.duration or 0
    return path


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
            time.sleep(0.002)  # the times of creation have milliseconds
        store.start(add(store, "interrupted"))
    return tmp_path / "results"
