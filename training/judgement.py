"""What a network in training says, and how crops become its input."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fakelens.data import FloatArray


class Judgement(NamedTuple):
    """Of a batch of N crops.

    Attributes:
        logits: (N,) positive = fake.
        cells: (N, h, w) the map: of a patch network what each cell adds to the logit, times their
            number.
        forged: (N, h, w) logits, positive where the cell is forged; for training only.
    """

    logits: Tensor
    cells: Tensor
    forged: Tensor


def to_planes(crops: Tensor) -> Tensor:
    """(..., H, W, 3) uint8 -> (..., 3, H, W) float in 0..1, channels last in memory."""
    return crops.movedim(-1, -3).float().div_(255)


def judge(model: nn.Module, crops: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """Logits (N,) and cells (N, h, w) of crops (N, side, side, 3) uint8 RGB, in evaluation."""
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        judgement: Judgement = model(to_planes(torch.from_numpy(crops).to(device)))
    return judgement.logits.float().cpu().numpy(), judgement.cells.float().cpu().numpy()
