"""An input that is replaced, changed or deleted while it is examined or drawn."""

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakelens.analysis.pipeline import analyze
from fakelens.errors import MediaError
from fakelens.media.source_file import SourceFile, copy_source, identify
from fakelens.records.report import Report
from fakelens.report.save import save_report
from support.toys import FAKE, REAL, RedModel, ScriptedDetector, film

_FRAMES = 30
_AT = 5  # frames that are done before the input changes

Change = Callable[[Path], None]


def _replace(path: Path) -> None:
    other = film(path.parent / "other.mp4", REAL, frames=_FRAMES)
    other.replace(path)


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def _overwrite(path: Path) -> None:
    """Change one byte; the size stays, and the time of the last change differs by 1 ns."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def _delete(path: Path) -> None:
    path.unlink()


def _touch(path: Path) -> None:
    os.utime(path, (1, 1))


def _copy_back(path: Path) -> None:
    kept = path.with_suffix(".kept")
    shutil.copyfile(path, kept)
    path.unlink()
    kept.replace(path)


_CHANGES = [_replace, _grow, _overwrite, _delete]
_HARMLESS = [_touch, _copy_back]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return film(tmp_path / "clip.mp4", FAKE, REAL, frames=_FRAMES)


def _at_a_frame(change: Change, path: Path) -> Callable[[int, int | None], None]:
    def progress(done: int, total: int | None) -> None:
        if done == _AT:
            change(path)

    return progress


def _analyze(path: Path, change: Change | None = None) -> Report:
    progress = _at_a_frame(change, path) if change else None
    return analyze(path, model=RedModel(), detector=ScriptedDetector(FAKE, REAL), progress=progress)


@pytest.mark.parametrize("change", _CHANGES)
def test_an_input_that_changes_while_it_is_examined_gets_no_report(
    change: Change, clip: Path
) -> None:
    with pytest.raises(MediaError, match=r"clip\.mp4: .*analyze it again"):
        _analyze(clip, change)


@pytest.mark.parametrize("change", _HARMLESS)
def test_the_same_content_under_another_date_or_inode_is_the_same_input(
    change: Change, clip: Path, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(clip.read_bytes()).hexdigest()
    report = _analyze(clip, change)
    assert report.provenance.input_sha256 == sha256
    save_report(report, tmp_path / "out", progress=_at_a_frame(change, clip))
    assert hashlib.sha256((tmp_path / "out/untouched.mp4").read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize("change", _CHANGES)
def test_a_finished_analysis_is_kept_without_pictures_of_another_input(
    change: Change, clip: Path, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(clip.read_bytes()).hexdigest()
    report = _analyze(clip)
    out = tmp_path / "out"
    with pytest.raises(MediaError, match=r"report was written without pictures: .*out"):
        save_report(report, out, progress=_at_a_frame(change, clip))
    assert {path.name for path in out.iterdir()} >= {"report.html", "report.json", "scores.csv"}
    assert not list(out.rglob("*.mp4"))
    assert not (out / "faces").exists()
    document = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert document["provenance"]["input_sha256"] == sha256
    assert "clip.mp4" in (out / "report.html").read_text(encoding="utf-8").partition("Shown on")[2]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("change", [_grow, _delete])
def test_an_input_that_changed_before_it_is_drawn_is_not_drawn(
    change: Change, clip: Path, tmp_path: Path
) -> None:
    report = _analyze(clip)
    change(clip)
    with pytest.raises(MediaError, match="report was written without pictures"):
        save_report(report, tmp_path / "out")
    assert not (tmp_path / "out" / "annotated.mp4").exists()


def test_the_copy_beside_the_report_must_be_the_input(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The input is another one only while it is copied."""
    report = _analyze(clip)
    genuine = clip.read_bytes()
    from fakelens.report import save  # noqa: PLC0415 - patched below

    copy = save.copy_source

    def swapped(source: object, target: Path) -> None:
        clip.write_bytes(genuine + b"more")
        try:
            copy(source, target)  # type: ignore[arg-type]
        finally:
            clip.write_bytes(genuine)

    monkeypatch.setattr(save, "copy_source", swapped)
    with pytest.raises(MediaError, match="changed while it was examined"):
        save_report(report, tmp_path / "out")
    assert not (tmp_path / "out" / "untouched.mp4").exists()


class _Unreadable(io.RawIOBase):
    """A file whose disk fails."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_an_input_that_cannot_be_read_any_more_does_not_lose_the_analysis(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = _analyze(clip)
    from fakelens.report import save  # noqa: PLC0415 - patched below

    copy, opened = save.copy_source, Path.open

    def failing(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if path == clip:
            return _Unreadable()
        return opened(path, mode, *arguments, **options)

    def copy_from_a_failing_disk(source: SourceFile, target: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", failing)
            copy(source, target)

    monkeypatch.setattr(save, "copy_source", copy_from_a_failing_disk)
    with pytest.raises(MediaError, match=r"cannot be read: .*report was written without pictures"):
        save_report(report, tmp_path / "out")
    assert (tmp_path / "out" / "report.json").exists()


def test_a_copy_that_cannot_be_written_is_no_error_of_the_input(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError if os.name != "nt" else PermissionError):
        copy_source(identify(clip), tmp_path)
