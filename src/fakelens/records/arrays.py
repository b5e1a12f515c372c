"""Array types, and conversion between logits and scores."""

import math

import numpy as np
from numpy.typing import NDArray

RGBImage = NDArray[np.uint8]
"""A picture, (H, W, 3) uint8 RGB."""

FloatArray = NDArray[np.float32]


def sigmoid(logit: NDArray[np.floating] | np.floating | float) -> FloatArray:
    """Compute the score of a logit, 0..1, without overflow at either end."""
    half = np.asarray(logit, dtype=np.float64) / 2
    return (0.5 + 0.5 * np.tanh(half)).astype(np.float32)


def log_odds(score: float) -> float:
    """Compute the logit of a score, which is first clipped to 1e-6..1 - 1e-6."""
    clipped = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(clipped / (1 - clipped))
