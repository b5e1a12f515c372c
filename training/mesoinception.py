"""MesoInception4 in torch, to be trained (Afchar et al., WIFS 2018, section 3.2).

The architecture, epsilon and flatten order are those of the published Keras network. One liberty:
the four 1x1 convolutions that open an inception module read the same input and are computed as
one, which is the same function in half the time.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fakelens.data import FloatArray
from training.judgement import Judgement

_DILATIONS = (1, 2, 3)
_EPSILON = 1e-3
# Our name of a part of a normalisation, and torch's.
_NORM_PARTS = {
    "gamma": "weight",
    "beta": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}


class InceptionModule(nn.Module):
    """Branches of a 1x1 convolution, three of them followed by a dilated 3x3 one."""

    def __init__(self, inputs: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.widths = widths
        self.reduce = nn.Conv2d(inputs, sum(widths), 1)
        self.spread = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
            for width, dilation in zip(widths[1:], _DILATIONS, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, sum of widths, H, W)."""
        first, *others = functional.relu(self.reduce(x)).split(self.widths, 1)
        branches = [conv(y) for conv, y in zip(self.spread, others, strict=True)]
        return functional.relu(torch.cat([first, *branches], 1))


class MesoInception4(nn.Module):
    """(N, 3, 256, 256) float RGB in 0..1 -> (N,) logit, positive = fake.

    ``locate`` is there for training only: from the explained layer, normalised, it says cell by
    cell what is forged, which teaches the layers below it far more per picture than one label.
    """

    input_size = 256

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.stage1 = InceptionModule(3, (1, 4, 4, 2))
        self.stage2 = InceptionModule(11, (2, 4, 4, 2))
        self.conv3 = nn.Conv2d(12, 16, 5, padding=2)
        self.conv4 = nn.Conv2d(16, 16, 5, padding=2)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n, eps=_EPSILON) for n in (11, 12, 16, 16))
        self.dropout = nn.Dropout(dropout)
        self.dense1 = nn.Linear(16 * 8 * 8, 16)
        self.dense2 = nn.Linear(16, 1)
        self.locate = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Judgement:
        """(N, 3, 256, 256) -> logits (N,), map (N, 32, 32)."""
        activation = self.activation(x)
        cells = self.forged_cells(activation)
        return Judgement(self.classify(activation), cells, cells)

    def activation(self, x: Tensor) -> Tensor:
        """(N, 3, 256, 256) -> (N, 16, 32, 32): the last convolution after its ReLU."""
        x = functional.max_pool2d(self.norms[0](self.stage1(x)), 2)
        x = functional.max_pool2d(self.norms[1](self.stage2(x)), 2)
        x = functional.max_pool2d(self.norms[2](functional.relu(self.conv3(x))), 2)
        return functional.relu(self.conv4(x))

    def forged_cells(self, activation: Tensor) -> Tensor:
        """(N, 16, 32, 32) -> (N, 32, 32): one logit for each cell."""
        cells: Tensor = self.locate(self.norms[3](activation))
        return cells.squeeze(1)

    def classify(self, activation: Tensor) -> Tensor:
        """(N, 16, 32, 32) -> (N,)."""
        x = functional.max_pool2d(self.norms[3](activation), 4).flatten(1)
        x = functional.leaky_relu(self.dense1(self.dropout(x)), 0.1)
        logit: Tensor = self.dense2(self.dropout(x))
        return logit.squeeze(1)


def to_tensors(model: MesoInception4) -> dict[str, FloatArray]:
    """The weights under the names of :mod:`fakelens.networks.graph`."""
    state = {name: value.detach().float().numpy() for name, value in model.state_dict().items()}
    tensors: dict[str, FloatArray] = {}
    for index, module in enumerate((model.stage1, model.stage2), 1):
        rows = np.cumsum(module.widths)[:-1]
        for kind in ("weight", "bias"):
            opening = np.split(state[f"stage{index}.reduce.{kind}"], rows)
            for branch, part in enumerate(opening, 1):
                tensors[f"inception{index}.branch{branch}.conv1.{kind}"] = part
            for branch in (2, 3, 4):
                spread = state[f"stage{index}.spread.{branch - 2}.{kind}"]
                tensors[f"inception{index}.branch{branch}.conv2.{kind}"] = spread
    for name in ("conv3", "conv4", "dense1", "dense2"):
        tensors |= {f"{name}.{kind}": state[f"{name}.{kind}"] for kind in ("weight", "bias")}
    tensors["dense1.weight"] = tensors["dense1.weight"].reshape(16, 16, 8, 8)
    for index in range(4):
        for ours, theirs in _NORM_PARTS.items():
            tensors[f"bn{index + 1}.{ours}"] = state[f"norms.{index}.{theirs}"]
    return tensors


def load_tensors(model: MesoInception4, tensors: Mapping[str, FloatArray]) -> None:
    """Set the weights from those names: the inverse of :func:`to_tensors`."""
    state = model.state_dict()

    def put(name: str, *parts: str) -> None:
        joined = np.concatenate([tensors[part] for part in parts])
        state[name] = torch.from_numpy(joined).reshape(state[name].shape)

    for index in (1, 2):
        branch = f"inception{index}.branch"
        for kind in ("weight", "bias"):
            put(f"stage{index}.reduce.{kind}", *(f"{branch}{b}.conv1.{kind}" for b in range(1, 5)))
            for b in (2, 3, 4):
                put(f"stage{index}.spread.{b - 2}.{kind}", f"{branch}{b}.conv2.{kind}")
    for name in ("conv3", "conv4", "dense1", "dense2"):
        for kind in ("weight", "bias"):
            put(f"{name}.{kind}", f"{name}.{kind}")
    for index in range(4):
        for ours, theirs in _NORM_PARTS.items():
            put(f"norms.{index}.{theirs}", f"bn{index + 1}.{ours}")
    model.load_state_dict(state)
