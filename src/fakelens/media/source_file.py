"""The file that is examined: which one it is, and whether it is still the same."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fakelens.errors import MediaError

_LFS_POINTER = b"version https://git-lfs"
# Playlists: FFmpeg would open the files they list while it probes the format.
_PLAYLISTS = (b"ffconcat version", b"#EXTM3U")
_COPY_BYTES = 1 << 20

Signature = tuple[int, int, int, int]
"""Device, inode, size in bytes and time of the last change in nanoseconds of a file."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was when it was examined.

    Attributes:
        path: of the file.
        sha256: of its content, hexadecimal.
        size: bytes.
        signature: of the file; ``None`` if unknown, as for a saved report.
    """

    path: Path
    sha256: str
    size: int
    signature: Signature | None = None


def check_source(path: Path) -> None:
    """Check that a path is that of a file with content of its own.

    Raises:
        MediaError: it is not, with what to do instead.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise MediaError(f"{path}: {_describe_kind(mode)}")
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
    except FileNotFoundError as error:
        raise MediaError(f"{path}: {_describe_missing(path)}") from error
    except PermissionError as error:
        raise MediaError(f"{path}: no permission to read this file") from error
    except OSError as error:
        raise MediaError(f"{path}: cannot be read: {error.strerror}") from error
    if not start:
        raise MediaError(f"{path}: the file is empty")
    if start.startswith(_PLAYLISTS):
        raise MediaError(f"{path}: a playlist, not a video; give one of the files in it")
    if start == _LFS_POINTER:
        raise MediaError(f"{path}: a Git LFS pointer, not a video; run 'git lfs pull'")


def identify(path: Path) -> SourceFile:
    """Compute the SHA-256 of a file and note which file it is.

    Raises:
        MediaError: it cannot be read, or changes meanwhile.
    """
    check_source(path)
    try:
        with path.open("rb") as file:
            before = _signature(os.fstat(file.fileno()))
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            after = _signature(os.fstat(file.fileno()))
    except OSError as error:
        raise MediaError(f"{path}: cannot be read: {error.strerror}") from error
    if before != after:
        raise _changed(path)
    return SourceFile(path, sha256, before[2], before)


def check_unchanged(source: SourceFile) -> None:
    """Check that a file is still the one that was examined.

    Its content is read only if its signature differs: a file may be copied back or touched.

    Raises:
        MediaError: it is another file, has changed, or cannot be read any more.
    """
    try:
        signature = _signature(source.path.stat())
        if signature == source.signature:
            return
        same = signature[2] == source.size and file_sha256(source.path) == source.sha256
    except OSError as error:
        raise MediaError(
            f"{source.path}: was moved, deleted or made unreadable while it was examined; analyze "
            "it again where it is now"
        ) from error
    if not same:
        raise _changed(source.path)


def copy_source(source: SourceFile, target: Path) -> None:
    """Copy the file that was examined, byte for byte.

    Raises:
        MediaError: what was copied is not what was examined, or it cannot be read any more.
        OSError: the copy cannot be written.
    """
    digest = hashlib.sha256()
    try:
        file: BinaryIO = source.path.open("rb")
    except OSError as error:
        raise _changed(source.path) from error
    with file, target.open("wb") as copy:
        while chunk := _read_chunk(file, source.path):
            digest.update(chunk)
            copy.write(chunk)
    if digest.hexdigest() != source.sha256:
        raise _changed(source.path)


def _read_chunk(file: BinaryIO, path: Path) -> bytes:
    """Read the next part of a file; an error is one of the input, not of what is written."""
    try:
        return file.read(_COPY_BYTES)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read: {error.strerror}") from error


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _signature(status: os.stat_result) -> Signature:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _changed(path: Path) -> MediaError:
    return MediaError(
        f"{path}: changed while it was examined; analyze it again once it no longer changes"
    )


def _describe_kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder; give the videos or pictures in it, such as FOLDER/*.mp4"
    if stat.S_ISFIFO(mode):
        return "a pipe; a video is read twice, so save it to a file first"
    return "not a file; give the path of a video or picture"


def _describe_missing(path: Path) -> str:
    # Paths join the slashes of an address.
    if path.as_posix().split("/")[0].rstrip(":") in ("http", "https", "ftp", "rtsp", "rtmp"):
        return "an address; fakelens uses no network, so download the video and give its path"
    if str(path) == "-":
        return "standard input; a video is read twice, so save it to a file first"
    return "no such file"
