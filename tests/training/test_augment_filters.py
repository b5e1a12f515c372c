"""JPEG, resampling, blur and degradation of training crops, against Pillow and OpenCV."""

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")

from PIL import Image  # noqa: E402
from torch import Tensor  # noqa: E402

from training.augment.degradation import degrade  # noqa: E402
from training.augment.filters import apply_filter, blur_matrix, resize_matrix  # noqa: E402
from training.augment.jpeg import apply_codec, jpeg, make_codec, quantisation_steps  # noqa: E402
from training.augment.rng import BatchRng  # noqa: E402
from training.augment.settings import DegradationSettings  # noqa: E402

SIZE = 128
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
CLEAN = DegradationSettings(untouched=0, reduce=1, size=(0.5, 0.5), blur=0, noise=0, jpeg=0)


pytestmark = pytest.mark.usefixtures("one_thread")


def scene(grey: bool = False) -> Image.Image:
    """Draw a colour picture with the spectrum of photographs, an edge and text."""
    rng = np.random.default_rng(5)
    picture = np.full((SIZE, SIZE, 3), 127.0)
    for cells in (4, 8, 16, 32, 64):
        octave = rng.normal(size=(cells, cells, 3)) * 55 / np.sqrt(cells)
        picture += cv2.resize(octave, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    picture = np.ascontiguousarray(picture.clip(0, 255).astype(np.uint8))
    cv2.circle(picture, (45, 60), 22, (190, 60, 70), -1, cv2.LINE_AA)
    cv2.putText(picture, "Face", (50, 100), cv2.FONT_HERSHEY_SIMPLEX, 1, (60, 80, 190), 2)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7)
    if grey:
        picture = np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    return Image.fromarray(picture)


def to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(picture.convert("RGB")).copy()).permute(2, 0, 1)[None] / 255


def to_levels(pictures: Tensor) -> np.ndarray:
    return pictures[0].permute(1, 2, 0).numpy() * 255


def pillow_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize("quality", [30, 60, 92])
def test_jpeg_agrees_with_pillow(quality: int) -> None:
    picture = scene()
    ours = to_levels(jpeg(to_tensor(picture), torch.tensor([float(quality)])))
    expected = np.asarray(pillow_jpeg(picture, quality), float)
    lost = np.abs(expected - np.asarray(picture, float)).mean()
    # Pillow rounds the samples of both colour spaces to whole levels, which also changes some
    # coefficients by one step. Nearest-neighbour chroma would differ by 2.3 levels.
    assert np.abs(ours - expected).mean() < min(1.1, lost / 3)
    other = np.asarray(pillow_jpeg(picture, quality - 4), float)
    assert np.abs(ours - expected).mean() < np.abs(other - expected).mean() / 2
    ours_ycc, expected_ycc = (
        np.asarray(Image.fromarray(p.round().astype(np.uint8)).convert("YCbCr"), float)
        for p in (ours, expected)
    )
    assert np.abs(ours_ycc - expected_ycc).mean((0, 1)).max() < 1


def test_pictures_of_a_batch_have_their_own_quality() -> None:
    picture = to_tensor(scene())
    both = jpeg(picture.repeat(2, 1, 1, 1), torch.tensor([25.0, 90.0]))
    for row, quality in enumerate((25.0, 90.0)):
        torch.testing.assert_close(
            both[row : row + 1], jpeg(picture, torch.tensor([quality])), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("quality", [1, 17, 49, 50, 75, 100])
def test_quantisation_steps_agree_with_pillow(quality: int) -> None:
    buffer = io.BytesIO()
    scene().save(buffer, "JPEG", quality=quality)
    tables = Image.open(buffer).quantization
    steps = quantisation_steps(torch.tensor([float(quality)]))
    for ours, expected in ((steps.luma, tables[0]), (steps.chroma, tables[1])):
        assert ours.flatten().tolist() == list(expected)


def test_shrinkage_removes_small_coefficients_and_keeps_means() -> None:
    generator = torch.Generator().manual_seed(3)
    noise = (torch.rand(1, 1, SIZE, SIZE, generator=generator) - 0.5) * 0.02
    picture = (to_tensor(scene(grey=True)) * 0.5 + 0.2 + noise).clamp(0, 1)
    same, size = torch.eye(SIZE)[None], torch.tensor([float(SIZE)])
    fine = quantisation_steps(torch.tensor([100.0]), torch.tensor([False]))
    shrunk = apply_codec(picture, make_codec(same, None, size, fine, torch.tensor([25.0])))
    blocks = [
        np.stack(np.split(np.stack(np.split(to_levels(p)[..., 0], 16, 1)), 16, 1)).reshape(-1, 8, 8)
        for p in (picture, shrunk)
    ]
    for before, after in zip(*blocks, strict=True):
        expected = cv2.dct(before.astype(np.float32))
        mean = expected[0, 0]
        expected = np.sign(expected) * np.maximum(np.abs(expected) - 25, 0)
        expected[0, 0] = mean
        np.testing.assert_allclose(cv2.dct(after.astype(np.float32)), expected, atol=0.15)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(("before", "after"), [(128, 48), (128, 112), (32, 128), (128, 128)])
def test_resizing_agrees_with_pillow(name: str, before: int, after: int) -> None:
    picture = Image.fromarray(np.asarray(scene())[:before, :before, 0])
    expected = np.asarray(picture.convert("F").resize((after, after), FILTERS[name]))
    canvas = torch.zeros(2, SIZE, SIZE)
    canvas[:, :before, :before] = torch.from_numpy(np.asarray(picture, np.float32))
    # The second sample has other sizes and the other filter.
    cubic = torch.tensor([name == "bicubic", name != "bicubic"])
    matrix = resize_matrix(
        torch.tensor([float(before), 64.0]), torch.tensor([float(after), 80.0]), cubic, SIZE, SIZE
    )
    ours = matrix @ canvas @ matrix.mT
    np.testing.assert_allclose(ours[0, :after, :after], expected, atol=0.05)
    assert not ours[0, after:].any()
    assert not ours[1, 80:].any()


def test_blur_agrees_with_opencv() -> None:
    pictures = to_tensor(scene()).repeat(3, 1, 1, 1)
    sigmas = [0.0, 0.8, 2.5]
    ours = apply_filter(
        blur_matrix(torch.tensor(sigmas), torch.full((3,), float(SIZE)), SIZE), pictures
    )
    torch.testing.assert_close(ours[0], pictures[0], atol=1e-5, rtol=0)
    for row in (1, 2):
        expected = cv2.GaussianBlur(pictures[row].permute(1, 2, 0).numpy(), (31, 31), sigmas[row])
        inner = (slice(None), slice(12, -12), slice(12, -12))
        np.testing.assert_allclose(ours[row][inner], expected.transpose(2, 0, 1)[inner], atol=2e-3)


@pytest.mark.parametrize("quality", [None, 40, 80])
@pytest.mark.parametrize("name", FILTERS)
def test_degradation_agrees_with_pillow(name: str, quality: int | None) -> None:
    picture = scene(grey=True)
    small = picture.resize((SIZE // 2, SIZE // 2), FILTERS[name])
    if quality is not None:
        small = pillow_jpeg(small, quality)
    expected = small.resize((SIZE, SIZE), FILTERS[name])
    settings = replace(CLEAN, cubic_down=name == "bicubic", cubic_up=name == "bicubic", deblock=0)
    if quality is not None:
        settings = replace(settings, jpeg=1, quality=(quality, quality))
    ours = degrade(to_tensor(picture), torch.tensor([0]), 1, settings, BatchRng(0, "cpu"))
    expected_levels, original = (np.asarray(p, float) for p in (expected, picture))
    difference = np.abs(to_levels(ours) - expected_levels).mean()
    # Pillow rounds to whole levels three times.
    assert difference < 0.9
    assert difference < np.abs(expected_levels - original).mean() / 1.8


def test_deblocking_reduces_only_the_steps_between_blocks() -> None:
    settings = replace(CLEAN, size=(1, 1), jpeg=1, quality=(25, 25))
    steps = []
    for deblock in (0.0, 1.0):
        picture = degrade(
            to_tensor(scene(grey=True)),
            torch.tensor([0]),
            1,
            replace(settings, deblock=deblock, deblock_strength=(1, 1)),
            BatchRng(0, "cpu"),
        )
        across = np.abs(np.diff(to_levels(picture)[..., 0], axis=1)).mean(0)
        steps.append((across[7::8].mean(), across[3::8].mean()))
    (edge, inner), (deblocked_edge, deblocked_inner) = steps
    assert deblocked_edge < 0.7 * edge
    assert deblocked_inner == pytest.approx(inner, rel=0.15)


def test_noise_has_the_level_and_colour_of_the_settings() -> None:
    flat = torch.full((1, 3, SIZE, SIZE), 0.5)
    base = replace(CLEAN, size=(1, 1), noise=1, noise_level=0.05)
    for grey in (0.0, 1.0):
        levels, colours = [], []
        for step in range(12):
            noisy = degrade(
                flat, torch.tensor([0]), 1, replace(base, grey_noise=grey), BatchRng(0, "cpu", step)
            )
            levels.append(float(noisy.std()))
            colours.append(float((noisy - noisy.mean(1, keepdim=True)).std()))
        assert max(levels) < 0.05
        assert max(levels) > 0.01
        assert (max(colours) > 1e-3) == (grey == 0)


def test_pictures_with_the_same_treatment_are_degraded_alike() -> None:
    pictures = to_tensor(scene()).repeat(4, 1, 1, 1)
    treatment = torch.tensor([0, 1, 0, 1])
    settings = DegradationSettings(untouched=0, size=(0.4, 0.6))
    first, second, third, fourth = degrade(pictures, treatment, 2, settings, BatchRng(1, "cpu"))
    assert torch.equal(first, third)
    assert torch.equal(second, fourth)
    assert not torch.allclose(first, second, atol=0.01)
