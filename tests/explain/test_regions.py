"""Regions of the face and heatmaps in canonical coordinates, for any pose in the plane."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakelens.explain.heatmaps import HeatmapStore
from fakelens.explain.regions import (
    REGION_NAMES,
    SIDE,
    align_face,
    align_heatmap,
    canonical_to_image,
    cell_to_grid,
    mean_evidence,
    mean_face,
    region_of,
    region_of_cells,
    region_shares,
)
from fakelens.records.faces import Box
from fakelens.records.tracks import Track
from support.builders import make_track

# Landmarks of an upright frontal face: the origin is midway between the eyes, 40 pixels above the
# mouth.
FACE = np.array([(-18.8, 0), (18.8, 0), (0, 22), (-14.8, 40), (14.8, 40)], np.float32)
POINTS = {
    "eyes": (-18.8, -2),
    "nose": (0, 20),
    "mouth": (0, 40),
    "forehead": (0, -24),
    "cheeks": (22, 24),
    "jaw and boundary": (0, 64),
    "surroundings": (60, 20),
}


def transformed(points: NDArray[np.floating], angle: float, size: float, x: float, y: float):
    """Rotate points by an angle in degrees, scale and shift them."""
    a = np.radians(angle)
    rotation = size * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return (np.asarray(points) @ rotation.T + (x, y)).astype(np.float32)


@pytest.mark.parametrize("name", REGION_NAMES)
@pytest.mark.parametrize("angle", [0, 35, 180])
def test_regions_follow_the_face(name: str, angle: float) -> None:
    landmarks = transformed(FACE, angle, 2.5, 300, 200)
    x, y = transformed([POINTS[name]], angle, 2.5, 300, 200)[0].tolist()
    # One cell, centred on the point.
    area = Box(x - 1, y - 1, x + 1, y + 1)
    assert REGION_NAMES[region_of_cells(landmarks, area, (1, 1))[0, 0]] == name


@given(
    angle=st.floats(-180, 180),
    size=st.floats(0.3, 20),
    x=st.floats(-1000, 5000),
    y=st.floats(-1000, 5000),
)
def test_canonical_coordinates_follow_the_face(
    angle: float, size: float, x: float, y: float
) -> None:
    matrix = canonical_to_image(transformed(FACE, angle, size, x, y))
    mouth = matrix @ (0, 1, 1)
    wanted = transformed([(0, 40)], angle, size, x, y)[0]
    np.testing.assert_allclose(mouth, wanted, atol=0.01 * size * 40 + 0.01)


def test_the_similarity_transform_has_the_least_squared_error() -> None:
    """The oracle is OpenCV's estimate, for landmarks that no similarity transform fits exactly."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        landmarks = transformed(FACE, rng.uniform(-40, 40), 3, 100, 100)
        landmarks += rng.normal(0, 3, landmarks.shape).astype(np.float32)
        template = np.array([(-0.47, 0), (0.47, 0), (0, 0.55), (-0.37, 1), (0.37, 1)])
        ours = canonical_to_image(landmarks)

        def squared_error(
            matrix: NDArray[np.float64], template=template, landmarks=landmarks
        ) -> float:
            mapped = template @ matrix[:, :2].T + matrix[:, 2]
            return float(((mapped - landmarks) ** 2).sum())

        theirs, _ = cv2.estimateAffinePartial2D(template, landmarks, ransacReprojThreshold=1e6)
        assert squared_error(ours) <= squared_error(theirs) * 1.001
        # No similar transform is better.
        for _ in range(20):
            a, b, x, y = rng.normal(0, 0.05, 4)
            assert squared_error(ours) <= squared_error(ours + np.array([[a, -b, x], [b, a, y]]))


def test_every_region_has_an_area() -> None:
    points = np.stack(np.meshgrid(np.linspace(-1.5, 1.5, 90), np.linspace(-1.2, 1.9, 90)), -1)
    areas = np.bincount(region_of(points).ravel(), minlength=len(REGION_NAMES)) / 8100
    assert (areas > 0.01).all()
    assert areas[REGION_NAMES.index("surroundings")] < 0.6


def test_coinciding_landmarks_give_only_surroundings() -> None:
    landmarks = np.full((5, 2), 7, np.float32)
    assert (
        region_of_cells(landmarks, Box(0, 0, 10, 10), (4, 4)) == REGION_NAMES.index("surroundings")
    ).all()


@settings(max_examples=30, deadline=None)
@given(angle=st.floats(-60, 60), size=st.floats(1, 6), seed=st.integers(0, 99))
def test_evidence_at_the_mouth_is_aligned_to_the_canonical_mouth(
    angle: float, size: float, seed: int
) -> None:
    x, y = np.random.default_rng(seed).uniform(200, 800, 2).tolist()
    landmarks = transformed(FACE, angle, size, x, y)
    half = 70 * size
    area = Box(x - half, y - half, x + half, y + half)
    mouth = transformed([(0, 40)], angle, size, x, y)[0]
    cells = (np.indices((40, 40)).transpose(1, 2, 0)[..., ::-1] + 0.5) / 40
    points = cells * 2 * half + (area.x1, area.y1)
    heat = np.exp(-((points - mouth) ** 2).sum(axis=2) / (2 * (8 * size) ** 2)).astype(np.float32)
    aligned = align_heatmap(heat, landmarks, area)
    row, column = np.unravel_index(aligned.argmax(), aligned.shape)
    # The canonical grid covers 3.2 units from (-1.6, -1.25) on.
    found = np.array([column + 0.5, row + 0.5]) * 3.2 / SIDE + (-1.6, -1.25)
    # An error of half a cell of the heatmap, as from wrong cell centres, would be 0.09.
    np.testing.assert_allclose(found, (0, 1), atol=0.06)


@settings(max_examples=30, deadline=None)
@given(
    angle=st.floats(-180, 180),
    size=st.floats(0.3, 6),
    x=st.floats(-50, 1000),
    y=st.floats(-50, 1000),
    shape=st.tuples(st.integers(8, 60), st.integers(8, 60)),
)
def test_cells_map_to_the_grid_as_a_heatmap_is_aligned(
    angle: float, size: float, x: float, y: float, shape: tuple[int, int]
) -> None:
    """Align the heatmaps of column and row numbers: they say which cell each grid cell shows."""
    landmarks = transformed(FACE, angle, size, x, y)
    area = Box(x - 60 * size, y - 40 * size, x + 60 * size, y + 80 * size)
    rows, columns = np.indices(shape).astype(np.float32)
    seen = np.stack([align_heatmap(each, landmarks, area) for each in (columns, rows)], axis=-1)
    whole = align_heatmap(np.ones(shape, np.float32), landmarks, area) > 0.9999
    assert whole.sum() > 100
    down, across = np.nonzero(whole)
    matrix = cell_to_grid(landmarks, area, shape, SIDE)
    found = seen[whole] @ matrix[:, :2].T + matrix[:, 2]
    # OpenCV interpolates between cells in steps of 1/32.
    cell = np.abs(matrix[:, :2]).sum(axis=1).max()
    np.testing.assert_allclose(found, np.stack([across, down], axis=-1), atol=0.04 * cell + 0.01)
    # On a coarser grid, four by four cells are one.
    coarse = cell_to_grid(landmarks, area, shape, SIDE // 4)
    np.testing.assert_allclose(coarse[:, :2], matrix[:, :2] / 4, atol=1e-6)
    np.testing.assert_allclose(coarse[:, 2], (matrix[:, 2] + 0.5) / 4 - 0.5, atol=1e-3)


def test_a_face_is_aligned_upright() -> None:
    image = np.full((400, 400, 3), 30, np.uint8)
    landmarks = transformed(FACE, 70, 1.5, 200, 200)
    mouth, eyes = (transformed([p], 70, 1.5, 200, 200)[0] for p in ((0, 40), (0, 0)))
    for point, channel in ((mouth, 0), (eyes, 1)):
        x, y = np.rint(point).astype(int)
        image[y - 8 : y + 9, x - 8 : x + 9, channel] = 250
    upright = align_face(image, landmarks, 128)
    rows, columns = np.nonzero(upright[..., 0] > 150)
    assert (columns.mean(), rows.mean()) == pytest.approx((64, (1 + 1.25) / 3.2 * 128), abs=2)
    rows, columns = np.nonzero(upright[..., 1] > 150)
    assert (columns.mean(), rows.mean()) == pytest.approx((64, 1.25 / 3.2 * 128), abs=2)
    same = mean_face([(image, landmarks)] * 3)
    np.testing.assert_array_equal(same, upright)


def moving_face(
    maps: NDArray[np.float32], quality_flags: int = 0, half: float = 80
) -> tuple[Track, HeatmapStore]:
    """Make a track of a face that grows and rotates, with a heatmap for each row.

    ``half`` is half the side of the crop, in pixels.
    """
    track = make_track(np.zeros(len(maps)), quality_flags=quality_flags, rate=10)
    for row in range(len(maps)):
        track.landmarks[row] = transformed(FACE, 3 * row, 1 + row / 20, 100 + row, 100)
        track.areas[row] = (100 + row - half, 100 - half, 100 + row + half, 100 + half)
    store = HeatmapStore()
    store.append(maps)
    return track, store


def test_agreement_is_high_for_a_constant_pattern_and_low_for_noise() -> None:
    noise = np.random.default_rng(0).normal(size=(12, 20, 20)).astype(np.float32)
    # A common mean and a common outline of the crops are not agreement.
    for offset in (0, -5, 5):
        track, store = moving_face(noise + np.float32(offset), half=50)
        mean = mean_evidence(track, store)
        assert mean is not None
        assert mean.agreement is not None
        assert abs(mean.agreement) < 0.25
    constant = np.zeros((12, 20, 20), np.float32)
    for row in range(12):
        labels = region_of_cells(track.landmarks[row], Box(*map(float, track.areas[row])), (20, 20))
        constant[row] = labels == REGION_NAMES.index("cheeks")
    track, store = moving_face(constant)
    mean = mean_evidence(track, store)
    assert mean is not None
    assert mean.agreement is not None
    assert mean.agreement > 0.7
    assert mean.values.shape == (SIDE, SIDE)


def test_region_shares_match_the_evidence_in_the_cells() -> None:
    maps = np.zeros((30, 20, 20), np.float32)
    track, store = moving_face(maps)
    for row in range(30):
        labels = region_of_cells(track.landmarks[row], Box(*map(float, track.areas[row])), (20, 20))
        # Evidence for fake: the mouth, and after a second also the eyes. For real: the forehead.
        parts = {"mouth": 3.0, "forehead": -1.0} | ({"eyes": 1.0} if row >= 10 else {})
        for name, total in parts.items():
            inside = labels == REGION_NAMES.index(name)
            maps[row][inside] = total / inside.sum()
    store = HeatmapStore()
    store.append(maps)
    found = region_shares(track, store)
    by_name = dict(zip(REGION_NAMES, found.contribution.tolist(), strict=True))
    assert by_name["mouth"] == pytest.approx(3, rel=2e-3)
    assert by_name["forehead"] == pytest.approx(-1, rel=2e-3)
    assert by_name["eyes"] == pytest.approx(20 / 30, rel=2e-3)
    assert by_name["nose"] == 0
    assert found.fake[REGION_NAMES.index("mouth")] == pytest.approx(90 / 110, rel=2e-3)
    assert found.fake.sum() == pytest.approx(1)
    assert found.area.sum() == pytest.approx(1)
    # 2.9 seconds are six steps of half a second.
    assert (found.start, found.step, len(found.fake_over_time)) == (0, 0.5, 6)
    eyes = found.fake_over_time[:, REGION_NAMES.index("eyes")]
    np.testing.assert_allclose(eyes, [0, 0, 0.25, 0.25, 0.25, 0.25], atol=1e-3)
    over_time = dict(zip(REGION_NAMES, found.contribution_over_time.T, strict=True))
    np.testing.assert_allclose(over_time["eyes"], [0, 0, 1, 1, 1, 1], atol=2e-3)
    np.testing.assert_allclose(over_time["forehead"], [-1] * 6, atol=2e-3)


def test_the_mean_of_a_cell_is_over_the_crops_that_cover_it() -> None:
    track, store = moving_face(np.full((12, 20, 20), 2, np.float32), half=40)
    mean = mean_evidence(track, store)
    assert mean is not None
    covered = mean.values[mean.values != 0]
    np.testing.assert_allclose(covered, 2, rtol=1e-4)
    assert 0.3 < covered.size / mean.values.size < 1


@pytest.mark.parametrize("seconds", [2, 59, 61, 300])
def test_an_uninterrupted_track_has_evidence_in_every_step(seconds: int) -> None:
    count = 10 * seconds
    track = make_track(np.zeros(count), rate=10, heatmaps=np.zeros(count))
    track.landmarks[:], track.areas[:] = transformed(FACE, 0, 1, 100, 100), (20, 20, 180, 180)
    store = HeatmapStore()
    store.append(np.ones((1, 8, 8), np.float32))
    found = region_shares(track, store)
    assert (found.fake_over_time >= 0).all()
    assert len(found.fake_over_time) <= 60
    assert found.start + found.step * len(found.fake_over_time) >= track.times[-1] - 1e-6


def test_heatmaps_need_not_be_square() -> None:
    labels = region_of_cells(transformed(FACE, 0, 1, 100, 100), Box(20, 20, 180, 180), (10, 20))
    assert labels.shape == (10, 20)
    wide = np.zeros((10, 20), np.float32)
    wide[7, 10] = 1  # x = 104, y = 140: the mouth
    aligned = align_heatmap(wide, transformed(FACE, 0, 1, 100, 100), Box(20, 20, 180, 180))
    row, column = np.unravel_index(aligned.argmax(), aligned.shape)
    found = np.array([column + 0.5, row + 0.5]) * 3.2 / SIDE + (-1.6, -1.25)
    np.testing.assert_allclose(found, (0.1, 1), atol=0.06)


def test_without_landmarks_there_is_no_mean_heatmap() -> None:
    track = make_track(np.zeros(5))
    store = HeatmapStore()
    store.append(np.ones((5, 4, 4), np.float32))
    assert mean_evidence(track, store) is None


def test_unusable_faces_are_not_averaged() -> None:
    track, store = moving_face(np.ones((5, 4, 4), np.float32), quality_flags=1)
    assert mean_evidence(track, store) is None
