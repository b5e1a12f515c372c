"""Shard files: arrays and compressed pictures in one npz file, without pickled objects."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.faces.index import CropDataError

SHARD_LIMIT = 50_000_000
"""Largest size of a shard, bytes."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Content of a shard.

    Attributes:
        arrays: arrays by name.
        pictures: compressed pictures (JPEG or PNG) by name; empty bytes where there is none.
    """

    arrays: dict[str, NDArray[Any]]
    pictures: dict[str, list[bytes]]


def write_shard(path: Path, shard: Shard) -> None:
    """Write a shard; the file appears only when it is complete.

    Raises:
        CropDataError: the file would be larger than ``SHARD_LIMIT``.
    """
    content = dict(shard.arrays)
    for name, pictures in shard.pictures.items():
        content[f"{name}.bytes"] = np.frombuffer(b"".join(pictures), np.uint8)
        content[f"{name}.ends"] = np.cumsum([len(picture) for picture in pictures], dtype=np.int64)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **content)
    if (size := partial.stat().st_size) > SHARD_LIMIT:
        partial.unlink()
        raise CropDataError(f"{path} would have {size} bytes, more than the limit of {SHARD_LIMIT}")
    partial.replace(path)


def read_shard(path: Path, names: Sequence[str] = ()) -> Shard:
    """Read a shard.

    Args:
        path: the file.
        names: arrays to read, without pictures; by default, everything is read.

    Raises:
        CropDataError: the file is missing, damaged or lacks one of ``names``.
    """
    try:
        # Open the file here: numpy does not close a file that is not an archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in (names or stored.files)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CropDataError(
            f"{path} is damaged or incomplete ({error}): delete it and create it again"
        ) from error
    pictures = {}
    for name in [key.removesuffix(".ends") for key in arrays if key.endswith(".ends")]:
        ends = arrays.pop(f"{name}.ends").tolist()
        data = arrays.pop(f"{name}.bytes").tobytes()
        pictures[name] = [data[a:b] for a, b in zip([0, *ends][:-1], ends, strict=True)]
    return Shard(arrays, pictures)
