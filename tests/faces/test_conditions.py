"""Conditions under which a face is seen: turn of the head, detail, light and features."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakelens.faces.conditions import (
    CONDITIONS,
    feature_distance,
    head_turn,
    measure_conditions,
)
from fakelens.records.arrays import FloatArray
from support.canonical_face import LANDMARKS, place
from support.drawn_faces import draw_face

# Depth of eyes, nose tip and mouth corners towards the camera, in distances from eyes to mouth.
DEPTH = np.array([0, 0, 0.35, 0.05, 0.05])


def turned(degrees: float) -> FloatArray:
    """Return canonical landmarks of a head that is turned aside, seen from far away."""
    a = np.radians(degrees)
    x = np.cos(a) * LANDMARKS[:, 0] + np.sin(a) * DEPTH
    return np.stack([x, LANDMARKS[:, 1]], axis=1).astype(np.float32)


def mirrored(landmarks: FloatArray) -> FloatArray:
    """Mirror landmarks, so that left and right change places."""
    return (landmarks * np.float32([-1, 1]))[[1, 0, 2, 4, 3]]


# Turn


def test_a_frontal_face_is_not_turned_and_the_turn_grows() -> None:
    assert head_turn(turned(0)) == pytest.approx(0, abs=1e-6)
    turns = [head_turn(turned(degrees)) for degrees in range(0, 91, 10)]
    assert (np.diff(turns) > 0).all()
    # At 30 degrees the nose is 0.35 / 2 aside, and half-way down the mouth 0.05 / 2.
    line = 0.55 * 0.025  # of the line from the eyes to the mouth, at the height of the nose
    assert turns[3] == pytest.approx(0.175 - line, rel=0.01)


@pytest.mark.parametrize("degrees", [5, 25, 60])
def test_mirrored_faces_are_turned_as_far(degrees: float) -> None:
    assert head_turn(turned(-degrees)) == pytest.approx(head_turn(turned(degrees)), rel=1e-5)
    assert head_turn(mirrored(turned(degrees))) == pytest.approx(head_turn(turned(degrees)))


@settings(max_examples=50, deadline=None)
@given(
    degrees=st.floats(-80, 80),
    roll=st.floats(-180, 180),
    size=st.floats(5, 500),
    x=st.floats(0, 2000),
    y=st.floats(0, 2000),
)
def test_the_turn_does_not_depend_on_roll_place_and_size(
    degrees: float, roll: float, size: float, x: float, y: float
) -> None:
    landmarks = place(turned(degrees), roll, size, x, y)
    assert head_turn(landmarks) == pytest.approx(head_turn(turned(degrees)), abs=1e-3)


def test_coinciding_landmarks_have_no_turn() -> None:
    assert head_turn(np.full((5, 2), 7, np.float32)) == 0


# Light and detail


def measured(*crops: NDArray[np.uint8]) -> dict[str, float]:
    return measure_conditions(100, crops, [])


def sharp_face() -> NDArray[np.uint8]:
    """Return a drawn face with fine grain."""
    face = draw_face(0).astype(np.float32)
    grain = np.random.default_rng(1).normal(0, 10, (*face.shape[:2], 1))
    return np.clip(face + grain, 0, 255).astype(np.uint8)


def jpeg(crop: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    done, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].copy()


def test_blur_compression_and_enlargement_reduce_detail() -> None:
    face = sharp_face()
    blurred = [face, *(cv2.GaussianBlur(face, (0, 0), sigma) for sigma in (0.5, 1, 2, 4))]
    assert (np.diff([measured(crop)["detail"] for crop in blurred]) < 0).all()
    compressed = [face, *(jpeg(face, quality) for quality in (70, 40, 20, 10))]
    assert (np.diff([measured(crop)["detail"] for crop in compressed]) < 0).all()
    small = cv2.resize(face, (112, 112), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(small, (224, 224), interpolation=cv2.INTER_LINEAR)
    assert measured(enlarged)["detail"] < 0.5 * measured(face)["detail"]


def test_detail_is_the_variance_of_the_laplacian_over_that_of_the_luma() -> None:
    crop = sharp_face()
    luma = crop.astype(np.float64) @ (0.299, 0.587, 0.114)  # ITU-R BT.601
    padded = np.pad(luma, 1, mode="reflect")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    expected = (around - 4 * luma).var() / (luma.var() + 1)
    assert measured(crop)["detail"] == pytest.approx(expected, rel=0.02)
    assert measured(np.full((64, 64, 3), 90, np.uint8))["detail"] == 0


def test_conditions_are_medians_over_the_faces() -> None:
    crops = [np.full((64, 64, 3), level, np.uint8) for level in (10, 250, 40)]
    faces = [turned(50), turned(10), turned(20)]
    found = measure_conditions(50, crops, faces)
    # A face that is wider than the crop is reduced to it.
    assert found["width"] == 50
    assert found["brightness"] == 40
    assert found["turn"] == pytest.approx(head_turn(turned(20)))
    assert found["sharpness"] == 0
    crops = [sharp_face(), crops[0], cv2.GaussianBlur(sharp_face(), (0, 0), 4)]
    blurred = measured(crops[2])
    found = measured(*crops)
    assert found["detail"] == blurred["detail"] > 0
    assert found["sharpness"] == blurred["sharpness"] > 0
    # Red has more luma than blue.
    red, blue = np.zeros((2, 8, 8, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    assert measured(red)["brightness"] == pytest.approx(0.299 * 200, abs=1)
    assert measured(blue)["brightness"] == pytest.approx(0.114 * 200, abs=1)


def test_each_condition_but_the_features_is_measured() -> None:
    crop = sharp_face()
    assert set(measure_conditions(50, [crop], [turned(0)])) | {"features"} == set(CONDITIONS)
    assert set(measured(crop)) | {"features", "turn"} == set(CONDITIONS)


# Features


def test_the_distance_of_features_is_their_rms_in_standard_deviations() -> None:
    features, mean, deviation = [1.0, 5.0, -2.0, 0.0], [0.0, 3.0, -2.0, 1.5], [2.0, 0.5, 1.0, 3.0]
    # 1/2, 4, 0 and -1/2 deviations away.
    expected = ((0.25 + 16 + 0 + 0.25) / 4) ** 0.5
    found = feature_distance(np.array(features, np.float32), mean, deviation)
    assert found == pytest.approx(expected)
    assert feature_distance(np.array(mean, np.float32), mean, deviation) == 0


def test_a_feature_that_never_varied_counts_only_if_it_differs() -> None:
    same = feature_distance(np.float32([3, 1]), [3, 0], [0, 1])
    assert same == pytest.approx((1 / 2) ** 0.5)
    assert np.isfinite(feature_distance(np.float32([4, 1]), [3, 0], [0, 1]))
    assert feature_distance(np.float32([4, 1]), [3, 0], [0, 1]) > 1000
