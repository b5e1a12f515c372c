"""Heatmaps, boxes and labels, drawn into the planes of a picture, faces only.

A picture is three planes: Y, U and V of a video frame, the last two at half size, or R, G and B
of a picture. Everything is drawn plane by plane, so that a frame never has to be converted as a
whole and what is not drawn on keeps every bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.media.planes import Plane
from fakelens.records.arrays import FloatArray
from fakelens.records.findings import Verdict
from fakelens.records.trust import TrustMark
from fakelens.render.overlay import Mark
from fakelens.render.style import Style

_REAL_COLORMAP = cv2.COLORMAP_OCEAN  # blue to white: not to be mistaken for evidence of fake

# Okabe and Ito's palette: told apart with any kind of colour vision.
VERDICT_COLOURS = {
    Verdict.FAKE: (213, 94, 0),
    Verdict.REAL: (0, 158, 115),
    Verdict.INCONCLUSIVE: (170, 170, 170),
}
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)

_CODES = 256  # a strength of -1..1 is drawn from a table of this many entries
_FAINT = 0.06  # strengths under it are not drawn at all: a veil over every face says nothing
_GAMMA = 0.5  # lets middling evidence be seen while weak evidence stays faint
_CONTOUR_AT = 1 / 3  # of full strength
_GREY = 190  # of the hatching over heatmaps that are not better than chance
_HATCH = 4  # lines' widths from one stripe to the next
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture to draw on.

    Attributes:
        planes: three uint8 planes, edited in place; each either of full size or of half.
        encode: (n, 3) uint8 RGB colours -> (n, 3) uint8 values for the three planes.
    """

    planes: tuple[Plane, Plane, Plane]
    encode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

    @classmethod
    def of_rgb(cls, image: NDArray[np.uint8]) -> "Canvas":
        """A (H, W, 3) uint8 RGB picture, to be drawn on in place."""
        red, green, blue = (image[:, :, channel] for channel in range(3))
        return cls((red, green, blue), lambda colours: colours)


class Painter:
    """Draws marks in one style; make one per video, its tables are computed once.

    Args:
        style: how to draw.
        encode: as in ``Canvas``.
        height: of the picture in pixels, which line widths and letters are sized by.
    """

    def __init__(
        self,
        style: Style,
        encode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
        height: int,
    ) -> None:
        self._style = style
        self._line = max(1, round(height / 360))
        self._letter = max(0.45, height / 1000)
        self._pen = max(1, round(1.5 * self._letter))
        inks = [*VERDICT_COLOURS.values(), _WHITE, _BLACK]
        inked = encode(np.array(inks, dtype=np.uint8)).tolist()
        self._inks = dict(zip(inks, inked, strict=True))
        colours, alpha = ink_tables(style)
        self._keep = (255 - alpha).astype(np.uint16)
        self._add, self._grey = (
            np.ascontiguousarray(
                (encode(ink).astype(np.uint16) * alpha[:, None].astype(np.uint16)).T
            )
            for ink in (colours, np.full_like(colours, _GREY))
        )

    def paint(self, canvas: Canvas, marks: Sequence[Mark]) -> None:
        """Draw all marks: heatmaps first, so that no label is under a neighbour's heatmap."""
        self.paint_heatmaps(canvas, marks)
        for mark in marks:
            self._paint_box(canvas, mark)

    def paint_heatmaps(self, canvas: Canvas, marks: Sequence[Mark]) -> None:
        """Draw the heatmaps alone."""
        for mark in marks:
            self._paint_heatmap(canvas, mark)

    def _paint_heatmap(self, canvas: Canvas, mark: Mark) -> None:
        height, width = canvas.planes[0].shape
        # Even corners, so that the half-size planes line up with the full-size one.
        left, top = (2 * round(value / 2) for value in (mark.area.x1, mark.area.y1))
        side = max(2, 2 * round(mark.area.width / 2))
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + side, width), min(top + side, height)
        if x1 >= x2 or y1 >= y2:
            return
        strength = cv2.resize(mark.strength, (side, side), interpolation=cv2.INTER_LINEAR)
        visible = strength[y1 - top : y2 - top, x1 - left : x2 - left]
        codes = np.round((visible + 1) * ((_CODES - 1) / 2)).astype(np.uint8)
        inks = self._add
        if mark.trust is TrustMark.CHANCE:
            rows, columns = np.ogrid[y1:y2, x1:x2]
            gap = (rows + columns) // (2 * self._line) % _HATCH >= _HATCH // 2
            codes[gap], inks = _CODES // 2, self._grey
        elif self._style.contour:
            self._paint_contour(canvas, codes, x1, y1)
            return
        for channel, plane in enumerate(canvas.planes):
            step = _step(canvas, plane)
            region = plane[y1 // step : -(-y2 // step), x1 // step : -(-x2 // step)]
            code = codes[::step, ::step]
            kept, added = (
                cv2.LUT(code, table).astype(np.uint16, copy=False)
                for table in (self._keep, inks[channel])
            )
            region[:] = _in_255ths(region * kept + added)

    def _paint_contour(self, canvas: Canvas, codes: Plane, x: int, y: int) -> None:
        mask = np.zeros_like(codes)
        middle = (_CODES - 1) / 2
        sides = {"fake": (1,), "real": (-1,), "both": (1, -1)}[self._style.evidence]
        for sign in sides:
            strong = (sign * (codes - middle) >= _CONTOUR_AT * middle).astype(np.uint8)
            lines, _ = cv2.findContours(strong, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(mask, lines, -1, 255, self._line, cv2.LINE_AA)
        self._stamp(canvas, x, y, mask, _WHITE)

    def _paint_box(self, canvas: Canvas, mark: Mark) -> None:
        x1, y1, x2, y2 = (round(v) for v in (mark.box.x1, mark.box.y1, mark.box.x2, mark.box.y2))
        height, width = max(1, y2 - y1), max(1, x2 - x1)
        # More than one pixel: that may lie between two samples of chroma and be grey.
        line = 1 + max(2, self._line)
        across = np.full((min(line, height), width), 255, dtype=np.uint8)
        down = np.full((height, min(line, width)), 255, dtype=np.uint8)
        colour = VERDICT_COLOURS[mark.verdict]
        for y in (y1, y1 + height - across.shape[0]):
            self._stamp(canvas, x1, y, across, colour)
        for x in (x1, x1 + width - down.shape[1]):
            self._stamp(canvas, x, y1, down, colour)
        said = "not judged" if mark.score is None else f"{mark.score:.2f} {mark.verdict}"
        lines = [f"#{mark.person} {said}"]
        if mark.trust:
            lines.append(f"heatmap: {mark.trust}")
        self._paint_label(canvas, lines, x1, y1, colour)

    def _paint_label(
        self, canvas: Canvas, lines: Sequence[str], x: int, y: int, colour: tuple[int, int, int]
    ) -> None:
        sizes = [cv2.getTextSize(text, _FONT, self._letter, self._pen) for text in lines]
        pad = 3 * self._line
        row = max(tall + below for (_, tall), below in sizes) + pad
        width = max(wide for (wide, _), _ in sizes) + 2 * pad
        height = row * len(lines) + pad
        rows, columns = canvas.planes[0].shape
        x = max(0, min(x, columns - width))
        y = max(0, min(y - height, rows - height))
        ground = np.full((height, width), 200, dtype=np.uint8)
        letters = np.zeros_like(ground)
        for number, (text, (_, below)) in enumerate(zip(lines, sizes, strict=True), 1):
            origin = (pad, row * number - below + pad // 2)
            cv2.putText(letters, text, origin, _FONT, self._letter, 255, self._pen, cv2.LINE_AA)
        self._stamp(canvas, x, y, ground, _BLACK)
        bar = np.full((height, 2 * self._line), 255, dtype=np.uint8)
        self._stamp(canvas, x, y, bar, colour)
        self._stamp(canvas, x, y, letters, _WHITE)

    def _stamp(
        self, canvas: Canvas, x: int, y: int, mask: Plane, colour: tuple[int, int, int]
    ) -> None:
        """Blend one colour in through a mask (0..255) whose top left corner lies at x, y."""
        height, width = canvas.planes[0].shape
        x1, y1 = max(x, 0), max(y, 0)
        x2, y2 = min(x + mask.shape[1], width), min(y + mask.shape[0], height)
        if x1 >= x2 or y1 >= y2:
            return
        seen = mask[y1 - y : y2 - y, x1 - x : x2 - x]
        for value, plane in zip(self._inks[colour], canvas.planes, strict=True):
            step = _step(canvas, plane)
            # The first full-size pixel of each chroma sample decides, counted in the picture.
            alpha = seen[-y1 % step :: step, -x1 % step :: step].astype(np.uint16)
            top, left = -(-y1 // step), -(-x1 // step)
            region = plane[top : top + alpha.shape[0], left : left + alpha.shape[1]]
            region[:] = _in_255ths(region * (255 - alpha) + value * alpha)


def _in_255ths(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Values up to 255 * 255 over 255, rounded; a division would take five times as long."""
    values += 128
    values += values >> 8
    values >>= 8
    return values


def _step(canvas: Canvas, plane: Plane) -> int:
    """2 for a plane of half the picture's size, 1 for one of full size."""
    return 1 if plane.shape == canvas.planes[0].shape else 2


def ink_tables(style: Style) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB colours (256, 3) and opacities (256,), both uint8, of strengths from -1 to 1."""
    strength: FloatArray = np.linspace(-1, 1, _CODES, dtype=np.float32)
    # The lower end of the maps is black, which would read as a shadow: start above it.
    level = np.round(100 + np.abs(strength) * 155).astype(np.uint8)
    colours = np.where(
        (strength > 0)[:, None],
        _mapped(level, getattr(cv2, f"COLORMAP_{style.colormap.upper()}")),
        _mapped(level, _REAL_COLORMAP),
    )
    shown = np.abs(strength) >= _FAINT
    if style.evidence != "both":
        shown &= strength > 0 if style.evidence == "fake" else strength < 0

    above = np.clip((np.abs(strength) - _FAINT) / (1 - _FAINT), 0, 1)
    alpha = np.where(shown, style.opacity * above**_GAMMA, 0)
    return colours, np.round(alpha * 255).astype(np.uint8)


def _mapped(level: NDArray[np.uint8], colormap: int) -> NDArray[np.uint8]:
    bgr = cv2.applyColorMap(level[:, None], colormap)[:, 0]
    return np.ascontiguousarray(bgr[:, ::-1])
