"""Training batches: geometry, masks, forgeries and the treatment of pairs, on planted truth."""

import ast
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from torch import Tensor  # noqa: E402

from training import augment  # noqa: E402
from training.augment import AugmentSettings, Chance, make_batch  # noqa: E402
from training.augment.batch import forge  # noqa: E402
from training.augment.colour import match_low_band  # noqa: E402
from training.augment.forgeries import draw_plan  # noqa: E402
from training.augment.geometry import place, sample, sampling_grid, similarity  # noqa: E402
from training.augment.linear import blur_matrix  # noqa: E402
from training.augment.masks import region_mask  # noqa: E402
from training.augment.profile import count_calls, synthetic_bank  # noqa: E402
from training.augment.scene import surround  # noqa: E402
from training.augment.settings import (  # noqa: E402
    ForgeryShares,
    GeometrySettings,
    MaskSettings,
    SceneSettings,
)
from training.faces.bank import FaceBank  # noqa: E402

CPU = torch.device("cpu")
SIZE, SIDE = 128, 208
KINDS = [field.name for field in fields(ForgeryShares)]
GEOMETRIES = {
    "plain": GeometrySettings((1.1, 1.1), 0, 0, 0, 0, 0, 0),
    "margin": GeometrySettings((0.8, 1.5), 0, 0, 0, 0, 0, 0),
    "mirrored": GeometrySettings((1.1, 1.1), 0, 0, 0, 0, 0, 1),
    "turned": GeometrySettings((1.1, 1.1), 0, 0, 0.4, 0, 0, 0),
    "shifted": GeometrySettings((1.1, 1.1), 0, 0, 0, 0.05, 0, 0),
    "stretched": GeometrySettings((1.1, 1.1), 0, 0, 0, 0, 0.2, 0),
    "all": GeometrySettings((0.9, 1.3), 0, 0, 0.3, 0.04, 0.15, 0.5),
}
by_geometry = pytest.mark.parametrize("geometry", list(GEOMETRIES.values()), ids=list(GEOMETRIES))


pytestmark = pytest.mark.usefixtures("one_thread")


def only(kind: str, size: int = SIZE, **forgery: object) -> AugmentSettings:
    """Settings with one kind of forgery."""
    base = AugmentSettings(size=size)
    shares = ForgeryShares(**{name: float(name == kind) for name in KINDS})
    return replace(base, forgery=replace(base.forgery, shares=shares, **forgery))


def bank_of(count: int = 12, fakes: bool = False, seed: int = 0) -> FaceBank:
    return synthetic_bank(count, CPU, fakes=fakes, side=SIDE, seed=seed)


@by_geometry
def test_landmarks_follow_the_picture(geometry: GeometrySettings) -> None:
    random = np.random.default_rng(0)
    bank = bank_of(6)
    dots = torch.from_numpy(random.uniform(70, 138, (6, 68, 2)).round().astype(np.float32))
    to_picture, _ = place(bank.centers, bank.sides, True, geometry, Chance(1, CPU))
    grid = sampling_grid(to_picture, SIDE, SIZE)
    for landmark in range(0, 68, 13):
        pictures = np.zeros((6, SIDE, SIDE), np.float32)
        for picture, (x, y) in zip(pictures, dots[:, landmark].tolist(), strict=True):
            cv2.circle(picture, (int(x), int(y)), 3, 1.0, -1)
        crops = sample(torch.from_numpy(pictures)[:, None], grid)[:, 0]
        expected = to_picture.inverse()(dots[:, landmark : landmark + 1])[:, 0]
        axis = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
        mass = crops.sum((1, 2))
        found = torch.stack(
            [(crops.sum(1) * axis).sum(1) / mass, (crops.sum(2) * axis).sum(1) / mass], 1
        )
        # A fifth of a pixel.
        torch.testing.assert_close(found, expected, atol=0.2 * 2 / SIZE, rtol=0)


def test_geometry_has_the_ranges_of_the_settings() -> None:
    bank = bank_of(1)
    count = 4000
    for surrounded, tail in ((True, 0.55), (False, 0.45)):
        to_picture, margin = place(
            bank.centers.expand(count, 2),
            bank.sides.expand(count),
            surrounded,
            GeometrySettings(),
            Chance(0, CPU),
        )
        assert 0.85 <= margin.min() < 0.88
        assert 1.15 + tail - 0.1 < margin.max() <= 1.2 + tail
        assert (torch.linalg.det(to_picture.matrix) < 0).float().mean() == pytest.approx(
            0.5, abs=0.03
        )
        shift = (to_picture.offset - bank.centers) / bank.sides
        assert shift.std() == pytest.approx(0.035, rel=0.05)


@by_geometry
def test_crops_are_turned_and_mirrored_but_not_sheared(geometry: GeometrySettings) -> None:
    bank = bank_of(12)
    geometry = replace(geometry, aspect=0)
    to_picture, margin = place(bank.centers, bank.sides, True, geometry, Chance(1, CPU))
    scale = (margin * bank.sides / 2) ** 2
    expected = torch.eye(2) * scale[:, None, None]
    torch.testing.assert_close(to_picture.matrix.mT @ to_picture.matrix, expected)


def test_donors_are_brought_to_the_landmarks_of_the_frame() -> None:
    bank = bank_of(4)
    turn = torch.tensor([[0.96, -0.28], [0.28, 0.96]]) * 1.2
    landmarks = bank.landmarks.clone()
    landmarks[2:] = landmarks[:2] @ turn.T - 30
    bank = replace(bank, landmarks=landmarks, neighbours=torch.tensor([[2], [3], [0], [1]]))
    rows = torch.arange(2)
    to_picture, _ = place(
        bank.centers[rows], bank.sides[rows], True, GEOMETRIES["all"], Chance(0, CPU)
    )
    for kind, donors in (("swap", [2, 3]), ("window", [2, 3]), ("self_blend", [0, 1])):
        plan = draw_plan(bank, rows, to_picture, only(kind).forgery, Chance(0, CPU))
        assert plan.donors.tolist() == donors
        canvas = to_picture.inverse()(landmarks[rows])
        torch.testing.assert_close(plan.to_donor(canvas), landmarks[donors], atol=0.01, rtol=0)


def test_similarity_recovers_a_known_map() -> None:
    source = torch.rand(3, 68, 2, generator=torch.Generator().manual_seed(0)) * 100
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]]) * 1.7
    target = source @ turn.T + torch.tensor([5.0, -20.0])
    torch.testing.assert_close(similarity(source, target)(source), target, atol=1e-2, rtol=0)


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("repeated", [False, True])
def test_masks_fill_polygons(turn: int, repeated: bool) -> None:
    corners = np.array([[-0.6, -0.5], [0.1, -0.7], [0.7, 0.1], [0.2, 0.6], [-0.5, 0.4]])[::turn]
    if repeated:
        corners = corners.repeat(4, 0)
    size, fine = 64, 16
    zero = torch.zeros(1)
    ours = region_mask(
        torch.tensor(corners.copy(), dtype=torch.float32)[None],
        zero,
        torch.zeros(1, 2, size, size),
        zero,
    )
    picture = np.zeros((size * fine, size * fine), np.uint8)
    points = ((corners + 1) / 2 * size * fine - 0.5).round().astype(np.int32)
    cv2.fillConvexPoly(picture, points, 1)
    expected = picture.reshape(size, fine, size, fine).mean((1, 3))
    # Only pixels on the outline differ from their exact share.
    assert np.abs(ours[0, 0].numpy() - expected).max() < 0.35
    assert np.abs(ours[0, 0].numpy() - expected).mean() < 0.004


def planted_bank(seed: int) -> tuple[FaceBank, Tensor]:
    """Black pictures with a white hull each, and grey ones, of which they are the neighbours."""
    bank = bank_of(12)
    random = np.random.default_rng(seed)
    images = np.zeros((12, SIDE, SIDE), np.uint8)
    hulls = np.zeros((12, 20, 2), np.float32)
    for row in range(6):
        cloud = random.uniform(60, 148, (12, 2)).astype(np.float32)
        outline = cv2.convexHull(cloud)[:, 0]
        hulls[row] = outline[np.minimum(np.arange(20), len(outline) - 1)]
        cv2.fillConvexPoly(images[row], outline.round().astype(np.int32), 255)
    images[6:] = 128
    pictures = torch.from_numpy(images)[:, None].repeat(1, 3, 1, 1)
    planted = replace(
        bank,
        images=pictures,
        hulls=torch.from_numpy(hulls)[:, None].repeat(1, 6, 1, 1),
        neighbours=torch.arange(6, 12).repeat(2)[:, None],
    )
    return planted, torch.arange(6)


@by_geometry
def test_hull_masks_follow_the_picture(geometry: GeometrySettings) -> None:
    bank, rows = planted_bank(3)
    settings = replace(
        only("swap", change_frame=0, colour_match=0),
        geometry=geometry,
        masks=MaskSettings(
            scale=(1, 1), deformation=0, shift=0, softness=(1e-3, 1e-3), strengths=(1.0,)
        ),
        alter=replace(AugmentSettings().alter, amount=(0, 0), keep=1, reduce=0, blur=0, sharpen=0),
    )
    samples = forge(bank, rows, settings, Chance(2, CPU))
    planted = torch.nn.functional.avg_pool2d(samples.crops[0, :, :1], 2)
    difference = (samples.masks[1] - planted).abs()
    assert planted.mean() > 0.05
    assert difference.mean((1, 2, 3)).max() < 0.02
    # The grey donor covers the hull, the rest stays black.
    inside = -torch.nn.functional.max_pool2d(-samples.masks[1], 3, 1, 1) > 0.999
    blend = torch.nn.functional.avg_pool2d(samples.crops[1, :, :1], 2)
    assert inside.float().mean() > 0.05
    assert (blend[inside] - 128 / 255).abs().max() < 0.01


@by_geometry
def test_fake_masks_follow_the_picture(geometry: GeometrySettings) -> None:
    bank, rows = planted_bank(4)
    cell = torch.nn.functional.adaptive_avg_pool2d(bank.images[:, :1].float() / 255, 28)[:, 0]
    yes = torch.ones(12, dtype=torch.bool)
    bank = replace(bank, fakes=bank.images, fake_masks=cell, visible=yes, aligned=yes)
    settings = replace(only("warp", change_frame=0, part_of_fake=0), geometry=geometry, size=SIZE)
    samples = forge(bank, rows, settings, Chance(2, CPU))
    planted = torch.nn.functional.avg_pool2d(samples.crops[2, :, :1], 2)
    # A cell of the mask is seven pixels wide.
    difference = (samples.masks[2] - planted).abs().mean((1, 2, 3))
    assert difference.max() < 0.06
    assert (difference < 0.35 * planted.mean((1, 2, 3))).all()
    assert torch.equal(samples.crops[2], samples.crops[0])


def test_a_part_of_a_fake_is_laid_in_where_its_mask_says() -> None:
    bank = bank_of(fakes=True)
    everywhere, yes = torch.ones(12, 28, 28), torch.ones(12, dtype=torch.bool)
    bank = replace(bank, fake_masks=everywhere, visible=yes, aligned=yes)
    settings = only("swap", part_of_fake=1, part_minimum=0)
    samples = forge(bank, torch.arange(8), settings, Chance(0, CPU))
    mask = samples.masks[2]
    near = torch.nn.functional.max_pool2d(mask, 3, 1, 1).repeat_interleave(2, 2)
    outside = (near.repeat_interleave(2, 3) == 0).expand(-1, 3, -1, -1)
    change = (samples.crops[2] - samples.crops[0]).abs()
    assert 0.1 < outside.float().mean() < 0.95
    assert not change[outside].any()
    assert change[~outside].mean() > 0.02
    # Of fakes that show another place, all is shown.
    unaligned = replace(bank, aligned=~yes)
    samples = forge(unaligned, torch.arange(8), settings, Chance(0, CPU))
    assert samples.masks[2].mean() > 2 * mask.mean()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fakes", [False, True])
def test_a_forgery_changes_its_region_and_nothing_else(kind: str, fakes: bool) -> None:
    bank = bank_of(fakes=fakes)
    samples = forge(bank, torch.arange(8), only(kind), Chance(4, CPU))
    blends = (1,) if fakes else (1, 2)
    for blend in blends:
        mask = samples.masks[blend]
        # Masks of half the size are enlarged bilinearly: a pixel depends on its neighbours' masks.
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


def test_a_blend_of_strength_0_is_its_frame() -> None:
    settings = replace(AugmentSettings(size=SIZE), masks=MaskSettings(strengths=(0.0,)))
    settings = replace(settings, forgery=replace(only("swap").forgery, colour_match=1))
    samples = forge(bank_of(), torch.arange(6), settings, Chance(0, CPU))
    assert torch.equal(samples.crops[1], samples.crops[0])
    assert torch.equal(samples.crops[2], samples.crops[0])


def test_frame_and_fake_are_treated_alike() -> None:
    bank = bank_of(fakes=True)
    bank = replace(bank, fakes=bank.images)
    settings = AugmentSettings(size=SIZE)
    others = torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    for step in range(4):
        batch = make_batch(bank, torch.arange(8), settings, Chance(0, CPU, step), others)
        torch.testing.assert_close(batch.crops[2], batch.crops[0], atol=2e-6, rtol=0)
        assert (batch.crops[3] - batch.crops[0]).abs().mean() > 0.02


def test_batches_are_a_function_of_seed_and_step() -> None:
    bank, rows = bank_of(), torch.arange(3)
    settings = AugmentSettings(size=64)

    def crops(seed: int, step: int) -> Tensor:
        return make_batch(bank, rows, settings, Chance(seed, CPU, step)).crops

    first = crops(0, 5)
    torch.rand(7)
    assert torch.equal(crops(0, 5), first)
    for seed, step in ((0, 6), (1, 5), (5, 0)):
        assert (crops(seed, step) - first).abs().mean() > 0.02


def test_fakes_without_weight_are_never_shown() -> None:
    with_fakes = bank_of(fakes=True)
    without = replace(with_fakes, fakes=None, fake_masks=None, visible=None, aligned=None)
    settings = replace(
        AugmentSettings(size=64), forgery=replace(AugmentSettings().forgery, fake_weight=0)
    )
    first, second = (
        make_batch(bank, torch.arange(4), settings, Chance(0, CPU))
        for bank in (with_fakes, without)
    )
    assert torch.equal(first.crops, second.crops)
    assert all(weight in (0, pytest.approx(0.6)) for weight in first.weights[2].tolist())
    assert first.mask_weights.min() == 1


def test_weights_tell_what_is_known() -> None:
    bank = bank_of(fakes=True)
    rows = torch.arange(12)
    batch = make_batch(bank, rows, AugmentSettings(size=64), Chance(0, CPU))
    assert bank.visible is not None
    assert bank.aligned is not None
    torch.testing.assert_close(batch.weights[2], bank.visible[rows] * 0.7)
    torch.testing.assert_close(batch.mask_weights[2], bank.aligned[rows].float())
    torch.testing.assert_close(batch.weights[[0, 3]], torch.ones(2, 12))
    assert not batch.masks[[0, 3]].any()
    hidden = batch.masks[1].mean((1, 2)) < 0.003
    assert torch.equal(batch.weights[1] == 0, hidden)


@pytest.mark.parametrize("fakes", [False, True])
def test_batches_are_sound_for_many_seeds(fakes: bool) -> None:
    bank = bank_of(fakes=fakes)
    settings = AugmentSettings(size=64)
    for seed in range(100):
        batch = make_batch(bank, torch.tensor([seed % 12, 3]), settings, Chance(seed, CPU))
        assert batch.crops.shape == (4, 2, 3, 64, 64)
        assert batch.masks.shape == (4, 2, 4, 4)
        for values in (batch.crops, batch.masks, batch.weights, batch.mask_weights):
            assert values.dtype == torch.float32
            assert values.isfinite().all()
            assert values.min() >= 0
            assert values.max() <= 1 + 1e-6


def test_surroundings_lie_around_the_picture_only() -> None:
    bank = bank_of(4, fakes=True)
    wide = GeometrySettings((1.5, 1.5), 0, 0, 0, 0, 0, 0)
    to_picture, _ = place(bank.centers, bank.sides, False, wide, Chance(0, CPU))
    grid = sampling_grid(to_picture, SIDE, SIZE)
    others = torch.full((2, 3, SIZE, SIZE), 0.25)
    clear, layer = surround(grid, others, SceneSettings(surroundings=1), Chance(0, CPU))
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


def test_calls_do_not_grow_with_the_batch() -> None:
    banks = [bank_of(4), bank_of(4, fakes=True)]
    assert count_calls(0, banks, 2, 64) == count_calls(0, banks, 7, 64)


SOURCES = sorted(Path(augment.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
def test_nothing_in_the_source_waits_for_the_device(path: Path) -> None:
    waiting = {"item", "tolist", "nonzero", "masked_select", "cpu", "numpy", "multinomial"}
    tree = ast.parse(path.read_text())
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & waiting


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_step_never_waits_for_the_device() -> None:
    device = torch.device("cuda")
    settings = AugmentSettings(size=64)
    for fakes in (False, True):
        bank = synthetic_bank(8, device, fakes=fakes, side=SIDE)
        rows = torch.arange(4, device=device)
        others = torch.rand(2, 3, 64, 64, device=device)
        # The first step puts constants on the device.
        make_batch(bank, rows, settings, Chance(0, device), others)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            make_batch(bank, rows, settings, Chance(0, device, 1), others)
        finally:
            torch.cuda.set_sync_debug_mode("default")
