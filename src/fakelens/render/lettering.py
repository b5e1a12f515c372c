"""Draws text as masks, in the outline typeface that Pillow contains.

The typeface is Aileron Regular, by Sora Sagano, in the public domain; it has Latin letters only.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont


def text_width(text: str, size: int) -> int:
    """Return the width of a line of text, pixels.

    Args:
        text: ASCII.
        size: height of the typeface, pixels; capital letters are 0.7 times as high.
    """
    return round(_font(size).getlength(text))


def draw_lines(
    lines: Sequence[str], size: int, margins: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Draw lines of text as opacities, (h, w) uint8, 0..255.

    Args:
        lines: ASCII, at least one.
        size: height of the typeface, pixels.
        margins: pixels that are left free at the left, at the top, at the right and at the bottom.
    """
    font = _font(size)
    ascent, descent = font.getmetrics()
    left, top, right, bottom = margins
    width = max(text_width(line, size) for line in lines) + left + right
    image = Image.new("L", (width, top + (ascent + descent) * len(lines) + bottom))
    canvas = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        baseline = top + (ascent + descent) * number + ascent
        canvas.text((left, baseline), line, fill=255, font=font, anchor="ls")
    return np.array(image)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # as it always is for a given size
    return font
