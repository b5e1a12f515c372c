"""Localisation measures, with results computed by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.evaluation.localisation import bootstrap_mean, measure_localisation
from support.linear_model import patch


def test_the_share_inside_is_of_the_interpolated_evidence() -> None:
    cells = np.full((8, 8), -5, np.float32)
    cells[3, 4] = 2
    mask = patch(32, slice(12, 16), slice(16, 20))  # that cell's 4 x 4 pixels
    (found,) = measure_localisation([cells], [mask], ["a"])
    # On each axis the cell's own pixels have 5/8, 7/8, 7/8, 5/8 of its value, and the next two on
    # either side have 3/8 and 1/8. So 3/4 is inside.
    assert found.inside == pytest.approx((3 / 4) ** 2)
    assert found.area == 16 / 32**2
    assert found.hit == 1
    assert np.isnan(found.other_inside)
    assert found.auc > 0.99


@pytest.mark.parametrize("mask", [patch(56, slice(20, 31), slice(9, 40)), patch(56, 3, 50)])
def test_a_uniform_heatmap_has_the_forged_area_inside(mask: NDArray[np.bool_]) -> None:
    (found,) = measure_localisation([np.full((14, 14), 0.3, np.float32)], [mask], ["a"])
    assert found.inside == pytest.approx(found.area) == pytest.approx(mask.sum() / 56**2)
    # 15 of 224 pixels are 3.75 of 56.
    pixels = np.argwhere(np.ones((56, 56)))
    distance = np.hypot(*(pixels[:, None] - np.argwhere(mask)).transpose(2, 0, 1)).min(1)
    assert found.hit_area == (distance <= 3.75).mean()


@pytest.mark.parametrize(("first", "hit"), [(0, 1), (8, 1), (23, 1), (24, 0), (100, 0)])
def test_a_hit_is_within_fifteen_pixels_of_224(first: int, hit: int) -> None:
    cells = np.full((14, 14), 0.5, np.float32)
    cells[5, 0] = 1  # its centre is column 8
    mask = patch(224, slice(80, 96), slice(first, 224))
    across, down = measure_localisation([cells, cells.T], [mask, mask.T], ["a", "a"])
    assert (across.hit, down.hit) == (hit, hit)


def test_faces_without_evidence_are_skipped() -> None:
    left, right = np.zeros((2, 4, 4), np.float32)
    left[:, 0], right[:, 3] = 1, 1
    # Columns 0 to 7 of 16, which include all interpolated evidence of the left column of cells.
    mask = patch(16, slice(0, 16), slice(0, 8))
    maps = [left, -left, left, right, np.zeros((4, 4), np.float32)]
    found = measure_localisation(maps, [mask] * 5, ["a", "b", "a", "c", "d"])
    assert [one is None for one in found] == [False, True, False, False, True]
    measured = [one for one in found if one is not None]
    assert [one.inside for one in measured] == pytest.approx([1, 1, 0])
    assert [one.hit for one in measured] == [1, 1, 0]
    # The left column of cells has evidence in six of the eight forged columns, in no others.
    assert [one.auc for one in measured] == pytest.approx([0.875, 0.875, 0.125])
    # The next face of another group is "c" for both "a", and the first "a" for "c".
    assert [one.other_inside for one in measured] == pytest.approx([0, 0, 1])


def test_the_bootstrap_interval_resamples_groups() -> None:
    values = np.random.default_rng(3).normal(5, 2, 400)
    names = [str(i) for i in range(400)]
    low, high = bootstrap_mean(values, names)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 2 / np.sqrt(400), rel=0.15)
    # Copies add no information.
    again = bootstrap_mean(np.tile(values, 3), names * 3)
    assert again == pytest.approx((low, high), abs=0.1)
    assert bootstrap_mean(values, names) == (low, high)
    # Twenty equal values in each group are worth no more than the groups.
    few = bootstrap_mean(np.repeat(values[:20], 20), np.repeat(names[:20], 20).tolist())
    assert few[1] - few[0] == pytest.approx(2 * 1.96 * values[:20].std() / np.sqrt(20), rel=0.15)
