"""A closed or full standard output, and Ctrl-C: nothing that is finished is lost."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table

from fakelens.__main__ import main
from fakelens.cli.console import print_table, progress_bar
from fakelens.cli.printing import say
from support.commands import one_sentence, run

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


@pytest.mark.parametrize("err", [False, True])
def test_a_stream_that_was_closed_before_the_start_takes_nothing(
    err: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr" if err else "stdout", None)
    say("nobody reads this", err=err)
    if not err:
        print_table(Table("nor this"))
    with progress_bar("nor this", quiet=False) as progress:
        progress(1, 2)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no such shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_results_are_written_without_the_standard_streams(
    closed: str, portrait: Path, tmp_path: Path
) -> None:
    command = shlex.join([*_COMMAND, "analyze", *_inputs(portrait, tmp_path)])
    done = subprocess.run(
        ["sh", "-c", f"{command} {closed}"], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert _results(tmp_path) == ["one_analyzed", "two_analyzed"]


@pytest.mark.parametrize("interrupted", [True, False])
def test_ctrl_c_while_a_compiled_module_is_imported_is_one_line(
    interrupted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise ImportError("initialization failed") from (
            KeyboardInterrupt() if interrupted else None
        )

    monkeypatch.setattr("fakelens.cli.analyze.find_method", fail)
    result = run("analyze", "clip.mp4", "--cam", "gradcam")
    if interrupted:
        assert result.exit_code == 130
        assert one_sentence(result) == "fakelens: interrupted"
    else:
        assert isinstance(result.exception, ImportError)


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.default_int_handler])
def test_ctrl_c_stays_ignored_where_it_is(handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell has it ignored by what a script starts in the background."""
    during: list[object] = []

    def app(obj: Callable[[], None] | None) -> None:
        if obj:
            obj()
        during.append(signal.getsignal(signal.SIGINT))

    monkeypatch.setattr("fakelens.cli.app.app", app)
    usual = signal.signal(signal.SIGINT, handler)
    try:
        main()
    finally:
        signal.signal(signal.SIGINT, usual)
    assert during == [handler]


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
    # Before the program begins, Python itself ends by the signal or cannot start.
    if process.returncode == -signal.SIGINT or (process.returncode and b"fakelens" not in errors):
        return
    # A fast machine is done before.
    if process.returncode == 0:
        assert _results(tmp_path) == ["one_analyzed", "two_analyzed"]
        return
    assert process.returncode == 130, errors
    (line,) = errors.decode().splitlines()
    assert line.startswith("fakelens: interrupted")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
