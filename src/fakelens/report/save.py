"""Puts all files of a report into a folder: every one of them, or none."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from fakelens.errors import MediaError, OutputError
from fakelens.media.profile import Profile
from fakelens.media.reader import file_sha256
from fakelens.records.report import Report
from fakelens.records.settings import Progress
from fakelens.render.style import Style
from fakelens.report.annotated_video import FILE_NAME as VIDEO_NAME
from fakelens.report.annotated_video import write_video
from fakelens.report.document import FILE_NAME as DOCUMENT_NAME
from fakelens.report.document import HEATMAPS_NAME, relative_path, write_document
from fakelens.report.page import FILE_NAME as PAGE_NAME
from fakelens.report.page import PageFiles, write_page
from fakelens.report.portraits import (
    FACES_FOLDER,
    MEANS_FOLDER,
    STILL_NAME,
    Portraits,
    write_means,
    write_still,
)
from fakelens.report.source_video import NAMES as ORIGINAL_NAMES
from fakelens.report.source_video import copy_original, playable_name, rewrite_original, timing
from fakelens.report.table import FILE_NAME as TABLE_NAME
from fakelens.report.table import write_table

_DRAWINGS = (VIDEO_NAME, STILL_NAME, FACES_FOLDER)
_OURS = (
    *(DOCUMENT_NAME, HEATMAPS_NAME, TABLE_NAME, PAGE_NAME),
    *_DRAWINGS,
    MEANS_FOLDER,
    *ORIGINAL_NAMES,
)
_FACES = "person-*.png"


def save_report(
    report: Report,
    folder: Path | str,
    *,
    style: Style | None = None,
    video: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    profile: Profile | None = None,
) -> list[Path]:
    """Write everything: JSON, heatmaps, CSV, page, pictures and the annotated video.

    Args:
        report: what to write.
        folder: made if it does not exist; files in it that are not a report's are left alone.
        style: how to draw.
        video: draw the annotated video too, and put the untouched one beside the page; the first
            is never done when no face was found.
        force: replace a report that lies there.
        progress: told after each frame drawn.
        profile: told where the time goes.

    Returns:
        The files written.

    Raises:
        OutputError: the folder holds a report already, or the input where a file of the report
            would go, or cannot be written.
        MediaError: the input cannot be read again.
    """
    folder, profile = Path(folder), profile or Profile()
    check_free(folder, report.source, force=force)
    with _staging(folder) as staging:
        with profile.spend("write tables"):
            write_document(report, staging, folder)
            write_table(report, staging)
        style = style or Style()
        beside = _draw(report, staging, style, profile, video=video, progress=progress)
        beside = _with_video(beside, report, staging, folder, profile, copy=video)
        with profile.spend("pictures of the persons"):
            write_means(report, staging / MEANS_FOLDER, style)
        with profile.spend("write the page"):
            write_page(report, staging, style, beside)
        return _move(staging, folder, _OURS)


def save_drawings(
    report: Report,
    folder: Path | str,
    *,
    style: Style,
    force: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write the annotated video and the pictures alone, for another look at a saved report.

    Arguments and errors are those of ``save_report``; the video must still be the same. With
    ``force`` the folder may be that of the report, whose other files stay.
    """
    folder = Path(folder)
    check_free(folder, report.source, force=force)
    if not report.source.is_file():
        raise MediaError(f"{report.source}: the report's video is no longer there; say where it is")
    if file_sha256(report.source) != report.provenance.input_sha256:
        raise MediaError(f"{report.source}: not the video of this report, its SHA-256 differs")
    with _staging(folder) as staging:
        _draw(report, staging, style, Profile(), video=True, progress=progress)
        return _move(staging, folder, _DRAWINGS)


def check_free(folder: Path, source: Path, *, force: bool) -> None:
    """Make sure that the report of a video can go into a folder; nothing is made or changed.

    Raises:
        OutputError: it holds a report already, or the video where a file of the report would go,
            or is not a folder, or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; name a folder for the results")
        taken = [name for name in _OURS if (folder / name).exists()]
        if taken and not force:
            raise OutputError(f"{folder}: holds {taken[0]} already; --force replaces it")
        places = [path for name in _OURS for path in _ours(folder / name)]
        if source.exists() and any(place.exists() and place.samefile(source) for place in places):
            raise OutputError(f"{source}: is the input and would be overwritten; name another")
        with tempfile.TemporaryFile(dir=_existing(folder)):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: cannot write there: {error.strerror}") from error


def _draw(
    report: Report,
    folder: Path,
    style: Style,
    profile: Profile,
    *,
    video: bool,
    progress: Progress | None,
) -> PageFiles:
    if not report.tracks:
        return PageFiles()
    portraits = Portraits(report, folder / FACES_FOLDER, style)
    if video and not report.video.is_picture:
        notes = write_video(report, folder, style, portraits, progress, profile)
        return PageFiles(faces=portraits.faces, notes=notes)
    with profile.spend("pictures of the persons"):
        portraits.write_all()
        if report.video.is_picture:
            write_still(report, folder, style)
    return PageFiles(faces=portraits.faces)


def _with_video(
    beside: PageFiles, report: Report, staging: Path, folder: Path, profile: Profile, *, copy: bool
) -> PageFiles:
    """With the untouched video: put beside the page on request, else where it is."""
    if report.video.is_picture:
        return beside
    playable = playable_name(report)
    there_already = report.source.resolve().parent == folder.resolve()
    if copy and playable and not there_already:
        name = copy_original(report, staging, playable, profile)
        return replace(beside, video=name, exact=True, timing=timing(staging / name))
    if copy and report.tracks and not playable:
        name = rewrite_original(report, staging, profile)
        return replace(beside, video=name, timing=timing(staging / name))
    if playable:
        address = quote(os.fsencode(relative_path(report.source, folder)))
        return replace(beside, video=address, exact=True, timing=timing(report.source))
    return replace(beside, unplayable=True)


def _existing(folder: Path) -> Path:
    """The folder, or what there is of the path to it: on the same disk, with the same rights."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder on the same disk as the final one, gone afterwards whatever happens."""
    try:
        place = _existing(folder)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=place))
    except OSError as error:
        raise OutputError(f"{folder}: cannot write there: {error.strerror}") from error
    try:
        yield staging
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the results: {error.strerror}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move(staging: Path, folder: Path, names: Sequence[str]) -> list[Path]:
    """Move the finished files into place and take away older ones of the given names."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted(path for path in staging.rglob("*") if path.is_file()):
        target = folder / source.relative_to(staging)
        target.parent.mkdir(exist_ok=True)
        source.replace(target)
        written.append(target)
    for place in (folder / name for name in names):
        for stale in set(_ours(place)) - set(written):
            stale.unlink(missing_ok=True)
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
    return written


def _ours(place: Path) -> list[Path]:
    """The file itself, or those of a folder that a report puts there."""
    return list(place.glob(_FACES)) if place.is_dir() else [place]
