"""Draws heatmaps, boxes and labels on the planes of a frame or picture.

A canvas has three planes: Y, U and V of a video frame, the last two at half size, or R, G and B of
a picture. Everything is drawn plane by plane. A frame is therefore never converted as a whole, and
pixels that are not drawn on do not change.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.media.planes import Plane
from fakelens.records.arrays import FloatArray
from fakelens.records.findings import Verdict
from fakelens.records.trust import SpecificityMark, TrustMark
from fakelens.render.blending import divide_by_255
from fakelens.render.caption import Caption
from fakelens.render.lettering import draw_lines
from fakelens.render.overlay import Mark
from fakelens.render.stamp import Colour, Stamp
from fakelens.render.style import Style

_REAL_COLORMAP = cv2.COLORMAP_OCEAN  # blue to white, unlike the maps for evidence for fake

# From the palette of Okabe and Ito, distinguishable with any type of colour vision.
VERDICT_COLOURS = {
    Verdict.FAKE: (213, 94, 0),
    Verdict.REAL: (0, 158, 115),
    Verdict.INCONCLUSIVE: (170, 170, 170),
}
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)

FADED = 0.4
"""Factor of the opacity of heatmaps that are not specific to the face."""

_LEVELS = 256  # entries of the colour table, for strengths of -1..1
_MIN_STRENGTH = 0.06  # weaker evidence is not drawn: a faint tint over every face has no meaning
_GAMMA = 0.5  # exponent of the opacity: makes medium evidence visible while weak evidence is faint
_CONTOUR_LEVEL = 1 / 3  # of full strength
_HATCH_GREY = 190  # hatching replaces heatmaps that are not better than chance
_HATCH_PERIOD = 4  # distance between stripes, in units of twice the line width
_LABEL_GROUND = 200  # opacity of the black behind the letters of a label, 0..255
_LABELS_KEPT = 64  # a film has thousands of people, few of them visible at a time


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
        self._text_size = max(14, round(height / 32))
        self._encode = encode
        self._label = lru_cache(_LABELS_KEPT)(self._make_label)
        solid = [*VERDICT_COLOURS.values(), _WHITE, _BLACK]
        encoded = encode(np.array(solid, dtype=np.uint8)).tolist()
        self._solid = dict(zip(solid, encoded, strict=True))
        colours, alpha = colour_tables(style)
        _, faded = colour_tables(replace(style, opacity=FADED * style.opacity))
        grey = np.full_like(colours, _HATCH_GREY)
        self._heat = _blend_tables(encode(colours), alpha)
        self._faded = _blend_tables(encode(colours), faded)
        self._hatching = _blend_tables(encode(grey), alpha)

    def paint(self, canvas: Canvas, marks: Sequence[Mark]) -> None:
        """Draw all marks and the caption: heatmaps first, so that no heatmap covers a label."""
        self.paint_heatmaps(canvas, marks)
        for mark in marks:
            self._paint_box(canvas, mark)
        if self._caption:
            self._caption.paint(canvas.planes)

    def paint_heatmaps(self, canvas: Canvas, marks: Sequence[Mark]) -> None:
        """Draw only the heatmaps of all marks."""
        for mark in marks:
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
        visible = strength[y1 - top : y2 - top, x1 - left : x2 - left]
        levels = np.round((visible + 1) * ((_LEVELS - 1) / 2)).astype(np.uint8)
        faded = mark.specificity is SpecificityMark.USUAL
        tables = self._faded if faded else self._heat
        if mark.trust is TrustMark.CHANCE:
            rows, columns = np.ogrid[y1:y2, x1:x2]
            gap = (rows + columns) // (2 * self._line) % _HATCH_PERIOD >= _HATCH_PERIOD // 2
            levels[gap], tables = _LEVELS // 2, self._hatching
        elif self._style.contour:
            self._paint_contour(canvas, levels, x1, y1, opacity=FADED if faded else 1)
            return
        for channel, plane in enumerate(canvas.planes):
            step = _step(canvas, plane)
            region = plane[y1 // step : -(-y2 // step), x1 // step : -(-x2 // step)]
            sampled = levels[::step, ::step]
            transparency, heat = (
                cv2.LUT(sampled, table).astype(np.uint16, copy=False)
                for table in (tables[0], tables[1][channel])
            )
            region[:] = divide_by_255(region * transparency + heat)

    def _paint_contour(
        self, canvas: Canvas, levels: Plane, x: int, y: int, *, opacity: float
    ) -> None:
        mask = np.zeros_like(levels)
        middle = (_LEVELS - 1) / 2
        signs = {"fake": (1,), "real": (-1,), "both": (1, -1)}[self._style.evidence]
        for sign in signs:
            strong = (sign * (levels - middle) >= _CONTOUR_LEVEL * middle).astype(np.uint8)
            lines, _ = cv2.findContours(strong, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(mask, lines, -1, round(255 * opacity), self._line, cv2.LINE_AA)
        self._blend(canvas, x, y, mask, _WHITE)

    def _paint_box(self, canvas: Canvas, mark: Mark) -> None:
        x1, y1, x2, y2 = (round(v) for v in (mark.box.x1, mark.box.y1, mark.box.x2, mark.box.y2))
        height, width = max(1, y2 - y1), max(1, x2 - x1)
        # More than one pixel: a single one may lie between two chroma samples and stay grey.
        line = 1 + max(2, self._line)
        across = np.full((min(line, height), width), 255, dtype=np.uint8)
        down = np.full((height, min(line, width)), 255, dtype=np.uint8)
        colour = VERDICT_COLOURS[mark.verdict]
        for y in (y1, y1 + height - across.shape[0]):
            self._blend(canvas, x1, y, across, colour)
        for x in (x1, x1 + width - down.shape[1]):
            self._blend(canvas, x, y1, down, colour)
        lines = [f"#{mark.person} {'not judged' if mark.score is None else mark.verdict}"]
        if mark.trust or mark.specificity:
            lines.append(f"heatmap: {', '.join(_answers(mark))}")
        label = self._label(tuple(lines), colour)
        rows, columns = canvas.planes[0].shape
        height, width = label.shape
        x, y = max(0, min(x1, columns - width)), max(0, min(y1 - height, rows - height))
        label.paint(canvas.planes, x, y)

    def _make_label(self, lines: tuple[str, ...], colour: Colour) -> Stamp:
        padding = 2 * self._line
        letters = draw_lines(lines, self._text_size, (2 * padding, padding, padding, padding))
        ground, bar = np.full_like(letters, _LABEL_GROUND), np.zeros_like(letters)
        bar[:, : 2 * self._line] = 255
        return Stamp([(ground, _BLACK), (bar, colour), (letters, _WHITE)], self._encode)

    def _blend(self, canvas: Canvas, x: int, y: int, mask: Plane, colour: Colour) -> None:
        """Blend one colour through a mask (opacity 0..255) with its top left corner at x, y."""
        height, width = canvas.planes[0].shape
        x1, y1 = max(x, 0), max(y, 0)
        x2, y2 = min(x + mask.shape[1], width), min(y + mask.shape[0], height)
        if x1 >= x2 or y1 >= y2:
            return
        visible = mask[y1 - y : y2 - y, x1 - x : x2 - x]
        for value, plane in zip(self._solid[colour], canvas.planes, strict=True):
            step = _step(canvas, plane)
            # Each chroma sample takes the opacity of its first pixel in the picture.
            alpha = visible[-y1 % step :: step, -x1 % step :: step].astype(np.uint16)
            top, left = -(-y1 // step), -(-x1 // step)
            region = plane[top : top + alpha.shape[0], left : left + alpha.shape[1]]
            region[:] = divide_by_255(region * (255 - alpha) + value * alpha)


def _answers(mark: Mark) -> list[str]:
    """Return the short forms of the two answers on a heatmap, as far as they are known."""
    # Where the heatmap is not better than chance, how it differs from others means nothing.
    if mark.trust is TrustMark.CHANCE or not mark.specificity:
        return [mark.trust] if mark.trust else []
    specific = mark.specificity is SpecificityMark.SPECIFIC
    return [*([mark.trust] if mark.trust else []), "specific" if specific else "not specific"]


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
