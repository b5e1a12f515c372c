"""Inputs that are no files: a sentence says what to give instead."""

import os
from pathlib import Path

import pytest

from support.commands import one_sentence, run


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("https://example.org/clip.mp4", "uses no network"),
        ("rtsp://camera/1", "uses no network"),
        ("-", "save it to a file"),
        ("missing.mp4", "no such file"),
        ("a folder", "FOLDER/*.mp4"),
        ("pipe.mp4", "save it to a file"),
        ("/dev/null", "not a file"),
    ],
)
def test_the_message_says_what_to_give_instead(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a folder").mkdir()
    os.mkfifo("pipe.mp4")
    result = run("analyze", "-o", "out", "--", given)
    assert result.exit_code == 1
    assert said in one_sentence(result)
    assert not Path("out").exists()
