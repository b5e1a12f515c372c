"""Small torch classifiers, and how to load them as ONNX."""

from collections.abc import Callable

import torch
from torch import nn

from fakelens.models.plain_onnx.classifier import OnnxClassifier, load_classifier
from fakelens.records.conventions import Convention, LayerLayout
from support.meso_reference import make_card
from support.onnx_export import export

SIDE = 32
FAKE = Convention(("fake",))
TWO = Convention(("real", "fake"))


class Small(nn.Module):
    """Convolution, ReLU, mean, linear; ``end`` makes the outputs."""

    def __init__(
        self, outputs: int, end: Callable[[torch.Tensor], torch.Tensor] = lambda y: y
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.linear = nn.Conv2d(3, 5, 5, stride=4), nn.Linear(5, outputs)
        self.end = end
        with torch.no_grad():
            self.conv.weight.mul_(3)
            self.linear.weight.mul_(9)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.relu(self.conv(x)).mean((2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.logits(x))


def adapt(
    module: nn.Module | bytes,
    convention: Convention,
    layer: str = "auto",
    layout: LayerLayout | None = None,
    side: int = SIDE,
) -> OnnxClassifier:
    data = module if isinstance(module, bytes) else export(module, side)
    return load_classifier(data, make_card(side, layer), convention, layout, "")


class Bright(nn.Module):
    """Weighs the mean red, green and blue of a picture 1, 2 and 4."""

    def __init__(self, last: bool = False) -> None:
        super().__init__()
        self.last = last
        self.conv = nn.Conv2d(3, 1, 1, bias=False)
        self.conv.weight = nn.Parameter(torch.tensor([1.0, 2, 4]).view(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x.permute(0, 3, 1, 2) if self.last else x)
        return x.mean((2, 3)) * 10 - 20
