"""dlib's frontal face detector (extra ``dlib``)."""

from collections.abc import Sequence

import numpy as np

from fakelens.errors import MissingExtraError
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face


class DlibHog:
    """dlib's frontal face detector (histogram of oriented gradients, five linear SVMs).

    Used by the tools of MesoNet's time. Needs upright, frontal faces of about 80 pixels.

    Raises:
        MissingExtraError: dlib is not installed.
    """

    # Of 232 detections that YuNet also makes, 95 % were above it; false detections reach 0.29.
    sure_confidence = 0.3

    def __init__(self) -> None:
        try:
            import dlib  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            raise MissingExtraError("the face detector 'dlib'", "dlib") from error
        self._detector = dlib.get_frontal_face_detector()
        self.name = f"dlib-hog-{dlib.__version__}"

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Detect the faces in each picture, the most confident first, without landmarks."""
        return [self._detect(image) for image in images]

    def _detect(self, image: RGBImage) -> list[Face]:
        boxes, margins, _ = self._detector.run(np.ascontiguousarray(image), 0, 0.0)
        faces = [
            # dlib's right and bottom are the last pixels inside the box.
            Face(Box(box.left(), box.top(), box.right() + 1, box.bottom() + 1), None, margin)
            for box, margin in zip(boxes, margins, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.confidence)
