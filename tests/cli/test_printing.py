"""File names are printed whatever they contain and whatever the encoding of the output."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = [
    "\N{CYRILLIC SMALL LETTER VE}\N{CHECK MARK} \N{GRINNING FACE}[b]{x}".encode(),
    b"latin-1 \xe9",
]
CASES = [(NAMES[0], "ascii"), (NAMES[0], "cp1252"), (NAMES[1], "ascii")]


def start(*arguments: object, encoding: str, **streams: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "fakelens", *map(os.fspath, arguments)]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "TERM": "xterm"}
    return subprocess.Popen(command, env=environment, **streams)


def copied(portrait: Path, folder: Path, name: bytes) -> Path:
    path = folder / os.fsdecode(name + b".png")
    path.write_bytes(portrait.read_bytes())
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are Unicode there")
@pytest.mark.parametrize(("name", "encoding"), CASES, ids=str)
def test_a_name_need_not_be_printable(
    name: bytes, encoding: str, portrait: Path, tmp_path: Path
) -> None:
    path = copied(portrait, tmp_path, name)
    missing = tmp_path / os.fsdecode(b"missing " + name)
    for words in (b"Results: ", b"already analyzed"):
        process = start(
            *("analyze", path, missing), encoding=encoding, stdout=subprocess.PIPE, stderr=-1
        )
        printed, complaints = process.communicate(timeout=120)
        assert process.returncode == 3, complaints
        assert words in printed.replace(b"\0", b"")
        assert b"missing" in complaints.replace(b"\0", b"")
        assert b"Traceback" not in complaints.replace(b"\0", b"")
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert os.fsencode(folder.name) == name + b"_analyzed"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are Unicode there")
@pytest.mark.parametrize("name", NAMES, ids=str)
def test_a_progress_bar_shows_any_name(name: bytes, portrait: Path, tmp_path: Path) -> None:
    path = copied(portrait, tmp_path, name)
    ours, theirs = os.openpty()
    process = start("analyze", path, encoding="cp1252", stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # the other side is closed
        os.close(ours)
    assert process.wait(timeout=120) == 0, shown
    assert b"examining" in shown
    assert b"Traceback" not in shown
