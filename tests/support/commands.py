"""Runs the program and reads what it says and writes."""

from pathlib import Path

import av
from click.testing import CliRunner, Result
from typer.main import get_command

from fakelens.cli.app import app

FILES = {
    "annotated.mp4",
    "faces",
    "heatmaps.f16",
    "keyframes",
    "report.html",
    "report.json",
    "scores.csv",
    "untouched.mp4",
}
"""Of the results of a video."""


# Built once from the signatures of all commands, not in every run.
_COMMAND = get_command(app)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(_COMMAND, [str(argument) for argument in arguments])


def one_sentence(result: Result) -> str:
    """The error: exactly one line, from us, and no traceback."""
    assert isinstance(result.exception, SystemExit | None), result.exception
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("fakelens: ")
    assert "Traceback" not in result.output
    return line


def timestamps(path: Path) -> list[object]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
