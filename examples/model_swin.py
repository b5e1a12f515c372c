"""Explain a network whose maps have their channels last, as those of Swin transformers do.

Where the channels are is told from the shapes and types of the layers, so the model file does not
have to state it. The weights here are random, so the verdicts mean nothing. Needs the extra
``torch``.

Usage: python examples/model_swin.py [VIDEO]
"""

import shutil
import sys
from pathlib import Path

import torch
from torch import nn

import fakelens

MODEL_FILE = """
[weights]
file = "swin.pth"
factory = "model_swin:build"

[card]
input_size = 112
crop = { reference = "box", scale = 1.3 }

[convention]
outputs = ["live", "faceswap", "reenactment"]
fake = ["faceswap", "reenactment"]         # a fake is either of them
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"""

WINDOW = 7


class WindowBlock(nn.Module):
    """Attention within windows of 7 x 7 cells, as in a Swin block without the shift."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        n, h, w, c = x.shape
        rows, columns = h // WINDOW, w // WINDOW
        y = self.norm1(x).reshape(n, rows, WINDOW, columns, WINDOW, c).transpose(2, 3)
        y = y.reshape(-1, WINDOW * WINDOW, c)
        y = self.attention(y, y, y, need_weights=False)[0]
        y = y.reshape(n, rows, columns, WINDOW, WINDOW, c).transpose(2, 3).reshape(n, h, w, c)
        x = x + y
        result: torch.Tensor = x + self.perceptron(self.norm2(x))
        return result


class Swin(nn.Module):
    """(N, 3, 112, 112) -> logits (N, 3), through maps of 14 x 14 and 7 x 7 cells."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, stride=8)
        self.stage1 = WindowBlock(width)
        self.merge = nn.Linear(4 * width, 2 * width)
        self.stage2 = WindowBlock(2 * width)
        self.norm = nn.LayerNorm(2 * width)
        self.head = nn.Linear(2 * width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        x = self.stage1(self.patches(x).permute(0, 2, 3, 1))
        quads = [x[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
        x = self.norm(self.stage2(self.merge(torch.cat(quads, 3))))
        logits: torch.Tensor = self.head(x.mean((1, 2)))
        return logits


def build() -> nn.Module:
    """Make the architecture; the model file names this function."""
    return Swin()


if __name__ == "__main__":
    folder = Path("example-models")
    folder.mkdir(exist_ok=True)
    shutil.copy(__file__, folder)
    torch.manual_seed(0)
    torch.save(build().state_dict(), folder / "swin.pth")
    (folder / "swin.toml").write_text(MODEL_FILE, encoding="utf-8")

    model = fakelens.load_model(folder / "swin.toml")
    video = sys.argv[1] if len(sys.argv) > 1 else "demo/demo.mp4"
    settings = fakelens.Settings(per_second=5, trust=False)
    report = fakelens.analyze(video, model=model, settings=settings)
    print(f"Heatmaps of {report.heatmaps.shape} cells from {model.card.layer}")
    for finding in report.findings:
        print(f"Person {finding.person}: score {finding.score:.2f}")
