"""What heatmaps of forged faces are measured by, by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.evaluation.localisation import bootstrap_mean, compare
from support.linear_model import patch


def test_the_share_inside_is_that_of_the_interpolated_evidence() -> None:
    cells = np.full((8, 8), -5, np.float32)
    cells[3, 4] = 2
    truth = patch(32, slice(12, 16), slice(16, 20))  # that cell's 4 x 4 pixels
    (found,) = compare([cells], [truth], ["a"])
    # Along one axis the cell's pixels weigh 5/8, 7/8, 7/8, 5/8, and 3/8 and 1/8 on either side
    # belong to the neighbours: 3/4 is inside.
    assert found.share == pytest.approx((3 / 4) ** 2)
    assert found.area == 16 / 32**2
    assert found.hit == 1
    assert np.isnan(found.other)
    assert found.auc > 0.99


@pytest.mark.parametrize("truth", [patch(56, slice(20, 31), slice(9, 40)), patch(56, 3, 50)])
def test_a_uniform_map_gets_the_area(truth: NDArray[np.bool_]) -> None:
    (found,) = compare([np.full((14, 14), 0.3, np.float32)], [truth], ["a"])
    assert found.share == pytest.approx(found.area) == pytest.approx(truth.sum() / 56**2)
    # 15 of 224 pixels are 3.75 of 56.
    pixels = np.argwhere(np.ones((56, 56)))
    away = np.hypot(*(pixels[:, None] - np.argwhere(truth)).transpose(2, 0, 1)).min(1)
    assert found.chance == (away <= 3.75).mean()


@pytest.mark.parametrize(("first", "hit"), [(0, 1), (8, 1), (23, 1), (24, 0), (100, 0)])
def test_a_hit_is_within_fifteen_pixels(first: int, hit: int) -> None:
    cells = np.full((14, 14), 0.5, np.float32)
    cells[5, 0] = 1  # its middle is column 8
    truth = patch(224, slice(80, 96), slice(first, 224))
    across, down = compare([cells, cells.T], [truth, truth.T], ["a", "a"])
    assert (across.hit, down.hit) == (hit, hit)


def test_faces_without_evidence_are_told_apart_and_others_are_compared() -> None:
    left, right = np.zeros((2, 4, 4), np.float32)
    left[:, 0], right[:, 3] = 1, 1
    # Columns 0 to 7 of 16: everything that the left column of cells reaches.
    truth = patch(16, slice(0, 16), slice(0, 8))
    maps = [left, -left, left, right, np.zeros((4, 4), np.float32)]
    found = compare(maps, [truth] * 5, ["a", "b", "a", "c", "d"])
    assert [pointing is None for pointing in found] == [False, True, False, False, True]
    shown = [pointing for pointing in found if pointing is not None]
    assert [pointing.share for pointing in shown] == pytest.approx([1, 1, 0])
    assert [pointing.hit for pointing in shown] == [1, 1, 0]
    # The left column reaches six of the eight forged columns, and none of the others.
    assert [pointing.auc for pointing in shown] == pytest.approx([0.875, 0.875, 0.125])
    # Of both "a" the next of another group is "c", and of "c" it is the first "a".
    assert [pointing.other for pointing in shown] == pytest.approx([0, 0, 1])


def test_the_interval_of_a_mean() -> None:
    values = np.random.default_rng(3).normal(5, 2, 400)
    names = [str(i) for i in range(400)]
    low, high = bootstrap_mean(values, names)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 2 / np.sqrt(400), rel=0.15)
    # Copies tell nothing new.
    again = bootstrap_mean(np.tile(values, 3), names * 3)
    assert again == pytest.approx((low, high), abs=0.1)
    assert bootstrap_mean(values, names) == (low, high)
    # Twenty values in each of few groups are worth no more than the groups.
    few = bootstrap_mean(np.repeat(values[:20], 20), np.repeat(names[:20], 20).tolist())
    assert few[1] - few[0] == pytest.approx(2 * 1.96 * values[:20].std() / np.sqrt(20), rel=0.15)
