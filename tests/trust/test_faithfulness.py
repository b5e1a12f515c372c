"""Heatmap faithfulness distinguishes faithful heatmaps from uninformative ones."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fakelens.errors import ModelError
from fakelens.explain.cam import METHODS
from fakelens.records.models import Evidence, Thresholds
from fakelens.records.trust import TrustMark
from fakelens.trust.ablation import surrogates, threshold_distance, top_cells
from fakelens.trust.faithfulness import measure_faithfulness
from fakelens.trust.imputation import impute_linearly, remove_cells
from support.builders import CARD
from support.toys import RedModel

SIDE = CARD.input_size


class HeadlessModel(RedModel):
    """A model without a head that runs on its own."""

    head = None  # type: ignore[assignment]


class SkipConnectionModel(RedModel):
    """A model whose head does not reproduce its logit."""

    def head(self, activation: NDArray[np.float32]) -> NDArray[np.float32]:
        return super().head(activation) + 1


class UnusableHeadModel(RedModel):
    """A model whose head raises, as in ``OnnxModel`` if the graph bypasses the layer."""

    def head(self, activation: NDArray[np.float32]) -> NDArray[np.float32]:
        raise ModelError("the logit does not depend on the explained layer alone")


def red_faces(count: int = 4, seed: int = 0) -> NDArray[np.uint8]:
    """Make crops that are red in one blob and grey elsewhere."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((SIDE, SIDE))
    crops = np.full((count, SIDE, SIDE, 3), 120, np.uint8)
    for crop in crops:
        y, x = rng.uniform(10, SIDE - 10, 2)
        blob = 120 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 40)
        crop[..., 0] = np.rint(120 + blob)
    return crops


def mark_of(
    change: Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]],
    seed: int = 0,
    **options,
) -> TrustMark:
    """Return the mark of heatmaps that are made from the faithful ones."""
    crops, model = red_faces(seed=seed), RedModel()
    evidence = model.examine(crops)
    maps = METHODS["hirescam"].function(evidence)
    changed = change(maps, np.random.default_rng(seed)).astype(np.float32)
    found = measure_faithfulness(model, crops, evidence, changed, METHODS["hirescam"], **options)
    assert found is not None
    return found.mark


def test_the_faithful_heatmap_is_supported() -> None:
    marks = [mark_of(lambda maps, _: maps, seed) for seed in range(20)]
    assert marks == [TrustMark.SUPPORTED] * 20


@pytest.mark.parametrize(
    "change",
    [
        lambda maps, _: -maps,
        lambda maps, _: np.zeros_like(maps),
        lambda maps, _: np.full_like(maps, 3.0),
        lambda maps, rng: rng.normal(size=maps.shape),
        lambda maps, rng: gaussian_filter(rng.normal(size=maps.shape), (0, 2, 2)),
        lambda maps, rng: np.broadcast_to(rng.normal(size=maps.shape[1:]), maps.shape),
    ],
    ids=["negative", "zero", "constant", "noise", "smooth noise", "the same noise for all faces"],
)
def test_uninformative_heatmaps_are_not_better_than_chance(change) -> None:
    marks = [mark_of(change, seed) for seed in range(40)]
    assert marks.count(TrustMark.CHANCE) >= 38


def test_an_uninformative_heatmap_repeated_in_every_frame_is_not_better_than_chance() -> None:
    """Six equal frames with the same smooth noise as heatmap."""
    model, method, marks = RedModel(), METHODS["hirescam"], []
    for seed in range(40):
        crops = np.repeat(red_faces(1, seed), 6, axis=0)
        evidence = model.examine(crops)
        noise = gaussian_filter(np.random.default_rng(seed).normal(size=(8, 8)), 1.2)
        maps = np.repeat(noise[None].astype(np.float32), 6, axis=0)
        found = measure_faithfulness(model, crops, evidence, maps, method)
        assert found is not None
        marks.append(found.mark)
    assert marks.count(TrustMark.CHANCE) >= 39


def test_removing_evidence_for_real_must_raise_the_logit() -> None:
    crops, model = red_faces()[..., ::-1], RedModel()
    evidence = model.examine(crops)
    faithful = METHODS["hirescam"].function(evidence)
    real = METHODS["tf2cam"]
    for maps, mark in ((-faithful, TrustMark.SUPPORTED), (faithful, TrustMark.CHANCE)):
        found = measure_faithfulness(model, crops, evidence, maps, real)
        assert found is not None
        assert found.mark is mark
        assert (found.drop < found.random_drop) == (mark is TrustMark.SUPPORTED)
        assert found.completeness is None


def test_a_heatmap_with_few_cells_is_not_tested() -> None:
    crops, model = red_faces(), RedModel()
    found = model.examine(crops)
    coarse = Evidence(found.logit, found.activation[:, :, :5, :5], found.gradient[:, :, :5, :5])
    maps = METHODS["hirescam"].function(coarse)
    assert measure_faithfulness(model, crops, coarse, maps, METHODS["hirescam"]) is None


def test_a_logit_that_is_not_finite_is_a_model_error() -> None:
    class NanModel(RedModel):
        def head(self, activation: NDArray[np.float32]) -> NDArray[np.float32]:
            logits = super().head(activation)
            return np.where((activation == 0).any(axis=(1, 2, 3)), np.float32(np.nan), logits)

    crops, model = red_faces() + np.uint8(5), NanModel()
    crops[..., 0] += 20
    evidence = model.examine(crops)
    maps = METHODS["hirescam"].function(evidence)
    with pytest.raises(ModelError, match="not finite"):
        measure_faithfulness(model, crops, evidence, maps, METHODS["hirescam"])


def test_a_faithful_heatmap_with_a_small_effect_is_weak() -> None:
    """The model's thresholds are further apart than any ablation can move the logit."""
    far = Thresholds(fake=1 - 1e-6, real=1e-6, source="made up")
    crops, model = red_faces(), RedModel()
    model.card = type(CARD)(
        **{name: getattr(CARD, name) for name in CARD.__dataclass_fields__} | {"thresholds": far}
    )
    evidence = model.examine(crops)
    maps = METHODS["hirescam"].function(evidence)
    found = measure_faithfulness(model, crops, evidence, maps, METHODS["hirescam"])
    assert found is not None
    assert found.mark is TrustMark.WEAK
    assert found.p <= 0.02


def test_the_drop_is_the_sum_of_the_removed_cells() -> None:
    """The logit of this model is the mean of its 8 x 8 cells."""
    crops, model = red_faces(1), RedModel()
    crops[..., 2] -= 40
    evidence = model.examine(crops)
    maps = METHODS["hirescam"].function(evidence)
    found = measure_faithfulness(model, crops, evidence, maps, METHODS["hirescam"])
    assert found is not None
    # A fifth of 64 cells; the heatmap is smoothed, so a neighbour may be among them.
    assert found.drop == pytest.approx(np.sort(maps[0].ravel())[-13:].sum(), rel=0.1)
    assert found.completeness == pytest.approx(1, abs=1e-5)
    distance = threshold_distance(CARD.thresholds)
    assert distance == 1, "the thresholds are closer"
    assert threshold_distance(Thresholds(0.8, 0.2, "made up")) == pytest.approx(2 * np.log(4))
    assert found.effect == pytest.approx((found.drop - found.random_drop) / distance)


@pytest.mark.parametrize(
    "model",
    [HeadlessModel(), SkipConnectionModel(), UnusableHeadModel()],
    ids=["no head", "other logit", "error"],
)
def test_without_a_working_head_faithfulness_is_not_measured(model: RedModel) -> None:
    crops = red_faces()
    evidence = model.examine(crops)
    maps = METHODS["hirescam"].function(evidence)
    assert measure_faithfulness(model, crops, evidence, maps, METHODS["hirescam"]) is None


@pytest.mark.parametrize("ablation", ["deletion", "insertion", "road"])
def test_pixel_ablation_distinguishes_faithful_heatmaps(ablation) -> None:
    """The model uses only colour, so it does not react to artefacts of the ablation."""
    assert mark_of(lambda maps, _: maps, ablation=ablation) is not TrustMark.CHANCE
    assert mark_of(lambda maps, _: -maps, ablation=ablation) is TrustMark.CHANCE
    assert mark_of(lambda maps, rng: rng.normal(size=maps.shape), ablation=ablation) is (
        TrustMark.CHANCE
    )


@pytest.mark.parametrize("ablation", ["deletion", "insertion", "road"])
def test_only_the_pixels_of_the_area_are_replaced(ablation) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    cells = np.zeros((8, 8), np.bool_)
    cells[2:4, 5:7] = True
    area = np.kron(cells, np.ones((SIDE // 8, SIDE // 8))).astype(np.bool_)
    changed = (remove_cells(crop, cells, ablation) != crop).any(axis=2)
    if ablation == "insertion":
        area = ~area
    assert changed[area].mean() > 0.9
    far = gaussian_filter(area.astype(float), 1) < 0.01
    assert not changed[far].any()


def test_the_top_cells_are_marked_and_ties_are_random() -> None:
    cells = np.arange(100, dtype=np.float32).reshape(10, 10)
    ties = np.random.default_rng(0).random((10, 10))
    np.testing.assert_array_equal(top_cells(cells, 0.2, ties), cells >= 80)
    tied = top_cells(np.ones((10, 10), np.float32), 0.2, ties)
    assert tied.sum() == 20
    assert not tied[:2].all()


def test_surrogates_have_the_spectrum_and_the_mean_of_the_heatmap() -> None:
    rng = np.random.default_rng(0)
    cells = gaussian_filter(rng.normal(size=(15, 16)), 2).astype(np.float32) - 0.1
    made = surrogates(cells, rng.normal(size=(30, 15, 16)))
    assert made.shape == (30, 15, 16)
    np.testing.assert_allclose(made.mean(axis=(1, 2)), cells.mean(), atol=1e-6)
    np.testing.assert_allclose(
        np.abs(np.fft.fft2(made)),
        np.broadcast_to(np.abs(np.fft.fft2(cells)), made.shape),
        atol=2e-3,
    )
    correlations = [np.corrcoef(one.ravel(), cells.ravel())[0, 1] for one in made]
    assert abs(np.mean(correlations)) < 0.15
    assert max(np.abs(correlations)) < 0.95


def test_linear_imputation_restores_a_linear_gradient() -> None:
    """A linear gradient satisfies the equation of every pixel, so only the noise remains."""
    rows, columns = np.indices((40, 40))
    slope = np.stack([3 * rows, 2 * columns + rows, 200 - 2 * rows], axis=-1).astype(np.uint8)
    area = np.zeros((40, 40), np.bool_)
    area[10:25, 12:30] = True
    erased = slope.copy()
    erased[area] = 0
    filled = impute_linearly(erased, area)
    np.testing.assert_array_equal(filled[~area], slope[~area])
    difference = filled[area].astype(float) - slope[area]
    assert abs(difference.mean()) < 0.5
    assert difference.std() == pytest.approx(2.55, rel=0.15)


def test_an_area_at_the_image_border_is_imputed() -> None:
    image = np.full((20, 20, 3), 90, np.uint8)
    area = np.zeros((20, 20), np.bool_)
    area[:8, :8] = True
    filled = impute_linearly(image, area)
    assert np.abs(filled.astype(int) - 90).max() <= 15


def test_crops_and_evidence_of_different_lengths_are_a_value_error() -> None:
    model, crops = RedModel(), red_faces(2)
    evidence = model.examine(crops)
    short = Evidence(evidence.logit[:1], evidence.activation[:1], evidence.gradient[:1])
    with pytest.raises(ValueError, match="zip"):
        measure_faithfulness(
            model, crops, short, np.zeros((2, 8, 8), np.float32), METHODS["hirescam"]
        )


class WeightedModel(RedModel):
    """A model whose head is a weighted sum of eight channels.

    Each channel is the difference of red and blue, shifted by a different number of cells.
    """

    def __init__(self, weights: NDArray[np.float32]) -> None:
        super().__init__()
        self.weights = weights

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        cells = super().examine(crops).activation[:, 0]
        return self.run_head(np.stack([np.roll(cells, 3 * i, axis=1 + i % 2) for i in range(8)], 1))

    def run_head(self, layer: NDArray[np.float32]) -> Evidence:
        gradient = np.broadcast_to(self.weights[:, None, None] / 64, layer.shape).copy()
        return Evidence((gradient * layer).sum(axis=(1, 2, 3)), layer, gradient)

    def head(self, activation: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.run_head(activation).logit

    def random_heads(self, count: int) -> list[Callable[[NDArray[np.float32]], Evidence]]:
        rng = np.random.default_rng(5)
        return [WeightedModel(rng.permutation(self.weights)).run_head for _ in range(count)]


def mark_of_weights(weights: NDArray[np.float32], seed: int) -> TrustMark:
    model, crops = WeightedModel(weights.astype(np.float32)), red_faces(3, seed)
    evidence = model.examine(crops)
    maps = METHODS["hirescam"].function(evidence)
    found = measure_faithfulness(model, crops, evidence, maps, METHODS["hirescam"])
    assert found is not None
    if found.mark is TrustMark.SUPPORTED:
        assert found.random_effect is not None
    return found.mark


def test_few_models_with_random_weights_are_supported() -> None:
    """The effect of a random head rarely exceeds that of nineteen others."""
    rng = np.random.default_rng(0)
    marks = [mark_of_weights(4 * rng.normal(size=8), seed) for seed in range(60)]
    assert marks.count(TrustMark.SUPPORTED) <= 8, "one in twenty is expected"
    assert marks.count(TrustMark.CHANCE) < 30, "the heatmaps are faithful to the random heads"


def test_a_head_without_weights_is_not_compared_with_random_heads() -> None:
    class WeightlessModel(RedModel):
        def random_heads(self, count: int) -> list[object]:
            return []

    crops, model = red_faces(), WeightlessModel()
    evidence = model.examine(crops)
    maps = METHODS["hirescam"].function(evidence)
    found = measure_faithfulness(model, crops, evidence, maps, METHODS["hirescam"])
    assert found is not None
    assert (found.mark, found.random_effect) == (TrustMark.SUPPORTED, None)
