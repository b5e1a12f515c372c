"""Still pictures of many colour spaces, profiles and depths."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from support.pictures import (
    ADOBE_RGB,
    DISPLAY_P3,
    SCENE,
    SRGB,
    Matrix,
    assert_like,
    from_srgb,
    make_profile,
    read_picture,
    save,
    save_ycck,
    to_srgb,
)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif", "heic"])
def test_a_profile_with_swapped_primaries_swaps_the_colours(suffix: str, tmp_path: Path) -> None:
    red, green, blue = SRGB
    profile = make_profile((green, blue, red))
    image, info = read_picture(save(tmp_path / f"a.{suffix}", SCENE, icc_profile=profile))
    assert_like(image, SCENE[..., [2, 0, 1]], 12)
    assert info.changes == ("The colours were converted from the embedded colour profile to sRGB.",)


@pytest.mark.parametrize(
    ("primaries", "gamma"), [(DISPLAY_P3, None), (ADOBE_RGB, 563 / 256), (SRGB, 1.0)]
)
def test_wide_gamut_colours_are_converted(
    primaries: Matrix, gamma: float | None, tmp_path: Path
) -> None:
    profile = make_profile(primaries, gamma)
    image, _ = read_picture(save(tmp_path / "a.png", SCENE, icc_profile=profile))
    light = from_srgb(SCENE / 255) if gamma is None else (SCENE / 255) ** gamma
    expected = to_srgb(light @ np.array(primaries) @ np.linalg.inv(SRGB))
    assert np.abs(expected.astype(int) - SCENE).max() > 15
    assert_like(image, expected, 3)


@pytest.mark.parametrize("profile", [make_profile(SRGB), None])
def test_srgb_pixels_are_not_touched(profile: bytes | None, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image, info = read_picture(save(tmp_path / "a.png", noise, icc_profile=profile))
    assert_like(image, noise)
    assert info.changes == ()


def test_a_grey_picture_can_have_a_grey_profile_or_one_for_colours(tmp_path: Path) -> None:
    grey = Image.fromarray(SCENE).convert("L")
    values = np.asarray(grey)[..., None].repeat(3, axis=2)
    profile = make_profile(None, 1.0, space=b"GRAY")
    image, _ = read_picture(save(tmp_path / "a.png", grey, icc_profile=profile))
    assert_like(image, to_srgb(values / 255), 2)
    image, _ = read_picture(save(tmp_path / "b.png", grey, icc_profile=make_profile(SRGB, 1.0)))
    assert_like(image, to_srgb(values / 255), 2)


@pytest.mark.parametrize(
    "profile", [b"\0" * 300, make_profile(SRGB, 1.0)[:200], make_profile(None, 1.0, space=b"GRAY")]
)
def test_a_profile_that_cannot_be_used_is_ignored_and_reported(
    profile: bytes, tmp_path: Path
) -> None:
    image, info = read_picture(save(tmp_path / "a.png", SCENE, icc_profile=profile))
    assert_like(image, SCENE)
    (change,) = info.changes
    assert "profile" in change
    assert "ignored" in change


def test_cmyk_is_converted(tmp_path: Path) -> None:
    printed = Image.fromarray(SCENE).convert("CMYK")
    for path in (
        save(tmp_path / "a.jpg", printed),
        save(tmp_path / "a.tiff", printed),
        save_ycck(tmp_path / "b.jpg", SCENE),
    ):
        image, info = read_picture(path)
        assert_like(image, SCENE, 8)
        assert any("CMYK" in change for change in info.changes)
    assert_like(cv2.imread(str(tmp_path / "b.jpg"))[..., ::-1], SCENE, 8)


def test_deep_pictures_become_8_bit(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 160 * 112 * 3).reshape(112, 160, 3).astype(np.uint16)
    expected = np.round(deep / 257).astype(np.uint8)
    for name in ("a.png", "a.tiff", "a.jp2"):
        cv2.imwrite(str(tmp_path / name), deep[..., ::-1])
        assert_like(read_picture(tmp_path / name)[0], expected, 2)
        grey = deep[..., 0]
        cv2.imwrite(str(tmp_path / f"grey-{name}"), grey)
        image, _ = read_picture(tmp_path / f"grey-{name}")
        assert_like(image, expected[..., :1].repeat(3, axis=2), 2)


@pytest.mark.parametrize(("top", "told"), [(1, "0 to 1"), (250, "0 to 255"), (9e5, "0 to 900000")])
def test_floating_point_values_are_scaled(top: float, told: str, tmp_path: Path) -> None:
    values = np.linspace(0, top, 160 * 112, dtype=np.float32).reshape(112, 160)
    values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tiff")
    image, info = read_picture(tmp_path / "a.tiff")
    scale = {1: 255, 250: 1}.get(top, 255 / top)
    levels = np.round(np.nan_to_num(values) * scale).astype(np.uint8)
    assert_like(image, levels[..., None].repeat(3, axis=2), 1)
    assert told in info.changes[0]


def test_infinite_values_do_not_count_for_the_range(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 160 * 112, dtype=np.float32).reshape(112, 160)
    levels = np.round(values * 255).astype(np.uint8)
    values[0, :3] = np.inf, -np.inf, np.nan
    levels[0, :3] = 255, 0, 0
    Image.fromarray(values).save(tmp_path / "a.tiff")
    image, info = read_picture(tmp_path / "a.tiff")
    assert_like(image, levels[..., None].repeat(3, axis=2), 1)
    assert info.changes == ("The values, of up to 1, were converted from a range of 0 to 1.",)


def test_a_picture_without_any_finite_value_is_read(tmp_path: Path) -> None:
    values = np.full((112, 160), np.inf, np.float32)
    values[:, :80] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tiff")
    image, _ = read_picture(tmp_path / "a.tiff")
    assert (image[0, 0].tolist(), image[0, 159].tolist()) == ([0] * 3, [255] * 3)


@pytest.mark.parametrize("bits", [16, 32])
def test_signed_and_long_whole_numbers_are_scaled(bits: int, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes such TIFF")
    part = np.linspace(0, 1, 160 * 112).reshape(112, 160)
    signed = (part * (2 ** (bits - 1) - 1)).astype(f"i{bits // 8}")
    unsigned = (part * (2**bits - 1)).astype(f"u{bits // 8}")
    for values in (signed, unsigned):
        tifffile.imwrite(tmp_path / "a.tiff", values)
        image, _ = read_picture(tmp_path / "a.tiff")
        assert_like(image, np.round(part * 255).astype(np.uint8)[..., None].repeat(3, axis=2), 1)


def test_palettes_and_single_bits_are_converted(tmp_path: Path) -> None:
    scene = Image.fromarray(SCENE)
    for mode, suffix in (("P", "png"), ("P", "gif"), ("1", "png"), ("1", "tiff"), ("P", "tiff")):
        few = scene.quantize(64) if mode == "P" else scene.convert("1")
        path = tmp_path / f"a.{suffix}"
        few.save(path)
        colours = np.array(few.getpalette() or [0] * 3 + [255] * 3).reshape(-1, 3)
        image, _ = read_picture(path)
        assert_like(image, colours[np.asarray(few).astype(int)].astype(np.uint8))


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "avif", "heic"])
def test_transparent_areas_become_white(suffix: str, tmp_path: Path) -> None:
    alpha = np.linspace(0, 255, 112).astype(np.uint8)[:, None].repeat(160, axis=1)
    clear = Image.fromarray(np.dstack([SCENE, alpha]))
    image, info = read_picture(save(tmp_path / f"a.{suffix}", clear, exact=True))
    part = alpha[..., None] / 255
    assert_like(image, np.round(SCENE * part + 255 * (1 - part)).astype(np.uint8), 12)
    assert info.changes == ("Transparent areas were filled with white.",)


def test_transparent_palettes_and_grey_become_white(tmp_path: Path) -> None:
    few = Image.fromarray(SCENE).quantize(16)
    few.save(tmp_path / "a.png", transparency=3)
    colours = np.array(few.getpalette()).reshape(-1, 3)
    colours[3] = 255
    assert_like(read_picture(tmp_path / "a.png")[0], colours[np.asarray(few)].astype(np.uint8))
    Image.new("LA", (8, 8), (40, 51)).save(tmp_path / "b.png")
    assert read_picture(tmp_path / "b.png")[0][0, 0].tolist() == [212] * 3  # 40 * 0.2 + 255 * 0.8


def test_an_opaque_alpha_channel_is_not_mentioned(tmp_path: Path) -> None:
    opaque = Image.fromarray(SCENE).convert("RGBA")
    image, info = read_picture(save(tmp_path / "a.png", opaque))
    assert_like(image, SCENE)
    assert info.changes == ()


@pytest.mark.parametrize("name", ["a.heic", "a.avif"])
def test_wide_gamut_and_hdr_without_a_profile_are_reported(name: str, tmp_path: Path) -> None:
    path = save(tmp_path / name, SCENE)
    assert read_picture(path)[1].changes == ()
    data = path.read_bytes()
    tags = data.index(b"nclx") + 4
    path.write_bytes(data[:tags] + bytes([0, 9, 0, 16]) + data[tags + 4 :])  # BT.2020 and PQ
    (change,) = read_picture(path)[1].changes
    assert "HDR" in change
