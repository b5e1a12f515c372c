"""Array types, and the two scales of a score."""

import math

import numpy as np
from numpy.typing import NDArray

RGBImage = NDArray[np.uint8]


FloatArray = NDArray[np.float32]


def sigmoid(logit: NDArray[np.floating] | np.floating | float) -> FloatArray:
    """Score of a logit, 0..1, without overflow at either end."""
    half = np.asarray(logit, dtype=np.float64) / 2
    return (0.5 + 0.5 * np.tanh(half)).astype(np.float32)


def log_odds(score: float) -> float:
    """Logit of a score, held within 1e-6 of 0 and 1."""
    held = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(held / (1 - held))
