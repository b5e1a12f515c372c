"""Only what is looked at becomes RGB, and it is what the whole picture would have shown there."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakelens.data import Box, Face, Frame, RGBImage
from fakelens.pixels import DecodedPixels, luma, planes, shrunk
from fakelens.tracks import follow

PLANAR = [
    *("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le"),
]
ROTATIONS = (0, 90, 180, 270)


def noisy(format_name: str, width: int, height: int, seed: int) -> av.VideoFrame:
    """Every sample at random: the worst case for whoever takes a neighbour's."""
    rng = np.random.default_rng(seed)
    frame = av.VideoFrame(width, height, format_name)
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8))
    if "10" in format_name:
        for view in planes(frame):
            np.bitwise_and(view, 1023, out=view)
    return frame


def whole(frame: av.VideoFrame, rotation: int) -> RGBImage:
    return np.rot90(frame.to_ndarray(format="rgb24"), rotation // 90)


def picture(width: int, height: int) -> RGBImage:
    """Blobs of colour, smooth enough for chroma at half size."""
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 12).astype(float)
    return np.clip(128 + 12 * (blurred - 128), 0, 255).astype(np.uint8)


@given(
    format_name=st.sampled_from([*PLANAR, "bgra", "gbrp", "nv12", "gray"]),
    rotation=st.sampled_from(ROTATIONS),
    size=st.tuples(st.integers(2, 400), st.integers(2, 300)),
    even=st.booleans(),
    share=st.tuples(*[st.floats(0, 1)] * 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=400, deadline=None)
def test_a_part_is_that_part_of_the_whole(
    format_name: str,
    rotation: int,
    size: tuple[int, int],
    even: bool,
    share: tuple[float, float, float, float],
    seed: int,
) -> None:
    width, height = (2 * side for side in size) if even else size
    frame = noisy(format_name, width, height, seed)
    expected = whole(frame, rotation)
    pixels = DecodedPixels(frame, rotation)
    rows, columns = expected.shape[:2]
    top, left = int(share[0] * (rows - 1)), int(share[1] * (columns - 1))
    bottom = top + 1 + int(share[2] * (rows - top - 1))
    right = left + 1 + int(share[3] * (columns - left - 1))

    assert pixels.shape == expected.shape
    np.testing.assert_array_equal(pixels[top:bottom, left:right], expected[top:bottom, left:right])
    np.testing.assert_array_equal(np.asarray(pixels), expected)


@pytest.mark.parametrize("format_name", PLANAR)
def test_where_chroma_is_interpolated_it_is_from_beyond_the_part(format_name: str) -> None:
    frame = noisy(format_name, 320, 240, 2)
    # Nothing need be added to these corners but for what is interpolated.
    part = DecodedPixels(frame, 0)[64:128, 96:160]
    np.testing.assert_array_equal(part, whole(frame, 0)[64:128, 96:160])


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("full_range", [1, 2])
def test_a_part_has_the_colours_that_the_frame_is_tagged_with(matrix: int, full_range: int) -> None:
    frame = noisy("yuv420p", 320, 240, 1)
    frame.colorspace, frame.color_range = matrix, full_range
    part = DecodedPixels(frame, 0)[50:150, 70:201]
    np.testing.assert_array_equal(part, whole(frame, 0)[50:150, 70:201])


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("format_name", ["yuv420p", "yuv444p", "yuv420p10le", "bgra"])
def test_a_small_picture_is_the_mean_of_what_it_covers(format_name: str, rotation: int) -> None:
    frame = av.VideoFrame.from_ndarray(picture(960, 540), format="rgb24")
    pixels = DecodedPixels(frame.reformat(format=format_name), rotation)
    small = np.asarray(shrunk(pixels, 320))
    upright = np.rot90(picture(960, 540), rotation // 90)
    expected = cv2.resize(upright, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert max(small.shape) == 320
    assert np.abs(small.astype(int) - expected).mean() < 3
    assert np.ptp(expected.astype(int)) > 100


def test_a_picture_that_is_small_enough_stays_as_it_is() -> None:
    frame = noisy("yuv420p", 200, 100, 5)
    kept = np.asarray(shrunk(DecodedPixels(frame, 90), 200))
    np.testing.assert_array_equal(kept, whole(frame, 90))


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("format_name", ["yuv420p", "yuvj422p", "yuv444p10le", "bgra"])
def test_luma_is_sampled_in_the_middle_of_its_cells(format_name: str, rotation: int) -> None:
    grey = np.repeat(picture(400, 300)[:, :, :1], 3, axis=2)
    frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format=format_name)
    sampled = luma(DecodedPixels(frame, rotation), 6, 10)
    expected = np.rot90(grey, rotation // 90)[3::6, 5::10, 0]
    assert sampled.shape == expected.shape
    assert np.abs(sampled.astype(int) - expected).max() <= 3
    assert np.ptp(sampled.astype(int)) > 100


class _Corner:
    """Says that there is a face in the picture's left upper quarter."""

    name = "corner"
    sure_confidence = 0.5

    def __init__(self, longest_side: int | None) -> None:
        if longest_side is not None:
            self.longest_side = longest_side
        self.seen: list[tuple[int, ...]] = []

    def detect(self, images: list[RGBImage]) -> list[list[Face]]:
        self.seen += [image.shape for image in images]
        return [
            [Face(Box(0, 0, i.shape[1] / 2, i.shape[0] / 2), np.ones((5, 2), np.float32), 1.0)]
            for i in images
        ]


@pytest.mark.parametrize(
    ("longest_side", "seen", "landmark"),
    [(None, (300, 400, 3), 1.0), (200, (150, 200, 3), 2.0), (500, (300, 400, 3), 1.0)],
)
def test_a_detector_sees_pictures_as_large_as_it_wants(
    longest_side: int | None, seen: tuple[int, ...], landmark: float
) -> None:
    detector = _Corner(longest_side)
    pixels = DecodedPixels(noisy("yuv420p", 400, 300, 0), 0)
    frames = [Frame(index, Fraction(index, 25), pixels) for index in range(2)]
    for followed in follow(frames, detector, every=1):
        (tracked,) = followed.faces
        assert tracked.face.box == Box(0, 0, 200, 150)
        np.testing.assert_allclose(tracked.face.landmarks, landmark)
    assert detector.seen == [seen, seen]
