"""Pack folders of face crops into shards: ``python -m training.faces.pack FOLDER... --output DIR``.

Shards are named ``FOLDER-SPLIT-NNN.npz`` and hold one split each. An interrupted run continues with
the first missing shard.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
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
from training.faces.difference import MASK_SIDE, Difference, measure_difference
from training.faces.index import (
    CropPair,
    Split,
    decode_picture,
    pair_crops,
    read_index,
    read_pictures,
)
from training.faces.landmarks import DlibLandmarkFinder, LandmarkFinder, face_square
from training.faces.shards import SHARD_LIMIT, Shard, read_shard, write_shard

# Size of a crop's other data in a shard: landmarks, mask, names.
_ROW_BYTES = 4_000
# Shards are filled up to this share of the limit.
_FILL_RATIO = 0.96


@dataclass(frozen=True, slots=True)
class PairFiles:
    """A real crop and its fake, as read from the folder.

    Attributes:
        pair: rows of the index.
        real: picture file of the real crop.
        fake: picture file of the fake; empty if there is none.
    """

    pair: CropPair
    real: bytes
    fake: bytes

    @property
    def size(self) -> int:
        """Size in a shard, bytes, rounded up."""
        return len(self.real) + len(self.fake) + _ROW_BYTES


@dataclass(frozen=True, slots=True)
class PairMeasurements:
    """Measurements of a real crop and its fake.

    Attributes:
        shape: H, W of the real crop.
        landmarks: (68, 2) float32 x, y, pixels; whole numbers are pixel centres.
        center: (2,) float32 x, y, centre of the face square, in the same coordinates.
        side: side of the face square, pixels.
        difference: difference between the crop and its fake; ``None`` without a fake.
    """

    shape: tuple[int, int]
    landmarks: FloatArray
    center: FloatArray
    side: float
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class PackReport:
    """Number of packed crops of one folder and split.

    Attributes:
        name: name of the folder.
        split: split of the crops.
        packed: number of crops with landmarks.
        skipped: number of crops in which YuNet found no face.
        fakes: number of packed crops with a fake.
        visible: number of fakes with a visible forgery.
        aligned: number of visible fakes that show the same place as the real crop.
        shards: shard files, new or kept.
    """

    name: str
    split: Split
    packed: int
    skipped: int
    fakes: int
    visible: int
    aligned: int
    shards: tuple[Path, ...]

    def __str__(self) -> str:
        """One line for the console."""
        return (
            f"{self.name} {self.split}: {self.packed} crops in {len(self.shards)} shards,"
            f" {self.skipped} skipped (no face found); {self.fakes} fakes,"
            f" {self.visible} visible, {self.aligned} aligned"
        )


def pack(
    folder: Path,
    output: Path,
    split: Split,
    processes: int = 2,
    finder_factory: Callable[[], LandmarkFinder] = DlibLandmarkFinder,
) -> PackReport:
    """Pack one split of a folder; existing shards with the same content are kept.

    Args:
        folder: folder with ``index.csv`` and tar shards, see ``index.read_index``.
        output: folder of the new shards.
        split: split to pack.
        processes: number of worker processes; 0 to use this process.
        finder_factory: called once in each process to make the landmark finder; pickled.

    Raises:
        CropDataError: the folder or a shard is damaged, or a package is missing.
    """
    samples = _read_files(folder, pair_crops(read_index(folder), split))
    output.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = dict.fromkeys(("packed", "skipped", "fakes", "visible", "aligned"), 0)
    shards = []
    progress = tqdm(total=len(samples), desc=f"{folder.name} {split}", unit="crop", disable=None)
    with progress, _workers(processes, finder_factory) as measure_all:
        for number, part in enumerate(_split_by_size(samples)):
            path = output / f"{folder.name}-{split}-{number:03}.npz"
            plan = _digest(part)
            if not (path.is_file() and read_shard(path, ["plan"]).arrays["plan"] == plan):
                results = []
                for result in measure_all(part):
                    results.append(result)
                    progress.update()
                write_shard(path, _build_shard(part, results, split, plan))
            else:
                progress.update(len(part))
            shards.append(path)
            stored = read_shard(path, ["sides", "has_fake", "visible", "aligned"]).arrays
            counts["packed"] += len(stored["sides"])
            counts["skipped"] += len(part) - len(stored["sides"])
            counts["fakes"] += int(stored["has_fake"].sum())
            counts["visible"] += int(stored["visible"].sum())
            counts["aligned"] += int(stored["aligned"].sum())
    return PackReport(name=folder.name, split=split, shards=tuple(shards), **counts)


def _read_files(folder: Path, chosen: Sequence[CropPair]) -> list[PairFiles]:
    rows = [row for pair in chosen for row in (pair.real, pair.fake) if row is not None]
    data = {(row.shard, row.file): picture for row, picture in read_pictures(folder, rows)}
    return [
        PairFiles(
            pair,
            data[pair.real.shard, pair.real.file],
            data[pair.fake.shard, pair.fake.file] if pair.fake else b"",
        )
        for pair in chosen
    ]


def _split_by_size(samples: Sequence[PairFiles]) -> Iterator[list[PairFiles]]:
    """Split the samples into parts that each fit into one shard."""
    part: list[PairFiles] = []
    size = 0
    for sample in samples:
        if part and size + sample.size > _FILL_RATIO * SHARD_LIMIT:
            yield part
            part, size = [], 0
        part.append(sample)
        size += sample.size
    if part:
        yield part


def _digest(part: Sequence[PairFiles]) -> str:
    """Compute a digest of everything that a shard is made from."""
    digest = hashlib.sha256()
    for sample in part:
        digest.update(repr(sample.pair).encode() + sample.real + sample.fake)
    return digest.hexdigest()


_Measure = Callable[[Sequence[PairFiles]], Iterator[PairMeasurements | None]]


@contextmanager
def _workers(processes: int, finder_factory: Callable[[], LandmarkFinder]) -> Iterator[_Measure]:
    """Start workers, and provide a function that measures samples in order."""
    if processes == 0:
        finder = finder_factory()
        yield lambda part: (_measure(sample, finder) for sample in part)
        return
    # Spawned: a forked process would wait for threads that exist only in its parent.
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, _init_worker, (finder_factory,)) as executor:
        yield lambda part: executor.map(_measure_in_worker, part, chunksize=16)


_finder_factory: Callable[[], LandmarkFinder] = DlibLandmarkFinder


def _init_worker(finder_factory: Callable[[], LandmarkFinder]) -> None:
    """Prepare a worker process.

    The finder is made later: an error in an initializer would not reach the caller.
    """
    global _finder_factory  # noqa: PLW0603 - each worker is a process of its own
    cv2.setNumThreads(1)
    _finder_factory = finder_factory


@cache
def _finder() -> LandmarkFinder:
    return _finder_factory()


def _measure_in_worker(sample: PairFiles) -> PairMeasurements | None:
    return _measure(sample, _finder())


def _measure(sample: PairFiles, finder: LandmarkFinder) -> PairMeasurements | None:
    """Find the landmarks and compare with the fake; return ``None`` if no face is found."""
    real = decode_picture(sample.real)
    box = sample.pair.real.box
    found = finder.find(real, box)
    fake = decode_picture(sample.fake) if sample.fake else None
    if found is None:
        return None
    if box is None:
        center, side = face_square(found.landmarks)
    else:
        # Whole numbers are edges of pixels in a box, but pixel centres here.
        center, side = np.array(box.center, np.float32) - 0.5, max(box.width, box.height)
    shape = real.shape[0], real.shape[1]
    difference = None if fake is None else measure_difference(real, fake)
    return PairMeasurements(shape, found.landmarks, center, side, difference)


def _build_shard(
    part: Sequence[PairFiles],
    results: Sequence[PairMeasurements | None],
    split: Split,
    plan: str,
) -> Shard:
    kept = [(s, m) for s, m in zip(part, results, strict=True) if m is not None]
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
    output: Annotated[Path, typer.Option(help="Folder of the new shards.")],
    processes: Annotated[
        int, typer.Option(min=0, help="Number of worker processes; 0 for none.")
    ] = 2,
) -> None:
    """Find the landmarks of real crops and pack the crops and their fakes into shards."""
    if len({folder.resolve().name for folder in folders}) < len(folders):
        raise typer.BadParameter(
            "two folders have the same name, so their shards would overwrite each other: rename one"
        )
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
