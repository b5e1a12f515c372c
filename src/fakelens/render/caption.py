"""A line of text at the bottom left of every frame of a video."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.media.planes import Plane
from fakelens.render.blending import divide_by_255

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MIN_SCALE = 0.4  # of the font: letters of 9 pixels, the smallest that survive compression
_SCALE = 1 / 1600  # of the font, per pixel of the picture's shorter side
_MAX_HEIGHT = 1 / 8  # of the picture: more would hide what it shows
_BACKGROUND = 200  # opacity of the black behind the letters, 0..255
_SEPARATOR = " - "  # where a text may continue on a second line

# For each plane: what remains of the picture, 0..255, and what is added, 0..255^2.
_Tile = list[tuple[NDArray[np.uint16], NDArray[np.uint16]]]


class Caption:
    """Draws a text into the bottom left corner of pictures that all have the same encoding.

    The text is drawn once for each size of a picture; every further picture costs one blending of
    the corner. Where the text needs more than the width or an eighth of the height, it is left
    out.

    Args:
        text: ASCII; may continue on a second line after ``" - "``.
        encode: converts (n, 3) uint8 RGB colours to (n, 3) uint8 values of the three planes.
    """

    def __init__(self, text: str, encode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> None:
        self._text, self._encode = text, encode
        self._tiles: dict[tuple[tuple[int, ...], ...], _Tile | None] = {}

    def paint(self, planes: Sequence[Plane]) -> None:
        """Draw on the three planes of a picture in place; some may be of half size."""
        shapes = tuple(plane.shape for plane in planes)
        if shapes not in self._tiles:
            self._tiles[shapes] = self._make_tile(shapes)
        tile = self._tiles[shapes]
        if tile is None:
            return
        for plane, (remaining, added) in zip(planes, tile, strict=True):
            height, width = remaining.shape
            region = plane[-height:, :width]
            region[:] = divide_by_255(region * remaining + added)

    def _make_tile(self, shapes: Sequence[Sequence[int]]) -> _Tile | None:
        """Draw the text for pictures whose planes have these shapes; ``None`` if it does not fit.

        The result is as if black were blended through the background and white through the letters.
        """
        height, width = shapes[0]
        scale = max(_MIN_SCALE, min(height, width) * _SCALE)
        letters = _draw_lines([self._text], scale)
        if letters.shape[1] > width:
            letters = _draw_lines(self._text.split(_SEPARATOR, 1), scale)
        if letters.shape[1] > width or letters.shape[0] > _MAX_HEIGHT * height:
            return None
        if (height - letters.shape[0]) % 2:  # start with a row that has chroma samples
            letters = np.pad(letters, ((1, 0), (0, 0)))
        black, white = self._encode(np.array([(0, 0, 0), (255, 255, 255)], dtype=np.uint8))
        opacity = letters.astype(np.float64) / 255
        background = (1 - opacity) * _BACKGROUND
        tile = []
        for shape, dark, light in zip(shapes, black.tolist(), white.tolist(), strict=True):
            step = 1 if shape == shapes[0] else 2
            remaining = (1 - opacity) * (255 - _BACKGROUND)
            added = background * dark + 255 * opacity * light
            # Rounded down: both together must not exceed the largest value.
            kept, new = (
                np.floor(one[::step, ::step]).astype(np.uint16) for one in (remaining, added)
            )
            tile.append((kept, new))
        return tile


def _draw_lines(lines: Sequence[str], scale: float) -> NDArray[np.uint8]:
    """Draw lines of text in white on black, (h, w) uint8, with a margin."""
    thickness = max(1, round(1.5 * scale))
    sizes = [cv2.getTextSize(line, _FONT, scale, thickness) for line in lines]
    margin = round(8 * scale)
    row = max(ascent + descent for (_, ascent), descent in sizes) + margin
    width = max(text_width for (text_width, _), _ in sizes) + 2 * margin
    letters = np.zeros((row * len(lines) + margin, width), dtype=np.uint8)
    for number, (line, (_, descent)) in enumerate(zip(lines, sizes, strict=True), 1):
        origin = (margin, row * number - descent + margin // 2)
        cv2.putText(letters, line, origin, _FONT, scale, 255, thickness, cv2.LINE_AA)
    return letters
