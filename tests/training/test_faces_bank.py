"""Packing folders of drawn faces into shards, and loading them as face banks."""

import csv
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")

from fakelens.records.arrays import FloatArray, RGBImage  # noqa: E402
from support.drawn_landmarks import PixelCodedFinder, frontal_face, turned_face  # noqa: E402
from training.faces import pack as packing  # noqa: E402
from training.faces import shards  # noqa: E402
from training.faces.bank import NEIGHBOURS, find_neighbours, load_bank  # noqa: E402
from training.faces.index import CropDataError  # noqa: E402
from training.faces.landmarks import compute_hulls  # noqa: E402
from training.faces.pack import pack  # noqa: E402
from training.faces.shards import Shard, read_shard, write_shard  # noqa: E402

# Rows and columns of the forged area.
FORGED = np.s_[88:168, 64:136]


pytestmark = pytest.mark.usefixtures("one_thread")


def draw(seed: int, center: tuple[int, int], size: tuple[int, int] = (224, 224)) -> RGBImage:
    """Draw a random picture whose top left pixel holds the centre of the face."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(40, 160, (8, 8, 3), np.uint8), size[::-1]).astype(np.uint8)
    image[0, 0, :2] = center
    return image


def png(image: RGBImage) -> bytes:
    return bytes(cv2.imencode(".png", image[..., ::-1])[1])


def forge(image: RGBImage) -> RGBImage:
    fake = image.copy()
    fake[FORGED] = 255 - fake[FORGED]
    return fake


def write_folder(folder: Path, rows: list[dict[str, str]], pictures: list[bytes]) -> Path:
    folder.mkdir()
    names = [f"{number}.png" for number in range(len(rows))]
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name, picture in zip(names, pictures, strict=True):
            member = tarfile.TarInfo(name)
            member.size = len(picture)
            tar.addfile(member, io.BytesIO(picture))
    with (folder / "index.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["shard", "file", *rows[0]])
        writer.writeheader()
        for name, row in zip(names, rows, strict=True):
            writer.writerow({"shard": "a.tar", "file": name, **row})
    return folder


def row(group: str, split: str, label: str = "real") -> dict[str, str]:
    return {"label": label, "group": group, "split": split}


CENTERS = [(100 + 3 * number, 120 - 2 * number) for number in range(9)]


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with nine groups of a real crop and its fake.

    No face is found in group 4. The groups 6 to 8 belong to the split val.
    """
    rows, pictures = [], []
    for number, center in enumerate(CENTERS):
        image = draw(number, (0, 0) if number == 4 else center)
        split = "val" if number > 5 else "train"
        rows += [row(f"g{number}", split, "real"), row(f"g{number}", split, "fake")]
        pictures += [png(image), png(forge(image))]
    return write_folder(tmp_path_factory.mktemp("data") / "paired", rows, pictures)


@pytest.fixture(scope="module")
def packed(paired: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("packed")
    for split in ("train", "val"):
        pack(paired, output, split, 0, PixelCodedFinder)
    return output


def test_bank_has_the_content_of_the_folder(packed: Path) -> None:
    bank = load_bank(packed, "paired", "train", "cpu")
    kept = [0, 1, 2, 3, 5]
    assert bank.groups == tuple(f"g{number}" for number in kept)
    assert bank.sources == ("paired",) * 5
    assert bank.fakes is not None
    for row_, number in enumerate(kept):
        image = draw(number, CENTERS[number])
        assert (bank.images[row_].permute(1, 2, 0).numpy() == image).all()
        assert (bank.fakes[row_].permute(1, 2, 0).numpy() == forge(image)).all()
        expected = 0.448 * frontal_face() + CENTERS[number]
        assert bank.landmarks[row_].numpy() == pytest.approx(expected, abs=1e-3)
        assert bank.hulls[row_].numpy() == pytest.approx(compute_hulls(expected), abs=1e-3)
    assert bank.sides.numpy() == pytest.approx(2.68 * 0.448 * 100, rel=1e-4)
    assert bank.centers.numpy() == pytest.approx(
        np.array([CENTERS[number] for number in kept]) - (0, 0.18 * 44.8), abs=1e-3
    )


def test_forgeries_are_visible_aligned_and_masked(packed: Path) -> None:
    bank = load_bank(packed, "paired", "train", "cpu")
    assert bank.visible is not None
    assert bank.aligned is not None
    assert bank.fake_masks is not None
    assert bank.visible.all()
    assert bank.aligned.all()
    forged = torch.zeros(28, 28, dtype=torch.bool)
    forged[11:21, 8:17] = True
    assert bank.fake_masks[:, forged].mean() > 0.85
    assert bank.fake_masks[:, ~forged].mean() < 0.15


def test_splits_are_never_mixed(packed: Path, tmp_path: Path) -> None:
    train, val = (load_bank(packed, "paired", split, "cpu") for split in ("train", "val"))
    assert val.groups == ("g6", "g7", "g8")
    assert not set(train.groups) & set(val.groups)
    renamed = tmp_path / "paired-train-000.npz"
    renamed.write_bytes((packed / "paired-val-000.npz").read_bytes())
    with pytest.raises(CropDataError, match="does not hold crops of the split train"):
        load_bank(tmp_path, "paired", "train", "cpu")


def test_report_counts_crops_without_a_face(paired: Path, packed: Path) -> None:
    report = pack(paired, packed, "train", 0, PixelCodedFinder)
    assert (report.packed, report.skipped, report.fakes) == (5, 1, 5)
    assert "1 skipped (no face found)" in str(report)


def test_worker_processes_do_not_change_the_shards(
    paired: Path, packed: Path, tmp_path: Path
) -> None:
    (path,) = pack(paired, tmp_path, "val", 1, PixelCodedFinder).shards
    assert path.read_bytes() == (packed / path.name).read_bytes()


def test_shards_stay_below_the_limit_and_are_written_once(
    paired: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 150_000
    monkeypatch.setattr(packing, "SHARD_LIMIT", limit)
    monkeypatch.setattr(shards, "SHARD_LIMIT", limit)
    report = pack(paired, tmp_path, "train", 0, PixelCodedFinder)
    assert len(report.shards) > 1
    assert max(path.stat().st_size for path in report.shards) <= limit
    bank = load_bank(tmp_path, "paired", "train", "cpu")
    assert bank.groups == ("g0", "g1", "g2", "g3", "g5")

    before = report.shards[1].read_bytes()
    report.shards[1].unlink()
    kept = report.shards[0].stat().st_mtime_ns
    pack(paired, tmp_path, "train", 0, PixelCodedFinder)
    assert report.shards[0].stat().st_mtime_ns == kept
    assert report.shards[1].read_bytes() == before


def test_landmarks_are_scaled_with_resized_pictures(tmp_path: Path) -> None:
    rows, pictures = [], []
    sizes = [(200, 200), (100, 100), (80, 100), (200, 160)]
    for number, size in enumerate(sizes):
        image = np.full((*size, 3), 40, np.uint8)
        center = (size[1] // 2, size[0] // 2)
        image[0, 0, :2] = center
        point = 0.002 * size[0] * frontal_face()[8] + center
        x, y = np.round(point).astype(int)
        image[y - 1 : y + 2, x - 1 : x + 2] = 255
        rows.append(row(f"g{number}", "train"))
        pictures.append(png(image))
    folder = write_folder(tmp_path / "sizes", rows, pictures)
    pack(folder, tmp_path, "train", 0, PixelCodedFinder)
    bank = load_bank(tmp_path, "sizes", "train", "cpu")
    assert bank.images.shape == (4, 3, 200, 200)
    assert bank.fakes is None
    for image, points in zip(bank.images, bank.landmarks, strict=True):
        bright = (image[0].float() - 45).clamp(min=0)
        bright[:5, :5] = 0
        rows_, columns = torch.arange(200.0)[:, None], torch.arange(200.0)
        centroid = [float((bright * grid).sum() / bright.sum()) for grid in (columns, rows_)]
        # The dot was drawn at whole pixels of the smaller picture.
        assert centroid == pytest.approx(points[8].tolist(), abs=1.1)


def test_box_of_the_index_gives_the_face_square_and_surroundings(tmp_path: Path) -> None:
    corners = {"x1": "50", "y1": "40", "x2": "110", "y2": "120"}
    rows = [row(f"g{number}", "val") | corners | {"source": "drawn"} for number in range(3)]
    folder = write_folder(
        tmp_path / "wide", rows, [png(draw(number, (90, 90))) for number in range(3)]
    )
    pack(folder, tmp_path, "val", 0, PixelCodedFinder)
    bank = load_bank(tmp_path, "wide", "val", "cpu")
    assert bank.sides.tolist() == [80.0] * 3
    # The centre of columns 50 to 109 is 79.5.
    assert bank.centers[0].tolist() == [79.5, 79.5]
    assert bank.has_surroundings
    assert bank.sources == ("drawn",) * 3


def test_limit_selects_crops_evenly(packed: Path) -> None:
    bank = load_bank(packed, "paired", "train", "cpu", limit=2)
    assert bank.groups == ("g0", "g5")
    assert bank.images.shape[0] == bank.hulls.shape[0] == bank.neighbours.shape[0] == 2


def test_neighbours_are_the_most_similar_poses_of_other_groups() -> None:
    rng = np.random.default_rng(0)
    points = [
        turned_face(rng, tuple(rng.uniform(50, 150, 2)), rng.uniform(0.3, 1.5)) for _ in range(60)
    ]
    groups = [f"g{number // 2}" for number in range(60)]
    found = find_neighbours(torch.from_numpy(np.stack(points)), groups)
    assert found.shape == (60, NEIGHBOURS)

    def distance(a: FloatArray, b: FloatArray) -> float:
        shapes = [(x - x.mean(0)) / np.sqrt(((x - x.mean(0)) ** 2).mean()) for x in (a, b)]
        return float(np.linalg.norm(shapes[0] - shapes[1]))

    for number in range(60):
        others = [other for other in range(60) if groups[other] != groups[number]]
        others.sort(key=lambda other: distance(points[number], points[other]))
        assert found[number].tolist() == others[:NEIGHBOURS]


def test_neighbours_are_repeated_if_there_are_few() -> None:
    points = torch.rand(5, 68, 2)
    groups = ("a", "a", "b", "b", "c")
    found = find_neighbours(points, groups)
    assert found.shape == (5, NEIGHBOURS)
    for number, row_ in enumerate(found.tolist()):
        assert all(groups[other] != groups[number] for other in row_)


def test_missing_bank_and_single_group_are_explained(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(CropDataError, match=r"run python -m training\.faces\.pack"):
        load_bank(tmp_path, "paired", "train", "cpu")
    with pytest.raises(CropDataError, match="fewer than two groups"):
        load_bank(packed, "paired", "train", "cpu", limit=1)


def test_shard_is_read_as_it_was_written(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "names": np.array(["x", "yy"])}
    pictures = {"real": [b"one", b"", b"three"], "fake": [b"", b"", b""]}
    write_shard(tmp_path / "s.npz", Shard(arrays, pictures))
    read = read_shard(tmp_path / "s.npz")
    assert read.pictures == pictures
    assert set(read.arrays) == set(arrays)
    assert (read.arrays["a"] == arrays["a"]).all()
    assert read.arrays["names"].tolist() == ["x", "yy"]
    # It can be read without pickle.
    with np.load(tmp_path / "s.npz", allow_pickle=False) as stored:
        assert bytes(stored["real.bytes"]) == b"onethree"


def test_shard_above_the_limit_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_LIMIT", 1000)
    with pytest.raises(CropDataError, match="more than the limit of 1000"):
        write_shard(tmp_path / "s.npz", Shard({"a": np.zeros(1000)}, {}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "pickled"])
def test_damaged_shard_is_explained_in_one_line(packed: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "paired-val-000.npz"
    data = bytearray((packed / "paired-val-000.npz").read_bytes())
    if damage == "truncated":
        del data[len(data) // 2 :]
    elif damage == "flipped":
        position = bytes(data).index(b"\x89PNG") + 100
        data[position] ^= 255
    elif damage == "emptied":
        data.clear()
    path.write_bytes(data)
    if damage == "pickled":
        np.savez(path, split=np.array([{}], dtype=object))
    with pytest.raises(CropDataError, match="damaged or incomplete") as caught:
        load_bank(tmp_path, "paired", "val", "cpu")
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
