"""Pass your own face detector: here YuNet without the small faces in the background.

Any object with ``name``, ``sure_confidence`` and ``detect`` is a face detector.

Usage: python examples/own_detector.py [VIDEO]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fakelens


class LargeFaces:
    """Faces that are at least a tenth as wide as the picture."""

    def __init__(self) -> None:
        self._detector = fakelens.load_detector("yunet")
        self.name = f"large faces of {self._detector.name}"
        self.sure_confidence = self._detector.sure_confidence

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[list[fakelens.Face]]:
        """Detect the faces in each picture, (H, W, 3) RGB, the most confident first."""
        found = self._detector.detect(images)
        return [
            [face for face in faces if face.box.width >= image.shape[1] / 10]
            for image, faces in zip(images, found, strict=True)
        ]


video = Path(sys.argv[1] if len(sys.argv) > 1 else "demo/demo.mp4")
settings = fakelens.Settings(per_second=5, trust=False)  # a quick look
report = fakelens.analyze(video, detector=LargeFaces(), settings=settings)
print(f"{report.provenance.detector}: {len(report.tracks)} persons")
for track in report.tracks:
    widths = track.boxes[:, 2] - track.boxes[:, 0]
    print(f"Person {track.person}: {np.median(widths):.0f} pixels wide")
