"""A few words at the bottom left of every frame of a video."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.media.planes import Plane
from fakelens.render.lettering import draw_lines, text_width
from fakelens.render.placing import Rectangle
from fakelens.render.stamp import Stamp

_MIN_SIZE = 13  # of the typeface, pixels: capital letters of 9, the smallest to survive compression
_SIZE = 1 / 36  # of the typeface, per pixel of the picture's shorter side
_MAX_HEIGHT = 1 / 8  # of the picture: more would hide what it shows
_MARGIN = 1 / 4  # around the text, of its size
_BACKGROUND = 200  # opacity of the black behind the letters, 0..255
_SEPARATOR = " - "  # where a text continues on a second line

_Planes = Sequence[Plane]
_Encode = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


class Caption:
    """Draws a text into the bottom left corner of pictures that all have the same encoding.

    The text is drawn once for each size of a picture; every further picture costs one blending of
    the corner. A text that is wider than the picture goes on in further lines. Where it then needs
    more than an eighth of the height, only its first part is drawn, or nothing.

    Args:
        text: ASCII; its first part ends at ``" - "``, and further lines begin there.
        encode: converts (n, 3) uint8 RGB colours to (n, 3) uint8 values of the three planes.
    """

    def __init__(self, text: str, encode: _Encode) -> None:
        self._text, self._encode = text, encode
        self._stamps: dict[tuple[int, ...], Stamp | None] = {}

    def paint(self, planes: _Planes) -> None:
        """Draw on the three planes of a picture in place; some may be of half size."""
        stamp = self._stamp(planes)
        if stamp:
            stamp.paint(planes, 0, planes[0].shape[0] - stamp.shape[0])

    def place(self, planes: _Planes) -> Rectangle | None:
        """Return where the text is in a picture; ``None`` if it does not fit."""
        stamp, rows = self._stamp(planes), planes[0].shape[0]
        return (0, rows - stamp.shape[0], stamp.shape[1], rows) if stamp else None

    def _stamp(self, planes: _Planes) -> Stamp | None:
        shape = planes[0].shape
        if shape not in self._stamps:
            self._stamps[shape] = self._make_stamp(*shape)
        return self._stamps[shape]

    def _make_stamp(self, height: int, width: int) -> Stamp | None:
        """Draw the text for pictures of one size; ``None`` if it does not fit."""
        size = max(_MIN_SIZE, round(min(height, width) * _SIZE))
        margin = round(size * _MARGIN)
        parts = self._text.split(_SEPARATOR, 1)
        room = width - 4 * margin
        wrapped = [line for part in parts for line in _wrap(part, size, room)]
        for lines in ([self._text], wrapped, parts[:1]):
            if max(text_width(line, size) for line in lines) > room:
                continue
            letters = draw_lines(lines, size, (2 * margin, margin, 2 * margin, margin))
            if letters.shape[0] <= _MAX_HEIGHT * height:
                ground = np.full_like(letters, _BACKGROUND)
                layers = [(ground, (0, 0, 0)), (letters, (255, 255, 255))]
                return Stamp(layers, self._encode)
        return None


def _wrap(text: str, size: int, room: int) -> Iterator[str]:
    """Break a text between words into lines of at most ``room`` pixels, as far as it can be."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".lstrip()
        if line and text_width(longer, size) > room:
            yield line
            line = word
        else:
            line = longer
    yield line
