"""Specificity: only heatmaps that show a face's own evidence beyond the baseline are specific."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.errors import ModelError
from fakelens.explain.baseline import baseline_on_crop
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box
from fakelens.records.models import Baseline, Evidence
from fakelens.records.trust import Specificity, SpecificityMark
from fakelens.trust.specificity import measure_excess, measure_specificity
from support.canonical_face import LANDMARKS, grid_centres, make_baseline, place
from support.linear_model import LinearModel, patch

SIDE = 64
AREA = Box(0, 0, SIDE, SIDE)
LIMIT = 10.0
MODEL = LinearModel(np.ones((SIDE, SIDE)))  # the logit is the sum of the layer
# Two crops of one person. Eyes to mouth are 20 pixels; the mouths are at (32, 42) and (34, 43).
PLACES = [(place(LANDMARKS, 0, 20, 32, 22), AREA), (place(LANDMARKS, 5, 20, 35.7, 23.1), AREA)]
CENTRES = grid_centres(16)
FILTERS = np.zeros((5, 16, 16))
for _number, _place in enumerate([(-0.5, 0.0), (0.0, 0.5), (0.0, 1.0), (0.7, 1.1)]):
    FILTERS[_number] = np.hypot(*np.moveaxis(CENTRES - _place, -1, 0)) < 0.25


def mouth_baseline(height: float, width: float) -> Baseline:
    """Make a baseline of a model that marks the mouth of every face; the width in units."""
    mean = height * np.exp(-((CENTRES - (0, 1)) ** 2).sum(axis=-1) / width**2)
    return make_baseline(mean, FILTERS, excess_limit=LIMIT)


def on_crops(baseline: Baseline) -> FloatArray:
    return np.stack([baseline_on_crop(baseline, *one, (SIDE, SIDE)) for one in PLACES])


BASELINE = mouth_baseline(0.5, 0.3)
USUAL = on_crops(BASELINE)
# 100 cells of 0.5 logits at the left eye and at the jaw: 50 logits.
EYE = 0.5 * patch(SIDE, slice(17, 27), slice(17, 27)).astype(np.float32)
JAW = 0.5 * patch(SIDE, slice(40, 50), slice(42, 52)).astype(np.float32)


def evidence_of(layer: FloatArray) -> Evidence:
    """Return evidence whose HiResCAM is the layer, (N, h, w)."""
    activation = layer[:, None].astype(np.float32)
    return Evidence(MODEL.head(activation), activation, np.ones_like(activation))


def measured(
    layer: FloatArray, maps: NDArray[np.floating], baseline: Baseline = BASELINE
) -> Specificity:
    evidence = evidence_of(layer)
    return measure_specificity(MODEL.head, baseline, PLACES, evidence, maps.astype(np.float32))


def test_a_planted_patch_is_specific() -> None:
    assert USUAL.sum(axis=(1, 2)) == pytest.approx(56.5, rel=0.1)  # 0.5 * pi * (0.3 * 20) ** 2
    found = measured(USUAL + EYE, USUAL + EYE)
    assert found.mark is SpecificityMark.SPECIFIC
    assert found.excess == pytest.approx(50, abs=0.01)
    assert found.share == 1
    assert found.parts == ("eyes",)
    assert (found.limit, found.faces) == (LIMIT, 2)
    np.testing.assert_allclose(found.baseline, USUAL.mean(axis=0), atol=1e-6)
    assert 0 < found.similarity < 0.9
    assert measured(USUAL + JAW, USUAL + JAW).parts == ("jaw and cheeks",)


def test_the_baseline_of_a_genuine_face_is_not_specific() -> None:
    found = measured(USUAL, USUAL)
    assert found.mark is SpecificityMark.USUAL
    assert found.excess == pytest.approx(0, abs=0.01)
    assert found.similarity > 0.99
    assert found.parts == ()


def wrong_maps() -> dict[str, NDArray[np.floating]]:
    noise = np.random.default_rng(0).normal(size=(2, SIDE, SIDE))
    return {
        "the baseline": USUAL,
        "the negative": -(USUAL + EYE),
        "another face's patch": USUAL + JAW,
        "noise": noise,
        "zero": np.zeros((2, SIDE, SIDE)),
        "not a number": np.full((2, SIDE, SIDE), np.nan),
    }


@pytest.mark.parametrize("name", wrong_maps())
def test_a_heatmap_that_does_not_show_the_evidence_is_not_specific(name: str) -> None:
    found = measured(USUAL + EYE, wrong_maps()[name])
    assert found.mark is SpecificityMark.USUAL
    assert found.share is not None
    assert found.share < 0.5
    assert "eyes" not in found.parts


def test_a_heatmap_of_half_of_the_evidence_is_not_specific() -> None:
    """Its excess is five times the limit, but half of that of HiResCAM."""
    found = measured(USUAL + EYE + JAW, USUAL + EYE)
    assert found.excess == pytest.approx(50, abs=0.01)
    assert found.share == pytest.approx(0.5, abs=0.01)
    assert found.mark is SpecificityMark.USUAL
    both = measured(USUAL + EYE + JAW, USUAL + EYE + JAW)
    assert both.mark is SpecificityMark.SPECIFIC
    assert both.excess == pytest.approx(100, abs=2)


@pytest.mark.parametrize(("logits", "specific"), [(9.9, False), (10.1, True)])
def test_the_excess_must_be_above_that_of_nineteen_of_twenty_genuine_faces(
    logits: float, specific: bool
) -> None:
    layer = USUAL + EYE * (logits / 50)
    assert (measured(layer, layer).mark is SpecificityMark.SPECIFIC) is specific


def test_the_cells_that_exceed_the_baseline_are_removed_and_not_the_strongest() -> None:
    """The baseline is above 1 on a third of the crop, the patch is 0.2."""
    wide = mouth_baseline(5, 1)
    usual = on_crops(wide)
    assert (usual > 1).mean() > 0.3
    layer = usual + 0.4 * EYE
    found = measured(layer, layer, wide)
    assert found.excess == pytest.approx(20, abs=0.05)
    assert found.mark is SpecificityMark.SPECIFIC


def test_the_excess_is_the_mean_over_faces() -> None:
    layer = USUAL + np.stack([EYE, 2 * EYE])
    found = measure_excess(MODEL.head, evidence_of(layer), layer, USUAL)
    assert found == pytest.approx((50 + 100) / 2, abs=0.01)


def test_less_evidence_than_usual_is_not_specific() -> None:
    layer = USUAL - np.float32(0.1)
    found = measured(layer, layer)
    assert found.excess == pytest.approx(-0.1 * 819, rel=0.01)  # a fifth of the cells
    assert found.share is None
    assert found.mark is SpecificityMark.USUAL


def test_evidence_that_exceeds_the_baseline_everywhere_alike_marks_no_place() -> None:
    layer = USUAL + np.float32(0.1)
    found = measured(layer, layer)
    assert found.excess > found.limit
    assert found.mark is SpecificityMark.USUAL


def test_heatmaps_that_are_not_better_than_chance_are_never_specific() -> None:
    maps = USUAL + EYE
    evidence = evidence_of(maps)
    for faithful, mark in ((True, SpecificityMark.SPECIFIC), (False, SpecificityMark.USUAL)):
        found = measure_specificity(MODEL.head, BASELINE, PLACES, evidence, maps, faithful=faithful)
        assert found.mark is mark


def test_values_that_are_not_numbers_never_count_as_specific() -> None:
    layer = USUAL + np.float32(0.1)
    assert measured(layer, np.full_like(layer, np.nan)).mark is SpecificityMark.USUAL
    maps = USUAL + EYE
    maps[0, 60, 60] = np.nan
    assert measured(USUAL + EYE, maps).mark is SpecificityMark.USUAL
    evidence = evidence_of(USUAL + EYE)
    for row in (0, 1):
        evidence.logit[row] = np.nan
        found = measure_specificity(MODEL.head, BASELINE, PLACES, evidence, USUAL + EYE)
        assert found.mark is SpecificityMark.USUAL


def test_a_head_without_finite_logits_is_an_error() -> None:
    def broken(activation: FloatArray) -> FloatArray:
        return np.full(len(activation), np.nan, np.float32)

    with pytest.raises(ModelError, match="not finite"):
        measure_specificity(broken, BASELINE, PLACES, evidence_of(USUAL), USUAL)
