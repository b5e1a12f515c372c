"""Patch networks with random weights, and input for them."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from support.drawn_faces import draw_face
from training.network import PatchNet


def drawn_crops(count: int, size: int) -> NDArray[np.uint8]:
    """Return different drawn faces, (count, size, size, 3) uint8 RGB."""
    return np.stack([cv2.resize(draw_face(seed), (size, size)) for seed in range(count)])


def planes(crops: NDArray[np.uint8]) -> torch.Tensor:
    """Convert crops (N, S, S, 3) in 0..255 to a tensor (N, 3, S, S) in 0..1."""
    return torch.from_numpy(crops.transpose(0, 3, 1, 2) / np.float32(255))


def random_patchnet(seed: int) -> PatchNet:
    """Make a network in evaluation mode, without neutral weights or batch statistics."""
    torch.manual_seed(seed)
    network = PatchNet()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        nn.init.normal_(network.contrast.weight, 0, 0.1)  # 0 before training
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.uniform_(0.7, 1.4)
            norm.bias.normal_(0.1, 0.2)
        network(planes(drawn_crops(6, 128)))  # sets the batch statistics to those of drawn faces
    for norm in norms:
        norm.momentum = 0.01
    return network.eval()
