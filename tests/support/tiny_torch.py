"""A tiny torch classifier and its adapter."""

import torch
from torch import nn

from fakelens.models.torch import Convention, TorchModel
from support.meso_reference import make_card

SIDE = 64
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Tiny(nn.Module):
    """Convolution, in-place ReLU, mean, linear."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 3, stride=4)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.9)
        self.linear = nn.Linear(5, outputs)
        self.calls = 0
        self.fail = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = self.relu(self.conv(x))
        if self.fail:
            raise RuntimeError("planned")
        return self.linear(self.dropout(x.mean((2, 3))))


def adapt(module: nn.Module, *outputs: str, layer: str = "conv") -> TorchModel:
    return TorchModel(module, make_card(SIDE, layer), Convention(outputs, *PLAIN))
