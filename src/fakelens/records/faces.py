"""Faces, the crops made of them, and the interface of face detectors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from fakelens.records.arrays import FloatArray, RGBImage


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle in pixels, half-open; it may reach over the picture's edge."""

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not (self.x2 > self.x1 and self.y2 > self.y1):
            raise ValueError(f"a box needs a positive width and height, not {self}")

    @property
    def width(self) -> float:
        """Pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Pixels."""
        return self.y2 - self.y1

    @property
    def center(self) -> tuple[float, float]:
        """The middle, x and y."""
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def iou(self, other: "Box") -> float:
        """Intersection over union, 0..1."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.width * self.height + other.width * other.height - shared)


@dataclass(frozen=True, slots=True)
class Face:
    """One face as a detector saw it.

    Attributes:
        box: around the face.
        landmarks: (5, 2) float32 x, y in pixels: the eye, then the eye, the nose tip, the mouth
            corner, the mouth corner - in each pair the one on the picture's left first when the
            person is upright and faces the camera. ``None`` from detectors that give none.
        confidence: of the detector, on its own scale; comparable only within one detector.

    Raises:
        ValueError: a landmark or the confidence is not a finite number.
    """

    box: Box
    landmarks: FloatArray | None
    confidence: float

    def __post_init__(self) -> None:
        known = self.landmarks is None or np.isfinite(self.landmarks).all()
        if not (known and math.isfinite(self.confidence)):
            raise ValueError(f"a face needs finite landmarks and confidence, not {self}")

    def moved(self, x: float, y: float) -> "Face":
        """The same face further to the right by ``x`` pixels and down by ``y``."""
        box = Box(self.box.x1 + x, self.box.y1 + y, self.box.x2 + x, self.box.y2 + y)
        landmarks = (
            None if self.landmarks is None else self.landmarks + np.array([x, y], np.float32)
        )
        return Face(box, landmarks, self.confidence)

    def scaled(self, x: float, y: float) -> "Face":
        """The same face in the picture stretched by two factors."""
        box = Box(self.box.x1 * x, self.box.y1 * y, self.box.x2 * x, self.box.y2 * y)
        landmarks = (
            None if self.landmarks is None else self.landmarks * np.array([x, y], np.float32)
        )
        return Face(box, landmarks, self.confidence)


@dataclass(frozen=True, slots=True)
class CropGeometry:
    """Which square of the picture a model wants to see, relative to a face.

    Attributes:
        reference: ``"box"``: centred on the box, side = ``scale`` x its longer side.
            ``"dlib"``: dlib's frontal-face square, estimated from the landmarks (centred midway
            between the eyes' and the mouth's midpoints, side = ``scale`` x 2.31 x their
            distance); without landmarks the box is taken to be dlib's.
        scale: side of the crop over the side of the reference square.
    """

    reference: Literal["box", "dlib"]
    scale: float


class FaceDetector(Protocol):
    """Finds faces. A detector may also be a ``ScaledDetector`` or a ``TiledDetector``."""

    @property
    def name(self) -> str:
        """Short name and version, for the report."""
        ...

    @property
    def sure_confidence(self) -> float:
        """Confidence, on the detector's own scale, below which a detection may not be a face."""
        ...

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Detect the faces in each of some pictures of one size, the most confident first."""
        ...


@runtime_checkable
class ScaledDetector(Protocol):
    """A face detector that works on smaller pictures than it is given, to save time."""

    @property
    def longest_side(self) -> int:
        """Pictures are scaled down to this longest side, in pixels."""
        ...


@runtime_checkable
class TiledDetector(Protocol):
    """A face detector that finds the same faces in a part of a picture as in the whole."""

    @property
    def grid(self) -> int:
        """The corners of a part must be multiples of this, in pixels of the scaled picture."""
        ...
