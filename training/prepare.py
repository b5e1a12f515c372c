"""Prepare samples compressed with H.264: ``python -m training.prepare FACES --output DIR``.

A GPU cannot encode H.264 inside a training step, so samples are made ahead, in worker processes.
Each sample has four crops: real, blend, fake and a second real crop. All four are compressed with
the same settings, so compression does not reveal the label.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from fakelens.errors import FakelensError
from training.augment import AugmentSettings, Batch, BatchRng, make_batch
from training.codecs import CRF_RANGE, SCALE_RANGE, compress_sample
from training.faces.bank import FaceBank, load_bank
from training.faces.index import CropDataError, Split
from training.faces.shards import SHARD_LIMIT, Shard, read_shard, write_shard
from training.prepared_bank import PICTURES, SHARD_NAMES

CHUNK_SIZE = 8
"""Number of samples that are made together. Sample i depends only on the plan, the seed and i."""
_JPEG_PARAMETERS = [
    *(cv2.IMWRITE_JPEG_QUALITY, 97),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]
_FILL_RATIO = 0.96

ChunkMaker = Callable[[int], Batch]
"""Makes the uncompressed batch of ``CHUNK_SIZE`` samples of a chunk number, on the CPU."""


@dataclass(frozen=True, slots=True)
class PreparedSample:
    """One compressed sample.

    Attributes:
        pictures: the four crops as JPEG files.
        masks: (4, C, C) uint8, 255 = forged.
        weights: (4,) float32, weight of each crop in the label loss.
        mask_weights: (4,) float32, weight of each crop in the map loss.
        crf: constant rate factor of the video.
        scale: size of the video relative to the size of the crop.
    """

    pictures: list[bytes]
    masks: NDArray[np.uint8]
    weights: NDArray[np.float32]
    mask_weights: NDArray[np.float32]
    crf: int
    scale: float

    @property
    def size(self) -> int:
        """Size in a shard, bytes, rounded up."""
        return sum(len(picture) for picture in self.pictures) + self.masks.nbytes + 200


@dataclass(frozen=True, slots=True)
class BankChunkMaker:
    """Makes samples from face banks on the CPU; consecutive chunks come from different banks.

    Attributes:
        banks: at least one bank.
        settings: settings of the augmentation; see ``without_compression``.
        seed: random seed.
    """

    banks: tuple[FaceBank, ...]
    settings: AugmentSettings
    seed: int

    def __call__(self, number: int) -> Batch:
        """Make the ``CHUNK_SIZE`` samples of chunk ``number``."""
        rng = BatchRng(self.seed, "cpu", number)
        bank = self.banks[number % len(self.banks)]
        rows = rng.integers(len(bank), CHUNK_SIZE)
        return make_batch(bank, rows, self.settings, rng, self._surroundings(rng))

    def _surroundings(self, rng: BatchRng) -> Tensor | None:
        """Return pictures of a bank with surroundings, (m, 3, R, R) float32, if there is one."""
        for bank in self.banks:
            if bank.has_surroundings:
                pictures = bank.images[rng.integers(len(bank), 2 * CHUNK_SIZE)].float() / 255
                return functional.interpolate(pictures, self.settings.size, mode="bilinear")
        return None


def load_chunk_maker(
    faces: Path,
    names: Sequence[str],
    split: Split,
    settings: AugmentSettings,
    seed: int = 0,
    limit: int | None = None,
) -> BankChunkMaker:
    """Make a ``BankChunkMaker`` from packed folders; see ``bank.load_bank`` for the arguments."""
    banks = tuple(load_bank(faces, name, split, "cpu", limit) for name in names)
    return BankChunkMaker(banks, settings, seed)


def without_compression(settings: AugmentSettings) -> AugmentSettings:
    """Disable the simulated capture and compression, which the real codec replaces."""
    return replace(settings, degradation=replace(settings.degradation, untouched=1.0))


def prepare(
    maker_factory: Callable[[], ChunkMaker],
    plan: str,
    count: int,
    output: Path,
    seed: int = 0,
    processes: int = 2,
) -> list[Path]:
    """Make samples and write them to shards; existing shards of the same plan and seed are kept.

    Args:
        maker_factory: called once in each process to make the chunk maker, which must return equal
            chunks for equal numbers; pickled.
        plan: text that identifies everything that the samples depend on.
        count: number of samples; rounded up to whole chunks.
        output: folder of the shards.
        seed: random seed of the rate factors and scales.
        processes: number of worker processes; 0 to use this process.

    Returns:
        The shards, new and kept, in order.

    Raises:
        CropDataError: a shard in ``output`` is damaged or was made with other settings.
    """
    output.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(f"{plan} seed {seed}".encode()).hexdigest()
    shards, done = _existing_shards(output, digest)
    chunks = range(done // CHUNK_SIZE, -(-count // CHUNK_SIZE))
    pending: list[PreparedSample] = []
    progress = tqdm(total=count, initial=done, desc="samples", unit="sample", disable=None)

    def flush() -> None:
        if pending:
            shards.append(output / SHARD_NAMES.format(len(shards)))
            write_shard(shards[-1], _build_shard(pending, digest))
            pending.clear()

    with progress:
        for chunk in _make_chunks(maker_factory, chunks, seed, processes):
            if sum(sample.size for sample in [*pending, *chunk]) > _FILL_RATIO * SHARD_LIMIT:
                flush()
            pending += chunk
            progress.update(len(chunk))
        flush()
    return shards


def compress_samples(batch: Batch, seed: int, first: int) -> list[PreparedSample]:
    """Compress each sample of a batch with H.264, all its crops at the same rate factor and scale.

    Args:
        batch: n samples, float crops in 0..1.
        seed: random seed of the rate factors and scales.
        first: number of the first sample; sample i depends only on ``seed`` and ``first`` + i.
    """
    crops = (batch.crops * 255).round().clamp(0, 255).byte().permute(1, 0, 3, 4, 2).numpy()
    masks = (batch.masks * 255).round().clamp(0, 255).byte().transpose(0, 1).numpy()
    weights = batch.weights.float().T.numpy()
    mask_weights = batch.mask_weights.float().T.numpy()
    samples = []
    for number, sample in enumerate(crops):
        rng = np.random.default_rng([seed, first + number])
        crf = int(rng.integers(CRF_RANGE[0], CRF_RANGE[1], endpoint=True))
        scale = float(rng.uniform(*SCALE_RANGE))
        compressed = compress_sample(np.ascontiguousarray(sample), crf, scale)
        samples.append(
            PreparedSample(
                [_encode_jpeg(crop) for crop in compressed],
                masks[number],
                weights[number],
                mask_weights[number],
                crf,
                scale,
            )
        )
    return samples


def _encode_jpeg(crop: NDArray[np.uint8]) -> bytes:
    data: bytes = cv2.imencode(".jpg", crop[..., ::-1], _JPEG_PARAMETERS)[1].tobytes()
    return data


def _make_chunks(
    maker_factory: Callable[[], ChunkMaker], chunks: range, seed: int, processes: int
) -> Iterator[list[PreparedSample]]:
    """Make and compress the samples of some chunks, in order."""
    if processes == 0:
        maker = maker_factory()
        for number in chunks:
            yield compress_samples(maker(number), seed, number * CHUNK_SIZE)
        return
    # Spawned: a forked process would wait for threads that exist only in its parent.
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, _init_worker, (maker_factory,)) as executor:
        yield from executor.map(_make_chunk, chunks, repeat(seed))


_maker_factory: Callable[[], ChunkMaker] | None = None


def _init_worker(maker_factory: Callable[[], ChunkMaker]) -> None:
    """Prepare a worker process.

    The maker is made later: an error in an initializer would not reach the caller.
    """
    global _maker_factory  # noqa: PLW0603 - each worker is a process of its own
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _maker_factory = maker_factory


@cache
def _maker() -> ChunkMaker:
    assert _maker_factory is not None
    return _maker_factory()


def _make_chunk(number: int, seed: int) -> list[PreparedSample]:
    return compress_samples(_maker()(number), seed, number * CHUNK_SIZE)


def _existing_shards(output: Path, digest: str) -> tuple[list[Path], int]:
    """Find the shards of an earlier run with the same plan, and count their samples."""
    shards: list[Path] = []
    done = 0
    while (path := output / SHARD_NAMES.format(len(shards))).is_file():
        stored = read_shard(path, ["plan", "crfs"]).arrays
        if stored["plan"] != digest:
            raise CropDataError(
                f"{path} was made with other settings: delete it or choose an empty folder"
            )
        shards.append(path)
        done += len(stored["crfs"])
    return shards, done


def _build_shard(samples: list[PreparedSample], digest: str) -> Shard:
    return Shard(
        {
            "plan": np.array(digest),
            "masks": np.stack([sample.masks for sample in samples]),
            "weights": np.stack([sample.weights for sample in samples]),
            "mask_weights": np.stack([sample.mask_weights for sample in samples]),
            "crfs": np.array([sample.crf for sample in samples], np.int32),
            "scales": np.array([sample.scale for sample in samples], np.float32),
        },
        {
            name: [sample.pictures[position] for sample in samples]
            for position, name in enumerate(PICTURES)
        },
    )


def main(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    faces: Annotated[Path, typer.Argument(help="Folder of packed faces.")],
    output: Annotated[Path, typer.Option(help="Folder of the new shards.")],
    count: Annotated[int, typer.Option(min=1, help="Number of samples, of four crops each.")],
    bank: Annotated[
        list[str] | None,
        typer.Option(
            help="Packed folder to use; repeatable.", show_default="dfdc_crops, real_faces"
        ),
    ] = None,
    fakes: Annotated[
        bool, typer.Option(help="Use the fakes of packed folders that have some.")
    ] = True,
    size: Annotated[
        int, typer.Option(min=64, help="Side of a crop, pixels; a multiple of 16.")
    ] = 256,
    limit: Annotated[
        int | None, typer.Option(min=2, help="Largest number of faces per packed folder.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    processes: Annotated[
        int,
        typer.Option(
            min=0, help="Number of worker processes, each with all faces in memory; 0 for none."
        ),
    ] = 2,
) -> None:
    """Make samples, compress them with H.264 and store them in shards of at most 50 MB."""
    if size % 16:
        raise typer.BadParameter(f"the size must be a multiple of 16, not {size}")
    names = bank or ["dfdc_crops", "real_faces"]
    settings = without_compression(AugmentSettings(size=size))
    if not fakes:
        settings = replace(settings, forgery=replace(settings.forgery, fake_weight=0.0))
    try:
        maker_factory = partial(load_chunk_maker, faces, names, "train", settings, seed, limit)
        plan = f"{names} {limit} {settings}"
        shards = prepare(maker_factory, plan, count, output, seed, processes)
    except FakelensError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{len(shards)} shards in {output}")


if __name__ == "__main__":
    typer.run(main)
