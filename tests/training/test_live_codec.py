"""Samples that worker processes compress with H.264 during a run."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")

from support.small_runs import CPU, small_banks, small_recipe  # noqa: E402
from training.batches import Batches  # noqa: E402
from training.live_codec import compress_views  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def textures(count: int, side: int = 64) -> np.ndarray:
    """Draw one random smooth picture with grain, ``count`` times."""
    rng = np.random.default_rng(0)
    blotches = np.kron(rng.integers(40, 210, (4, 4, 3)), np.ones((side // 4, side // 4, 1)))
    grain = rng.normal(0, 8, blotches.shape)
    return np.stack([np.clip(blotches + grain, 0, 255).astype(np.uint8)] * count)


def test_forged_crops_are_compressed_like_the_real_one_and_the_second_view_differently() -> None:
    alike, different, unchanged = 0, 0, 0
    for seed in range(40):
        views = textures(4)
        compress_views(views, (seed,))
        alike += bool((views[1] == views[0]).all() and (views[2] == views[0]).all())
        different += bool((views[3] != views[0]).any())
        unchanged += bool((views[0] == textures(1)[0]).all())
    assert alike == 40
    assert different > 30
    assert 0 < unchanged < 12  # one in ten is not compressed


def test_second_view_depends_on_the_seed_alone() -> None:
    views, others = textures(4), textures(4)
    others[:3] = 255 - others[:3]
    compress_views(views, (5,))
    compress_views(others, (5,))
    assert (views[3] == others[3]).all()


def test_compressed_samples_come_last_and_do_not_depend_on_the_order_of_steps() -> None:
    recipe = small_recipe(compressed=2)
    batches = Batches(recipe, small_banks(), None, CPU)
    assert batches.owners.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]
    made = {step: batches.make(step) for step in (0, 1, 4, 1)}
    again = Batches(recipe, small_banks(), None, CPU, processes=2)
    for step in (1, 4):
        assert torch.equal(again.make(step).crops, made[step].crops)
    first, second = made[0], made[1]
    assert first.crops.shape == (4, 4, 3, 64, 64)
    assert first.weights.shape == (4, 4)
    assert not torch.equal(first.crops[:, 2:], second.crops[:, 2:])
    # Whole levels of 255: these crops were pictures.
    levels = first.crops[:, 2:] * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert first.crops[:, 2:].std() > 0.05


def test_number_of_compressed_samples_must_fit_the_banks() -> None:
    with pytest.raises(ValueError, match="compressed"):
        small_recipe(compressed=3)
