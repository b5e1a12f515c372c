"""A model whose output can be computed by hand: a weighted sum of the redness of pixels."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import FloatArray
from fakelens.records.faces import CropGeometry
from fakelens.records.models import Evidence
from support.builders import CARD


def redness(crops: NDArray[np.uint8]) -> FloatArray:
    """Compute red minus blue of crops (..., side, side, 3), in units of 32 grey levels."""
    return (crops[..., 0].astype(np.float32) - crops[..., 2]) / 32


class LinearModel:
    """A model whose logit is the sum of weights x redness, where redness is the explained layer.

    HiResCAM is therefore the contribution of each pixel to the logit.

    Args:
        weights: (side, side).
        channels: (C, side, side), returned as activation instead of the redness; the logit stays
            the same.
    """

    sha256 = "5" * 64

    def __init__(self, weights: NDArray[np.floating], channels: FloatArray | None = None) -> None:
        side = weights.shape[0]
        self.card = replace(CARD, input_size=side, crop=CropGeometry("box", 1.0))
        self.weights = np.asarray(weights, np.float32)
        self.seen: list[NDArray[np.uint8]] = []  # all batches
        self._channels = channels

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        assert crops.dtype == np.uint8
        assert crops.shape[1:] == (*self.weights.shape, 3)
        self.seen.append(crops)
        layer = redness(crops)[:, None]
        gradient = np.broadcast_to(self.weights, layer.shape)
        logit = self.head(layer)
        if self._channels is not None:
            layer = np.broadcast_to(self._channels, (len(crops), *self._channels.shape))
            gradient = np.zeros_like(layer)
        return Evidence(logit, layer, gradient)

    def head(self, activation: FloatArray) -> FloatArray:
        return np.asarray((activation[:, 0] * self.weights).sum(axis=(1, 2)), np.float32)

    @property
    def passes(self) -> int:
        """Number of crops examined."""
        return sum(map(len, self.seen))


def patch(side: int, rows: slice, columns: slice) -> NDArray[np.bool_]:
    """Return a mask (side, side) of a rectangle."""
    mask = np.zeros((side, side), bool)
    mask[rows, columns] = True
    return mask


def red_and_blue(side: int, red: NDArray[np.bool_], blue: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Draw a grey crop with a red and a blue area."""
    crop = np.full((side, side, 3), 128, np.uint8)
    crop[red] = (220, 90, 60)
    crop[blue] = (60, 90, 220)
    return crop
