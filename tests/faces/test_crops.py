from itertools import islice
from math import cos, sin
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.dlib_hog import DlibHog
from fakelens.faces.quality import QualityFlag, QualityGates, quality_flags, sharpness
from fakelens.faces.yunet import YuNet
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, CropGeometry, Face

WHOLE_BOX = CropGeometry("box", 1.0)
coordinate = st.floats(-500, 2500)
length = st.floats(4, 800)
boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h), coordinate, coordinate, length, length
)
scales = st.floats(0.5, 3)


def noise(height: int, width: int, seed: int = 0) -> RGBImage:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def crop_of_padded(image: RGBImage, x: int, y: int, side: int) -> RGBImage:
    """Crop the square at x, y from the picture padded in all directions with its edge pixels."""
    around = abs(x) + abs(y) + side + max(image.shape)
    wide = np.pad(image, ((around, around), (around, around), (0, 0)), mode="edge")
    return wide[around + y : around + y + side, around + x : around + x + side]


def upright_landmarks(x: float, y: float, distance: float) -> np.ndarray:
    """Return landmarks with eyes and mouth ``distance`` apart, centred between them on x, y."""
    half = distance / 2
    points = [(-20, -half), (20, -half), (0, 0), (-12, half), (12, half)]
    return np.array(points, np.float32) + np.array([x, y], np.float32)


@settings(deadline=None)
@given(boxes, scales)
def test_the_crop_of_a_box_has_its_longer_side(box: Box, scale: float) -> None:
    area = crop_area(Face(box, None, 1.0), CropGeometry("box", scale))
    assert area.width == pytest.approx(area.height)
    assert area.width == pytest.approx(scale * max(box.width, box.height))
    assert area.center == pytest.approx(box.center, abs=1e-6)


@settings(deadline=None)
@given(st.floats(0, 2000), st.floats(0, 2000), st.floats(10, 300), scales, st.floats(-3, 3))
def test_dlibs_square_follows_from_the_landmarks(
    x: float, y: float, distance: float, scale: float, turn: float
) -> None:
    rotation = np.array([[cos(turn), sin(turn)], [-sin(turn), cos(turn)]])
    landmarks = (upright_landmarks(0, 0, distance) @ rotation + [x, y]).astype(np.float32)
    far_away = Box(5000, 5000, 5010, 5010)
    area = crop_area(Face(far_away, landmarks, 1.0), CropGeometry("dlib", scale))
    assert area.width == pytest.approx(area.height)
    assert area.width == pytest.approx(scale * 2.31 * distance, rel=1e-3)
    assert area.center == pytest.approx((x, y), abs=0.01)


def test_without_landmarks_the_box_is_taken_as_dlibs_square() -> None:
    face = Face(Box(10, 20, 110, 120), None, 1.0)
    assert crop_area(face, CropGeometry("dlib", 1.2)) == Box(0, 10, 120, 130)


@settings(deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(-90, 90), st.integers(-90, 90),
    st.integers(1, 60),
)  # fmt: skip
def test_edge_pixels_are_repeated_outside_the_picture(
    height: int, width: int, x: int, y: int, side: int
) -> None:
    image = noise(height, width)
    crop = extract_crop(image, Box(x, y, x + side, y + side), side)
    np.testing.assert_array_equal(crop, crop_of_padded(image, x, y, side))


@pytest.mark.parametrize("size", [32, 300])
@pytest.mark.parametrize(
    ("x", "y"), [(-40, 60), (110, 60), (60, -40), (60, 110), (-40, -40), (-500, 60), (0, 0)]
)
def test_a_resized_crop_beyond_the_edge_is_not_stretched(x: int, y: int, size: int) -> None:
    image, side = noise(150, 150), 150 if x == y == 0 else 90
    interpolation = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    expected = cv2.resize(
        crop_of_padded(image, x, y, side), (size, size), interpolation=interpolation
    )
    crop = extract_crop(image, Box(x, y, x + side, y + side), size)
    np.testing.assert_array_equal(crop, expected)


@settings(deadline=None)
@given(boxes, st.integers(-40, 40), st.integers(-40, 40))
def test_a_shifted_face_gets_a_shifted_crop(box: Box, dx: int, dy: int) -> None:
    # Multiples of 1/4, so that shifts by whole pixels are exact, including ties.
    x, y = round(box.x1 % 60 * 4) / 4, round(box.y1 % 60 * 4) / 4
    side = 2 + box.width % 40 // 1
    image = noise(200, 200)
    shifted = np.roll(image, (dy, dx), axis=(0, 1))
    x, y = x + 50, y + 50  # no pixels that are rolled over the edge appear in the crop
    here = extract_crop(image, Box(x, y, x + side, y + side), 24)
    there = extract_crop(shifted, Box(x + dx, y + dy, x + side + dx, y + side + dy), 24)
    np.testing.assert_array_equal(here, there)


def test_shrinking_averages_pixels() -> None:
    image = noise(96, 96)
    means = image.reshape(24, 4, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(extract_crop(image, Box(0, 0, 96, 96), 24) - means).max() <= 0.51


def test_enlarging_stays_within_the_range_of_values() -> None:
    image = noise(20, 20).clip(100, 140)
    crop = extract_crop(image, Box(0, 0, 20, 20), 200)
    assert crop.min() >= 100
    assert crop.max() <= 140


@pytest.mark.parametrize("size", [20, 40])
def test_a_crop_does_not_share_the_pictures_memory(size: int) -> None:
    image = noise(60, 60)
    before = image.copy()
    extract_crop(image, Box(10, 10, 50, 50), size)[:] = 0
    np.testing.assert_array_equal(image, before)


def test_only_squares_can_be_cropped() -> None:
    with pytest.raises(ValueError, match="square"):
        extract_crop(noise(50, 50), Box(0, 0, 40, 30), 32)


@pytest.fixture(scope="module")
def portrait() -> RGBImage:
    """The face of scikit-image's astronaut, 256 x 256."""
    return extract_crop(data.astronaut(), Box(150, 45, 300, 195), 256)


def test_blur_lowers_sharpness(portrait: RGBImage) -> None:
    values = [sharpness(cv2.GaussianBlur(portrait, (0, 0), s)) for s in (0.3, 2, 4, 8, 16)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 4 * values[2]


def test_sharpness_ignores_size_and_dim_light(portrait: RGBImage) -> None:
    reference = sharpness(portrait)
    half = cv2.resize(portrait, (128, 128), interpolation=cv2.INTER_AREA)
    assert sharpness(half) == pytest.approx(reference, rel=0.15)
    assert sharpness(portrait // 3) == pytest.approx(reference, rel=0.15)


def test_a_flat_picture_has_no_sharpness() -> None:
    assert sharpness(np.full((40, 40, 3), 128, np.uint8)) == 0


@pytest.mark.parametrize(
    ("side", "blur", "confidence", "expected"),
    [
        (100, 0, 0.9, QualityFlag(0)),
        (47, 0, 0.9, QualityFlag.SMALL),
        (100, 16, 0.9, QualityFlag.BLURRED),
        (100, 0, 0.7, QualityFlag.LOW_CONFIDENCE),
        (47, 16, 0.7, QualityFlag.SMALL | QualityFlag.BLURRED | QualityFlag.LOW_CONFIDENCE),
    ],
)
def test_each_gate_sets_its_flag(
    portrait: RGBImage, side: int, blur: int, confidence: float, expected: QualityFlag
) -> None:
    crop = cv2.GaussianBlur(portrait, (0, 0), blur) if blur else portrait
    flags = quality_flags(
        Face(Box(0, 0, side, 120), None, confidence), sharpness(crop), QualityGates(0.8)
    )
    assert flags == expected
    assert len(flags.descriptions) == len(list(expected))


def test_flags_have_descriptions() -> None:
    assert (QualityFlag.SMALL | QualityFlag.LOW_CONFIDENCE).descriptions == (
        "the face is too small",
        "the detection may not be a face",
    )


def sampled(file: Path, count: int, step: int) -> list[RGBImage]:
    with av.open(file) as container:
        frames = islice(container.decode(video=0), 2, 2 + count * step, step)
        return [frame.to_ndarray(format="rgb24") for frame in frames]


@pytest.mark.shared
def test_landmarks_predict_dlibs_square(shared_data: Path) -> None:
    yunet, dlib = YuNet(), DlibHog()
    ratios, offsets = [], []
    for clip in (
        "celebdf_id51_0002_real_0007",
        "celebdf_id58_0002_real_0009",
        "ffpp_519_real_0019",
        "lp_d5_real_0053",
        "lp_d10_real_0047",
        "retalk_3_real_0042",
        "hdtf_RD_Radio34_000_real_0039",
    ):
        images = sampled(shared_data / "videos" / f"{clip}.mp4", 4, 30)
        for faces, squares in zip(yunet.detect(images), dlib.detect(images), strict=True):
            area = crop_area(faces[0], CropGeometry("dlib", 1.0))
            square = crop_area(squares[0], WHOLE_BOX)
            ratios.append(area.width / square.width)
            offsets.append(np.subtract(area.center, square.center) / square.width)
    assert np.median(ratios) == pytest.approx(1, abs=0.05)
    # The sizes of dlib's squares come in steps of a factor of 1.2.
    assert np.sqrt(np.mean(np.square(np.subtract(ratios, 1)))) < 0.12
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.03
    assert np.abs(offsets).max() < 0.12


@pytest.mark.shared
@pytest.mark.parametrize("scale", [1.0, 1.3])
def test_the_gates_separate_sharp_faces_from_blurred_ones(shared_data: Path, scale: float) -> None:
    yunet = YuNet()
    gates = QualityGates(yunet.sure_confidence)
    sharp, blurred = [], []
    for clip in (
        "celebdf_id58_0002_fake_0003",
        "dfdctest_5_real_0028",
        "ffpp_519_real_0019",
        "lp_d14_real_0048",
        "retalk_5_real_0044",
    ):
        images = sampled(shared_data / "videos" / f"{clip}.mp4", 3, 40)
        for image, (face, *_) in zip(images, yunet.detect(images), strict=True):
            area = crop_area(face, CropGeometry("box", scale))
            sharp.append(quality_flags(face, sharpness(extract_crop(image, area, 224)), gates))
            soft = cv2.GaussianBlur(image, (0, 0), 0.04 * face.box.width)
            blurred.append(quality_flags(face, sharpness(extract_crop(soft, area, 224)), gates))
    assert sharp == [QualityFlag(0)] * 15
    assert blurred == [QualityFlag.BLURRED] * 15
