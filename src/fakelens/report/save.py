"""Saving: write all files of a report to a folder, or none if anything fails."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from fakelens.errors import MediaError, OutputError
from fakelens.media import results_folder
from fakelens.media.frames import DecodedFrame
from fakelens.media.profile import Profile
from fakelens.media.source_file import SourceFile, check_unchanged, copy_source, file_sha256
from fakelens.media.staging import move_into_place, staging_folder
from fakelens.records.report import Report
from fakelens.records.settings import Progress
from fakelens.render.style import Style
from fakelens.report.annotated_video import FILE_NAME as VIDEO_NAME
from fakelens.report.annotated_video import write_video
from fakelens.report.document import FILE_NAME as DOCUMENT_NAME
from fakelens.report.document import HEATMAPS_NAME, relative_path, write_document
from fakelens.report.keyframes import FOLDER as KEYFRAMES_FOLDER
from fakelens.report.keyframes import Keyframes
from fakelens.report.opinions import FOLDER as OPINIONS_FOLDER
from fakelens.report.opinions import place_reports
from fakelens.report.page import FILE_NAME as PAGE_NAME
from fakelens.report.page import write_page
from fakelens.report.page_files import PageFiles
from fakelens.report.portraits import (
    FACES_FOLDER,
    MEANS_FOLDER,
    STILL_NAME,
    FrameConsumer,
    Portraits,
    show_frames,
    write_means,
    write_still,
)
from fakelens.report.scene import Scene
from fakelens.report.source_video import NAMES as ORIGINAL_NAMES
from fakelens.report.source_video import playable_name, read_timing, transcode_original
from fakelens.report.table import FILE_NAME as TABLE_NAME
from fakelens.report.table import write_table

_DRAWINGS = (VIDEO_NAME, STILL_NAME, f"{FACES_FOLDER}/person-[0-9]*.png")
_DRAWING_NAMES = (VIDEO_NAME, STILL_NAME, FACES_FOLDER)
_REPORT_NAMES = (
    *(DOCUMENT_NAME, HEATMAPS_NAME, TABLE_NAME, PAGE_NAME),
    *(VIDEO_NAME, STILL_NAME, FACES_FOLDER, MEANS_FOLDER, KEYFRAMES_FOLDER),
    *ORIGINAL_NAMES,
    OPINIONS_FOLDER,
)
_FILES_OF_A_MODEL = (
    *(DOCUMENT_NAME, HEATMAPS_NAME, TABLE_NAME, PAGE_NAME),
    *_DRAWINGS,
    f"{MEANS_FOLDER}/person-[0-9]*.png",
)
_REPORT_FILES = (
    *_FILES_OF_A_MODEL,
    f"{KEYFRAMES_FOLDER}/frame-[0-9]*.png",
    *ORIGINAL_NAMES,
    *(f"{OPINIONS_FOLDER}/*/{pattern}" for pattern in _FILES_OF_A_MODEL),
)


def save_report(
    report: Report,
    folder: Path | str,
    *,
    others: Sequence[Report] = (),
    style: Style | None = None,
    video: bool = True,
    force: bool = False,
    progress: Progress | None = None,
    profile: Profile | None = None,
) -> list[Path]:
    """Write all files: JSON, heatmaps, CSV, page, portraits, keyframes and the annotated video.

    The reports of other models go to folders of their own in ``second_opinions``. They have no
    annotated video, and their pages play the same original video.

    Args:
        report: to write.
        folder: created if it does not exist; files in it that no report writes are left alone.
        others: reports of other models from the same ``analyze_models``.
        style: how to draw.
        video: also write the annotated video, unless no face was found, and copy the original
            video so that the page can play it.
        force: overwrite an existing report.
        progress: called after each frame drawn. If the original video is also re-encoded, each
            frame counts twice.
        profile: records how long each stage takes.

    Returns:
        The files written.

    Raises:
        OutputError: the folder already contains a report, or contains the input under the name of
            a file of the report, or cannot be written.
        MediaError: the input cannot be read again, or is not the one that was examined any more.
            The reports are written nevertheless, without drawings and without the input.
        UsageError: the other reports are not of the same analysis.
    """
    folder, profile, style = Path(folder), profile or Profile(), style or Style()
    reports = place_reports(report, others)
    check_free(folder, report.source, force=force)
    try:
        with staging_folder(folder) as staging:
            draws, encodes = _passes(report, progress, video=video)
            places = _make_folders(reports, staging)
            keyframes = _keyframes(report, staging)
            drawn = _draw(reports, places, style, profile, keyframes, video=video, progress=draws)
            drawn[0] = _add_video(
                drawn[0], report, staging, folder, profile, copy=video, progress=encodes
            )
            drawn[1:] = [
                _share_video(files, drawn[0], one, folder / place.relative_to(staging))
                for files, one, place in zip(drawn[1:], reports[1:], places[1:], strict=True)
            ]
            _write_reports(reports, staging, folder, style, drawn, profile)
            check_unchanged(_source_file(report))
            return move_into_place(staging, folder, _REPORT_FILES, force=force)
    except MediaError as error:  # the analysis is not lost because its input is
        with staging_folder(folder) as staging:
            _make_folders(reports, staging)
            lost = [PageFiles(lost=str(error)) for _ in reports]
            _write_reports(reports, staging, folder, style, lost, profile)
            move_into_place(staging, folder, _REPORT_FILES, force=force)
        raise MediaError(f"{error}. The report was written without pictures: {folder}") from error


def _folders(reports: Sequence[Report], folder: Path) -> list[Path]:
    """Return the folder of each report; the first is in ``folder`` itself."""
    return [folder, *(folder / opinion.folder for opinion in reports[0].second_opinions)][
        : len(reports)
    ]


def _make_folders(reports: Sequence[Report], staging: Path) -> list[Path]:
    places = _folders(reports, staging)
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    return places


def _write_reports(
    reports: Sequence[Report],
    staging: Path,
    folder: Path,
    style: Style,
    drawn: Sequence[PageFiles],
    profile: Profile,
) -> None:
    places, finals = _folders(reports, staging), _folders(reports, folder)
    for report, place, final, page_files in zip(reports, places, finals, drawn, strict=True):
        with profile.measure("write tables"):
            write_document(report, place, final)
            write_table(report, place)
        with profile.measure("portraits"):
            write_means(report, place / MEANS_FOLDER, style)
        with profile.measure("write the page"):
            write_page(report, place, style, page_files)


def save_drawings(
    report: Report,
    folder: Path | str,
    *,
    style: Style,
    force: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Draw a saved report again: write only the annotated video and the portraits.

    Args:
        report: read by ``read_report``; its video must not have changed.
        folder: created if it does not exist. With ``force`` it may be the folder of the report,
            whose other files are kept.
        style: how to draw.
        force: overwrite existing files.
        progress: called after each frame drawn.

    Returns:
        The files written.

    Raises:
        OutputError: as for ``save_report``.
        MediaError: the video is missing, has changed or cannot be read.
    """
    folder = Path(folder)
    _check_free(folder, report.source, _DRAWING_NAMES, _DRAWINGS, force=force)
    if not report.source.is_file():
        raise MediaError(
            f"{report.source}: the report's video is no longer there; give its path with --video"
        )
    if file_sha256(report.source) != report.provenance.input_sha256:
        raise MediaError(
            f"{report.source}: not the video of this report: its SHA-256 differs; give the path of "
            "the right one with --video"
        )
    with staging_folder(folder) as staging:
        _draw([report], [staging], style, Profile(), None, video=True, progress=progress)
        return move_into_place(staging, folder, _DRAWINGS, force=force)


def _source_file(report: Report) -> SourceFile:
    made = report.provenance
    return SourceFile(report.source, made.input_sha256, made.input_bytes, report.signature)


def check_free(folder: Path, source: Path, *, force: bool) -> None:
    """Check that the report of a video can be saved in a folder, without changing anything.

    Args:
        folder: for the report; need not exist.
        source: the video.
        force: an existing report may be overwritten.

    Raises:
        OutputError: the folder already contains a report, or contains the video under the name of
            a file of the report, or is a file, or cannot be written.
    """
    _check_free(folder, source, _REPORT_NAMES, _REPORT_FILES, force=force)


def _check_free(
    folder: Path, source: Path, names: Sequence[str], patterns: Sequence[str], *, force: bool
) -> None:
    results_folder.check_free(folder, names, force=force)
    try:
        targets = [path for pattern in patterns for path in folder.glob(pattern)]
        overwritten = source.exists() and any(
            path.exists() and path.samefile(source) for path in targets
        )
    except OSError as error:
        raise OutputError(f"{source}: cannot be checked: {error.strerror}") from error
    if overwritten:
        raise OutputError(
            f"{source}: is the input and would be overwritten; choose another output folder"
        )


def _passes(
    report: Report, progress: Progress | None, *, video: bool
) -> tuple[Progress | None, Progress | None]:
    """Return the progress of drawing the video and of re-encoding the original."""
    encodes = video and report.tracks and not report.video.is_picture and not playable_name(report)
    if progress is None or not encodes:
        return progress, None
    frames = report.frames
    return (
        lambda done, _: progress(done, 2 * frames),
        lambda done, _: progress(frames + done, 2 * frames),
    )


def _draw(
    reports: Sequence[Report],
    folders: Sequence[Path],
    style: Style,
    profile: Profile,
    keyframes: Keyframes | None,
    *,
    video: bool,
    progress: Progress | None,
) -> list[PageFiles]:
    """Draw on one pass over the video: that of the first report, and the portraits of all."""
    report = reports[0]
    if not report.tracks:
        return [PageFiles() for _ in reports]
    portraits = [
        Portraits(one, folder / FACES_FOLDER, style)
        for one, folder in zip(reports, folders, strict=True)
    ]
    files = [PageFiles(faces=one.faces) for one in portraits]
    scenes = [Scene(one) for one in reports] if keyframes else []
    consumers: list[FrameConsumer] = [
        *portraits,
        *([keyframes] if keyframes else []),
        *scenes,
    ]
    if video and not report.video.is_picture:

        def take(picture: DecodedFrame) -> None:
            for one in consumers:
                one.add_frame(picture)

        notes = write_video(report, folders[0], style, take, progress, profile)
        files = [replace(one, notes=notes) for one in files]
    else:
        with profile.measure("portraits"):
            show_frames(report, consumers)
            if report.video.is_picture:
                for one, folder in zip(reports, folders, strict=True):
                    write_still(one, folder, style)
    if keyframes:
        files[0] = replace(files[0], keyframes=tuple(keyframes.taken))
        files = [replace(one, scene=of.picture) for one, of in zip(files, scenes, strict=True)]
    return files


def _keyframes(report: Report, folder: Path) -> Keyframes | None:
    """Return what writes the keyframes; a picture and a video without faces have none."""
    if report.video.is_picture or not report.tracks:
        return None
    return Keyframes(report, folder / KEYFRAMES_FOLDER)


def _add_video(
    page_files: PageFiles,
    report: Report,
    staging: Path,
    folder: Path,
    profile: Profile,
    *,
    copy: bool,
    progress: Progress | None,
) -> PageFiles:
    """Add the original video that the page plays: a copy, or the input where it is."""
    if report.video.is_picture:
        return page_files
    playable = playable_name(report)
    is_in_folder = report.source.resolve().parent == folder.resolve()
    if copy and playable and not is_in_folder:
        with profile.measure("copy the video"):
            copy_source(_source_file(report), staging / playable)
        timing = read_timing(staging / playable)
        return replace(page_files, video=playable, copied=True, exact=True, timing=timing)
    if copy and report.tracks and not playable:
        name = transcode_original(report, staging, progress, profile)
        timing = read_timing(staging / name)
        return replace(page_files, video=name, copied=True, timing=timing)
    if playable:
        address = _address(report.source, folder)
        return replace(page_files, video=address, exact=True, timing=read_timing(report.source))
    return replace(page_files, unplayable=True)


def _share_video(
    page_files: PageFiles, first: PageFiles, report: Report, folder: Path
) -> PageFiles:
    """Add the video and the keyframes of the first model's page to the page of another model.

    Args:
        page_files: of that page.
        first: of the first model's page.
        report: of the other model.
        folder: of its page in the end.
    """
    address = first.video
    if address is not None:
        address = f"../../{address}" if first.copied else _address(report.source, folder)
    keyframes = tuple(replace(one, path=f"../../{one.path}") for one in first.keyframes)
    return replace(
        first, video=address, faces=page_files.faces, keyframes=keyframes, scene=page_files.scene
    )


def _address(path: Path, folder: Path) -> str:
    """Return the URL of a file, relative to a page in a folder."""
    return quote(os.fsencode(relative_path(path, folder)))
