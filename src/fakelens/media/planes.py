"""The Y, U and V planes of a frame, to draw on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]

# Luma weights of red and blue: ITU-R BT.601, BT.709, BT.2020.
_LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


@dataclass(frozen=True, slots=True)
class Planes:
    """The writable planes of one upright frame: 8 bits, chroma at half size.

    Attributes:
        y: (H, W) uint8.
        u: (H/2, W/2) uint8.
        v: (H/2, W/2) uint8.
        matrix: colour matrix: ``"bt601"``, ``"bt709"`` or ``"bt2020"``.
        full_range: whether values span 0..255 instead of 16..235 (luma) and 16..240 (chroma).
    """

    y: Plane
    u: Plane
    v: Plane
    matrix: str
    full_range: bool

    def encode(self, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert colours (n, 3) uint8 RGB to (n, 3) uint8 Y, U, V values of this frame."""
        red, blue = _LUMA_WEIGHTS[self.matrix]
        rgb = colours.astype(np.float64) / 255
        luma = rgb @ (red, 1 - red - blue, blue)
        chroma_blue = (rgb[:, 2] - luma) / (2 * (1 - blue))
        chroma_red = (rgb[:, 0] - luma) / (2 * (1 - red))
        low, high, swing = (0, 255, 255) if self.full_range else (16, 219, 224)
        values = [low + high * luma, 128 + swing * chroma_blue, 128 + swing * chroma_red]
        return np.clip(np.round(np.stack(values, axis=1)), 0, 255).astype(np.uint8)
