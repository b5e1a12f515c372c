"""An independent MesoNet in torch, written from the paper, with random weights."""

from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

from fakelens.models.mesonet_graph import Architecture, MesoWeights
from fakelens.records.faces import CropGeometry
from fakelens.records.models import ModelCard, Thresholds


class Inception(nn.Module):
    def __init__(self, inputs: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        a, b, c, d = widths
        self.branch1 = nn.Conv2d(inputs, a, 1)
        self.branch2 = nn.ModuleList([nn.Conv2d(inputs, b, 1), nn.Conv2d(b, b, 3, padding=1)])
        self.branch3 = nn.ModuleList(
            [nn.Conv2d(inputs, c, 1), nn.Conv2d(c, c, 3, padding="same", dilation=2)]
        )
        self.branch4 = nn.ModuleList(
            [nn.Conv2d(inputs, d, 1), nn.Conv2d(d, d, 3, padding="same", dilation=3)]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = [torch.relu(self.branch1(x))]
        for first, second in (self.branch2, self.branch3, self.branch4):
            outputs.append(torch.relu(second(torch.relu(first(x)))))
        return torch.cat(outputs, 1)

    def convs(self) -> dict[str, nn.Conv2d]:
        named = {"branch1.conv1": self.branch1}
        for number, branch in ((2, self.branch2), (3, self.branch3), (4, self.branch4)):
            named[f"branch{number}.conv1"], named[f"branch{number}.conv2"] = branch
        return named


class TorchMeso(nn.Module):
    """MesoNet in torch: logits (N, 1), positive = fake, of (N, 3, side, side) in 0..1.

    The layer to explain is ``relu4``.
    """

    def __init__(self, architecture: Architecture, side: int, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.architecture = architecture
        if architecture == "meso4":
            self.stage1: nn.Module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
            self.stage2: nn.Module = nn.Sequential(nn.Conv2d(8, 8, 5, padding=2), nn.ReLU())
            widths = (8, 8, 16, 16)
        else:
            self.stage1, self.stage2 = Inception(3, (1, 4, 4, 2)), Inception(11, (2, 4, 4, 2))
            widths = (11, 12, 16, 16)
        self.conv3 = nn.Conv2d(widths[1], 16, 5, padding=2)
        self.conv4 = nn.Conv2d(16, 16, 5, padding=2)
        self.relu4 = nn.ReLU()
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=1e-3) for width in widths)
        self.cells = side // 32
        self.dense1 = nn.Linear(16 * self.cells**2, 16)
        self.dense2 = nn.Linear(16, 1)
        with torch.no_grad():
            for norm in self.norms:  # also negative scales, which turn maxima into minima
                norm.weight.uniform_(-2, 2)
                norm.bias.normal_()
                norm.running_mean.normal_(std=0.3)
                norm.running_var.uniform_(0.02, 1)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.norms[0](self.stage1(x)), 2)
        x = nn.functional.max_pool2d(self.norms[1](self.stage2(x)), 2)
        x = nn.functional.max_pool2d(self.norms[2](torch.relu(self.conv3(x))), 2)
        return self.head(self.relu4(self.conv4(x)))

    def head(self, activation: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.norms[3](activation), 4).flatten(1)
        return self.dense2(nn.functional.leaky_relu(self.dense1(x), 0.1))

    def convs(self) -> dict[str, nn.Conv2d]:
        named = {}
        for number, stage in ((1, self.stage1), (2, self.stage2)):
            if isinstance(stage, Inception):
                named |= {f"inception{number}.{name}": c for name, c in stage.convs().items()}
            else:
                named[f"conv{number}"] = stage[0]
        return named | {"conv3": self.conv3, "conv4": self.conv4}

    def weights(self) -> MesoWeights:
        tensors = {}
        for name, conv in self.convs().items():
            tensors[f"{name}.weight"], tensors[f"{name}.bias"] = conv.weight, conv.bias
        for stage, norm in enumerate(self.norms, 1):
            tensors[f"bn{stage}.gamma"], tensors[f"bn{stage}.beta"] = norm.weight, norm.bias
            tensors[f"bn{stage}.mean"] = norm.running_mean
            tensors[f"bn{stage}.variance"] = norm.running_var
        shape = (16, 16, self.cells, self.cells)
        tensors["dense1.weight"] = self.dense1.weight.reshape(shape)
        tensors["dense1.bias"] = self.dense1.bias
        tensors["dense2.weight"], tensors["dense2.bias"] = self.dense2.weight, self.dense2.bias
        arrays = {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}
        return MesoWeights(self.architecture, arrays, bn_epsilon=1e-3)


def make_card(side: int, layer: str = "conv4") -> ModelCard:
    return ModelCard(
        name="random",
        version="1",
        description="Random weights.",
        licence="none",
        source="a test",
        input_size=side,
        crop=CropGeometry("box", 1.25),
        layer=layer,
        cam="hirescam",
        polarity="positive = fake",
        thresholds=Thresholds(0.6, 0.4, "none"),
        trained_on="nothing",
        limits=("It knows nothing.", "Ümlaute bleiben."),
    )


def random_crops(count: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def write_keras_h5(meso: TorchMeso, path: Path, first: int = 1, root: str = "/") -> None:
    """Save like Keras 2: positive = real, numbers from ``first``, kernels H, W, in, out."""
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for number, conv in enumerate(meso.convs().values(), first):
        kernel = conv.weight.permute(2, 3, 1, 0)
        groups[f"conv2d_{number}"] = {"kernel": kernel, "bias": conv.bias}
    for number, norm in enumerate(meso.norms, first):
        groups[f"batch_normalization_{number}"] = {
            "gamma": norm.weight,
            "beta": norm.bias,
            "moving_mean": norm.running_mean,
            "moving_variance": norm.running_var,
        }
    rows_first = meso.dense1.weight.reshape(16, 16, meso.cells, meso.cells).permute(2, 3, 1, 0)
    kernel = rows_first.reshape(-1, 16)
    groups[f"dense_{first}"] = {"kernel": kernel, "bias": meso.dense1.bias}
    groups[f"dense_{first + 1}"] = {"kernel": -meso.dense2.weight.T, "bias": -meso.dense2.bias}
    groups["flatten_1"] = {}
    with h5py.File(path, "w") as file:
        for layer, tensors in groups.items():
            group = file.require_group(root).create_group(layer)
            for name, tensor in tensors.items():
                group[f"{layer}/{name}:0"] = tensor.detach().numpy()
