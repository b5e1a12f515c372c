"""Measures of faithfulness on models of which it is known what each place is worth."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.evaluation import faithfulness
from fakelens.evaluation.faithfulness import agreement, on_grid, order_of
from fakelens.evaluation.segments import segment
from fakelens.evaluation.sufficiency import Adversary, Push, push_area
from fakelens.models.batching import compute_logits
from fakelens.trust.imputation import remove_detail
from support.linear_model import LinearModel, patch, red_and_blue, redness

SIDE = 56  # four pixels in each of deletion's cells
ONE = patch(SIDE, slice(20, 24), slice(32, 36))  # one of these cells


@pytest.fixture
def crop() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(-30, 31, (SIDE, SIDE, 3))
    return (red_and_blue(SIDE, ONE, ONE & False) + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("measure", [0, 1], ids=["deletion", "insertion"])
def test_the_map_of_what_counts_beats_its_negative_and_noise(
    crop: NDArray[np.uint8], measure: int
) -> None:
    """A single cell counts. In the order of the oracle it is hidden in all steps, of its negative
    in none, and of a random map, those of noise included, in half of them."""
    model = LinearModel(ONE.astype(float))
    oracle = np.zeros((14, 14), np.float32)
    oracle[5, 8] = 1
    noise = np.random.default_rng(1).normal(size=(14, 14)).astype(np.float32)
    constant = np.full((14, 14), 0.3, np.float32)
    maps = [oracle, -oracle, noise, constant]
    found = np.mean(
        [
            faithfulness.deletion_insertion(model, crop, maps, np.random.default_rng(seed))
            for seed in range(80)
        ],
        axis=0,
    )[:, measure]
    worth = (redness(crop) - redness(remove_detail(crop)))[ONE].sum()
    rank_of_noise = (noise > noise[5, 8]).mean()  # hidden in the steps after it
    steps = np.mean([rank_of_noise < step / 10 for step in range(1, 10)])
    expected = worth * (np.array([1, 0, steps, 0.5]) - 0.5)
    np.testing.assert_allclose(found, expected, atol=0.1 * worth)


def test_a_resolution_does_not_count(crop: NDArray[np.uint8]) -> None:
    model = LinearModel(ONE.astype(float))
    fine = ONE.astype(np.float32)
    coarse = on_grid(fine, (14, 14))
    assert coarse[5, 8] == coarse.max() > 4 * np.sort(coarse.ravel())[-2]
    both = faithfulness.deletion_insertion(model, crop, [fine, coarse], np.random.default_rng(0))
    assert min(*both[0], *both[1]) > 0


def test_feature_ablation_takes_the_fifth_that_the_map_points_at() -> None:
    """Of 100 cells one counts: the oracle always takes it, a random map one time in five."""
    weights = np.zeros((10, 10))
    weights[3, 7] = 2
    layer = np.full((1, 10, 10), 3, np.float32)
    oracle = weights.astype(np.float32)
    found = np.mean(
        [
            faithfulness.feature_ablation(
                LinearModel(weights).head, layer, [oracle, -oracle], np.random.default_rng(seed)
            )
            for seed in range(40)
        ],
        axis=0,
    )
    np.testing.assert_allclose(found, [6 * 0.8, 6 * -0.2], atol=0.25)


def test_feature_ablation_looks_at_as_many_cells_as_the_layer_has() -> None:
    weights = np.zeros((10, 10))
    weights[:, 5:] = 1
    layer = np.ones((1, 10, 10), np.float32)
    fine = np.kron(weights, np.ones((6, 6))).astype(np.float32)
    (found,) = faithfulness.feature_ablation(
        LinearModel(weights).head, layer, [fine], np.random.default_rng(0)
    )
    assert found == pytest.approx(20 - 10, abs=2.5)  # of which random maps take one half


def test_equal_cells_come_in_random_order() -> None:
    cells = np.zeros((4, 4), np.float32)
    cells[2, 1] = 1
    orders = [order_of(cells, np.random.default_rng(seed)).tolist() for seed in range(30)]
    assert {order[0] for order in orders} == {9}
    assert len({order[1] for order in orders}) > 8
    assert all(sorted(order) == list(range(16)) for order in orders)


def test_agreement_is_that_of_ranks() -> None:
    rng = np.random.default_rng(5)
    one = rng.normal(size=(20, 20)).astype(np.float32)
    assert agreement(one, np.exp(one)) == pytest.approx(1)
    assert agreement(one, -one) == pytest.approx(-1)
    assert abs(agreement(one, rng.normal(size=(20, 20)).astype(np.float32))) < 0.15
    assert np.isnan(agreement(one, np.zeros_like(one)))


def test_batches_keep_the_order() -> None:
    model = LinearModel(np.ones((8, 8)))
    crops = np.random.default_rng(6).integers(0, 256, (35, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(
        compute_logits(model, iter(crops)), redness(crops).sum((1, 2)), rtol=1e-5
    )
    assert [len(batch) for batch in model.seen] == [16, 16, 3]
    assert compute_logits(model, []).shape == (0,)


# The adversary


def adversary(counts: int, logit: float) -> tuple[Adversary, LinearModel, NDArray[np.int64]]:
    """One segment of a drawn picture counts, and the logit is known."""
    blotches = np.random.default_rng(7).integers(60, 200, (7, 7, 3), np.uint8)
    crop = np.kron(blotches, np.ones((8, 8, 1), np.uint8))
    labels = segment(crop)
    area = labels == counts
    weights = area / area.sum()
    shift = logit - (weights * redness(crop)).sum()
    model = LinearModel(weights)
    # The constant goes in by the answer, since the layer has none.
    plain = model.head
    model.head = lambda activation: np.asarray(plain(activation) + shift, np.float32)  # type: ignore[method-assign]
    return Adversary(model, crop, Push(), seed=0), model, labels


def test_pushing_the_segment_that_counts_brings_the_logit_down() -> None:
    enemy, _, labels = adversary(counts=11, logit=1.0)
    oracle = (labels == 11).astype(np.float32)
    others = [label for label in range(labels.max() + 1) if label != 11][:2]
    ranked = oracle - 0.1
    for rank, label in enumerate(others):
        ranked[labels == label] = 0.5 - rank / 10
    reached = enemy.along(ranked)
    # 16 grey levels down in red and up in blue are one unit of redness.
    assert 0 < 1 - reached[0] <= 1
    assert 1 - reached[0] > 0.02
    assert enemy.along(-oracle) == pytest.approx([1, 1, 1])
    random = np.mean(enemy.at_random(20), axis=0)
    assert reached[0] < random[0] <= 1 + 1e-6


def test_the_push_keeps_to_its_area_and_reach_and_ends_when_called_real() -> None:
    enemy, model, labels = adversary(counts=11, logit=1.0)
    area = np.isin(labels, [11, 12])
    model.seen.clear()
    push = Push(steps=6, pairs=3, search=2, step=4, reach=10)
    push_area(model, enemy.crop, area, push, np.random.default_rng(0))
    assert model.passes == 6 * 7 + 1
    change = np.concatenate(model.seen).astype(int) - enemy.crop
    assert not change[:, ~area].any()
    moved = np.stack([batch[0] for batch in model.seen]).astype(int) - enemy.crop
    assert np.abs(moved).max() == 10
    assert np.abs(moved[1][area]).max() == 4

    enemy, model, labels = adversary(counts=11, logit=0.01)
    model.seen.clear()
    lowest = push_area(model, enemy.crop, labels == 11, push, np.random.default_rng(0))
    assert lowest <= 0
    assert model.passes < 6 * 7 + 1


def test_the_same_segments_are_pushed_once() -> None:
    enemy, model, labels = adversary(counts=11, logit=1.0)
    first = enemy.along((labels == 11).astype(np.float32))
    passes = model.passes
    assert enemy.along((labels == 11).astype(np.float32)) == first
    assert model.passes == passes
