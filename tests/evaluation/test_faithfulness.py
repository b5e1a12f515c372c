"""Faithfulness measures on models in which the contribution of each pixel is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.evaluation import faithfulness
from fakelens.evaluation.faithfulness import agreement, rank_cells, resample
from fakelens.evaluation.segments import segment
from fakelens.evaluation.sufficiency import Attack, AttackSettings, attack_area
from fakelens.models.batching import compute_logits
from fakelens.trust.imputation import remove_detail
from support.linear_model import LinearModel, patch, red_and_blue, redness

SIDE = 56  # so that a cell of deletion is four pixels wide
ONE = patch(SIDE, slice(20, 24), slice(32, 36))  # one cell


@pytest.fixture
def crop() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(-30, 31, (SIDE, SIDE, 3))
    return (red_and_blue(SIDE, ONE, ONE & False) + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("measure", [0, 1], ids=["deletion", "insertion"])
def test_a_faithful_heatmap_is_better_than_its_negative_and_noise(
    crop: NDArray[np.uint8], measure: int
) -> None:
    """A single cell counts. It is hidden in all steps with the faithful heatmap, in none with its
    negative, and in half of them with a random heatmap, such as those that noise is compared with.
    """
    model = LinearModel(ONE.astype(float))
    faithful = np.zeros((14, 14), np.float32)
    faithful[5, 8] = 1
    noise = np.random.default_rng(1).normal(size=(14, 14)).astype(np.float32)
    constant = np.full((14, 14), 0.3, np.float32)
    maps = [faithful, -faithful, noise, constant]
    found = np.mean(
        [
            faithfulness.deletion_insertion(model, crop, maps, np.random.default_rng(seed))
            for seed in range(80)
        ],
        axis=0,
    )[:, measure]
    contribution = (redness(crop) - redness(remove_detail(crop)))[ONE].sum()
    rank_of_noise = (noise > noise[5, 8]).mean()  # the cell is hidden in the steps after this rank
    steps = np.mean([rank_of_noise < step / 10 for step in range(1, 10)])
    expected = contribution * (np.array([1, 0, steps, 0.5]) - 0.5)
    np.testing.assert_allclose(found, expected, atol=0.1 * contribution)


def test_heatmaps_of_any_resolution_can_be_measured(crop: NDArray[np.uint8]) -> None:
    model = LinearModel(ONE.astype(float))
    fine = ONE.astype(np.float32)
    coarse = resample(fine, (14, 14))
    assert coarse[5, 8] == coarse.max() > 4 * np.sort(coarse.ravel())[-2]
    both = faithfulness.deletion_insertion(model, crop, [fine, coarse], np.random.default_rng(0))
    assert min(*both[0], *both[1]) > 0


def test_feature_ablation_removes_the_top_fifth() -> None:
    """One of 100 cells counts: the faithful heatmap always removes it, a random one in a fifth."""
    weights = np.zeros((10, 10))
    weights[3, 7] = 2
    layer = np.full((1, 10, 10), 3, np.float32)
    faithful = weights.astype(np.float32)
    found = np.mean(
        [
            faithfulness.feature_ablation(
                LinearModel(weights).head, layer, [faithful, -faithful], np.random.default_rng(seed)
            )
            for seed in range(40)
        ],
        axis=0,
    )
    np.testing.assert_allclose(found, [6 * 0.8, 6 * -0.2], atol=0.25)


def test_feature_ablation_resamples_the_heatmap_to_the_layer() -> None:
    weights = np.zeros((10, 10))
    weights[:, 5:] = 1
    layer = np.ones((1, 10, 10), np.float32)
    fine = np.kron(weights, np.ones((6, 6))).astype(np.float32)
    (found,) = faithfulness.feature_ablation(
        LinearModel(weights).head, layer, [fine], np.random.default_rng(0)
    )
    assert found == pytest.approx(20 - 10, abs=2.5)  # random heatmaps remove half as much


def test_equal_cells_are_ranked_in_random_order() -> None:
    cells = np.zeros((4, 4), np.float32)
    cells[2, 1] = 1
    orders = [rank_cells(cells, np.random.default_rng(seed)).tolist() for seed in range(30)]
    assert {order[0] for order in orders} == {9}
    assert len({order[1] for order in orders}) > 8
    assert all(sorted(order) == list(range(16)) for order in orders)


def test_agreement_is_a_rank_correlation() -> None:
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


# Adversarial attacks


def make_attack(important: int, logit: float) -> tuple[Attack, LinearModel, NDArray[np.int64]]:
    """Make an attack on a model in which one segment counts, on a crop of a given logit."""
    blotches = np.random.default_rng(7).integers(60, 200, (7, 7, 3), np.uint8)
    crop = np.kron(blotches, np.ones((8, 8, 1), np.uint8))
    labels = segment(crop)
    area = labels == important
    weights = area / area.sum()
    shift = logit - (weights * redness(crop)).sum()
    model = LinearModel(weights)
    # The model has no bias, so the constant is added to the output.
    plain = model.head
    model.head = lambda activation: np.asarray(plain(activation) + shift, np.float32)  # type: ignore[method-assign]
    return Attack(model, crop, AttackSettings(), seed=0), model, labels


def test_attacking_the_important_segment_lowers_the_logit() -> None:
    attack, _, labels = make_attack(important=11, logit=1.0)
    important = (labels == 11).astype(np.float32)
    others = [label for label in range(labels.max() + 1) if label != 11][:2]
    ranked = important - 0.1
    for rank, label in enumerate(others):
        ranked[labels == label] = 0.5 - rank / 10
    reached = attack.on_top_segments(ranked)
    # 16 grey levels down in red and up in blue are one unit of redness.
    assert 0 < 1 - reached[0] <= 1
    assert 1 - reached[0] > 0.02
    assert attack.on_top_segments(-important) == pytest.approx([1, 1, 1])
    random = np.mean(attack.on_random_segments(20), axis=0)
    assert reached[0] < random[0] <= 1 + 1e-6


def test_the_attack_stays_within_its_area_and_budget_and_ends_when_called_real() -> None:
    attack, model, labels = make_attack(important=11, logit=1.0)
    area = np.isin(labels, [11, 12])
    model.seen.clear()
    settings = AttackSettings(steps=6, pairs=3, sigma=2, step_size=4, epsilon=10)
    attack_area(model, attack.crop, area, settings, np.random.default_rng(0))
    assert model.passes == 6 * 7 + 1
    change = np.concatenate(model.seen).astype(int) - attack.crop
    assert not change[:, ~area].any()
    moved = np.stack([batch[0] for batch in model.seen]).astype(int) - attack.crop
    assert np.abs(moved).max() == 10
    assert np.abs(moved[1][area]).max() == 4

    attack, model, labels = make_attack(important=11, logit=0.01)
    model.seen.clear()
    lowest = attack_area(model, attack.crop, labels == 11, settings, np.random.default_rng(0))
    assert lowest <= 0
    assert model.passes < 6 * 7 + 1


def test_the_same_segments_are_attacked_once() -> None:
    attack, model, labels = make_attack(important=11, logit=1.0)
    first = attack.on_top_segments((labels == 11).astype(np.float32))
    passes = model.passes
    assert attack.on_top_segments((labels == 11).astype(np.float32)) == first
    assert model.passes == passes
