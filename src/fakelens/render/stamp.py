"""A small picture, such as a line of text, that is blended into many frames."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.media.planes import Plane
from fakelens.render.blending import divide_by_255

Colour = tuple[int, int, int]
"""RGB, 0..255."""


class Stamp:
    """Layers of one colour each, composed once; every frame then costs a single blending.

    Args:
        layers: opacities (h, w) uint8, 0..255, and the colour of each, the lowest layer first.
        encode: converts (n, 3) uint8 RGB colours to (n, 3) uint8 values of the three planes.

    Attributes:
        shape: height and width, pixels.
    """

    def __init__(
        self,
        layers: Sequence[tuple[Plane, Colour]],
        encode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    ) -> None:
        self.shape = height, width = layers[0][0].shape
        values = encode(np.array([colour for _, colour in layers], dtype=np.uint8))
        remaining = np.full((height, width), 255.0)
        added = np.zeros((3, height, width))
        for (mask, _), value in zip(layers, values.astype(np.float64), strict=True):
            kept = 1 - mask / 255.0
            remaining *= kept
            added = added * kept + value[:, None, None] * mask
        # What remains of the picture, 0..255, and what is added, 0..255^2. Rounded down: both
        # together must not exceed the largest value.
        self._remaining = np.floor(remaining).astype(np.uint16)
        self._added = np.floor(added).astype(np.uint16)

    def paint(self, planes: Sequence[Plane], x: int, y: int) -> None:
        """Blend into a picture in place; what lies outside of it is left out.

        Args:
            planes: three of the picture; some may be of half size.
            x: left edge in the picture, pixels.
            y: upper edge in the picture, pixels.
        """
        rows, columns = planes[0].shape
        height, width = self.shape
        x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + width, columns), min(y + height, rows)
        if x1 >= x2 or y1 >= y2:
            return
        for plane, colour in zip(planes, self._added, strict=True):
            step = 1 if plane.shape == planes[0].shape else 2
            # Each chroma sample takes the opacity of its first pixel in the picture.
            top, left = -(-y1 // step), -(-x1 // step)
            here = (
                slice(step * top - y, y2 - y, step),
                slice(step * left - x, x2 - x, step),
            )
            remaining, added = self._remaining[here], colour[here]
            region = plane[top : top + remaining.shape[0], left : left + remaining.shape[1]]
            region[:] = divide_by_255(region * remaining + added)
