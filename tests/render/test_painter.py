"""Drawing on a picture: the right colours in the right place, and not one pixel elsewhere."""

from collections.abc import Sequence

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakelens.errors import UsageError
from fakelens.media.planes import Planes
from fakelens.records.faces import Box
from fakelens.records.findings import Verdict
from fakelens.records.trust import TrustMark
from fakelens.render.overlay import Mark
from fakelens.render.painter import VERDICT_COLOURS, Canvas, Painter
from fakelens.render.style import COLORMAPS, Style

Image = NDArray[np.uint8]
FAR = Box(-900, -900, -800, -800)


def picture(height: int = 240, width: int = 320, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grey(height: int = 240, width: int = 320) -> Image:
    return np.full((height, width, 3), 90, dtype=np.uint8)


def make_mark(
    area: Box, strength: float | NDArray[np.floating] = 1, *, box: Box | None = None, **rest
) -> Mark:
    values = np.asarray(strength, dtype=np.float32)
    if values.ndim == 0:
        values = np.full((8, 8), values)
    known = {"person": 1, "verdict": Verdict.FAKE, "score": 0.9} | rest
    return Mark(box=box or area, area=area, strength=values, **known)


def heated(image: Image, *marks: Mark, **style) -> Image:
    """A copy with the heatmaps drawn on it."""
    drawn = image.copy()
    canvas = Canvas.of_rgb(drawn)
    Painter(Style(**style), canvas.encode, image.shape[0]).paint_heatmaps(canvas, marks)
    return drawn


def painted(image: Image, *marks: Mark, **style) -> Image:
    """A copy with everything drawn on it."""
    drawn = image.copy()
    canvas = Canvas.of_rgb(drawn)
    Painter(Style(**style), canvas.encode, image.shape[0]).paint(canvas, marks)
    return drawn


def changed(before: Image, after: Image) -> NDArray[np.bool_]:
    return (before != after).reshape(*before.shape[:2], -1).any(axis=2)


def inside(box: Box, shape: Sequence[int], margin: float = 0) -> NDArray[np.bool_]:
    """Pixels of a picture that a box, grown by a margin, touches."""
    rows, columns = np.indices(shape[:2])
    return (
        (columns + 1 > box.x1 - margin)
        & (columns < box.x2 + margin)
        & (rows + 1 > box.y1 - margin)
        & (rows < box.y2 + margin)
    )


def label_room(box: Box, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Where the label may be in a small picture: above the box, pushed back into the picture."""
    height, width = shape[:2]
    top = min(max(box.y1 - 25, 0), max(height - 25, 0))
    left = min(max(box.x1 - 1, 0), max(width - 190, 0))
    return inside(Box(left, top, left + 190, top + 25), shape, margin=1)


def hollow(box: Box, shape: Sequence[int]) -> NDArray[np.bool_]:
    """The border of a box."""
    deep = min(box.width, box.height) > 8
    core = Box(box.x1 + 4, box.y1 + 4, box.x2 - 4, box.y2 - 4) if deep else None
    border = inside(box, shape, margin=1)
    return border & ~inside(core, shape) if core else border


@st.composite
def boxes(draw: st.DrawFn, sizes: tuple[float, float] = (0.01, 700)) -> Box:
    """Anywhere in, across and around a picture of some 300 pixels."""
    x, y = draw(st.floats(-400, 400)), draw(st.floats(-400, 400))
    return Box(x, y, x + draw(st.floats(*sizes)), y + draw(st.floats(*sizes)))


@st.composite
def squares(draw: st.DrawFn, sizes: tuple[float, float] = (0.01, 700)) -> Box:
    x, y, side = (draw(st.floats(*limits)) for limits in ((-400, 400), (-400, 400), sizes))
    return Box(x, y, x + side, y + side)


SHAPES = st.tuples(st.integers(1, 300), st.integers(1, 300))
STRENGTHS = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).uniform(-1, 1, (7, 7))
)


@given(SHAPES, squares(), STRENGTHS, st.booleans())
def test_heat_stays_in_its_area(
    shape: tuple[int, int], area: Box, strength: NDArray, contour: bool
) -> None:
    image = picture(*shape)
    drawn = heated(image, make_mark(area, strength), evidence="both", contour=contour)
    # The area's corners go to the nearest even pixel.
    assert not changed(image, drawn)[~inside(area, shape, margin=2)].any()


@given(SHAPES, boxes())
def test_the_box_and_the_label_stay_in_their_places(shape: tuple[int, int], box: Box) -> None:
    image = picture(*shape)
    drawn = painted(image, make_mark(FAR, 0, box=box))
    allowed = hollow(box, shape) | label_room(box, shape)
    assert not changed(image, drawn)[~allowed].any()


def yuv(image: Image, matrix: str = "bt709", *, full_range: bool = False) -> Planes:
    """An RGB picture of even size as planes, converted by FFmpeg."""
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


def copies(planes: Planes) -> list[Image]:
    return [plane.copy() for plane in (planes.y, planes.u, planes.v)]


def at_half_size(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Chroma samples of which any full-size pixel is in the mask."""
    height, width = mask.shape
    return mask.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3))


HALF_SHAPES = st.tuples(st.integers(1, 150), st.integers(1, 150))


@given(HALF_SHAPES, squares(), STRENGTHS, boxes(), st.booleans())
def test_in_a_video_frame_too_nothing_else_changes(
    half: tuple[int, int], area: Box, strength: NDArray, box: Box, contour: bool
) -> None:
    shape = (2 * half[0], 2 * half[1])
    noise = picture(*shape)
    planes = Planes(
        noise[..., 0].copy(), noise[::2, ::2, 1].copy(), noise[::2, ::2, 2].copy(), "bt601", False
    )
    before = copies(planes)
    paint_planes(planes, make_mark(area, strength, box=box), evidence="both", contour=contour)
    allowed = inside(area, shape, margin=2) | hollow(box, shape) | label_room(box, shape)
    masks = (allowed, at_half_size(allowed), at_half_size(allowed))
    for plane, old, mask in zip((planes.y, planes.u, planes.v), before, masks, strict=True):
        assert not changed(old, plane)[~mask].any()


@pytest.mark.parametrize(
    ("x", "y"), [(-40, 80), (280, 80), (120, -40), (120, 200), (-40, -40), (280, 200)]
)
def test_at_an_edge_the_part_that_is_in_the_picture_is_drawn(x: int, y: int) -> None:
    """As it would be in a larger picture, of which this one is a part."""
    big = picture(400, 480)
    small = big[80:320, 80:400]
    strength = np.random.default_rng(3).uniform(-1, 1, (8, 8))
    area = Box(x, y, x + 80, y + 80)
    shifted = Box(x + 80, y + 80, x + 160, y + 160)
    on_small = heated(small, make_mark(area, strength), evidence="both")
    on_big = heated(big, make_mark(shifted, strength), evidence="both")
    assert changed(small, on_small).any()
    np.testing.assert_array_equal(on_small, on_big[80:320, 80:400])


@pytest.mark.parametrize(
    "box", [Box(-90, 50, -10, 130), Box(330, 50, 410, 130), Box(100, -90, 180, -5)]
)
def test_a_face_outside_leaves_the_picture_alone_but_for_its_label(box: Box) -> None:
    image = picture()
    np.testing.assert_array_equal(heated(image, make_mark(box)), image)
    assert not changed(image, painted(image, make_mark(box)))[~label_room(box, image.shape)].any()


@pytest.mark.parametrize("side", [0.01, 1, 3, 4000])
def test_tiny_and_huge_faces_are_drawn(side: float) -> None:
    area = Box(160 - side / 2, 120 - side / 2, 160 + side / 2, 120 + side / 2)
    difference = changed(grey(), painted(grey(), make_mark(area)))
    assert difference[118:123, 158:163].any()


def halves() -> NDArray[np.float32]:
    """Evidence of fake on the left, of real on the right."""
    return np.repeat(np.float32([[1, -1]]), 4, axis=1).repeat(8, axis=0)


AREA = Box(100, 60, 180, 140)
LEFT, RIGHT = (slice(62, 138), slice(102, 134)), (slice(62, 138), slice(146, 178))


@pytest.mark.parametrize(
    ("evidence", "left", "right"),
    [("fake", True, False), ("real", False, True), ("both", True, True)],
)
def test_only_the_evidence_asked_for_is_drawn(evidence: str, left: bool, right: bool) -> None:
    difference = changed(grey(), heated(grey(), make_mark(AREA, halves()), evidence=evidence))
    assert (difference[LEFT].all(), difference[RIGHT].all()) == (left, right)
    assert (difference[LEFT].any(), difference[RIGHT].any()) == (left, right)


def test_evidence_of_real_is_blue_and_of_fake_is_warm() -> None:
    drawn = heated(grey(), make_mark(AREA, 0.5 * halves()), evidence="both").astype(int)
    fake, real = drawn[LEFT].mean(axis=(0, 1)), drawn[RIGHT].mean(axis=(0, 1))
    assert fake[0] > fake[2] + 20
    assert real[2] > real[0] + 20


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_the_strongest_evidence_has_the_last_colour_of_the_map_at_full_opacity(
    colormap: str,
) -> None:
    drawn = heated(picture(), make_mark(AREA, 1), opacity=1, colormap=colormap)
    last = cv2.applyColorMap(np.uint8([[255]]), getattr(cv2, f"COLORMAP_{colormap.upper()}"))[
        0, 0, ::-1
    ]
    np.testing.assert_array_equal(drawn[LEFT], np.broadcast_to(last, drawn[LEFT].shape))


def test_opacity_is_the_share_of_the_colour() -> None:
    full = heated(grey(), make_mark(AREA, 1), opacity=1)[100, 120].astype(float)
    quarter = heated(grey(), make_mark(AREA, 1), opacity=0.25)[100, 120]
    np.testing.assert_allclose(quarter, 90 + 0.25 * (full - 90), atol=1)


def test_opacity_zero_draws_no_heat() -> None:
    image = picture()
    drawn = heated(image, make_mark(AREA, halves()), opacity=0, evidence="both")
    np.testing.assert_array_equal(drawn, image)


def test_stronger_evidence_is_more_opaque_and_none_is_invisible() -> None:
    image = picture()
    moved = [
        np.abs(heated(image, make_mark(AREA, s), opacity=0.5)[LEFT].astype(int) - image[LEFT])
        for s in (0, 0.05, 0.2, 0.5, 1)
    ]
    means = [float(difference.mean()) for difference in moved]
    assert means[0] == means[1] == 0
    assert 0 < means[2] < means[3] < means[4]


def test_the_heat_lies_where_the_heatmap_says() -> None:
    """One hot cell: its middle is the hottest place of the picture."""
    strength = np.zeros((8, 8), dtype=np.float32)
    strength[2, 5] = 1
    drawn = heated(grey(), make_mark(AREA, strength), opacity=1).astype(int)
    rows, columns = np.nonzero(changed(grey(), drawn))
    assert rows.mean() + 0.5 == pytest.approx(60 + 2.5 * 10, abs=0.5)
    assert columns.mean() + 0.5 == pytest.approx(100 + 5.5 * 10, abs=0.5)


def test_a_contour_is_an_outline_at_a_third_of_full_strength() -> None:
    rows, columns = np.indices((40, 40)) - 19.5
    cone = np.clip(1 - np.hypot(rows, columns) / 15, 0, 1)  # 1/3 at a radius of 10 cells
    drawn = heated(grey(), make_mark(AREA, cone), contour=True)
    difference = changed(grey(), drawn)
    rows, columns = np.nonzero(difference)
    radius = np.hypot(rows + 0.5 - 100, columns + 0.5 - 140)
    np.testing.assert_allclose(radius, 20, atol=2.5)  # a cell is two pixels
    angles = np.degrees(np.arctan2(rows + 0.5 - 100, columns + 0.5 - 140))
    assert len(np.unique((angles // 10).astype(int))) == 36, "closed"
    assert drawn[difference].min() >= 90, "white on grey"


@pytest.mark.parametrize(
    ("evidence", "left", "right"),
    [("fake", True, False), ("real", False, True), ("both", True, True)],
)
def test_a_contour_follows_the_evidence_asked_for(evidence: str, left: bool, right: bool) -> None:
    strength = np.zeros((8, 8))
    strength[3:5, 1:3], strength[3:5, 5:7] = 1, -1
    mark = make_mark(AREA, strength)
    difference = changed(grey(), heated(grey(), mark, evidence=evidence, contour=True))
    assert (difference[:, 100:140].any(), difference[:, 140:180].any()) == (left, right)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_box_has_the_colour_of_the_verdict(verdict: Verdict) -> None:
    box = Box(100, 90, 200, 190)
    drawn = painted(grey(), make_mark(FAR, 0, box=box, verdict=verdict))
    for row, column in [(189, 150), (140, 100), (140, 199), (189, 199), (189, 100)]:
        assert tuple(drawn[row, column]) == VERDICT_COLOURS[verdict]
    assert tuple(drawn[140, 150]) == (90, 90, 90)


def test_a_label_is_never_under_a_neighbours_heat() -> None:
    first = make_mark(Box(20, 100, 100, 180), 1, person=1)
    second = make_mark(Box(0, 0, 240, 240), 1, person=2)
    blank = [
        make_mark(mark.area, 0, person=number) for number, mark in enumerate((first, second), 1)
    ]
    drawn = painted(picture(), first, second, opacity=1)
    np.testing.assert_array_equal(
        drawn, painted(heated(picture(), first, second, opacity=1), *blank, opacity=1)
    )
    assert changed(drawn, heated(picture(), first, second, opacity=1))[75:100, 20:150].any()


def test_the_label_grows_with_the_picture() -> None:
    box = Box(10, 300, 60, 340)
    rows = []
    for height in (400, 1080, 2160):
        difference = changed(
            grey(height, 900), painted(grey(height, 900), make_mark(FAR, 0, box=box))
        )
        rows.append(300 - int(np.nonzero(difference.any(axis=1))[0][0]))
    assert rows[0] < rows[1] < rows[2]


@pytest.mark.parametrize(("x", "y"), [(100, 2), (290, 100), (-20, 100), (290, -30), (100, 236)])
def test_a_label_is_moved_into_the_picture_as_a_whole(x: int, y: int) -> None:
    """White letters on black are the same wherever they are."""

    def letters(x: int, y: int) -> int:
        box = Box(x, y, x + 60, y + 60)
        drawn = painted(grey(), make_mark(FAR, 0, box=box, verdict=Verdict.INCONCLUSIVE))
        return int((drawn.max(axis=2) < 60).sum())

    # Some pixels of the box lie under the label.
    assert letters(x, y) == pytest.approx(letters(60, 100), rel=0.01)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_on_a_video_frame_the_colours_are_those_of_the_picture(
    matrix: str, full_range: bool
) -> None:
    """Drawing and converting may change places, up to rounding and the size of the chroma."""
    rows, columns = np.indices((160, 240))
    image = np.stack([60 + columns / 2, 50 + rows / 2, 200 - columns / 2], axis=2).astype(np.uint8)
    marks = [
        make_mark(Box(20, 40, 100, 120), 1),
        make_mark(Box(130, 40, 210, 120), -0.6, verdict=Verdict.REAL),
    ]
    planes = yuv(image, matrix, full_range=full_range)
    paint_planes(planes, *marks, evidence="both", heat_only=True)
    wanted = yuv(heated(image, *marks, evidence="both"), matrix, full_range=full_range)
    untouched = yuv(image, matrix, full_range=full_range)
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
def test_on_a_video_frame_all_four_sides_of_the_box_have_its_colour(
    x: int, y: int, full_range: bool
) -> None:
    planes = yuv(grey(), "bt709", full_range=full_range)
    paint_planes(planes, make_mark(FAR, 0, box=Box(x, y, x + 80, y + 90)))
    colour = np.broadcast_to(np.uint8(VERDICT_COLOURS[Verdict.FAKE]), (16, 16, 3)).copy()
    wanted = yuv(colour, "bt709", full_range=full_range)
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
def test_heat_lies_alike_on_all_planes(half: tuple[int, int], area: Box, strength: float) -> None:
    shape = (2 * half[0], 2 * half[1])
    planes = yuv(grey(*shape))
    before = copies(planes)
    paint_planes(planes, make_mark(area, strength), heat_only=True, opacity=1)
    y, u, v = (
        changed(old, new) for old, new in zip(before, (planes.y, planes.u, planes.v), strict=True)
    )
    np.testing.assert_array_equal(at_half_size(y), u | v)
    np.testing.assert_array_equal(y, at_half_size(y).repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"colormap": "rainbow"}, "no colour map is called 'rainbow'; there are inferno,"),
        ({"opacity": -0.1}, "opacity lies between 0 and 1, not at -0.1"),
        ({"opacity": 1.5}, "opacity lies between 0 and 1, not at 1.5"),
        ({"opacity": float("nan")}, "opacity lies between 0 and 1, not at nan"),
        ({"evidence": "none"}, "evidence is fake, real or both, not 'none'"),
    ],
)
def test_a_style_out_of_range_is_a_usage_error(values: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Style(**values)


def test_a_map_that_is_not_better_than_chance_is_hatched_in_grey() -> None:
    image = np.full((240, 320, 3), 60, np.uint8)
    mark = make_mark(Box(100, 60, 220, 180), trust=TrustMark.CHANCE)
    drawn = heated(image, mark)
    different = changed(image, drawn)
    inner = np.s_[70:170, 110:210]
    assert 0.3 < different[inner].mean() < 0.7, "stripes"
    hues = np.ptp(drawn[different].astype(int), axis=1)
    assert hues.max() <= 1, "grey"
    # Diagonal: what lies on one is all of one kind.
    stripes = different[inner]
    flipped = stripes[:, ::-1]
    kinds = [np.ptp(np.diagonal(flipped, offset).astype(int)) for offset in range(-60, 60)]
    assert max(kinds) == 0
    coloured = heated(image, make_mark(Box(100, 60, 220, 180), trust=TrustMark.WEAK))
    assert np.ptp(coloured[120, 160].astype(int)) > 30
    assert changed(image, coloured)[inner].all()


def test_hatching_is_drawn_in_a_video_frame_too_and_instead_of_contours() -> None:
    image = grey()
    mark = make_mark(Box(100, 60, 220, 180), trust=TrustMark.CHANCE)
    np.testing.assert_array_equal(heated(image, mark, contour=True), heated(image, mark))
    planes = yuv(image)
    before = copies(planes)
    paint_planes(planes, mark, heat_only=True)
    assert 0.3 < (planes.y != before[0])[70:170, 110:210].mean() < 0.7
    assert np.abs(planes.u.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("trust", [None, *TrustMark])
def test_the_caption_says_how_far_the_heatmap_can_be_trusted(trust: TrustMark | None) -> None:
    """A second line of its own, in the room above the box."""
    image = grey()
    box = Box(100, 120, 220, 230)
    without = changed(image, painted(image, make_mark(box, 0)))
    drawn = changed(image, painted(image, make_mark(box, 0, trust=trust)))
    height = [int(np.flatnonzero(each[:, 101:].any(axis=1))[0]) for each in (without, drawn)]
    if trust is None:
        assert height[0] == height[1]
    else:
        assert height[1] < height[0] - 8
