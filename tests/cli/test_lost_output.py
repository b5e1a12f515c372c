"""A closed or full standard output, and Ctrl-C: nothing that is finished is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_COMMAND = [sys.executable, "-m", "fakelens"]


def _inputs(portrait: Path, folder: Path) -> list[str]:
    paths = [folder / "one.png", folder / "two.png"]
    for path in paths:
        path.write_bytes(portrait.read_bytes())
    return list(map(str, paths))


def _results(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/report.html"))


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("kind", ["closed", "full"])
def test_a_batch_goes_on_without_its_output(
    kind: str, stream: str, portrait: Path, tmp_path: Path
) -> None:
    if kind == "full" and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    missing = str(tmp_path / "missing.png")
    reading, writing = os.pipe()
    if kind == "closed":
        os.close(reading)
    else:
        os.close(writing)
        writing = os.open("/dev/full", os.O_WRONLY)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: writing}
    process = subprocess.Popen(
        [*_COMMAND, "analyze", missing, *_inputs(portrait, tmp_path)], **streams
    )
    os.close(writing)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 3
    assert b"Traceback" not in (output or b"") + (errors or b"")
    assert _results(tmp_path) == ["one_analyzed", "two_analyzed"]


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
@pytest.mark.parametrize("milliseconds", [60, 120, 200, 400, 800])
def test_ctrl_c_at_any_time_is_one_line(milliseconds: int, portrait: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*_COMMAND, "analyze", *_inputs(portrait, tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(milliseconds / 1000)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    # Before the program begins, Python itself ends by the signal.
    if process.returncode == -signal.SIGINT:
        return
    assert process.returncode == 130, errors
    (line,) = errors.decode().splitlines()
    assert line.startswith("fakelens: interrupted")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
