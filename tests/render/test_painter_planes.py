"""Drawing on the planes of a video frame equals drawing on a picture."""

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakelens.media.planes import Planes
from fakelens.records.faces import Box
from fakelens.records.findings import Verdict
from fakelens.records.trust import TrustMark
from fakelens.render.overlay import Mark
from fakelens.render.painter import VERDICT_COLOURS, Canvas, Painter
from fakelens.render.style import Style
from support.painting import (
    OUTSIDE,
    STRENGTHS,
    Image,
    box_border,
    boxes,
    changed_pixels,
    grey_picture,
    label_area,
    make_mark,
    noise_picture,
    pixels_inside,
    squares,
    with_heatmaps,
)


def to_planes(image: Image, matrix: str = "bt709", *, full_range: bool = False) -> Planes:
    """Convert an RGB picture of even size to planes, with FFmpeg."""
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format="yuvj420p" if full_range else "yuv420p",
        dst_colorspace=Colorspace.ITU709 if matrix == "bt709" else Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
    )
    height, width = image.shape[:2]
    y, u, v = (
        np.frombuffer(memoryview(plane), np.uint8)
        .reshape(-1, plane.line_size)[: plane.height, : plane.width]
        .copy()
        for plane in frame.planes
    )
    assert (y.shape, u.shape) == ((height, width), (height // 2, width // 2))
    return Planes(y, u, v, matrix, full_range)


def paint_planes(planes: Planes, *marks: Mark, heat_only: bool = False, **style) -> None:
    canvas = Canvas((planes.y, planes.u, planes.v), planes.encode)
    painter = Painter(Style(**style), planes.encode, planes.y.shape[0])
    (painter.paint_heatmaps if heat_only else painter.paint)(canvas, marks)


def copy_planes(planes: Planes) -> list[Image]:
    return [plane.copy() for plane in (planes.y, planes.u, planes.v)]


def at_half_size(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the chroma samples that have any full-size pixel in the mask."""
    height, width = mask.shape
    return mask.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3))


HALF_SHAPES = st.tuples(st.integers(1, 150), st.integers(1, 150))


@given(HALF_SHAPES, squares(), STRENGTHS, boxes(), st.booleans())
def test_nothing_else_changes_in_a_video_frame(
    half: tuple[int, int], area: Box, strength: NDArray, box: Box, contour: bool
) -> None:
    shape = (2 * half[0], 2 * half[1])
    noise = noise_picture(*shape)
    planes = Planes(
        noise[..., 0].copy(), noise[::2, ::2, 1].copy(), noise[::2, ::2, 2].copy(), "bt601", False
    )
    before = copy_planes(planes)
    paint_planes(planes, make_mark(area, strength, box=box), evidence="both", contour=contour)
    allowed = pixels_inside(area, shape, margin=2) | box_border(box, shape) | label_area(box, shape)
    masks = (allowed, at_half_size(allowed), at_half_size(allowed))
    for plane, old, mask in zip((planes.y, planes.u, planes.v), before, masks, strict=True):
        assert not changed_pixels(old, plane)[~mask].any()


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_a_video_frame_gets_the_same_colours_as_a_picture(matrix: str, full_range: bool) -> None:
    """Drawing then converting equals converting then drawing, up to rounding and chroma size."""
    rows, columns = np.indices((160, 240))
    image = np.stack([60 + columns / 2, 50 + rows / 2, 200 - columns / 2], axis=2).astype(np.uint8)
    marks = [
        make_mark(Box(20, 40, 100, 120), 1),
        make_mark(Box(130, 40, 210, 120), -0.6, verdict=Verdict.REAL),
    ]
    planes = to_planes(image, matrix, full_range=full_range)
    paint_planes(planes, *marks, evidence="both", heat_only=True)
    wanted = to_planes(with_heatmaps(image, *marks, evidence="both"), matrix, full_range=full_range)
    untouched = to_planes(image, matrix, full_range=full_range)
    for mark in marks:
        area = mark.area
        for name, step in (("y", 1), ("u", 2), ("v", 2)):
            part = (
                slice(int(area.y1) // step + 2, int(area.y2) // step - 2),
                slice(int(area.x1) // step + 2, int(area.x2) // step - 2),
            )
            found, expected, before = (
                getattr(each, name)[part].astype(int) for each in (planes, wanted, untouched)
            )
            assert np.abs(expected - before).mean() > 3
            assert np.abs(found - expected).max() <= 3


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("x", [100, 101])
@pytest.mark.parametrize("y", [90, 91])
def test_all_four_sides_of_a_box_have_its_colour_in_a_video_frame(
    x: int, y: int, full_range: bool
) -> None:
    planes = to_planes(grey_picture(), "bt709", full_range=full_range)
    paint_planes(planes, make_mark(OUTSIDE, 0, box=Box(x, y, x + 80, y + 90)))
    colour = np.broadcast_to(np.uint8(VERDICT_COLOURS[Verdict.FAKE]), (16, 16, 3)).copy()
    wanted = to_planes(colour, "bt709", full_range=full_range)
    for name, step in (("y", 1), ("u", 2), ("v", 2)):
        plane, value = getattr(planes, name).astype(int), int(getattr(wanted, name)[4, 4])
        row, column = (y + 45) // step, (x + 40) // step
        across, down = np.abs(plane[row] - value) <= 2, np.abs(plane[:, column] - value) <= 2
        assert across[x // step : x // step + 2].any()
        assert across[(x + 80) // step - 2 : (x + 80) // step + 1].any()
        assert down[(y + 90) // step - 2 : (y + 90) // step + 1].any()
        assert not across[column]


@given(HALF_SHAPES, squares((1, 300)), st.sampled_from([0.3, 1]))
@settings(max_examples=50)
def test_heatmaps_are_aligned_on_all_planes(
    half: tuple[int, int], area: Box, strength: float
) -> None:
    shape = (2 * half[0], 2 * half[1])
    planes = to_planes(grey_picture(*shape))
    before = copy_planes(planes)
    paint_planes(planes, make_mark(area, strength), heat_only=True, opacity=1)
    y, u, v = (
        changed_pixels(old, new)
        for old, new in zip(before, (planes.y, planes.u, planes.v), strict=True)
    )
    np.testing.assert_array_equal(at_half_size(y), u | v)
    np.testing.assert_array_equal(y, at_half_size(y).repeat(2, axis=0).repeat(2, axis=1))


def test_hatching_is_drawn_in_video_frames_and_replaces_contours() -> None:
    image = grey_picture()
    mark = make_mark(Box(100, 60, 220, 180), trust=TrustMark.CHANCE)
    np.testing.assert_array_equal(
        with_heatmaps(image, mark, contour=True), with_heatmaps(image, mark)
    )
    planes = to_planes(image)
    before = copy_planes(planes)
    paint_planes(planes, mark, heat_only=True)
    assert 0.3 < (planes.y != before[0])[70:170, 110:210].mean() < 0.7
    assert np.abs(planes.u.astype(int) - 128).max() <= 1
