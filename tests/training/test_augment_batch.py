"""Training batches: forgeries and their masks, weights, overlays and reproducibility."""

import ast
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")

from torch import Tensor  # noqa: E402

from support.augmentation import (  # noqa: E402
    CPU,
    KINDS,
    SIDE,
    SIZE,
    by_geometry,
    make_bank,
    settings_for,
)
from training import augment  # noqa: E402
from training.augment import AugmentSettings, BatchRng, make_batch  # noqa: E402
from training.augment.batch import forge  # noqa: E402
from training.augment.colour import match_low_band  # noqa: E402
from training.augment.filters import blur_matrix  # noqa: E402
from training.augment.geometry import draw_placement, sampling_grid  # noqa: E402
from training.augment.overlay import draw_surroundings  # noqa: E402
from training.augment.profile import count_calls  # noqa: E402
from training.augment.settings import GeometrySettings, MaskSettings, SceneSettings  # noqa: E402
from training.faces.bank import FaceBank  # noqa: E402
from training.faces.synthetic import synthetic_bank  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def marked_bank(seed: int) -> tuple[FaceBank, Tensor]:
    """Make six black pictures with a white hull, whose neighbours are six grey pictures.

    Returns:
        The bank, and the rows of the black pictures.
    """
    bank = make_bank(12)
    rng = np.random.default_rng(seed)
    images = np.zeros((12, SIDE, SIDE), np.uint8)
    hulls = np.zeros((12, 20, 2), np.float32)
    for row in range(6):
        cloud = rng.uniform(60, 148, (12, 2)).astype(np.float32)
        outline = cv2.convexHull(cloud)[:, 0]
        hulls[row] = outline[np.minimum(np.arange(20), len(outline) - 1)]
        cv2.fillConvexPoly(images[row], outline.round().astype(np.int32), 255)
    images[6:] = 128
    pictures = torch.from_numpy(images)[:, None].repeat(1, 3, 1, 1)
    marked = replace(
        bank,
        images=pictures,
        hulls=torch.from_numpy(hulls)[:, None].repeat(1, 6, 1, 1),
        neighbours=torch.arange(6, 12).repeat(2)[:, None],
    )
    return marked, torch.arange(6)


@by_geometry
def test_hull_masks_follow_the_picture(geometry: GeometrySettings) -> None:
    bank, rows = marked_bank(3)
    settings = replace(
        settings_for("swap", change_frame=0, colour_match=0),
        geometry=geometry,
        masks=MaskSettings(
            scale=(1, 1), deformation=0, shift=0, softness=(1e-3, 1e-3), strengths=(1.0,)
        ),
        mismatch=replace(
            AugmentSettings().mismatch, amount=(0, 0), keep=1, reduce=0, blur=0, sharpen=0
        ),
    )
    samples = forge(bank, rows, settings, BatchRng(2, CPU))
    hulls = torch.nn.functional.avg_pool2d(samples.crops[0, :, :1], 2)
    difference = (samples.masks[1] - hulls).abs()
    assert hulls.mean() > 0.05
    assert difference.mean((1, 2, 3)).max() < 0.02
    # The grey donor covers the hull; the rest of the picture stays black.
    inside = -torch.nn.functional.max_pool2d(-samples.masks[1], 3, 1, 1) > 0.999
    blend = torch.nn.functional.avg_pool2d(samples.crops[1, :, :1], 2)
    assert inside.float().mean() > 0.05
    assert (blend[inside] - 128 / 255).abs().max() < 0.01


@by_geometry
def test_fake_masks_follow_the_picture(geometry: GeometrySettings) -> None:
    bank, rows = marked_bank(4)
    cell = torch.nn.functional.adaptive_avg_pool2d(bank.images[:, :1].float() / 255, 28)[:, 0]
    yes = torch.ones(12, dtype=torch.bool)
    bank = replace(bank, fakes=bank.images, fake_masks=cell, visible=yes, aligned=yes)
    settings = replace(
        settings_for("warp", change_frame=0, part_of_fake=0), geometry=geometry, size=SIZE
    )
    samples = forge(bank, rows, settings, BatchRng(2, CPU))
    hulls = torch.nn.functional.avg_pool2d(samples.crops[2, :, :1], 2)
    # A cell of the mask is seven pixels wide.
    difference = (samples.masks[2] - hulls).abs().mean((1, 2, 3))
    assert difference.max() < 0.06
    assert (difference < 0.35 * hulls.mean((1, 2, 3))).all()
    assert torch.equal(samples.crops[2], samples.crops[0])


def test_part_of_a_fake_is_blended_where_its_mask_is() -> None:
    bank = make_bank(fakes=True)
    everywhere, yes = torch.ones(12, 28, 28), torch.ones(12, dtype=torch.bool)
    bank = replace(bank, fake_masks=everywhere, visible=yes, aligned=yes)
    settings = settings_for("swap", part_of_fake=1, part_minimum=0)
    samples = forge(bank, torch.arange(8), settings, BatchRng(0, CPU))
    mask = samples.masks[2]
    near = torch.nn.functional.max_pool2d(mask, 3, 1, 1).repeat_interleave(2, 2)
    outside = (near.repeat_interleave(2, 3) == 0).expand(-1, 3, -1, -1)
    change = (samples.crops[2] - samples.crops[0]).abs()
    assert 0.1 < outside.float().mean() < 0.95
    assert not change[outside].any()
    assert change[~outside].mean() > 0.02
    # Unaligned fakes are shown as a whole.
    unaligned = replace(bank, aligned=~yes)
    samples = forge(unaligned, torch.arange(8), settings, BatchRng(0, CPU))
    assert samples.masks[2].mean() > 2 * mask.mean()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fakes", [False, True])
def test_forgery_changes_its_region_and_nothing_else(kind: str, fakes: bool) -> None:
    bank = make_bank(fakes=fakes)
    samples = forge(bank, torch.arange(8), settings_for(kind), BatchRng(4, CPU))
    blends = (1,) if fakes else (1, 2)
    for blend in blends:
        mask = samples.masks[blend]
        # Masks are enlarged bilinearly, so a pixel also depends on neighbouring mask values.
        reach = torch.nn.functional.max_pool2d(mask, 3, 1, 1).repeat_interleave(2, 2)
        outside = (reach.repeat_interleave(2, 3) == 0).expand(-1, 3, -1, -1)
        change = (samples.crops[blend] - samples.crops[0]).abs()
        assert not change[outside].any()
        assert outside.float().mean() > 0.1
        inside = (mask > 0.9).repeat_interleave(2, 2).repeat_interleave(2, 3)
        for one, region in zip(change, inside, strict=True):
            if region.sum() > 50:
                assert one.mean(0)[region[0]].mean() > 1e-3
        assert (mask.amax((1, 2, 3)) > 0.9).float().mean() > 0.7


def test_blend_with_opacity_0_equals_its_frame() -> None:
    settings = replace(AugmentSettings(size=SIZE), masks=MaskSettings(strengths=(0.0,)))
    settings = replace(settings, forgery=replace(settings_for("swap").forgery, colour_match=1))
    samples = forge(make_bank(), torch.arange(6), settings, BatchRng(0, CPU))
    assert torch.equal(samples.crops[1], samples.crops[0])
    assert torch.equal(samples.crops[2], samples.crops[0])


def test_frame_and_fake_get_the_same_treatment() -> None:
    bank = make_bank(fakes=True)
    bank = replace(bank, fakes=bank.images)
    settings = AugmentSettings(size=64)
    others = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for step in range(4):
        batch = make_batch(bank, torch.arange(8), settings, BatchRng(0, CPU, step), others)
        torch.testing.assert_close(batch.crops[2], batch.crops[0], atol=2e-6, rtol=0)
        assert (batch.crops[3] - batch.crops[0]).abs().mean() > 0.02


def test_batches_depend_only_on_seed_and_step() -> None:
    bank, rows = make_bank(), torch.arange(3)
    settings = AugmentSettings(size=64)

    def crops(seed: int, step: int) -> Tensor:
        return make_batch(bank, rows, settings, BatchRng(seed, CPU, step)).crops

    first = crops(0, 5)
    torch.rand(7)
    assert torch.equal(crops(0, 5), first)
    for seed, step in ((0, 6), (1, 5), (5, 0)):
        assert (crops(seed, step) - first).abs().mean() > 0.02


def test_fakes_of_weight_0_are_not_used() -> None:
    with_fakes = make_bank(fakes=True)
    without = replace(with_fakes, fakes=None, fake_masks=None, visible=None, aligned=None)
    settings = replace(
        AugmentSettings(size=64), forgery=replace(AugmentSettings().forgery, fake_weight=0)
    )
    first, second = (
        make_batch(bank, torch.arange(4), settings, BatchRng(0, CPU))
        for bank in (with_fakes, without)
    )
    assert torch.equal(first.crops, second.crops)
    assert all(weight in (0, pytest.approx(0.6)) for weight in first.weights[2].tolist())
    assert first.mask_weights.min() == 1


def test_weights_follow_what_is_known_of_the_fakes() -> None:
    bank = make_bank(fakes=True)
    rows = torch.arange(12)
    batch = make_batch(bank, rows, AugmentSettings(size=64), BatchRng(0, CPU))
    assert bank.visible is not None
    assert bank.aligned is not None
    torch.testing.assert_close(batch.weights[2], bank.visible[rows] * 0.7)
    torch.testing.assert_close(batch.mask_weights[2], bank.aligned[rows].float())
    torch.testing.assert_close(batch.weights[[0, 3]], torch.ones(2, 12))
    assert not batch.masks[[0, 3]].any()
    invisible = batch.masks[1].mean((1, 2)) < 0.003
    assert torch.equal(batch.weights[1] == 0, invisible)


@pytest.mark.parametrize("fakes", [False, True])
def test_batches_have_valid_values_for_many_seeds(fakes: bool) -> None:
    bank = make_bank(fakes=fakes)
    settings = AugmentSettings(size=64)
    for seed in range(20):
        batch = make_batch(bank, torch.arange(10), settings, BatchRng(seed, CPU))
        assert batch.crops.shape == (4, 10, 3, 64, 64)
        assert batch.masks.shape == (4, 10, 4, 4)
        for values in (batch.crops, batch.masks, batch.weights, batch.mask_weights):
            assert values.dtype == torch.float32
            assert values.isfinite().all()
            assert values.min() >= 0
            assert values.max() <= 1 + 1e-6


def test_surroundings_cover_only_what_lies_outside_the_picture() -> None:
    bank = make_bank(4, fakes=True)
    wide = GeometrySettings((1.5, 1.5), 0, 0, 0, 0, 0, 0)
    to_picture, _ = draw_placement(bank.centers, bank.sides, False, wide, BatchRng(0, CPU))
    grid = sampling_grid(to_picture, SIDE, SIZE)
    others = torch.full((2, 3, SIZE, SIZE), 0.25)
    clear, layer = draw_surroundings(grid, others, SceneSettings(surroundings=1), BatchRng(0, CPU))
    outside = grid.abs().amax(3) > 1 + 8 / SIZE
    inside = grid.abs().amax(3) < 1 - 8 / SIZE
    assert outside.any()
    assert inside.any()
    assert (clear[:, 0][inside] == 1).all()
    assert (clear[:, 0][outside] == 0).all()
    assert not layer[:, 0][inside].any()
    torch.testing.assert_close(
        layer[:, 0][outside], torch.full_like(layer[:, 0][outside], 0.25), atol=1e-4, rtol=0
    )


def test_two_band_blends_take_the_low_frequencies_of_the_target() -> None:
    generator = torch.Generator().manual_seed(0)
    texture = (torch.rand(1, 3, SIZE, SIZE, generator=generator) - 0.5) * 0.1
    ramp = torch.linspace(0.3, 0.6, SIZE).expand(1, 3, SIZE, SIZE)
    small = SIZE // 8
    low_pass = blur_matrix(torch.tensor([1.0]), torch.tensor([float(small)]), small)
    matched = match_low_band(texture + 0.7, ramp, low_pass)
    inner = (slice(None), slice(None), slice(16, -16), slice(16, -16))
    means = torch.nn.functional.avg_pool2d(matched, 32)
    expected = torch.nn.functional.avg_pool2d(ramp, 32)
    torch.testing.assert_close(means, expected, atol=0.02, rtol=0)
    fine = torch.corrcoef(
        torch.stack([(matched - ramp)[inner].flatten(), texture[inner].flatten()])
    )
    assert fine[0, 1] > 0.95


def test_number_of_operator_calls_does_not_depend_on_the_batch_size() -> None:
    banks = [make_bank(4), make_bank(4, fakes=True)]
    assert count_calls(0, banks, 2, 64) == count_calls(0, banks, 7, 64)


SOURCES = sorted(Path(augment.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_source_calls_nothing_that_waits_for_the_device(path: Path) -> None:
    waiting = {"item", "tolist", "nonzero", "masked_select", "cpu", "numpy", "multinomial"}
    tree = ast.parse(path.read_text())
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & waiting


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_augmentation_never_makes_the_host_wait_for_the_device() -> None:
    device = torch.device("cuda")
    settings = AugmentSettings(size=64)
    for fakes in (False, True):
        bank = synthetic_bank(8, device, fakes=fakes, side=SIDE)
        rows = torch.arange(4, device=device)
        others = torch.rand(2, 3, 64, 64, device=device)
        # The first step copies constants to the device.
        make_batch(bank, rows, settings, BatchRng(0, device), others)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            make_batch(bank, rows, settings, BatchRng(0, device, 1), others)
        finally:
            torch.cuda.set_sync_debug_mode("default")
