"""OpenCV's Haar cascade for frontal faces."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import cv2.data

from fakelens.errors import FakelensError
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face


class Haar:
    """The cascade of Viola and Jones as trained for OpenCV (frontal faces, ``default``).

    Slow, with many false alarms; provided for comparison with older work.

    Raises:
        FakelensError: the installed OpenCV (5.0 or later) has no cascades.
    """

    name = f"haar-frontalface-default-opencv-{cv2.__version__}"
    # Of 227 detections that YuNet also makes, seven eighths were above it; of 135 others, a tenth.
    sure_confidence = 5.5

    def __init__(self) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise FakelensError(
                f"OpenCV {cv2.__version__} has no Haar cascades: install opencv-python-headless<5"
                " or choose another face detector"
            )
        file = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
        self._cascade = cv2.CascadeClassifier(str(file))

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Detect the faces in each picture, the most confident first, without landmarks."""
        return [self._detect(image) for image in images]

    def _detect(self, image: RGBImage) -> list[Face]:
        luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        boxes, _, weights = self._cascade.detectMultiScale3(
            luma, scaleFactor=1.1, minNeighbors=5, outputRejectLevels=True
        )
        faces = [
            Face(Box(float(x), float(y), float(x + w), float(y + h)), None, float(weight))
            for (x, y, w, h), weight in zip(boxes, weights, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.confidence)
