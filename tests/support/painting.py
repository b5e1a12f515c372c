"""Marks and pictures for tests of the painter, and the pixels that may change."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakelens.records.faces import Box
from fakelens.records.findings import Verdict
from fakelens.render.overlay import Mark
from fakelens.render.painter import Canvas, Painter
from fakelens.render.style import Style

Image = NDArray[np.uint8]


OUTSIDE = Box(-900, -900, -800, -800)


def noise_picture(height: int = 240, width: int = 320, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grey_picture(height: int = 240, width: int = 320) -> Image:
    return np.full((height, width, 3), 90, dtype=np.uint8)


def make_mark(
    area: Box, strength: float | NDArray[np.floating] = 1, *, box: Box | None = None, **rest
) -> Mark:
    values = np.asarray(strength, dtype=np.float32)
    if values.ndim == 0:
        values = np.full((8, 8), values)
    known = {"person": 1, "verdict": Verdict.FAKE, "score": 0.9} | rest
    return Mark(box=box or area, area=area, strength=values, **known)


def with_heatmaps(image: Image, *marks: Mark, **style) -> Image:
    """Return a copy of a picture with the heatmaps drawn on it."""
    drawn = image.copy()
    canvas = Canvas.from_rgb(drawn)
    Painter(Style(**style), canvas.encode, image.shape[0]).paint_heatmaps(canvas, marks)
    return drawn


def with_marks(image: Image, *marks: Mark, **style) -> Image:
    """Return a copy of a picture with heatmaps, boxes and labels drawn on it."""
    drawn = image.copy()
    canvas = Canvas.from_rgb(drawn)
    Painter(Style(**style), canvas.encode, image.shape[0]).paint(canvas, marks)
    return drawn


def changed_pixels(before: Image, after: Image) -> NDArray[np.bool_]:
    return (before != after).reshape(*before.shape[:2], -1).any(axis=2)


def pixels_inside(box: Box, shape: Sequence[int], margin: float = 0) -> NDArray[np.bool_]:
    """Return the pixels of a picture that a box, enlarged by a margin, touches."""
    rows, columns = np.indices(shape[:2])
    return (
        (columns + 1 > box.x1 - margin)
        & (columns < box.x2 + margin)
        & (rows + 1 > box.y1 - margin)
        & (rows < box.y2 + margin)
    )


def label_area(box: Box, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return where a label may be in a small picture: above the box, moved into the picture."""
    height, width = shape[:2]
    top = min(max(box.y1 - 25, 0), max(height - 25, 0))
    left = min(max(box.x1 - 1, 0), max(width - 190, 0))
    return pixels_inside(Box(left, top, left + 190, top + 25), shape, margin=1)


def box_border(box: Box, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return the pixels of a box's border."""
    hollow = min(box.width, box.height) > 8
    core = Box(box.x1 + 4, box.y1 + 4, box.x2 - 4, box.y2 - 4) if hollow else None
    border = pixels_inside(box, shape, margin=1)
    return border & ~pixels_inside(core, shape) if core else border


@st.composite
def boxes(draw: st.DrawFn, sizes: tuple[float, float] = (0.01, 700)) -> Box:
    """Boxes inside, partly inside and outside a picture of about 300 pixels."""
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
