"""Staging: the files of a result are made in a hidden folder and appear together.

::

    .fakelens-partial-XXXX/lock      locked by the process that uses it
    .fakelens-partial-XXXX/new       the files
    .fakelens-partial-XXXX/old       what they replace, while they are moved
    .fakelens-partial-XXXX/replaced  empty; all earlier files are in ``old``

A process that is killed leaves such a folder. The next one that writes beside it completes or takes
back a move that had begun, and deletes the rest.
"""

import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fakelens.errors import OutputError

# Independent of the final folder's name, which may be as long as a name can be.
PREFIX = ".fakelens-partial-"
_LOCK, _NEW, _OLD, _REPLACED = "lock", "new", "old", "replaced"
_UNLOCKED_SECONDS = 3600  # a folder without a lock is that of a process which has just begun


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Provide a temporary folder on the same disk as the final one, and remove it afterwards.

    Raises:
        OutputError: it cannot be made, or the results could not be written while it was in use;
            the message names the final folder.
    """
    try:
        holder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=nearest_existing(folder)))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
    staging = holder / _NEW
    try:
        with (holder / f"{_LOCK}.new").open("wb") as lock:
            _lock(lock)
            Path(lock.name).rename(holder / _LOCK)  # never there without being locked
            staging.mkdir()
            yield staging
    except OSError as error:
        raise OutputError(
            f"{folder}: the results cannot be written: {error.strerror}{_kept(holder)}"
        ) from error
    except OutputError as error:
        raise OutputError(str(error).replace(str(staging), str(folder))) from error
    finally:
        if not _kept(holder):
            shutil.rmtree(holder, ignore_errors=True)


def move_into_place(
    staging: Path, folder: Path, patterns: Sequence[str], *, force: bool
) -> list[Path]:
    """Move finished files into place; those of earlier results are deleted.

    Args:
        staging: from ``staging_folder``; its files keep their relative paths.
        folder: created if it does not exist.
        patterns: globs of the files of a result, relative to the folder.
        force: replace an earlier result.

    Returns:
        The files written.

    Raises:
        OutputError: without ``force``, the folder contains a result by now.
        OSError: the files cannot be moved; the folder is as before.
    """
    new = _files(staging)
    written = [folder / path for path in new]
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(folder):
        try:
            staging.rename(folder)  # all at once
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
        else:
            return written
    holder = staging.parent
    if holder.parent != folder.absolute():  # the folder was made meanwhile
        inside = folder.absolute() / holder.name
        holder.rename(inside)
        try:
            return _exchange(inside, folder, new, patterns, force=force)
        finally:
            if not _kept(inside):
                shutil.rmtree(inside, ignore_errors=True)
    return _exchange(holder, folder, new, patterns, force=force)


def recover(folder: Path, names: Collection[str]) -> None:
    """Complete or take back what killed processes were moving into a folder, and delete the rest.

    Args:
        folder: that may contain staging folders.
        names: of the files and folders of a result; nothing else is moved.

    Raises:
        OSError: files cannot be moved; they are left where they are.
    """
    for holder in sorted(folder.glob(f"{PREFIX}*")):
        with _claimed(holder) as is_abandoned:
            if not is_abandoned:
                continue
            # Either all earlier files were moved away, and the new ones can follow, or none of
            # the new ones was moved yet, and the earlier ones can come back.
            kind = _NEW if (holder / _REPLACED).exists() else _OLD
            for path in _files(holder / kind):
                if path.parts[0] in names and not (folder / path).is_symlink():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (holder / kind / path).replace(folder / path)
            shutil.rmtree(holder, ignore_errors=True)


def nearest_existing(folder: Path) -> Path:
    """Return the folder or its nearest existing parent: the same disk, the same permissions.

    It is absolute. If it is not a folder, or a link to nothing, then the folder cannot be made.
    """
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if os.path.lexists(path))


def _exchange(
    holder: Path, folder: Path, new: Sequence[Path], patterns: Sequence[str], *, force: bool
) -> list[Path]:
    """Move the earlier files away, then the new ones in; undo everything if that fails."""
    done: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        done.append((source, target))

    with _only_one(folder):
        old = sorted({path.relative_to(folder) for name in patterns for path in folder.glob(name)})
        if old and not force:
            raise OutputError(
                f"{folder}: contains {old[0]} by now, so another analysis has written to it; use "
                "--force to replace its results"
            )
        try:
            for path in old:
                move(folder / path, holder / _OLD / path)
            (holder / _REPLACED).touch()
            for path in new:
                move(holder / _NEW / path, folder / path)
        except BaseException:
            for source, target in reversed(done):
                target.replace(source)
            raise
    shutil.rmtree(holder / _OLD, ignore_errors=True)
    parents = {parent for path in old for parent in path.parents} - {Path()}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # not empty
            (folder / parent).rmdir()
    return [folder / path for path in new]


def _kept(holder: Path) -> str:
    """Say where earlier files are that could not be moved back; empty if there are none."""
    left = _files(holder / _OLD)
    return f"; the earlier results are in {holder / _OLD}" if left else ""


def _files(folder: Path) -> list[Path]:
    """Return the paths of all files in a folder, relative to it."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


@contextmanager
def _claimed(holder: Path) -> Iterator[bool]:
    """Hold the lock of a staging folder; yield whether its process has ended."""
    lock: IO[bytes] | None = None
    with suppress(FileNotFoundError, PermissionError, NotADirectoryError):
        lock = (holder / _LOCK).open("r+b")
    if lock is None:
        yield _is_old(holder)
        return
    with lock:
        mine = sys.platform == "win32" or holder.stat().st_uid == os.getuid()
        yield mine and not holder.is_symlink() and _lock(lock)


def _is_old(holder: Path) -> bool:
    """Return whether a folder without a lock was left by a process that was killed at once."""
    try:
        return not (holder / _LOCK).exists() and (
            time.time() - holder.stat().st_mtime > _UNLOCKED_SECONDS
        )
    except FileNotFoundError:  # removed in this moment
        return False


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Wait until no other process moves results into the folder."""
    if sys.platform == "win32":
        yield
        return
    import fcntl  # noqa: PLC0415 - not on every platform

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not supported by the file system
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock(file: IO[bytes]) -> bool:
    """Lock a file until it is closed or the process ends; return whether that was possible."""
    if sys.platform == "win32":
        return False  # where folders of killed processes stay
    import fcntl  # noqa: PLC0415 - not on every platform

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked by another process, or not supported by the file system
        return False
    return True
