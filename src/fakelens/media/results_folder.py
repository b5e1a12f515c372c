"""Results folders: all files of a result appear together, or none if anything fails."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fakelens.errors import OutputError


def check_free(folder: Path, names: Iterable[str], *, force: bool) -> None:
    """Check that results can be written to a folder, without changing anything.

    Args:
        folder: need not exist.
        names: of the files and folders that would be written.
        force: these may exist already.

    Raises:
        OutputError: the folder contains one of them, is a file, or cannot be written to.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; choose a folder for the results")
        taken = [name for name in names if (folder / name).exists()]
        if taken and not force:
            raise OutputError(f"{folder}: already contains {taken[0]}; use --force to overwrite it")
        with tempfile.TemporaryFile(dir=_nearest_existing(folder)):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Provide a temporary folder on the same disk as the final one, and remove it afterwards.

    Raises:
        OutputError: it cannot be made, or an OSError was raised while it was in use.
    """
    try:
        parent = _nearest_existing(folder)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=parent))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        yield staging
    except OSError as error:
        raise OutputError(f"{folder}: the results cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def move_into_place(staging: Path, folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Move finished files into place and delete those of earlier results.

    Args:
        staging: its files keep their relative paths.
        folder: created if it does not exist.
        patterns: globs, relative to the folder. Files that match and were not written now are
            deleted, and folders that are empty then.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted(path for path in staging.rglob("*") if path.is_file()):
        target = folder / source.relative_to(staging)
        target.parent.mkdir(exist_ok=True)
        source.replace(target)
        written.append(target)
    for pattern in patterns:
        for stale in set(folder.glob(pattern)) - set(written):
            stale.unlink(missing_ok=True)
            if stale.parent != folder and not any(stale.parent.iterdir()):
                stale.parent.rmdir()
    return written


def _nearest_existing(folder: Path) -> Path:
    """Return the folder or its nearest existing parent: the same disk, the same permissions."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())
