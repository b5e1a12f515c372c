"""Factories for model files in tests: architectures whose weights a file has."""

import torch
from torch import nn

from support.meso_reference import TorchMeso
from training.network import PatchNet


class LogitOnly(nn.Module):
    """Returns the logit of a patch network; ``softmax`` returns two probabilities of it."""

    def __init__(self, network: nn.Module, *, softmax: bool) -> None:
        super().__init__()
        self.network, self.softmax = network, softmax

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output = self.network(x)
        logit = (output if isinstance(output, torch.Tensor) else output.logits).reshape(-1, 1)
        return torch.softmax(torch.cat([0 * logit, logit], 1), 1) if self.softmax else logit


def mesoinception(*, softmax: bool = False) -> nn.Module:
    return LogitOnly(TorchMeso("mesoinception4", 256), softmax=softmax)


def patch(*, softmax: bool = False) -> nn.Module:
    return LogitOnly(PatchNet(), softmax=softmax)
