"""Use a torch module as the detector model. Needs the extra ``torch``.

The module here has random weights, so its verdicts mean nothing. Put your own in its place.

Usage: python examples/torch_model.py [VIDEO]
"""

import sys
from pathlib import Path

import torch
from torch import nn

import fakelens
from fakelens.models.torch import Convention, TorchModel


class MyClassifier(nn.Module):
    """(N, 3, 128, 128) -> logits (N, 2) for real and fake."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=4), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()
        )
        self.classifier = nn.Linear(32, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits, before any softmax."""
        logits: torch.Tensor = self.classifier(self.features(pixels).mean((2, 3)))
        return logits


card = fakelens.ModelCard(
    name="my-classifier",
    version="1",
    description="A small convolutional network with random weights.",
    licence="Apache-2.0",
    source="this example",
    input_size=128,
    crop=fakelens.CropGeometry("box", 1.3),
    layer="features",
    cam="hirescam",
    polarity="two logits: real, fake",
    thresholds=fakelens.Thresholds(fake=0.7, real=0.3, source="not calibrated"),
    trained_on="nothing",
    limits=("Its weights are random.",),
)
convention = Convention(
    outputs=("real", "fake"),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)

video = Path(sys.argv[1] if len(sys.argv) > 1 else "demo/demo.mp4")
torch.manual_seed(0)
model = TorchModel(MyClassifier(), card, convention)
report = fakelens.analyze(video, model=model)
for finding in report.findings:
    mark = finding.trust_mark or "not measured"
    print(f"Person {finding.person}: score {finding.score:.2f}, heatmap faithfulness: {mark}")
