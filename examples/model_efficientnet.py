"""Use a torch architecture with weights from a file: a small EfficientNet in the style of timm.

The model file states what the weights do not: the architecture, the preprocessing and the meaning
of the outputs. The weights here are random, so the verdicts mean nothing. Needs the extra
``torch``.

Usage: python examples/model_efficientnet.py [VIDEO]
"""

import shutil
import sys
from pathlib import Path

import torch
from torch import nn

import fakelens

MODEL_FILE = """
[weights]
file = "efficientnet.pth"
factory = "model_efficientnet:build"

[card]
input_size = 128
crop = { reference = "box", scale = 1.3 }  # the margin that the model was trained with

[convention]
outputs = ["real", "fake"]                 # the class of each output, in their order
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"""


class InvertedResidual(nn.Module):
    """Expand, convolve each channel, weight the channels, project."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 4 * inputs
        self.residual = inputs == outputs and stride == 1
        self.expand = nn.Sequential(nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide)
        )
        self.squeeze = nn.Conv2d(wide, wide // 4, 1)
        self.excite = nn.Conv2d(wide // 4, wide, 1)
        self.project = nn.Sequential(
            nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = nn.functional.silu(self.depthwise(nn.functional.silu(self.expand(x))))
        weights = self.excite(nn.functional.silu(self.squeeze(y.mean((2, 3), keepdim=True))))
        y = self.project(y * torch.sigmoid(weights))
        return x + y if self.residual else y


class EfficientNet(nn.Module):
    """(N, 3, 128, 128) -> logits (N, 2) for real and fake."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16))
        self.blocks = nn.Sequential(
            InvertedResidual(16, 24, 2), InvertedResidual(24, 40, 2), InvertedResidual(40, 40, 1)
        )
        self.head = nn.Sequential(nn.Conv2d(40, 160, 1, bias=False), nn.BatchNorm2d(160), nn.SiLU())
        self.classifier = nn.Linear(160, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        features = self.head(self.blocks(nn.functional.silu(self.stem(x))))
        logits: torch.Tensor = self.classifier(features.mean((2, 3)))
        return logits


def build() -> nn.Module:
    """Make the architecture; the model file names this function."""
    return EfficientNet()


if __name__ == "__main__":
    folder = Path("example-models")
    folder.mkdir(exist_ok=True)
    shutil.copy(__file__, folder)
    torch.manual_seed(0)
    torch.save(build().state_dict(), folder / "efficientnet.pth")
    (folder / "efficientnet.toml").write_text(MODEL_FILE, encoding="utf-8")

    model = fakelens.load_model(folder / "efficientnet.toml")
    print(f"Explained layer: {model.card.layer}")
    video = sys.argv[1] if len(sys.argv) > 1 else "demo/demo.mp4"
    settings = fakelens.Settings(per_second=5)
    report = fakelens.analyze(video, model=model, settings=settings)
    for finding in report.findings:
        mark = finding.trust_mark or "not measured"
        print(f"Person {finding.person}: score {finding.score:.2f}, heatmap faithfulness: {mark}")
