"""Pictures that are incomplete or damaged: read as far as possible, and never without a word."""

import re
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fakelens
from fakelens.errors import MediaError
from fakelens.faces.quality import QualityFlag, QualityGates, quality_flags, undecoded_share
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face
from support.media import draw_frame, truncate
from support.pictures import draw_scene, save, save_heic_grid


def draw_detailed(width: int = 240, height: int = 200) -> RGBImage:
    """Draw the scene with some noise, so that the data are spread over the whole file."""
    noise = np.random.default_rng(0).integers(-20, 20, (height, width, 3))
    return np.clip(draw_scene(width, height) + noise, 1, 255).astype(np.uint8)


DETAILED = draw_detailed()


def read(path: Path) -> tuple[RGBImage, list[str], bool]:
    with open_video(path) as reader:
        (frame,) = reader.frames()
        assert all(place.time == 0 for place in reader.damage)
        return frame.image, [place.message for place in reader.damage], frame.damaged


def missing_share(image: RGBImage) -> float:
    """The share of rows that are not like those of the original."""
    return float((np.abs(image.astype(int) - DETAILED).mean(axis=(1, 2)) > 12).mean())


def reported_share(messages: list[str]) -> float:
    (message,) = messages
    found = re.fullmatch(
        r"the picture is incomplete or damaged: about (\d+) % of it could not be decoded", message
    )
    assert found, message
    return int(found[1]) / 100


@pytest.mark.parametrize("kept", [0.1, 0.35, 0.6, 0.9])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "bmp", "ppm"])
def test_an_incomplete_picture_is_decoded_as_far_as_possible(
    suffix: str, kept: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = truncate(save(tmp_path / f"a.{suffix}", DETAILED), kept)
    image, messages, damaged = read(path)
    assert damaged
    share = reported_share(messages)
    assert share == pytest.approx(missing_share(image), abs=0.05)
    assert share == pytest.approx(1 - kept, abs=0.12)
    assert capfd.readouterr() == ("", "")


def test_an_incomplete_picture_is_turned_upright(tmp_path: Path) -> None:
    for suffix in ("jpg", "tiff"):
        path = truncate(save(tmp_path / f"a.{suffix}", DETAILED, 6), 0.5)
        image, messages, _ = read(path)
        assert image.shape == DETAILED.shape
        assert reported_share(messages) == pytest.approx(0.5, abs=0.1)
        left, right = np.array_split(np.abs(image.astype(int) - DETAILED).mean(axis=2), 2, axis=1)
        assert min(left.mean(), right.mean()) < 5 < max(left.mean(), right.mean())


@pytest.mark.parametrize("kept", [0.4, 0.7, 0.95])
def test_an_incomplete_progressive_jpeg_lacks_detail(kept: float, tmp_path: Path) -> None:
    path = truncate(save(tmp_path / "a.jpg", DETAILED, progressive=True), kept)
    image, (message,), damaged = read(path)
    assert damaged
    assert message.endswith("its fine details are missing")
    assert missing_share(image) < 0.02


@pytest.mark.parametrize("interlace", [0, 1])
def test_an_incomplete_gif_is_complete_down_to_the_missing_part(
    interlace: int, tmp_path: Path
) -> None:
    few = Image.fromarray(DETAILED).quantize(64)
    original = np.asarray(few.convert("RGB"))
    few.save(tmp_path / "a.gif", interlace=interlace)
    image, messages, damaged = read(truncate(tmp_path / "a.gif", 0.9))
    assert damaged
    rows = round((1 - reported_share(messages)) * len(image))
    assert 0.5 * len(image) < rows < 0.95 * len(image)
    assert np.array_equal(image[: rows - 2], original[: rows - 2])
    assert np.ptp(image[rows + 2 :], axis=(0, 1)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.webp", 0.9),
        ("a.avif", 0.9),
        ("a.heic", 0.9),
        ("a.jp2", 0.5),
        ("packed.tiff", 0.9),
        ("interlaced.gif", 0.2),
        ("a.jpg", 0.01),
        ("a.png", 0.01),
        ("a.bmp", 0.0003),
    ],
)
def test_a_picture_of_which_nothing_can_be_decoded_is_refused_in_one_sentence(
    name: str, kept: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if name == "interlaced.gif":
        Image.fromarray(DETAILED).save(path, interlace=1)
    else:
        save(path, DETAILED, **({"compression": "tiff_lzw"} if "packed" in name else {}))
    truncate(path, kept)
    with pytest.raises(MediaError) as caught:
        open_video(path)
    assert str(caught.value) == (
        f"{path}: the picture is damaged, or of a kind that is not supported: no part of it can "
        "be decoded"
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("turns", [0, 1])
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_missing_tiles_of_a_heic_are_noticed(kept: float, turns: int, tmp_path: Path) -> None:
    path = truncate(save_heic_grid(tmp_path / "a.heic", DETAILED, tile=64, turns=turns), kept)
    image, messages, damaged = read(path)
    assert damaged
    wrong = (np.abs(image.astype(int) - DETAILED).max(axis=2) > 30).mean()
    assert reported_share(messages) == pytest.approx(wrong, abs=0.02)


def test_a_heic_without_nearly_all_of_its_tiles_is_refused(tmp_path: Path) -> None:
    path = save_heic_grid(tmp_path / "a.heic", draw_detailed(768, 768), tile=64)
    data = path.read_bytes()
    start = data.index(b"mdat")
    tile = (len(data) - start) // 144
    outcomes = set()
    for end in range(start + 20, start + 5 * tile, tile // 2):
        path.write_bytes(data[:end])
        try:
            _, messages, damaged = read(path)
        except MediaError as error:
            assert "no part of it can be decoded" in str(error)  # noqa: PT017 - not always raised
            outcomes.add("refused")
        else:
            assert damaged
            assert reported_share(messages) > 0.95
            outcomes.add("read")
    assert outcomes == {"refused", "read"}


@pytest.mark.parametrize("colour", [(0, 135, 0), (0, 84, 0)])
def test_a_green_stripe_of_an_intact_heic_is_no_damage(
    colour: tuple[int, int, int], tmp_path: Path
) -> None:
    image = DETAILED.copy()
    image[:1, :80] = colour
    assert read(save(tmp_path / "a.heic", image))[1:] == ([], False)


def test_an_incomplete_picture_of_tiles_keeps_the_whole_ones(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jp2", DETAILED, tile_size=(100, 100))
    image, messages, damaged = read(truncate(path, 0.6))
    assert damaged
    assert len(messages) == 1
    assert np.array_equal(image[:100, :200], DETAILED[:100, :200])
    assert not image[100:, 100:].any()


@pytest.mark.parametrize("suffix", ["mpo", "tiff"])
def test_a_damaged_page_does_not_affect_the_others(suffix: str, tmp_path: Path) -> None:
    path = save(
        tmp_path / f"a.{suffix}", DETAILED, 6, save_all=True, append_images=[Image.new("L", (9, 9))]
    )
    whole = path.read_bytes()
    with open_video(path) as reader:
        assert reader.info.other_streams == ("page 2: 9 x 9",)
    if suffix == "mpo":
        second = whole.rindex(b"\xff\xd8")
    else:
        (first,) = struct.unpack_from("<I", whole, 4)
        (tags,) = struct.unpack_from("<H", whole, first)
        (second,) = struct.unpack_from("<I", whole, first + 2 + 12 * tags)
    path.write_bytes(whole[:second])
    image, messages, damaged = read(path)
    assert missing_share(image) == 0
    assert (messages, damaged) == ([], False)


def test_an_animated_webp_that_is_incomplete_is_refused(tmp_path: Path) -> None:
    first, *more = (Image.fromarray(draw_frame(number)) for number in range(5))
    first.save(tmp_path / "a.webp", save_all=True, append_images=more, duration=40)
    with pytest.raises(MediaError):
        open_video(truncate(tmp_path / "a.webp", 0.7))


def test_a_jpeg_without_its_end_marker_is_reported_but_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", DETAILED)
    path.write_bytes(path.read_bytes()[:-2])
    image, (message,), _ = read(path)
    assert missing_share(image) == 0
    assert "missing, if any" in message


# Errors inside the data of a JPEG, about which decoders keep silent


def test_intact_jpegs_of_many_kinds_have_no_damage(tmp_path: Path) -> None:
    kinds: list[dict[str, object]] = [
        {"quality": 10},
        {"quality": 100, "subsampling": 2},
        {"progressive": True},
        {"optimize": True},
        {"restart_marker_blocks": 3},
        {"restart_marker_rows": 1, "subsampling": 1},
        {"keep_rgb": True},
        {"comment": b"\xff" * 100},
        {"icc_profile": bytes(70000)},
    ]
    for kind in kinds:
        for mode in ("RGB", "L", "CMYK"):
            if mode == "RGB" or "keep_rgb" not in kind:
                odd = Image.fromarray(DETAILED[:131, :117]).convert(mode)
                path = save(tmp_path / "a.jpg", odd, **kind)
                assert read(path)[1:] == ([], False), (kind, mode)
    data = save(tmp_path / "a.jpg", DETAILED).read_bytes()
    for end in (b"\xff\xff\xff\xd9", bytes(8) + b"\xff\xd9", b"\xff\xd9" + bytes(999)):
        path.write_bytes(data[:-2] + end)
        assert read(path)[1:] == ([], False)


def test_overwritten_data_of_a_jpeg_are_often_noticed(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.jpg", DETAILED).read_bytes()
    start = whole.index(b"\xff\xda") + 14
    random = np.random.default_rng(0)
    noticed = 0
    for _ in range(20):
        data = np.frombuffer(whole, np.uint8).copy()
        place = random.integers(start, len(data) - 200)
        data[place : place + 100] = random.integers(0, 255, 100)
        (tmp_path / "b.jpg").write_bytes(data.tobytes())
        _, messages, damaged = read(tmp_path / "b.jpg")
        assert damaged == bool(messages)
        noticed += damaged
    assert noticed >= 4


# Faces


def make_crop(side: int = 224) -> RGBImage:
    noise = np.random.default_rng(1).integers(60, 200, (side, side, 3))
    return noise.astype(np.uint8)


def test_flat_cells_in_the_middle_of_a_crop_count() -> None:
    crop = make_crop()
    assert undecoded_share(crop) == 0
    crop[140:] = 128
    assert undecoded_share(crop) == pytest.approx((224 * 0.8 - 140) / (224 * 0.6), abs=0.05)
    assert undecoded_share(np.full((224, 224, 3), 128, np.uint8)) == 1
    assert undecoded_share(make_crop(9)) == 0


def test_a_flat_background_at_the_corners_does_not_count() -> None:
    crop = make_crop()
    crop[:40] = crop[:, :40] = 255
    assert undecoded_share(crop) == 0


def test_cells_of_different_colours_do_not_add_up() -> None:
    """Strongly compressed pictures have such cells."""
    cells = np.random.default_rng(1).integers(0, 256, (28, 28, 3)).astype(np.uint8)
    assert undecoded_share(cells.repeat(8, axis=0).repeat(8, axis=1)) < 0.01


def test_the_gate_for_undecoded_faces() -> None:
    face = Face(Box(0, 0, 100, 100), None, 0.9)
    gates = QualityGates(min_confidence=0.5)
    assert quality_flags(face, 1, gates) == QualityFlag(0)
    assert quality_flags(face, 1, gates, 0.04) == QualityFlag(0)
    assert quality_flags(face, 1, gates, 0.06) == QualityFlag.DAMAGED
    assert QualityFlag.DAMAGED.descriptions == ("a part of the face could not be decoded",)


def test_a_face_that_is_partly_missing_is_not_judged(tmp_path: Path) -> None:
    portrait = pytest.importorskip("skimage.data").astronaut()[:300, 100:400]
    both = np.vstack([portrait, portrait])
    data = save(tmp_path / "whole.jpg", both, quality=90).read_bytes()
    path = tmp_path / "a.jpg"
    for kept in np.arange(0.7, 0.9, 0.01):  # until the lower face ends below its nose
        path.write_bytes(data[: int(len(data) * kept)])
        image, _, _ = read(path)
        if image[300 + 130, 125].tolist() != [128, 128, 128]:
            break
    report = fakelens.analyze(path, settings=fakelens.Settings(trust=False))
    flags = {round(float(track.boxes[0, 1]) / 300): track.quality_flags for track in report.tracks}
    assert flags[0].tolist() == [0]
    assert flags[1].tolist() == [QualityFlag.DAMAGED.value]
    (place,) = report.damage
    assert "could not be decoded" in place.message
    lower = next(
        f for f, t in zip(report.findings, report.tracks, strict=True) if t.boxes[0, 1] > 250
    )
    assert lower.score is None
    assert any("a part of the face could not be decoded" in reason for reason in lower.reasons)


# Threads


def test_pictures_are_read_in_several_threads(tmp_path: Path) -> None:
    broken = truncate(save(tmp_path / "a.jpg", DETAILED), 0.5)
    whole = save(tmp_path / "b.png", DETAILED)
    found: list[bool] = []

    def work() -> None:
        for _ in range(5):
            found.append(bool(read(broken)[1]) and not read(whole)[1])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 20
