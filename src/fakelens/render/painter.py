"""Draws heatmaps, boxes and labels on the planes of a frame or picture.

A canvas has three planes: Y, U and V of a video frame, the last two at half size, or R, G and B of
a picture. Everything is drawn plane by plane. A frame is therefore never converted as a whole, and
pixels that are not drawn on do not change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.media.planes import Plane
from fakelens.records.arrays import FloatArray
from fakelens.records.findings import Verdict
from fakelens.records.trust import SpecificityMark, TrustMark
from fakelens.render.blending import divide_by_255
from fakelens.render.caption import Caption
from fakelens.render.labels import Labels
from fakelens.render.overlay import Mark
from fakelens.render.placing import Rectangle
from fakelens.render.stamp import Colour
from fakelens.render.style import Style

_REAL_COLORMAP = cv2.COLORMAP_OCEAN  # blue to white, unlike the maps for evidence for fake

# From the palette of Okabe and Ito, distinguishable with any type of colour vision.
VERDICT_COLOURS = {
    Verdict.FAKE: (213, 94, 0),
    Verdict.REAL: (0, 158, 115),
    Verdict.INCONCLUSIVE: (170, 170, 170),
}
_WHITE = (255, 255, 255)

FADED = 0.4
"""Factor of the opacity of heatmaps that are not specific to the face or inconclusive."""

ISOLINES = (1 / 3, 2 / 3)
"""Strengths at which a line is drawn, of full strength."""

_LEVELS = 256  # entries of the colour table, for strengths of -1..1
_MIN_STRENGTH = 0.06  # weaker evidence is not drawn: a faint tint over every face has no meaning
_GAMMA = 0.5  # exponent of the opacity: makes medium evidence visible while weak evidence is faint
_MIDDLE = (_LEVELS - 1) / 2  # level of strength 0
_CLEAR, _LINE = _LEVELS // 2, _LEVELS // 2 - 4  # levels of weak evidence: not drawn, an isoline
_LINE_GAMMA = 0.5  # exponent of the opacity of isolines, which are thin
_FACE_PER_LINE = 100  # pixels of a face's side per pixel of an isoline's width, at least
_HATCH_GREY = 190  # hatching replaces heatmaps that are not better than chance
_HATCH_PERIOD = 4  # distance between stripes, in units of twice the line width


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture to draw on.

    Attributes:
        planes: three uint8 planes, edited in place; each of full or half size.
        encode: converts (n, 3) uint8 RGB colours to (n, 3) uint8 values of the three planes.
    """

    planes: tuple[Plane, Plane, Plane]
    encode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

    @classmethod
    def from_rgb(cls, image: NDArray[np.uint8]) -> "Canvas":
        """Create a canvas that draws on a picture (H, W, 3) uint8 RGB in place."""
        red, green, blue = (image[:, :, channel] for channel in range(3))
        return cls((red, green, blue), lambda colours: colours)


class Painter:
    """Draws marks in one style. Create one per video, since it precomputes colour tables.

    Args:
        style: the style to draw in.
        encode: see ``Canvas``.
        height: of the picture in pixels; determines line widths and the size of letters.
        caption: ASCII text for the bottom left corner of every picture; left out where the picture
            is too small for it.
    """

    def __init__(
        self,
        style: Style,
        encode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
        height: int,
        caption: str = "",
    ) -> None:
        self._style = style
        self._caption = Caption(caption, encode) if caption else None
        self._line = max(1, round(height / 360))
        self._thin_line = max(1, round(height / 540))
        self._labels = Labels(encode, self._line, max(14, round(height / 32)))
        solid = list(VERDICT_COLOURS.values())
        encoded = encode(np.array(solid, dtype=np.uint8)).tolist()
        self._solid = dict(zip(solid, encoded, strict=True))
        colours, alpha = colour_tables(style)
        grey = np.full_like(colours, _HATCH_GREY)
        self._hatching = _blend_tables(encode(grey), alpha)
        self._heat, self._faded = (_heat_tables(style, encode, factor) for factor in (1, FADED))
        self._bands = _bands(style)

    def paint(self, canvas: Canvas, marks: Sequence[Mark]) -> None:
        """Draw all marks and the caption: heatmaps first, so that no heatmap covers a label."""
        self.paint_heatmaps(canvas, marks)
        self.paint_boxes(canvas, marks)
        if self._caption:
            self._caption.paint(canvas.planes)

    def paint_boxes(self, canvas: Canvas, marks: Sequence[Mark]) -> None:
        """Draw only the boxes and labels; no label is where the caption is."""
        people = [(mark, _corners(mark), VERDICT_COLOURS[mark.verdict]) for mark in marks]
        for mark, box, colour in sorted(people, key=lambda one: one[0].in_full):
            self._paint_box(canvas, box, colour, in_full=mark.in_full)
        caption = self._caption.place(canvas.planes) if self._caption else None
        self._labels.paint(canvas.planes, people, [caption] if caption else [])

    def paint_heatmaps(self, canvas: Canvas, marks: Sequence[Mark]) -> None:
        """Draw only the heatmaps, with their isolines, of the marks in full."""
        for mark in marks:
            if mark.in_full:
                self._paint_heatmap(canvas, mark)

    def _paint_heatmap(self, canvas: Canvas, mark: Mark) -> None:
        height, width = canvas.planes[0].shape
        # Even corners, so that the planes of half size align with the one of full size.
        left, top = (2 * round(value / 2) for value in (mark.area.x1, mark.area.y1))
        side = max(2, 2 * round(mark.area.width / 2))
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + side, width), min(top + side, height)
        if x1 >= x2 or y1 >= y2:
            return
        strength = cv2.resize(mark.strength, (side, side), interpolation=cv2.INTER_LINEAR)
        # Isolines at the edge of the picture depend on what is beyond it.
        line = max(1, min(self._thin_line, side // _FACE_PER_LINE))
        above, before = min(line, y1 - top), min(line, x1 - left)
        near = strength[y1 - top - above : y2 - top + line, x1 - left - before : x2 - left + line]
        levels = np.round((near + 1) * _MIDDLE).astype(np.uint8)
        here = np.s_[above : above + y2 - y1, before : before + x2 - x1]
        if mark.trust is TrustMark.CHANCE:
            levels, tables = levels[here], self._hatching
            rows, columns = np.ogrid[y1:y2, x1:x2]
            gap = (rows + columns) // (2 * self._line) % _HATCH_PERIOD >= _HATCH_PERIOD // 2
            levels[gap] = _CLEAR
        else:
            levels = self._with_isolines(levels, line)[here]
            tables = self._faded if _is_faded(mark) else self._heat
        for channel, plane in enumerate(canvas.planes):
            step = _step(canvas, plane)
            region = plane[y1 // step : -(-y2 // step), x1 // step : -(-x2 // step)]
            sampled = levels[::step, ::step]
            transparency, heat = (
                cv2.LUT(sampled, table).astype(np.uint16, copy=False)
                for table in (tables[0], tables[1][channel])
            )
            region[:] = divide_by_255(region * transparency + heat)

    def _with_isolines(self, levels: Plane, line: int) -> Plane:
        """Return the levels with isolines, just inside of where a strength is reached."""
        bands = cv2.LUT(levels, self._bands)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * line + 1, 2 * line + 1))
        levels[levels == _LINE] = _CLEAR
        levels[cv2.erode(bands, kernel) < bands] = _LINE
        return levels

    def _paint_box(self, canvas: Canvas, box: Rectangle, colour: Colour, *, in_full: bool) -> None:
        x1, y1, x2, y2 = box
        height, width = max(1, y2 - y1), max(1, x2 - x1)
        # More than one pixel: a single one may lie between two chroma samples and stay grey.
        line = 1 + max(2, self._line) if in_full else 1 + self._thin_line
        high, wide = min(line, height), min(line, width)
        for y in (y1, y1 + height - high):
            self._fill(canvas, (x1, y, x1 + width, y + high), colour)
        for x in (x1, x1 + width - wide):
            self._fill(canvas, (x, y1, x + wide, y1 + height), colour)

    def _fill(self, canvas: Canvas, rectangle: Rectangle, colour: Colour) -> None:
        """Fill a rectangle with one colour; what lies outside of the picture is left out."""
        left, top, right, bottom = rectangle
        for value, plane in zip(self._solid[colour], canvas.planes, strict=True):
            step = _step(canvas, plane)
            # Each chroma sample has the colour of its first pixel in the picture.
            x1, y1, x2, y2 = (-(-max(edge, 0) // step) for edge in (left, top, right, bottom))
            plane[y1:y2, x1:x2] = value


def _corners(mark: Mark) -> Rectangle:
    """Return the box of a mark in whole pixels."""
    box = mark.box
    return round(box.x1), round(box.y1), round(box.x2), round(box.y2)


def _is_faded(mark: Mark) -> bool:
    """Return whether a heatmap says little about a place."""
    undecided = mark.verdict is Verdict.INCONCLUSIVE
    return undecided or mark.specificity is SpecificityMark.USUAL


def _bands(style: Style) -> NDArray[np.uint8]:
    """Return the number of isolines below each level (256,), for the evidence that is drawn."""
    strength = np.arange(_LEVELS) / _MIDDLE - 1
    drawn = {"fake": strength, "real": -strength, "both": np.abs(strength)}[style.evidence]
    bands: NDArray[np.uint8] = np.sum([drawn >= one for one in ISOLINES], axis=0, dtype=np.uint8)
    return bands


def _heat_tables(
    style: Style, encode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], factor: float
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return the tables of heatmaps with isolines; ``factor`` is that of the opacity."""
    colours, alpha = colour_tables(replace(style, opacity=factor * style.opacity))
    if style.contour:
        alpha = np.zeros_like(alpha)
    colours[_LINE] = _WHITE
    alpha[_LINE] = round(255 * factor * style.opacity**_LINE_GAMMA)
    return _blend_tables(encode(colours), alpha)


def _blend_tables(
    colours: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return the transparencies (256,) and the colours times their opacity (3, 256), 0..255^2."""
    weighted = colours.astype(np.uint16) * alpha[:, None].astype(np.uint16)
    return (255 - alpha).astype(np.uint16), np.ascontiguousarray(weighted.T)


def _step(canvas: Canvas, plane: Plane) -> int:
    """Return 2 for a plane of half size, 1 for a plane of full size."""
    return 1 if plane.shape == canvas.planes[0].shape else 2


def colour_tables(style: Style) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Compute RGB colours (256, 3) and opacities (256,), both uint8, of strengths from -1 to 1."""
    strength: FloatArray = np.linspace(-1, 1, _LEVELS, dtype=np.float32)
    # The lower end of the colour maps is black and would look like a shadow, so it is skipped.
    index = np.round(100 + np.abs(strength) * 155).astype(np.uint8)
    colours = np.where(
        (strength > 0)[:, None],
        _apply_colormap(index, getattr(cv2, f"COLORMAP_{style.colormap.upper()}")),
        _apply_colormap(index, _REAL_COLORMAP),
    )
    drawn = np.abs(strength) >= _MIN_STRENGTH
    if style.evidence != "both":
        drawn &= strength > 0 if style.evidence == "fake" else strength < 0

    above_minimum = np.clip((np.abs(strength) - _MIN_STRENGTH) / (1 - _MIN_STRENGTH), 0, 1)
    alpha = np.where(drawn, style.opacity * above_minimum**_GAMMA, 0)
    return colours, np.round(alpha * 255).astype(np.uint8)


def _apply_colormap(index: NDArray[np.uint8], colormap: int) -> NDArray[np.uint8]:
    """Look up the RGB colours (n, 3) of indices (n,), 0..255."""
    bgr = cv2.applyColorMap(index[:, None], colormap)[:, 0]
    return np.ascontiguousarray(bgr[:, ::-1])
