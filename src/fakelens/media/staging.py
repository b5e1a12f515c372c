"""Staging: the files of a result are made in a hidden folder and appear together.

::

    .fakelens-partial-XXXX/lock      locked by the process that uses it
    .fakelens-partial-XXXX/new       the files
    .fakelens-partial-XXXX/old       what they replace, while they are moved
    .fakelens-partial-XXXX/move.json where they belong, once they are complete

A process that is killed leaves such a folder. The next one that writes beside it completes a move
that had begun, and deletes the rest.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fakelens.errors import OutputError

# Independent of the final folder's name, which may be as long as a name can be.
PREFIX = ".fakelens-partial-"
_LOCK, _NEW, _OLD, _MOVE = "lock", "new", "old", "move.json"
_UNLOCKED_SECONDS = 3600  # a folder without a lock is that of a process which has just begun


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Provide a temporary folder on the same disk as the final one, and remove it afterwards.

    Raises:
        OutputError: it cannot be made, or the results could not be written while it was in use;
            the message names the final folder.
    """
    try:
        nearest = nearest_existing(folder)
        recover(nearest)
        holder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=nearest))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
    staging = holder / _NEW
    try:
        with (holder / _LOCK).open("wb") as lock:
            _lock(lock)
            staging.mkdir()
            yield staging
    except OSError as error:
        raise OutputError(f"{folder}: the results cannot be written: {error.strerror}") from error
    except OutputError as error:
        raise OutputError(str(error).replace(str(staging), str(folder))) from error
    finally:
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
    new = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
    written = [folder / path for path in new]
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(folder):
        with suppress(FileExistsError, NotADirectoryError):
            staging.rename(folder)  # all at once
            return written
    old = sorted({path.relative_to(folder) for name in patterns for path in folder.glob(name)})
    if old and not force:
        raise OutputError(
            f"{folder}: contains {old[0]} by now, so another analysis has written to it; use "
            "--force to replace its results"
        )
    plan = {"folder": str(folder.absolute()), "old": [*map(str, old)], "new": [*map(str, new)]}
    (staging.parent / _MOVE).write_text(json.dumps(plan), encoding="utf-8")
    _exchange(staging.parent, folder, old, new)
    return written


def recover(parent: Path) -> None:
    """Complete the moves of processes that were killed, and delete what else they left.

    Args:
        parent: folder that may contain staging folders.
    """
    for holder in parent.glob(f"{PREFIX}*"):
        if not _is_abandoned(holder):
            continue
        # Another process may recover the same folder, or it may be one of another user.
        with suppress(OSError, ValueError, KeyError, TypeError):
            if (holder / _MOVE).exists():
                plan = json.loads((holder / _MOVE).read_text(encoding="utf-8"))
                old, new = ([Path(path) for path in plan[kind]] for kind in ("old", "new"))
                _exchange(holder, Path(plan["folder"]), old, new)
        shutil.rmtree(holder, ignore_errors=True)


def nearest_existing(folder: Path) -> Path:
    """Return the folder or its nearest existing parent: the same disk, the same permissions.

    It is absolute. If it is not a folder, or a link to nothing, then the folder cannot be made.
    """
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if os.path.lexists(path))


def _exchange(holder: Path, folder: Path, old: Sequence[Path], new: Sequence[Path]) -> None:
    """Move the earlier files away, then the new ones in; undo everything if that fails.

    Args:
        holder: with the new files; another process may have begun to move them.
        folder: for them.
        old: paths of the earlier files, relative to the folder.
        new: paths of the new files, likewise.
    """
    begun = not all((holder / _NEW / path).exists() for path in new)
    left = [] if begun else [path for path in old if (folder / path).exists()]
    moves = [(folder / path, holder / _OLD / path) for path in left]
    moves += [
        (holder / _NEW / path, folder / path) for path in new if (holder / _NEW / path).exists()
    ]
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            target.replace(source)
        raise
    for parent in {(folder / path).parent for path in old} - {folder}:
        with suppress(OSError):  # not empty
            parent.rmdir()


def _is_abandoned(holder: Path) -> bool:
    try:
        with (holder / _LOCK).open("r+b") as lock:
            return _lock(lock)
    except FileNotFoundError:
        with suppress(OSError):
            return time.time() - holder.stat().st_mtime > _UNLOCKED_SECONDS
    except OSError:
        pass
    return False


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
