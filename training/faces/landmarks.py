"""68 facial landmarks, and the face square and hulls computed from them.

The points are found by dlib's ensemble of regression trees (Kazemi and Sullivan, CVPR 2014). The
predictor file comes with the PyPI package ``face-recognition-models`` (CC0 1.0). It was trained on
the iBUG 300-W data set, whose licence allows research use only. It is therefore used only to
prepare training data and is not part of fakelens itself.

Coordinates are pixels, x and y; whole numbers are pixel centres, as in OpenCV and dlib.
"""

import importlib
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from fakelens.faces.crops import crop_area
from fakelens.faces.yunet import YuNet
from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.faces import Box, CropGeometry, Face
from training.faces.index import CropDataError

HULL_KINDS = ("forehead", "face", "lower", "eyes_nose", "mouth", "nose_mouth")
HULL_CORNERS = 20

_PACKAGE = "face_recognition_models"
_FILE = "shape_predictor_68_face_landmarks.dat"
# The predictor was trained on dlib's boxes, which correspond to the crop geometry "dlib".
_PREDICTOR_SQUARE = CropGeometry("dlib", 1.0)
# YuNet needs a border around a face that fills the picture, pixels.
_BORDER = 48

_JAW, _BROWS, _NOSE = np.arange(0, 17), np.arange(17, 27), np.arange(27, 36)
_RIGHT_EYE, _LEFT_EYE, _MOUTH = np.arange(36, 42), np.arange(42, 48), np.arange(48, 68)
_CHIN = 8
# Height of the forehead above the brows, relative to the distance from brows to chin.
_FOREHEAD = 0.3
_HULL_POINTS = {
    "face": np.concatenate([_JAW, _BROWS]),
    # From the middle of the bridge of the nose down.
    "lower": np.concatenate([_JAW[2:15], _NOSE[2:]]),
    "eyes_nose": np.concatenate([_BROWS, _RIGHT_EYE, _LEFT_EYE, _NOSE]),
    "mouth": _MOUTH,
    "nose_mouth": np.concatenate([_NOSE, _MOUTH]),
}

# Fitted to the longer side and the centre of YuNet's box, in units of the scale of ``_face_axes``.
_SQUARE_SIDE = 2.68
_SQUARE_ABOVE = 0.18
_PROFILE = 0.8


@dataclass(frozen=True, slots=True)
class LandmarkedFace:
    """A detected face with 68 landmarks.

    Attributes:
        landmarks: (68, 2) float32 x, y, pixels.
        face: detection by YuNet; in its box, whole numbers are edges of pixels.
    """

    landmarks: FloatArray
    face: Face


class LandmarkFinder(Protocol):
    """Interface of a landmark finder for training crops."""

    def find(self, image: RGBImage, box: Box | None = None) -> LandmarkedFace | None:
        """Find the landmarks of one face, see ``DlibLandmarkFinder.find``."""
        ...


class DlibLandmarkFinder:
    """Finds faces with YuNet and their 68 landmarks with dlib's predictor.

    Raises:
        CropDataError: dlib-bin or face-recognition-models is not installed.
    """

    def __init__(self) -> None:
        path = predictor_file()
        try:
            self._dlib: Any = importlib.import_module("dlib")
        except ImportError as error:
            raise CropDataError("landmarks need dlib: run pip install dlib-bin") from error
        self._predictor = self._dlib.shape_predictor(str(path))
        # A training crop always shows a face, so a detection of low confidence is good enough.
        self._detector = YuNet(min_confidence=0.3)

    def find(self, image: RGBImage, box: Box | None = None) -> LandmarkedFace | None:
        """Find the landmarks of one face.

        Args:
            image: (H, W, 3) uint8 RGB; may be a tight crop that the face fills.
            box: box of the face, pixels of the picture. By default, the face with the largest
                product of confidence and area is used.

        Returns:
            The face, or ``None`` if YuNet finds no face.
        """
        padded = np.pad(image, ((_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0)))
        faces = [face for face in self._detector.detect([padded])[0] if face.landmarks is not None]
        if not faces:
            return None
        if box is None:
            face = max(faces, key=lambda face: face.confidence * face.box.width * face.box.height)
        else:
            known = Face(box, None, 0.0).moved(_BORDER, _BORDER).box
            face = max(faces, key=lambda face: face.box.iou(known))
        area = crop_area(face, _PREDICTOR_SQUARE)
        # The right and bottom edge of dlib's rectangle are the last pixels inside.
        rectangle = self._dlib.rectangle(
            *(round(value) for value in (area.x1, area.y1, area.x2 - 1, area.y2 - 1))
        )
        parts = self._predictor(padded, rectangle).parts()
        points = np.array([(part.x, part.y) for part in parts], np.float32) - _BORDER
        return LandmarkedFace(points, face.moved(-_BORDER, -_BORDER))


def predictor_file() -> Path:
    """Locate the predictor without importing its package, which needs the removed pkg_resources.

    Raises:
        CropDataError: the package or the file is missing.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    path = Path(spec.origin).parent / "models" / _FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise CropDataError(
            f"landmarks need the file {_FILE}: run pip install face-recognition-models"
        )
    return path


def face_square(landmarks: FloatArray) -> tuple[FloatArray, float]:
    """Estimate the face square: its side is the longer side of YuNet's box.

    Args:
        landmarks: (68, 2) x, y, pixels.

    Returns:
        The centre, (2,) float32 x, y in pixels, and the side in pixels.
    """
    eyes, mouth, scale = _face_axes(landmarks)
    up = (eyes - mouth) / max(float(np.linalg.norm(eyes - mouth)), 1e-3)
    center = (eyes + mouth) / 2 + _SQUARE_ABOVE * scale * up
    return center.astype(np.float32), _SQUARE_SIDE * scale


def compute_hulls(landmarks: FloatArray) -> FloatArray:
    """Compute the convex hulls of the parts of a face, in the order of ``HULL_KINDS``.

    Args:
        landmarks: (68, 2) x, y, pixels.

    Returns:
        (6, 20, 2) float32 corners in order, all hulls in the same direction. No two corners of a
        hull coincide; some may lie on a straight line.
    """
    brows, chin = landmarks[_BROWS], landmarks[_CHIN]
    raised = brows + _FOREHEAD * (brows.mean(axis=0) - chin)
    parts = {kind: landmarks[points] for kind, points in _HULL_POINTS.items()}
    parts["forehead"] = np.concatenate([landmarks[_JAW], brows, raised])
    return np.stack([_resample_hull(parts[kind]) for kind in HULL_KINDS])


def _resample_hull(points: FloatArray) -> FloatArray:
    """Compute the convex hull of points, with ``HULL_CORNERS`` corners."""
    corners: list[list[float]] = cv2.convexHull(points.astype(np.float32))[:, 0].tolist()
    # Remove the corners that contribute the least area.
    while len(corners) > HULL_CORNERS:
        smallest = min(range(len(corners)), key=lambda at: _corner_area(corners, at))
        del corners[smallest]
    # Divide the longest edges, each into equal pieces.
    ends = corners[1:] + corners[:1]
    lengths = [math.dist(*edge) for edge in zip(corners, ends, strict=True)]
    pieces = [1] * len(corners)
    for _ in range(HULL_CORNERS - len(corners)):
        longest = max(range(len(corners)), key=lambda at: lengths[at] / pieces[at])
        pieces[longest] += 1
    return np.array(
        [
            (x1 + (x2 - x1) * step / count, y1 + (y2 - y1) * step / count)
            for (x1, y1), (x2, y2), count in zip(corners, ends, pieces, strict=True)
            for step in range(count)
        ],
        np.float32,
    )


def _corner_area(corners: list[list[float]], at: int) -> float:
    """Compute twice the area of the triangle of a corner and its two neighbours."""
    (x0, y0), (x1, y1), (x2, y2) = corners[at - 1], corners[at], corners[(at + 1) % len(corners)]
    return abs((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0))


def _face_axes(landmarks: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Compute the midpoints of eyes and mouth, and a scale that changes little with the pose."""
    right, left = landmarks[_RIGHT_EYE].mean(axis=0), landmarks[_LEFT_EYE].mean(axis=0)
    eyes, mouth = (right + left) / 2, landmarks[_MOUTH].mean(axis=0)
    down, across = np.linalg.norm(mouth - eyes), np.linalg.norm(left - right)
    return eyes, mouth, float(max(down, _PROFILE * across))
