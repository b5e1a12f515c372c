"""Heatmaps come into one frame whatever the face does; parts of the face lie where they are."""

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
    mean_evidence,
    mean_face,
    region_of,
    region_of_cells,
    region_shares,
)
from fakelens.records.faces import Box
from fakelens.records.tracks import Track
from support.builders import make_track

# A frontal face of a mouth 40 pixels below the eyes, upright, with its eyes' middle at 0, 0.
FACE = np.array([(-18.8, 0), (18.8, 0), (0, 22), (-14.8, 40), (14.8, 40)], np.float32)
PLACES = {
    "eyes": (-18.8, -2),
    "nose": (0, 20),
    "mouth": (0, 40),
    "forehead": (0, -24),
    "cheeks": (22, 24),
    "jaw and boundary": (0, 64),
    "surroundings": (60, 20),
}


def turned(points: NDArray[np.floating], angle: float, size: float, x: float, y: float):
    """Points turned by degrees, made larger, and moved."""
    a = np.radians(angle)
    turn = size * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return (np.asarray(points) @ turn.T + (x, y)).astype(np.float32)


@pytest.mark.parametrize("name", REGION_NAMES)
@pytest.mark.parametrize("angle", [0, 35, 180])
def test_parts_lie_where_they_are_on_the_face(name: str, angle: float) -> None:
    landmarks = turned(FACE, angle, 2.5, 300, 200)
    x, y = turned([PLACES[name]], angle, 2.5, 300, 200)[0].tolist()
    # One cell, whose middle is the place.
    area = Box(x - 1, y - 1, x + 1, y + 1)
    assert REGION_NAMES[region_of_cells(landmarks, area, (1, 1))[0, 0]] == name


@given(
    angle=st.floats(-180, 180),
    size=st.floats(0.3, 20),
    x=st.floats(-1000, 5000),
    y=st.floats(-1000, 5000),
)
def test_the_frame_follows_the_face(angle: float, size: float, x: float, y: float) -> None:
    matrix = canonical_to_image(turned(FACE, angle, size, x, y))
    middle_of_mouth = matrix @ (0, 1, 1)
    wanted = turned([(0, 40)], angle, size, x, y)[0]
    np.testing.assert_allclose(middle_of_mouth, wanted, atol=0.01 * size * 40 + 0.01)


def test_the_similarity_is_the_one_of_least_squares() -> None:
    """OpenCV's estimate without outliers is the oracle, for landmarks that no similarity meets."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        landmarks = turned(FACE, rng.uniform(-40, 40), 3, 100, 100)
        landmarks += rng.normal(0, 3, landmarks.shape).astype(np.float32)
        template = np.array([(-0.47, 0), (0.47, 0), (0, 0.55), (-0.37, 1), (0.37, 1)])
        ours = canonical_to_image(landmarks)

        def miss(matrix: NDArray[np.float64], template=template, landmarks=landmarks) -> float:
            there = template @ matrix[:, :2].T + matrix[:, 2]
            return float(((there - landmarks) ** 2).sum())

        theirs, _ = cv2.estimateAffinePartial2D(template, landmarks, ransacReprojThreshold=1e6)
        assert miss(ours) <= miss(theirs) * 1.001
        # Nothing near it is better.
        for _ in range(20):
            a, b, x, y = rng.normal(0, 0.05, 4)
            assert miss(ours) <= miss(ours + np.array([[a, -b, x], [b, a, y]]))


def test_every_part_has_room_and_the_smaller_parts_come_first() -> None:
    points = np.stack(np.meshgrid(np.linspace(-1.5, 1.5, 90), np.linspace(-1.2, 1.9, 90)), -1)
    parts = np.bincount(region_of(points).ravel(), minlength=len(REGION_NAMES)) / 8100
    assert (parts > 0.01).all()
    assert parts[REGION_NAMES.index("surroundings")] < 0.6


def test_landmarks_that_coincide_leave_surroundings_only() -> None:
    nowhere = np.full((5, 2), 7, np.float32)
    assert (
        region_of_cells(nowhere, Box(0, 0, 10, 10), (4, 4)) == REGION_NAMES.index("surroundings")
    ).all()


@settings(max_examples=30, deadline=None)
@given(angle=st.floats(-60, 60), size=st.floats(1, 6), seed=st.integers(0, 99))
def test_evidence_at_the_mouth_is_at_the_mouth_however_the_head_is_held(
    angle: float, size: float, seed: int
) -> None:
    x, y = np.random.default_rng(seed).uniform(200, 800, 2).tolist()
    landmarks = turned(FACE, angle, size, x, y)
    half = 70 * size
    area = Box(x - half, y - half, x + half, y + half)
    mouth = turned([(0, 40)], angle, size, x, y)[0]
    cells = (np.indices((40, 40)).transpose(1, 2, 0)[..., ::-1] + 0.5) / 40
    places = cells * 2 * half + (area.x1, area.y1)
    heat = np.exp(-((places - mouth) ** 2).sum(axis=2) / (2 * (8 * size) ** 2)).astype(np.float32)
    there = align_heatmap(heat, landmarks, area)
    row, column = np.unravel_index(there.argmax(), there.shape)
    # The raster covers 3.2 units from (-1.6, -1.25) on.
    found = np.array([column + 0.5, row + 0.5]) * 3.2 / SIDE + (-1.6, -1.25)
    # Half a cell of the map, which is what a wrong centre of cells would cost, is 0.09.
    np.testing.assert_allclose(found, (0, 1), atol=0.06)


def test_a_face_is_brought_upright() -> None:
    image = np.full((400, 400, 3), 30, np.uint8)
    landmarks = turned(FACE, 70, 1.5, 200, 200)
    red, green = (turned([p], 70, 1.5, 200, 200)[0] for p in ((0, 40), (0, 0)))
    for place, channel in ((red, 0), (green, 1)):
        x, y = np.rint(place).astype(int)
        image[y - 8 : y + 9, x - 8 : x + 9, channel] = 250
    upright = align_face(image, landmarks, 128)
    rows, columns = np.nonzero(upright[..., 0] > 150)
    assert (columns.mean(), rows.mean()) == pytest.approx((64, (1 + 1.25) / 3.2 * 128), abs=2)
    rows, columns = np.nonzero(upright[..., 1] > 150)
    assert (columns.mean(), rows.mean()) == pytest.approx((64, 1.25 / 3.2 * 128), abs=2)
    same = mean_face([(image, landmarks)] * 3)
    np.testing.assert_array_equal(same, upright)


def moving(
    maps: NDArray[np.float32], quality_flags: int = 0, half: float = 80
) -> tuple[Track, HeatmapStore]:
    """A track of a face that grows and turns, with a map over each, of so many pixels to a side."""
    track = make_track(np.zeros(len(maps)), quality_flags=quality_flags, rate=10)
    for row in range(len(maps)):
        track.landmarks[row] = turned(FACE, 3 * row, 1 + row / 20, 100 + row, 100)
        track.areas[row] = (100 + row - half, 100 - half, 100 + row + half, 100 + half)
    store = HeatmapStore()
    store.append(maps)
    return track, store


def test_maps_of_one_pattern_agree_and_those_of_noise_do_not() -> None:
    noise = np.random.default_rng(0).normal(size=(12, 20, 20)).astype(np.float32)
    # That all maps are mostly negative, and end where the crop does, is no agreement.
    for offset in (0, -5, 5):
        track, store = moving(noise + np.float32(offset), half=50)
        mean = mean_evidence(track, store)
        assert mean is not None
        assert mean.agreement is not None
        assert abs(mean.agreement) < 0.25
    steady = np.zeros((12, 20, 20), np.float32)
    for row in range(12):
        labels = region_of_cells(track.landmarks[row], Box(*map(float, track.areas[row])), (20, 20))
        steady[row] = labels == REGION_NAMES.index("cheeks")
    track, store = moving(steady)
    mean = mean_evidence(track, store)
    assert mean is not None
    assert mean.agreement is not None
    assert mean.agreement > 0.7
    assert mean.values.shape == (SIDE, SIDE)


def test_shares_are_those_of_the_cells_that_carry_evidence() -> None:
    maps = np.zeros((30, 20, 20), np.float32)
    track, store = moving(maps)
    for row in range(30):
        labels = region_of_cells(track.landmarks[row], Box(*map(float, track.areas[row])), (20, 20))
        # The first second the mouth speaks for fake, then eyes and mouth; the forehead for real.
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
    # Half a second each: 2.9 seconds are six stretches.
    assert (found.start, found.step, len(found.fake_over_time)) == (0, 0.5, 6)
    eyes = found.fake_over_time[:, REGION_NAMES.index("eyes")]
    np.testing.assert_allclose(eyes, [0, 0, 0.25, 0.25, 0.25, 0.25], atol=1e-3)
    over_time = dict(zip(REGION_NAMES, found.contribution_over_time.T, strict=True))
    np.testing.assert_allclose(over_time["eyes"], [0, 0, 1, 1, 1, 1], atol=2e-3)
    np.testing.assert_allclose(over_time["forehead"], [-1] * 6, atol=2e-3)


def test_where_few_crops_reach_the_mean_is_of_those() -> None:
    track, store = moving(np.full((12, 20, 20), 2, np.float32), half=40)
    mean = mean_evidence(track, store)
    assert mean is not None
    seen = mean.values[mean.values != 0]
    np.testing.assert_allclose(seen, 2, rtol=1e-4)
    assert 0.3 < seen.size / mean.values.size < 1


@pytest.mark.parametrize("seconds", [2, 59, 61, 300])
def test_somebody_who_is_always_there_has_no_gaps_in_the_course(seconds: int) -> None:
    count = 10 * seconds
    track = make_track(np.zeros(count), rate=10, heatmaps=np.zeros(count))
    track.landmarks[:], track.areas[:] = turned(FACE, 0, 1, 100, 100), (20, 20, 180, 180)
    store = HeatmapStore()
    store.append(np.ones((1, 8, 8), np.float32))
    found = region_shares(track, store)
    assert (found.fake_over_time >= 0).all()
    assert len(found.fake_over_time) <= 60
    assert found.start + found.step * len(found.fake_over_time) >= track.times[-1] - 1e-6


def test_maps_need_not_be_square() -> None:
    labels = region_of_cells(turned(FACE, 0, 1, 100, 100), Box(20, 20, 180, 180), (10, 20))
    assert labels.shape == (10, 20)
    wide = np.zeros((10, 20), np.float32)
    wide[7, 10] = 1  # x = 104, y = 140: the mouth
    there = align_heatmap(wide, turned(FACE, 0, 1, 100, 100), Box(20, 20, 180, 180))
    row, column = np.unravel_index(there.argmax(), there.shape)
    found = np.array([column + 0.5, row + 0.5]) * 3.2 / SIDE + (-1.6, -1.25)
    np.testing.assert_allclose(found, (0.1, 1), atol=0.06)


def test_without_landmarks_there_is_no_frame() -> None:
    track = make_track(np.zeros(5))
    store = HeatmapStore()
    store.append(np.ones((5, 4, 4), np.float32))
    assert mean_evidence(track, store) is None


def test_faces_that_do_not_count_are_left_out() -> None:
    track, store = moving(np.ones((5, 4, 4), np.float32), quality_flags=1)
    assert mean_evidence(track, store) is None
