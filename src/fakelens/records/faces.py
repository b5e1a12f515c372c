"""Boxes, detected faces, the geometry of crops, and the interface of face detectors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from fakelens.records.arrays import FloatArray, RGBImage


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle in pixels, half-open; it may extend beyond the picture."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not (self.x2 > self.x1 and self.y2 > self.y1):
            raise ValueError(f"a box must have a positive width and height, not {self}")

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y2 - self.y1

    @property
    def center(self) -> tuple[float, float]:
        """Centre point, x and y."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def iou(self, other: "Box") -> float:
        """Compute the intersection over union with another box, 0..1."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.width * self.height + other.width * other.height - shared)


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face.

    Attributes:
        box: around the face.
        landmarks: (5, 2) float32 x, y in pixels: both eyes, the nose tip, both mouth corners. In
            each pair, the one on the picture's left comes first if the person is upright and faces
            the camera. ``None`` if the detector has no landmarks.
        confidence: the detector's, on its own scale; comparable only within one detector.

    Raises:
        ValueError: a landmark or the confidence is not a finite number.
    """

    box: Box
    landmarks: FloatArray | None
    confidence: float

    def __post_init__(self) -> None:
        known = self.landmarks is None or np.isfinite(self.landmarks).all()
        if not (known and math.isfinite(self.confidence)):
            raise ValueError(f"a face must have finite landmarks and confidence, not {self}")

    def moved(self, x: float, y: float) -> "Face":
        """Return the face moved right by ``x`` pixels and down by ``y`` pixels."""
        box = Box(self.box.x1 + x, self.box.y1 + y, self.box.x2 + x, self.box.y2 + y)
        landmarks = (
            None if self.landmarks is None else self.landmarks + np.array([x, y], np.float32)
        )
        return Face(box, landmarks, self.confidence)

    def scaled(self, x: float, y: float) -> "Face":
        """Return the face in a picture resized by the factors ``x`` and ``y``."""
        box = Box(self.box.x1 * x, self.box.y1 * y, self.box.x2 * x, self.box.y2 * y)
        landmarks = (
            None if self.landmarks is None else self.landmarks * np.array([x, y], np.float32)
        )
        return Face(box, landmarks, self.confidence)


@dataclass(frozen=True, slots=True)
class CropGeometry:
    """Which square of the picture a model takes as input, relative to a face.

    Attributes:
        reference: ``"box"``: centred on the box, side = ``scale`` x its longer side.
            ``"dlib"``: dlib's frontal-face square, estimated from the landmarks (centred midway
            between the eyes' and the mouth's midpoints, side = ``scale`` x 2.31 x their
            distance). Without landmarks, the box is taken as dlib's square.
        scale: side of the crop divided by the side of the reference square.
    """

    reference: Literal["box", "dlib"]
    scale: float


class FaceDetector(Protocol):
    """Finds faces in pictures.

    A detector may also be a ``ScaledDetector`` or a ``TiledDetector``.
    """

    @property
    def name(self) -> str:
        """Short name and version, shown in the report."""
        ...

    @property
    def sure_confidence(self) -> float:
        """Confidence, on the detector's own scale, below which a detection is not reliable."""
        ...

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Detect the faces in each picture, the most confident first.

        Args:
            images: (H, W, 3) uint8 RGB pictures, all of one size.
        """
        ...


@runtime_checkable
class ScaledDetector(Protocol):
    """A face detector that works on pictures scaled down to a fixed size."""

    @property
    def longest_side(self) -> int:
        """Longest side, in pixels, that pictures are scaled down to."""
        ...


@runtime_checkable
class TiledDetector(Protocol):
    """A face detector that finds the same faces in part of a picture as in the whole picture."""

    @property
    def grid(self) -> int:
        """The corners of a part are multiples of this number of pixels of the scaled picture."""
        ...
