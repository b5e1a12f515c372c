"""Patch models of random weights, and small runs of them."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from support.drawn_faces import draw_face
from training.network import PatchNet


def drawn_crops(count: int, size: int) -> NDArray[np.uint8]:
    """Different drawn faces, (count, size, size, 3)."""
    return np.stack([cv2.resize(draw_face(seed), (size, size)) for seed in range(count)])


def planes(crops: NDArray[np.uint8]) -> torch.Tensor:
    """(N, S, S, 3) in 0..255 -> (N, 3, S, S) in 0..1."""
    return torch.from_numpy(crops.transpose(0, 3, 1, 2) / np.float32(255))


def random_patchnet(seed: int) -> PatchNet:
    """In evaluation; its statistics and signs are nowhere the neutral ones."""
    torch.manual_seed(seed)
    model = PatchNet()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        nn.init.normal_(model.contrast.weight, 0, 0.1)  # nothing until trained
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.uniform_(0.7, 1.4)
            norm.bias.normal_(0.1, 0.2)
        model(planes(drawn_crops(6, 128)))  # their statistics become those of drawn faces
    for norm in norms:
        norm.momentum = 0.01
    return model.eval()
