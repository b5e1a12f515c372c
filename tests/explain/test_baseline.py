"""The baseline: resampling, what lies beyond it, and the parts that filters name."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakelens.explain.baseline import (
    GRID,
    AlignedHeatmap,
    align_to_grid,
    baseline_on_crop,
    difference,
    named_parts,
    part_outputs,
    similarity,
    strongest_part,
)
from fakelens.records.faces import Box
from support.canonical_face import (
    LANDMARKS,
    canonical_centres,
    grid_centres,
    make_baseline,
    place,
)

ONES = np.ones((GRID, GRID), np.float32)
# A plane over the canonical face, which linear interpolation reproduces; 0.2 is a cell of the grid.
SLOPE = np.array([3.0, -2.0])
PLANE = 1 + grid_centres(GRID) @ SLOPE
ERROR = 0.2 * 3 * 0.05  # a twentieth of a cell; an error of half a cell would be ten times as much
POSES = {
    "angle": st.floats(-60, 60),
    "size": st.floats(10, 200),
    "x": st.floats(0, 1000),
    "y": st.floats(0, 1000),
}


def area_around(size: float, x: float, y: float, half: float) -> Box:
    """Return a square around the middle of a face; ``half`` in canonical units."""
    return Box(x - half * size, y - half * size, x + half * size, y + half * size)


# Resampling


@settings(max_examples=30, deadline=None)
@given(**POSES)
def test_the_baseline_on_a_crop_follows_the_face(
    angle: float, size: float, x: float, y: float
) -> None:
    pose = (angle, size, x, y)
    area = area_around(size, x, y, 0.8)
    found = baseline_on_crop(make_baseline(PLANE), place(LANDMARKS, *pose), area, (20, 30))
    assert found.shape == (20, 30)
    assert found.dtype == np.float32
    expected = 1 + canonical_centres((20, 30), area, *pose) @ SLOPE
    np.testing.assert_allclose(found, expected, atol=ERROR)


@settings(max_examples=30, deadline=None)
@given(**POSES, half=st.floats(0.5, 2))
def test_aligning_the_baseline_on_a_crop_gives_the_baseline(
    angle: float, size: float, x: float, y: float, half: float
) -> None:
    landmarks, area = place(LANDMARKS, angle, size, x, y), area_around(size, x, y, half)
    baseline = make_baseline(PLANE)
    cells = baseline_on_crop(baseline, landmarks, area, (48, 48))
    aligned = align_to_grid(cells, landmarks, area)
    inner = np.zeros((GRID, GRID), bool)
    inner[1:-1, 1:-1] = True  # outside the grid, the value of its edge is repeated
    whole = (aligned.covered > 0.999) & inner
    assert whole.sum() >= 9
    np.testing.assert_allclose(aligned.values[whole], PLANE[whole], atol=ERROR)
    np.testing.assert_allclose(difference(aligned, baseline)[whole], 0, atol=ERROR)
    beyond = replace(aligned, values=aligned.values + 5)
    np.testing.assert_allclose(difference(beyond, baseline)[whole], 5, atol=ERROR)


def test_the_edge_of_the_baseline_is_repeated_outside_the_grid() -> None:
    mean = np.zeros((GRID, GRID))
    mean[:, -1] = 7
    pose = (0, 40, 500, 500)
    # The grid ends at 1.6 to the right; the crop begins there.
    area = Box(500 + 1.6 * 40, 480, 500 + 3.6 * 40, 560)
    found = baseline_on_crop(make_baseline(mean), place(LANDMARKS, *pose), area, (8, 8))
    np.testing.assert_allclose(found, 7, atol=1e-5)


def test_an_aligned_heatmap_is_scaled_by_the_share_of_each_cell_that_is_covered() -> None:
    # The crop covers -1.0 to 0.6 across and -0.25 to 1.35 down: 8 x 8 cells of the grid.
    pose = (0, 50, 300, 300)
    area = Box(300 - 50, 300 - 12.5, 300 + 30, 300 + 67.5)
    aligned = align_to_grid(np.full((400, 400), 3, np.float32), place(LANDMARKS, *pose), area)
    expected = np.zeros((GRID, GRID))
    expected[5:13, 3:11] = 1
    np.testing.assert_allclose(aligned.covered, expected, atol=0.02)
    np.testing.assert_allclose(aligned.values, 3 * aligned.covered, rtol=1e-5)
    baseline = make_baseline(np.full((GRID, GRID), 2.0))
    np.testing.assert_allclose(difference(aligned, baseline), aligned.covered, atol=1e-5)


# Similarity


def test_similarity_is_the_correlation_over_the_cells_that_all_crops_cover() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=(GRID, GRID))
    baseline = make_baseline(mean)
    same = AlignedHeatmap((3 * mean + 8).astype(np.float32), ONES)
    assert similarity([same], baseline) == pytest.approx(1)
    assert similarity([replace(same, values=-same.values)], baseline) == pytest.approx(-1)
    other = rng.normal(size=(GRID, GRID)).astype(np.float32)
    left, lower = ONES.copy(), ONES.copy()
    left[:, 10:], lower[:5] = 0.5, 0.5
    # Where only one of the two crops reaches, the values do not matter.
    first, second = same.values.copy(), other.copy()
    first[:, 10:], second[:5] = 1e6, -1e6
    maps = [AlignedHeatmap(first, left), AlignedHeatmap(second, lower)]
    a, b = [], []
    for row in range(5, GRID):
        for column in range(10):
            a.append((float(first[row, column]) + float(second[row, column])) / 2)
            b.append(mean[row, column])
    a, b = np.array(a) - np.mean(a), np.array(b) - np.mean(b)
    expected = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    assert similarity(maps, baseline) == pytest.approx(expected, abs=1e-5)


def test_a_constant_has_no_similarity() -> None:
    mean = np.random.default_rng(0).normal(size=(GRID, GRID))
    constant = AlignedHeatmap(4 * ONES, ONES)
    assert similarity([constant], make_baseline(mean)) == 0
    varying = AlignedHeatmap(mean.astype(np.float32), ONES)
    assert similarity([varying], make_baseline(np.full((GRID, GRID), 2.0))) == 0
    nowhere = AlignedHeatmap(mean.astype(np.float32), 0.9 * ONES)
    assert similarity([nowhere], make_baseline(mean)) == 0


# Parts


def test_outputs_are_sums_of_products() -> None:
    rng = np.random.default_rng(0)
    filters = rng.normal(size=(5, GRID, GRID))
    baseline = make_baseline(np.zeros((GRID, GRID)), filters)
    differences = rng.normal(size=(3, GRID, GRID)).astype(np.float32)
    found = part_outputs(differences, baseline)
    assert found.shape == (3, 5)
    for face in range(3):
        for part in range(5):
            total = 0.0
            for row in range(GRID):
                for column in range(GRID):
                    total += filters[part, row, column] * float(differences[face, row, column])
            assert found[face, part] == pytest.approx(total, rel=1e-9)


def named(*outputs: float, responses=None, limit: float = 2) -> tuple[str, ...]:
    baseline = make_baseline(np.zeros((GRID, GRID)), responses=responses, part_limit=limit)
    return named_parts(np.array(outputs), baseline)


def test_the_strongest_part_has_the_largest_output() -> None:
    baseline = make_baseline(np.zeros((GRID, GRID)))
    assert strongest_part(np.array([-9, 1.5, 1, -2, 0]), baseline) == "nose"
    assert strongest_part(np.array([-9, -8, -7, -6, -5]), baseline) == "whole face"


def test_parts_beyond_the_limit_are_named_the_strongest_first() -> None:
    assert named(3, 0, 5, 2.5, 0) == ("mouth", "eyes", "jaw and cheeks")
    assert named(3, 0, 5, 2.0, 0) == ("mouth", "eyes")
    assert named(6, 5, 4, 3, 0) == ("eyes", "nose", "mouth")  # at most three
    assert named(2, 2, 1, -9, 2) == ()
    assert named(-3, -4, -5, -6, -7) == ()


def test_the_response_to_the_strongest_part_is_removed() -> None:
    responses = np.eye(5) * 4
    responses[2, 1] = 3  # a forged mouth raises the filter of the nose to 3
    # Twice as strong a mouth: 8, and 6 at the nose.
    assert named(0, 6, 8, 0, 0, responses=responses) == ("mouth",)
    assert named(0, 6, 8, 0, 0) == ("mouth", "nose")
    assert named(0, 8.5, 9, 0, 0, responses=responses) == ("mouth",)  # 8.5 - 9 * 3 / 4 = 1.75
    assert named(0, 8.9, 9, 0, 0, responses=responses) == ("mouth", "nose")  # 2.15
    # A negative response hides a part until it is removed.
    responses[2, 0] = -3
    assert named(-4, 0, 9, 0, 0, responses=responses) == ("mouth", "eyes")  # -4 + 6.75


def test_the_whole_face_is_named_alone_or_not_at_all() -> None:
    assert named(3, 3, 3, 3, 4) == ("whole face",)
    assert named(0, 0, 5, 0, 4) == ("mouth",)


def test_nothing_is_named_if_the_outputs_are_not_numbers() -> None:
    assert named(*[np.nan] * 5) == ()
    assert named(3, np.nan, 3, 3, 3) == ()
