"""Pack folders of face crops into shards: ``python -m training.faces.pack FOLDER... --output DIR``.

Shards of one folder are named ``FOLDER-SPLIT-NNN.npz`` and hold one split each. A run that was
interrupted goes on with the first missing shard.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, get_args

import cv2
import numpy as np
import typer
from tqdm import tqdm

from fakelens.errors import FakelensError
from fakelens.records.arrays import FloatArray
from training.faces.difference import MASK_SIDE, Difference, measure
from training.faces.index import (
    Pair,
    Split,
    decode,
    pairs,
    read_index,
    read_pictures,
)
from training.faces.landmarks import Finder, LandmarkFinder, face_square
from training.faces.shards import SHARD_LIMIT, Shard, read_shard, write_shard

# Bytes a crop takes in a shard apart from its pictures: landmarks, mask, names.
_ROW_BYTES = 4_000
_FILLED = 0.96


@dataclass(frozen=True, slots=True)
class Sample:
    """A real crop and its fake, as they are read from the folder."""

    pair: Pair
    real: bytes
    fake: bytes

    @property
    def size(self) -> int:
        """Bytes in a shard, rounded up."""
        return len(self.real) + len(self.fake) + _ROW_BYTES


@dataclass(frozen=True, slots=True)
class Measured:
    """What is found out about one real crop and its fake.

    Attributes:
        shape: H, W of the real crop.
        landmarks: (68, 2) float32 x, y, pixels; whole numbers are pixel centres.
        center: (2,) float32 x, y of the face's square, the same.
        side: of the face's square, pixels.
        difference: between the crop and its fake; ``None`` without a fake.
    """

    shape: tuple[int, int]
    landmarks: FloatArray
    center: FloatArray
    side: float
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Report:
    """How many crops of one folder and split were packed.

    Attributes:
        name: of the folder.
        split: of the crops.
        packed: crops with landmarks.
        left_out: crops in which YuNet found no face.
        fakes: packed crops that have a fake.
        visible: fakes with a forgery to see.
        aligned: visible fakes that show the same place as the real crop.
        shards: files, new or kept.
    """

    name: str
    split: Split
    packed: int
    left_out: int
    fakes: int
    visible: int
    aligned: int
    shards: tuple[Path, ...]

    def __str__(self) -> str:
        """One line for the console."""
        return (
            f"{self.name} {self.split}: {self.packed} crops in {len(self.shards)} shards,"
            f" {self.left_out} left out (no face found); {self.fakes} fakes,"
            f" {self.visible} visible, {self.aligned} aligned"
        )


def pack(
    folder: Path,
    output: Path,
    split: Split,
    processes: int = 2,
    make_finder: Callable[[], Finder] = LandmarkFinder,
) -> Report:
    """Pack one split of a folder; shards that exist already are kept.

    Args:
        folder: holds ``index.csv`` and tar shards, see ``index.read_index``.
        output: folder of the shards.
        split: which part.
        processes: that find landmarks at the same time.
        make_finder: makes what finds the landmarks, once in each process.

    Raises:
        CropDataError: the folder or a shard is damaged, or a package is missing.
    """
    samples = _read(folder, pairs(read_index(folder), split))
    output.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = dict.fromkeys(("packed", "left_out", "fakes", "visible", "aligned"), 0)
    shards = []
    progress = tqdm(total=len(samples), desc=f"{folder.name} {split}", unit="crop", disable=None)
    with (
        progress,
        ProcessPoolExecutor(processes, get_context("spawn"), _begin, (make_finder,)) as executor,
    ):
        for number, part in enumerate(_parts(samples)):
            path = output / f"{folder.name}-{split}-{number:03}.npz"
            plan = _plan(part)
            if not (path.is_file() and read_shard(path, ["plan"]).arrays["plan"] == plan):
                found = []
                for result in executor.map(_measure, part, chunksize=16):
                    found.append(result)
                    progress.update()
                write_shard(path, _shard(part, found, split, plan))
            else:
                progress.update(len(part))
            shards.append(path)
            stored = read_shard(path, ["sides", "has_fake", "visible", "aligned"]).arrays
            counts["packed"] += len(stored["sides"])
            counts["left_out"] += len(part) - len(stored["sides"])
            counts["fakes"] += int(stored["has_fake"].sum())
            counts["visible"] += int(stored["visible"].sum())
            counts["aligned"] += int(stored["aligned"].sum())
    return Report(name=folder.name, split=split, shards=tuple(shards), **counts)


def _read(folder: Path, chosen: Sequence[Pair]) -> list[Sample]:
    rows = [row for pair in chosen for row in (pair.real, pair.fake) if row is not None]
    data = {(row.shard, row.file): picture for row, picture in read_pictures(folder, rows)}
    return [
        Sample(
            pair,
            data[pair.real.shard, pair.real.file],
            data[pair.fake.shard, pair.fake.file] if pair.fake else b"",
        )
        for pair in chosen
    ]


def _parts(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """Split the samples into parts that fit into a shard each."""
    part: list[Sample] = []
    size = 0
    for sample in samples:
        if part and size + sample.size > _FILLED * SHARD_LIMIT:
            yield part
            part, size = [], 0
        part.append(sample)
        size += sample.size
    if part:
        yield part


def _plan(part: Sequence[Sample]) -> str:
    """A digest of what a shard is made from."""
    digest = hashlib.sha256()
    for sample in part:
        digest.update(repr(sample.pair).encode() + sample.real + sample.fake)
    return digest.hexdigest()


_make_finder: Callable[[], Finder] = LandmarkFinder


def _begin(make_finder: Callable[[], Finder]) -> None:
    """Prepare a worker process. The finder is made later, so that its errors reach the caller."""
    global _make_finder  # noqa: PLW0603 - a process of its own
    cv2.setNumThreads(1)
    _make_finder = make_finder


@cache
def _finder() -> Finder:
    return _make_finder()


def _measure(sample: Sample) -> Measured | None:
    """Find the landmarks and compare with the fake; ``None`` where there is no face."""
    real = decode(sample.real)
    box = sample.pair.real.box
    found = _finder().find(real, box)
    fake = decode(sample.fake) if sample.fake else None
    if found is None:
        return None
    if box is None:
        center, side = face_square(found.landmarks)
    else:
        # Whole numbers are edges of pixels in a box, and pixel centres here.
        center, side = np.array(box.center, np.float32) - 0.5, max(box.width, box.height)
    shape = real.shape[0], real.shape[1]
    difference = None if fake is None else measure(real, fake)
    return Measured(shape, found.landmarks, center, side, difference)


def _shard(
    part: Sequence[Sample], found: Sequence[Measured | None], split: Split, plan: str
) -> Shard:
    kept = [(s, m) for s, m in zip(part, found, strict=True) if m is not None]
    none = Difference(np.zeros((MASK_SIDE, MASK_SIDE), np.float32), 0.0, 0.0)
    differences = [m.difference or none for _, m in kept]
    arrays = {
        "plan": np.array(plan),
        "split": np.array(split),
        "groups": np.array([s.pair.real.group for s, _ in kept], dtype=str),
        "sources": np.array([s.pair.real.source for s, _ in kept], dtype=str),
        "shapes": np.array([m.shape for _, m in kept], np.int32).reshape(-1, 2),
        "landmarks": np.array([m.landmarks for _, m in kept], np.float32).reshape(-1, 68, 2),
        "centers": np.array([m.center for _, m in kept], np.float32).reshape(-1, 2),
        "sides": np.array([m.side for _, m in kept], np.float32),
        "has_fake": np.array([m.difference is not None for _, m in kept], bool),
        "masks": np.rint(
            255 * np.array([d.mask for d in differences]).reshape(-1, MASK_SIDE, MASK_SIDE)
        ).astype(np.uint8),
        "rims": np.array([d.rim for d in differences], np.float32),
        "peaks": np.array([d.peak for d in differences], np.float32),
        "visible": np.array([d.visible for d in differences], bool),
        "aligned": np.array(
            [d.aligned and s.pair.same_scale for (s, _), d in zip(kept, differences, strict=True)],
            bool,
        ),
    }
    return Shard(arrays, {"real": [s.real for s, _ in kept], "fake": [s.fake for s, _ in kept]})


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders with index.csv and tar shards.")],
    output: Annotated[Path, typer.Option(help="Folder of the shards.")],
    processes: Annotated[int, typer.Option(min=1, help="Processes that find landmarks.")] = 2,
) -> None:
    """Find landmarks in the real crops of some folders and pack them into shards."""
    if len({folder.resolve().name for folder in folders}) < len(folders):
        raise typer.BadParameter("two folders have the same name, so their shards would collide")
    try:
        for folder in folders:
            for split in get_args(Split):
                report = pack(folder.resolve(), output, split, processes)
                typer.echo(str(report))
    except FakelensError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
