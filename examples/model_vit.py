"""Explain a transformer: a small ViT, whose layers return tokens instead of maps.

The model file states how the tokens are arranged, and a layer before the last attention: the output
of the last block depends on the class token alone. The weights here are random, so the verdicts
mean nothing. Needs the extra ``torch``.

Usage: python examples/model_vit.py [VIDEO]
"""

import shutil
import sys
from pathlib import Path

import torch
from torch import nn

import fakelens

MODEL_FILE = """
[weights]
file = "vit.pth"
factory = "model_vit:build"

[card]
input_size = 128
crop = { reference = "box", scale = 1.3 }
layer = "blocks.2.norm1"
cam = "gradcam"

[layout]
kind = "tokens"
grid = [8, 8]                              # rows and columns of patches
class_tokens = 1                           # tokens before them

[convention]
outputs = ["real", "fake"]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""


class Block(nn.Module):
    """Attention and a perceptron, each after a normalisation and with a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, T, width) -> (N, T, width)."""
        y = self.norm1(tokens)
        tokens = tokens + self.attention(y, y, y, need_weights=False)[0]
        result: torch.Tensor = tokens + self.perceptron(self.norm2(tokens))
        return result


class ViT(nn.Module):
    """(N, 3, 128, 128) -> logits (N, 2) for real and fake, from patches of 16 x 16 pixels."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, stride=16)
        self.class_token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(0.1 * torch.randn(1, 65, width))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(3)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        patches = self.patches(x).flatten(2).transpose(1, 2)
        first = self.class_token.expand(x.shape[0], -1, -1)
        tokens = self.blocks(torch.cat([first, patches], 1) + self.places)
        logits: torch.Tensor = self.head(self.norm(tokens)[:, 0])
        return logits


def build() -> nn.Module:
    """Make the architecture; the model file names this function."""
    return ViT()


if __name__ == "__main__":
    folder = Path("example-models")
    folder.mkdir(exist_ok=True)
    shutil.copy(__file__, folder)
    torch.manual_seed(0)
    torch.save(build().state_dict(), folder / "vit.pth")
    (folder / "vit.toml").write_text(MODEL_FILE, encoding="utf-8")

    model = fakelens.load_model(folder / "vit.toml")
    video = sys.argv[1] if len(sys.argv) > 1 else "demo/demo.mp4"
    settings = fakelens.Settings(per_second=5, trust=False)
    report = fakelens.analyze(video, model=model, settings=settings)
    print(f"Heatmaps of {report.heatmaps.shape} cells from {model.card.layer}")
    for finding in report.findings:
        print(f"Person {finding.person}: score {finding.score:.2f}")
