"""Partial and scaled conversion to RGB equals conversion of the whole frame."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakelens.faces.tracking import track_faces
from fakelens.media.pixels import luma, planes, shrink, upright_pixels
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face
from fakelens.records.media import Frame

PLANAR = [
    *("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le"),
]
OTHERS = ["bgra", "gbrp", "nv12", "gray", "pal8", "monob", "rgb8", "yuv411p", "yuva420p", "p010le"]
ROTATIONS = (0, 90, 180, 270)


def noisy(format_name: str, width: int, height: int, seed: int) -> av.VideoFrame:
    """Create a frame of random samples, in which every misplaced sample is noticed."""
    rng = np.random.default_rng(seed)
    frame = av.VideoFrame(width, height, format_name)
    for plane in frame.planes:
        plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8))
    if "10" in format_name:
        for view in planes(frame):
            np.bitwise_and(view, 1023, out=view)
    return frame


def whole(frame: av.VideoFrame, rotation: int, mirrored: bool = False) -> RGBImage:
    turned = np.rot90(frame.to_ndarray(format="rgb24"), rotation // 90)
    return np.fliplr(turned) if mirrored else turned


def picture(width: int, height: int) -> RGBImage:
    """Draw blobs of colour, smooth enough for chroma at half size."""
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 12).astype(float)
    return np.clip(128 + 12 * (blurred - 128), 0, 255).astype(np.uint8)


@given(
    format_name=st.sampled_from([*PLANAR, *OTHERS]),
    rotation=st.sampled_from(ROTATIONS),
    mirrored=st.booleans(),
    size=st.tuples(st.integers(2, 400), st.integers(2, 300)),
    even=st.booleans(),
    share=st.tuples(*[st.floats(0, 1)] * 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=400, deadline=None)
def test_a_part_equals_that_part_of_the_whole_frame(
    format_name: str,
    rotation: int,
    mirrored: bool,
    size: tuple[int, int],
    even: bool,
    share: tuple[float, float, float, float],
    seed: int,
) -> None:
    width, height = (2 * side for side in size) if even else size
    frame = noisy(format_name, width, height, seed)
    expected = whole(frame, rotation, mirrored)
    pixels = upright_pixels(frame, rotation, mirrored=mirrored)
    rows, columns = expected.shape[:2]
    top, left = int(share[0] * (rows - 1)), int(share[1] * (columns - 1))
    bottom = top + 1 + int(share[2] * (rows - top - 1))
    right = left + 1 + int(share[3] * (columns - left - 1))

    assert pixels.shape == expected.shape
    np.testing.assert_array_equal(pixels[top:bottom, left:right], expected[top:bottom, left:right])
    np.testing.assert_array_equal(np.asarray(pixels), expected)


@pytest.mark.parametrize("format_name", PLANAR)
def test_chroma_is_interpolated_beyond_the_edges_of_a_part(format_name: str) -> None:
    frame = noisy(format_name, 320, 240, 2)
    # These corners are aligned: only the interpolation needs pixels beyond them.
    part = upright_pixels(frame, 0)[64:128, 96:160]
    np.testing.assert_array_equal(part, whole(frame, 0)[64:128, 96:160])


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("full_range", [1, 2])
def test_a_part_is_converted_by_the_colour_tags_of_the_frame(matrix: int, full_range: int) -> None:
    frame = noisy("yuv420p", 320, 240, 1)
    frame.colorspace, frame.color_range = matrix, full_range
    part = upright_pixels(frame, 0)[50:150, 70:201]
    np.testing.assert_array_equal(part, whole(frame, 0)[50:150, 70:201])


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("format_name", ["yuv420p", "yuv444p", "yuv420p10le", "bgra", "rgb48le"])
def test_a_shrunk_picture_is_averaged_by_area(format_name: str, rotation: int) -> None:
    frame = av.VideoFrame.from_ndarray(picture(960, 540), format="rgb24")
    frame = frame.reformat(format=format_name)
    small = np.asarray(shrink(upright_pixels(frame, rotation), 320))
    expected = cv2.resize(whole(frame, rotation), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert max(small.shape) == 320
    # Chroma at half of a third of the size is coarse, and these colours are strong.
    limit = 2 if "420" in format_name else 0.7
    assert np.abs(small.astype(int) - expected).mean() < limit
    assert np.ptp(expected.astype(int)) > 100


@pytest.mark.parametrize("format_name", ["pal8", "monob", "rgb8"])
def test_pictures_with_a_palette_are_shrunk_in_rgb(format_name: str) -> None:
    frame = noisy(format_name, 960, 540, 4)
    small = np.asarray(shrink(upright_pixels(frame, 0), 320))
    expected = cv2.resize(whole(frame, 0), (320, 180), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(small, expected, atol=1)


def test_a_picture_stored_upside_down_is_read(tmp_path: Path) -> None:
    """FFmpeg's AMV decoder returns rows from bottom to top, with a negative line size."""
    path = tmp_path / "toy.nut"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("amv", rate=15)
        stream.width, stream.height, stream.pix_fmt = 800, 608, "yuvj420p"
        stream.options = {"strict": "-1"}
        frame = av.VideoFrame.from_ndarray(picture(800, 608), format="rgb24")
        output.mux(stream.encode(frame.reformat(format="yuvj420p")))
        output.mux(stream.encode(None))
    with open_video(path) as reader:
        assert reader.first_frame().planes[0].line_size < 0
        (read,) = reader.frames()
    assert np.abs(read.image.astype(int) - picture(800, 608)).mean() < 8
    assert np.abs(read.pixels[8:40, 16:64].astype(int) - read.image[8:40, 16:64]).max() == 0
    assert luma(read.pixels, 6, 10).shape == (101, 80)


@pytest.mark.parametrize("longest_side", [33, 34, 199, 200])
def test_no_side_is_longer_than_requested(longest_side: int) -> None:
    assert max(shrink(np.zeros((10, 1000, 3), np.uint8), longest_side).shape) <= longest_side


def test_a_picture_that_is_small_enough_is_not_changed() -> None:
    frame = noisy("yuv420p", 200, 100, 5)
    kept = np.asarray(shrink(upright_pixels(frame, 90), 200))
    np.testing.assert_array_equal(kept, whole(frame, 90))


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("format_name", ["yuv420p", "yuvj422p", "yuv444p10le", "bgra"])
def test_luma_is_sampled_at_the_centre_of_each_cell(format_name: str, rotation: int) -> None:
    grey = np.repeat(picture(400, 300)[:, :, :1], 3, axis=2)
    frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format=format_name)
    sampled = luma(upright_pixels(frame, rotation), 6, 10)
    expected = np.rot90(grey, rotation // 90)[3::6, 5::10, 0]
    assert sampled.shape == expected.shape
    assert np.abs(sampled.astype(int) - expected).max() <= 3
    assert np.ptp(sampled.astype(int)) > 100


class _CornerDetector:
    """Reports a face in the upper left quarter of every picture."""

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
def test_a_detector_gets_pictures_of_its_longest_side(
    longest_side: int | None, seen: tuple[int, ...], landmark: float
) -> None:
    detector = _CornerDetector(longest_side)
    pixels = upright_pixels(noisy("yuv420p", 400, 300, 0), 0)
    frames = [(Frame(index, Fraction(index, 25), pixels), index == 0) for index in range(2)]
    for tracked_frame in track_faces(frames, detector, every=1):
        (tracked,) = tracked_frame.faces
        assert tracked.face.box == Box(0, 0, 200, 150)
        np.testing.assert_allclose(tracked.face.landmarks, landmark)
    assert detector.seen == [seen, seen]
