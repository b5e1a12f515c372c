"""Prepare samples that went through H.264: ``python -m training.prepare FACES --output DIR``.

A GPU cannot encode H.264 inside a training step, so samples are made ahead, in worker processes.
Each has four crops: a real one, a blend, a fake and the real one again. All four go through the
codec with the same settings, so that the codec never tells real from fake.
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
from training.augment import AugmentSettings, Batch, Chance, make_batch
from training.codecs import CRF_RANGE, SCALE_RANGE, video_quad
from training.faces.bank import FaceBank, load_bank
from training.faces.index import CropDataError, Split
from training.faces.shards import SHARD_LIMIT, Shard, read_shard, write_shard
from training.prepared import PICTURES, SHARD_NAMES

CHUNK = 8
"""Samples that are made together; sample i is a function of the plan, the seed and i."""
_JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, 97),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]
_FILLED = 0.96

Maker = Callable[[int], Batch]
"""Makes the batch of ``CHUNK`` samples of a number, on the CPU, without any compression."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One sample after the codec.

    Attributes:
        pictures: the four crops, JPEG.
        masks: (4, C, C) uint8, 255 = forged.
        weights: (4,) float32, of each crop in the loss of the label.
        mask_weights: (4,) float32, of each crop in the loss of the map.
        crf: constant rate factor of the video.
        scale: size of the video over the size of the crop.
    """

    pictures: list[bytes]
    masks: NDArray[np.uint8]
    weights: NDArray[np.float32]
    mask_weights: NDArray[np.float32]
    crf: int
    scale: float

    @property
    def size(self) -> int:
        """Bytes in a shard, rounded up."""
        return sum(len(picture) for picture in self.pictures) + self.masks.nbytes + 200


@dataclass(frozen=True, slots=True)
class BankMaker:
    """Makes samples from face banks on the CPU; neighbouring chunks come from different banks.

    Attributes:
        banks: at least one.
        settings: of the augmentation; see ``without_compression``.
        seed: of all draws.
    """

    banks: tuple[FaceBank, ...]
    settings: AugmentSettings
    seed: int

    def __call__(self, number: int) -> Batch:
        """Make the ``CHUNK`` samples of a number."""
        chance = Chance(self.seed, "cpu", number)
        bank = self.banks[number % len(self.banks)]
        rows = chance.integers(len(bank), CHUNK)
        return make_batch(bank, rows, self.settings, chance, self._surroundings(chance))

    def _surroundings(self, chance: Chance) -> Tensor | None:
        """Pictures of a bank with real surroundings, (m, 3, R, R) float32, if there is one."""
        for bank in self.banks:
            if bank.surrounded:
                pictures = bank.images[chance.integers(len(bank), 2 * CHUNK)].float() / 255
                return functional.interpolate(pictures, self.settings.size, mode="bilinear")
        return None


def load_maker(
    faces: Path,
    names: Sequence[str],
    split: Split,
    settings: AugmentSettings,
    seed: int = 0,
    limit: int | None = None,
) -> BankMaker:
    """Load face banks and make samples from them; see ``bank.load_bank`` and ``BankMaker``."""
    banks = tuple(load_bank(faces, name, split, "cpu", limit) for name in names)
    return BankMaker(banks, settings, seed)


def without_compression(settings: AugmentSettings) -> AugmentSettings:
    """Switch the imitation of capture and compression off; the codec takes its place."""
    return replace(settings, degrade=replace(settings.degrade, untouched=1.0))


def prepare(
    make_maker: Callable[[], Maker],
    plan: str,
    count: int,
    output: Path,
    seed: int = 0,
    processes: int = 2,
) -> list[Path]:
    """Make samples and write them into shards; shards of the same plan and seed are kept.

    Args:
        make_maker: makes, once in each process, what makes the samples of a chunk: the same for
            the same number. It is pickled.
        plan: tells in words or numbers what the samples depend on.
        count: of samples; rounded up to whole chunks.
        output: folder of the shards.
        seed: of the draws of crf and scale.
        processes: that work at the same time; 0 to work in this one.

    Returns:
        The shards, new and kept, in order.

    Raises:
        CropDataError: a shard that lies in ``output`` is damaged.
    """
    output.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(f"{plan} seed {seed}".encode()).hexdigest()
    shards, done = _kept(output, digest)
    chunks = range(done // CHUNK, -(-count // CHUNK))
    waiting: list[Prepared] = []
    progress = tqdm(total=count, initial=done, desc="samples", unit="sample", disable=None)

    def flush() -> None:
        if waiting:
            shards.append(output / SHARD_NAMES.format(len(shards)))
            write_shard(shards[-1], _shard(waiting, digest))
            waiting.clear()

    with progress:
        for made in _made(make_maker, chunks, seed, processes):
            if sum(sample.size for sample in [*waiting, *made]) > _FILLED * SHARD_LIMIT:
                flush()
            waiting += made
            progress.update(len(made))
        flush()
    return shards


def through_codec(batch: Batch, seed: int, first: int) -> list[Prepared]:
    """Pass each sample of a batch through H.264 with one draw of crf and scale for all its crops.

    Args:
        batch: n samples, float crops in 0..1.
        seed: of the draws.
        first: number of the first sample; sample i depends on ``seed`` and ``first`` + i only.
    """
    crops = (batch.crops * 255).round().clamp(0, 255).byte().permute(1, 0, 3, 4, 2).numpy()
    masks = (batch.masks * 255).round().clamp(0, 255).byte().transpose(0, 1).numpy()
    weights = batch.weights.float().T.numpy()
    mask_weights = batch.mask_weights.float().T.numpy()
    samples = []
    for number, quad in enumerate(crops):
        rng = np.random.default_rng([seed, first + number])
        crf = int(rng.integers(CRF_RANGE[0], CRF_RANGE[1], endpoint=True))
        scale = float(rng.uniform(*SCALE_RANGE))
        coded = video_quad(np.ascontiguousarray(quad), crf, scale)
        pictures = [cv2.imencode(".jpg", crop[..., ::-1], _JPEG)[1].tobytes() for crop in coded]
        samples.append(
            Prepared(pictures, masks[number], weights[number], mask_weights[number], crf, scale)
        )
    return samples


def _made(
    make_maker: Callable[[], Maker], chunks: range, seed: int, processes: int
) -> Iterator[list[Prepared]]:
    """The samples of some chunks, in order."""
    if processes == 0:
        maker = make_maker()
        for number in chunks:
            yield through_codec(maker(number), seed, number * CHUNK)
        return
    # Started afresh: a forked process would wait for threads that only its parent has.
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (make_maker,)) as executor:
        yield from executor.map(_make_chunk, chunks, repeat(seed))


_make_maker: Callable[[], Maker] | None = None


def _begin(make_maker: Callable[[], Maker]) -> None:
    """Prepare a worker process. The maker is made later, so that its errors reach the caller."""
    global _make_maker  # noqa: PLW0603 - a process of its own
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _make_maker = make_maker


@cache
def _maker() -> Maker:
    assert _make_maker is not None
    return _make_maker()


def _make_chunk(number: int, seed: int) -> list[Prepared]:
    return through_codec(_maker()(number), seed, number * CHUNK)


def _kept(output: Path, digest: str) -> tuple[list[Path], int]:
    """The shards of an earlier run with the same plan, and how many samples they hold."""
    shards: list[Path] = []
    done = 0
    while (path := output / SHARD_NAMES.format(len(shards))).is_file():
        stored = read_shard(path, ["plan", "crfs"]).arrays
        if stored["plan"] != digest:
            raise CropDataError(
                f"{path} was made with other settings: choose an empty folder or delete it"
            )
        shards.append(path)
        done += len(stored["crfs"])
    return shards, done


def _shard(samples: list[Prepared], digest: str) -> Shard:
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
            name: [sample.pictures[place] for sample in samples]
            for place, name in enumerate(PICTURES)
        },
    )


def main(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    faces: Annotated[Path, typer.Argument(help="Folder of training.faces.pack's shards.")],
    output: Annotated[Path, typer.Option(help="Folder of the prepared shards.")],
    count: Annotated[int, typer.Option(min=1, help="Samples of four crops each.")],
    bank: Annotated[list[str] | None, typer.Option(help="Packed folders to use.")] = None,
    fakes: Annotated[bool, typer.Option(help="Show the fakes of a bank that has some.")] = True,
    size: Annotated[int, typer.Option(min=32, help="Side of a crop, a multiple of 16.")] = 256,
    limit: Annotated[int | None, typer.Option(min=2, help="Most faces per bank.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    processes: Annotated[int, typer.Option(min=0, help="Workers; each loads the faces.")] = 2,
) -> None:
    """Make samples, pass them through H.264 and store them in shards of at most 50 MB."""
    if size % 16:
        raise typer.BadParameter(f"the size must be a multiple of 16, not {size}")
    names = bank or ["dfdc_crops", "real_faces"]
    settings = without_compression(AugmentSettings(size=size))
    if not fakes:
        settings = replace(settings, forgery=replace(settings.forgery, fake_weight=0.0))
    try:
        make_maker = partial(load_maker, faces, names, "train", settings, seed, limit)
        plan = f"{names} {limit} {settings}"
        shards = prepare(make_maker, plan, count, output, seed, processes)
    except FakelensError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{len(shards)} shards in {output}")


if __name__ == "__main__":
    typer.run(main)
