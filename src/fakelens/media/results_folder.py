"""Results folders: what stands in the way of a result is found before the work begins."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from fakelens.errors import OutputError
from fakelens.media.staging import PREFIX, nearest_existing, recover


def check_free(folder: Path, names: Collection[str], *, force: bool) -> None:
    """Check that results can be written to a folder, without leaving anything behind.

    Args:
        folder: need not exist.
        names: of the files and folders that would be written.
        force: these may exist already.

    Raises:
        OutputError: the folder contains one of them, is a file, or cannot be made or written to.
    """
    try:
        nearest = nearest_existing(folder)
        if not nearest.exists():
            raise OutputError(f"{nearest}: is a link to nothing; choose a folder for the results")
        if not nearest.is_dir():
            raise OutputError(f"{nearest}: is a file; choose a folder for the results")
        recover(nearest, names)
        taken = [name for name in names if (folder / name).exists()]
        if taken and not force:
            raise OutputError(f"{folder}: already contains {taken[0]}; use --force to overwrite it")
        for name in taken:
            if (folder / name).stat().st_dev != nearest.stat().st_dev:
                raise OutputError(
                    f"{folder / name}: is on another disk than its folder; choose another folder"
                )
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=nearest) as trial:
            # Elsewhere, since another process may be writing to the folder once it exists.
            for name in folder.absolute().relative_to(nearest).parts:
                Path(trial, name).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
