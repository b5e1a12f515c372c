"""The watchdog: busy workers may go on, frozen, idle and endless ones are stopped."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakelens.evaluation import demo
from fakelens.report.save import save_report
from fakelens.web import worker_process
from fakelens.web.messages import ProgressMessage, Task
from fakelens.web.watchdog import Watchdog
from support.serving import children
from support.toys import FAKE, analyzed, film

STALL = 5  # seconds, which are as many signs of life
STAND_IN = """
import sys

def alive(cpu):
    print('{"kind": "alive", "cpu_seconds": %f}' % cpu, flush=True)

def progress(done):
    line = '{"kind": "progress", "stage": "drawing", "done": %d, "total": null}'
    print(line % done, flush=True)

sys.stdin.readline()
WORK
print('{"kind": "failure", "sentence": "finished"}', flush=True)
"""
STOPPED = (
    "clip: no progress for {} minutes, so the worker process was stopped; the job can be run again"
)


def run(
    folder: Path,
    stall_seconds: float = STALL,
    on_progress: Callable[[ProgressMessage], None] = lambda progress: None,
    clip: str = "clip.mp4",
) -> Any:
    """Run a worker without a server, and return its last message."""
    task = Task(
        input=folder / clip,
        output=folder / "out",
        name="clip",
        model="fakelens-patch",
        threads=1,
        every=5,
        trust=False,
        minutes=1,
        frames=30,
        pixels=10**9,
        memory_bytes=2**33,
    )
    return asyncio.run(worker_process.run(task, stall_seconds, on_progress))


@pytest.mark.parametrize(
    ("work", "end"),
    [
        # It computes for 20 seconds, during which the last stage reports no progress.
        (
            "for i in range(20): alive(i); progress(i)\nfor i in range(20, 40): alive(i)",
            "finished",
        ),
        ("for i in range(1000): alive(i); progress(i)", "finished"),
        ("for i in range(5): alive(i)", "finished"),
        # It computes without progress for longer than all it did before.
        ("for i in range(6): alive(i)", STOPPED.format(0)),
        (
            "for i in range(120): alive(i); progress(i)\nfor i in range(120, 250): alive(i)",
            STOPPED.format(2),
        ),
        ("for i in range(10): alive(i); progress(1)", STOPPED.format(0)),
        # It waits for something that never comes.
        (
            "for i in range(100): alive(i); progress(i)\nfor i in range(6): alive(99.01)",
            STOPPED.format(0),
        ),
    ],
    ids=["busy", "progress", "short", "endless", "endless at the end", "no progress", "idle"],
)
def test_a_worker_is_stopped_only_if_it_stalls(
    work: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = (sys.executable, "-S", "-c", STAND_IN.replace("WORK", work))
    monkeypatch.setattr(worker_process, "_COMMAND", stand_in)
    assert run(tmp_path).sentence == end


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")
def test_a_frozen_worker_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = "import time\nfor i in range(10**6): progress(i); time.sleep(0.02)"
    stand_in = (sys.executable, "-S", "-c", STAND_IN.replace("WORK", work))
    monkeypatch.setattr(worker_process, "_COMMAND", stand_in)
    frozen: list[float] = []
    others = set(children(os.getpid()))

    def freeze(_: ProgressMessage) -> None:
        if not frozen:
            (worker,) = set(children(os.getpid())) - others
            os.kill(worker, signal.SIGSTOP)
            frozen.append(time.monotonic())

    assert run(tmp_path, 1, freeze).sentence == STOPPED.format(0)
    assert 1 < time.monotonic() - frozen[0] < 8
    assert set(children(os.getpid())) <= others


def test_the_video_that_browsers_can_play_is_encoded_with_progress(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mkv", FAKE, frames=10)
    calls: list[tuple[int, int | None]] = []
    save_report(analyzed(clip, FAKE), tmp_path / "out", progress=lambda *call: calls.append(call))
    assert (tmp_path / "out" / "untouched.mp4").is_file()
    assert calls == [(frame, 20) for frame in range(1, 21)]


def test_a_worker_sends_its_progress_and_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoding for browsers does not count towards the limit of frames."""
    signs: list[float] = []

    class Recorder(Watchdog):
        def beat(self, cpu_seconds: float) -> None:
            signs.append(cpu_seconds)

    monkeypatch.setattr(worker_process, "Watchdog", Recorder)
    demo.make_clip(tmp_path / "clip.mkv", seconds=1)
    found: list[ProgressMessage] = []
    assert run(tmp_path, on_progress=found.append, clip="clip.mkv").kind == "outcome"
    assert {message.total for message in found if message.stage == "drawing"} == {50}
    assert signs
    assert signs == sorted(signs)
    assert signs[0] > 0
