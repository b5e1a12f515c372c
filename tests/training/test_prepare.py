"""Samples compressed ahead with H.264, made from drawn pictures."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")

from support.drawn_landmarks import frontal_face  # noqa: E402
from training import prepare as preparing  # noqa: E402
from training.augment import AugmentSettings, Batch, BatchRng  # noqa: E402
from training.codecs import compress_sample  # noqa: E402
from training.faces import shards  # noqa: E402
from training.faces.index import CropDataError, decode_picture  # noqa: E402
from training.faces.landmarks import compute_hulls  # noqa: E402
from training.faces.shards import Shard, read_shard, write_shard  # noqa: E402
from training.prepare import (  # noqa: E402
    CHUNK_SIZE,
    BankChunkMaker,
    compress_samples,
    load_chunk_maker,
    prepare,
    without_compression,
)
from training.prepared_bank import PICTURES, PreparedBank, load_prepared  # noqa: E402

SIDE, CELLS = 64, 4


pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True)
class DrawnMaker:
    """Makes random pictures; the forged quarter of each blend is white, and its mask 1."""

    count: int = CHUNK_SIZE

    def __call__(self, number: int) -> Batch:
        rng = np.random.default_rng(number)
        coarse = rng.uniform(0.2, 0.6, (4 * self.count, 8, 8, 3)).astype(np.float32)
        fine = np.stack([cv2.resize(picture, (SIDE, SIDE)) for picture in coarse])
        crops = torch.from_numpy(fine).permute(0, 3, 1, 2).reshape(4, self.count, 3, SIDE, SIDE)
        crops = crops.clone()
        masks = torch.zeros(4, self.count, CELLS, CELLS)
        crops[1, :, :, :32, :32] = 1.0
        masks[1, :, :2, :2] = 1.0
        weights = torch.tensor([1, 1, 0.7, 1])[:, None].repeat(1, self.count)
        weights[2] *= torch.arange(self.count) % 2
        return Batch(crops, masks, weights, (weights > 0).float())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("prepared")
    prepare(DrawnMaker, "drawn", 2 * CHUNK_SIZE, output, seed=3, processes=0)
    return output


def test_bank_has_the_compressed_samples(folder: Path) -> None:
    bank = load_prepared(folder, "cpu")
    assert bank.images.shape == (2 * CHUNK_SIZE, 4, 3, SIDE, SIDE)
    assert bank.images.dtype == torch.uint8
    stored = read_shard(folder / "prepared-000.npz").arrays
    for place in (0, 5, CHUNK_SIZE + 2):
        made = DrawnMaker()(place // CHUNK_SIZE)
        row = place % CHUNK_SIZE
        sample = (made.crops[:, row] * 255).round().byte().permute(0, 2, 3, 1).numpy()
        crf, scale = int(stored["crfs"][place]), float(stored["scales"][place])
        compressed = compress_sample(sample, crf, scale)
        loaded = bank.images[place].permute(0, 2, 3, 1).numpy()
        # All four crops have the same settings; they are stored as JPEG of quality 97.
        difference = np.abs(loaded.astype(int) - compressed).mean(axis=(1, 2, 3))
        assert difference.max() < 2
        assert np.abs(loaded.astype(int) - sample).mean() > difference.max()
        assert (bank.masks[place] == made.masks[:, row]).all()
        assert torch.equal(bank.weights[place], made.weights[:, row])
        assert torch.equal(bank.mask_weights[place], made.mask_weights[:, row])


def test_rate_factors_and_scales_cover_their_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "compress_sample", lambda sample, crf, scale: sample)
    samples = compress_samples(DrawnMaker(120)(0), 0, 0)
    crfs, scales = [s.crf for s in samples], [s.scale for s in samples]
    assert (min(crfs), max(crfs)) == (17, 40)
    assert 0.25 <= min(scales) < 0.3
    assert 0.95 < max(scales) <= 1


def test_equal_crops_of_a_sample_stay_equal() -> None:
    batch = DrawnMaker(2)(1)
    same = Batch(
        batch.crops[:1].repeat(4, 1, 1, 1, 1), batch.masks, batch.weights, batch.mask_weights
    )
    for sample in compress_samples(same, 5, 0):
        assert len(set(sample.pictures)) == 1


def test_sample_depends_only_on_seed_and_number() -> None:
    batch = DrawnMaker()(0)
    second = Batch(
        batch.crops[:, 1:2], batch.masks[:, 1:2], batch.weights[:, 1:2], batch.mask_weights[:, 1:2]
    )
    (alone,) = compress_samples(second, 7, 11)
    together = compress_samples(batch, 7, 10)[1]
    assert alone.pictures == together.pictures
    assert compress_samples(second, 8, 11)[0].pictures != alone.pictures


def test_worker_processes_do_not_change_the_samples(folder: Path, tmp_path: Path) -> None:
    (path,) = prepare(DrawnMaker, "drawn", 2 * CHUNK_SIZE, tmp_path, seed=3, processes=1)
    assert path.read_bytes() == (folder / path.name).read_bytes()


def test_shards_stay_below_the_limit_and_an_interrupted_run_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 120_000
    monkeypatch.setattr(preparing, "SHARD_LIMIT", limit)
    monkeypatch.setattr(shards, "SHARD_LIMIT", limit)
    paths = prepare(DrawnMaker, "drawn", 4 * CHUNK_SIZE, tmp_path, processes=0)
    assert len(paths) > 2
    assert max(path.stat().st_size for path in paths) <= limit
    assert len(load_prepared(tmp_path, "cpu")) == 4 * CHUNK_SIZE

    first, later = paths[0].stat().st_mtime_ns, [path.read_bytes() for path in paths]
    for path in paths[1:]:
        path.unlink()
    assert prepare(DrawnMaker, "drawn", 4 * CHUNK_SIZE, tmp_path, processes=0) == paths
    assert paths[0].stat().st_mtime_ns == first
    assert [path.read_bytes() for path in paths] == later


def test_shards_with_other_settings_are_not_continued(folder: Path) -> None:
    for plan, seed in (("other", 3), ("drawn", 4)):
        with pytest.raises(CropDataError, match="other settings"):
            prepare(DrawnMaker, plan, CHUNK_SIZE, folder, seed=seed, processes=0)


def test_missing_and_damaged_shards_are_explained_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CropDataError, match=r"run python -m training\.prepare"):
        load_prepared(tmp_path, "cpu")
    data = (folder / "prepared-000.npz").read_bytes()
    (tmp_path / "prepared-000.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(CropDataError, match=r"prepared-000\.npz is damaged") as caught:
        load_prepared(tmp_path, "cpu")
    assert "\n" not in str(caught.value)


def test_shards_with_different_settings_are_not_loaded_together(
    folder: Path, tmp_path: Path
) -> None:
    shard = read_shard(folder / "prepared-000.npz")
    write_shard(tmp_path / "prepared-000.npz", shard)
    other = Shard({**shard.arrays, "plan": np.array("other")}, shard.pictures)
    write_shard(tmp_path / "prepared-001.npz", other)
    with pytest.raises(CropDataError, match="different settings"):
        load_prepared(tmp_path, "cpu")


def test_batch_mirrors_all_four_crops_and_their_masks(folder: Path) -> None:
    bank = load_prepared(folder, "cpu")
    batch = bank.batch(64, BatchRng(0, "cpu", 1))
    assert batch.crops.shape == (4, 64, 3, SIDE, SIDE)
    assert batch.crops.max() <= 1
    assert batch.masks.shape == (4, 64, CELLS, CELLS)
    mirrored = 0
    for column in range(64):
        crops = (batch.crops[:, column] * 255).round().byte()
        (place,) = [
            place
            for place in range(len(bank))
            if torch.equal(crops, bank.images[place])
            or torch.equal(crops, bank.images[place].flip(-1))
        ]
        flipped = not torch.equal(crops, bank.images[place])
        mirrored += flipped
        masks = bank.masks[place].flip(-1) if flipped else bank.masks[place]
        assert torch.equal(batch.masks[:, column], masks)
        assert torch.equal(batch.weights[:, column], bank.weights[place])
    assert 16 < mirrored < 48


def test_batches_depend_only_on_seed_and_step(folder: Path) -> None:
    bank = load_prepared(folder, "cpu")
    crops = [
        bank.batch(6, BatchRng(seed, "cpu", step)).crops
        for seed, step in ((0, 1), (0, 1), (0, 2), (1, 1))
    ]
    assert torch.equal(crops[0], crops[1])
    assert not torch.equal(crops[0], crops[2])
    assert not torch.equal(crops[0], crops[3])


def test_limit_loads_the_first_samples(folder: Path) -> None:
    whole, part = load_prepared(folder, "cpu"), load_prepared(folder, "cpu", limit=3)
    assert isinstance(part, PreparedBank)
    assert torch.equal(part.images, whole.images[:3])
    assert len(part.masks) == len(part.weights) == 3


def write_packed_faces(folder: Path, fakes: bool, name: str, side: int) -> None:
    """Write a packed folder of four random pictures with landmarks."""
    points = np.float32(side / 330) * frontal_face() + np.float32(side / 2)
    pictures = []
    for number in range(4):
        coarse = np.random.default_rng(number).integers(40, 200, (9, 9, 3), np.uint8)
        pictures.append(bytes(cv2.imencode(".png", cv2.resize(coarse, (96, 96)))[1]))
    mask = np.zeros((4, 28, 28), np.uint8)
    mask[:, 8:20, 8:20] = 255
    arrays = {
        "split": np.array("train"),
        "groups": np.array([f"{name}{number}" for number in range(4)]),
        "sources": np.array([""] * 4),
        "shapes": np.full((4, 2), 96, np.int32),
        "landmarks": np.stack([points] * 4),
        "centers": np.full((4, 2), side / 2, np.float32),
        "sides": np.full(4, side * 0.8, np.float32),
        "has_fake": np.full(4, fakes),
        "masks": mask,
        "visible": np.full(4, fakes),
        "aligned": np.full(4, fakes),
    }
    assert compute_hulls(points).shape == (6, 20, 2)
    fake = pictures[::-1] if fakes else [b""] * 4
    write_shard(folder / f"{name}-train-000.npz", Shard(arrays, {"real": pictures, "fake": fake}))


def test_samples_of_face_banks_are_degraded_only_by_the_codec(tmp_path: Path) -> None:
    write_packed_faces(tmp_path, True, "tight", 96)
    write_packed_faces(tmp_path, False, "wide", 70)
    settings = without_compression(AugmentSettings(size=SIDE))
    names = ("tight", "wide")
    maker = load_chunk_maker(tmp_path, names, "train", settings, seed=1)
    strong = replace(AugmentSettings().degradation, noise=1.0, noise_level=0.9, quality=(1.0, 2.0))
    other = without_compression(AugmentSettings(size=SIDE, degradation=strong))
    assert torch.equal(maker(0).crops, BankChunkMaker(maker.banks, other, seed=1)(0).crops)
    assert torch.equal(maker(0).crops, maker(0).crops)
    assert not torch.equal(maker(0).crops, maker(2).crops)
    # Chunks of the bank with fakes have the weight of fakes.
    assert maker(0).weights[2, 0] == pytest.approx(settings.forgery.fake_weight)
    assert maker(1).weights[2, 0] == pytest.approx(settings.forgery.second_weight)

    output = tmp_path / "prepared"
    prepare(
        partial(load_chunk_maker, tmp_path, names, "train", settings, 1),
        "two banks",
        2 * CHUNK_SIZE,
        output,
        processes=0,
    )
    shard = read_shard(output / "prepared-000.npz")
    clean = torch.cat([maker(number).crops for number in (0, 1)], dim=1)
    for place, name in enumerate(PICTURES):
        assert len(shard.pictures[name]) == 2 * CHUNK_SIZE
        for row, data in enumerate(shard.pictures[name]):
            mean = decode_picture(data).astype(float).mean(axis=(0, 1))
            expected = (255 * clean[place, row]).mean(dim=(1, 2)).numpy()
            assert np.abs(mean - expected).max() < 3
