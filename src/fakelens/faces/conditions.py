"""Conditions under which a face is seen: size, detail, light and pose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.faces.quality import sharpness
from fakelens.records.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Condition:
    """A measured condition.

    Attributes:
        title: name in sentences.
        unit: after the number, with a space; may be empty.
        digits: digits after the point in sentences.
        limits: which side of the range matters: a sharp face that looks into the camera is never
            unlike the validation data.
    """

    title: str
    unit: str
    digits: int
    limits: Literal["low", "high", "both"]


CONDITIONS = {
    "width": Condition("the face is {value} wide", " pixels", 0, "low"),
    "sharpness": Condition("its sharpness is {value}", "", 2, "low"),
    "detail": Condition("its fine detail is {value}", "", 3, "low"),
    "brightness": Condition("its mean brightness is {value} of 255", "", 0, "both"),
    "turn": Condition(
        "the head is turned aside, the nose by {value} off the middle", "", 2, "high"
    ),
    "features": Condition(
        "the model's features are {value} from those of the validation data",
        " standard deviations",
        1,
        "high",
    ),
}
"""Conditions by the names in ``records.models.ConditionRange``.

``width``: shorter side of the face's box in the source, pixels. ``sharpness``: see
``quality.sharpness``. ``detail``: the same at the resolution of the model's crop, which compression
and enlargement reduce. ``brightness``: mean luma of the crop, 0..255. ``turn``: distance of the
nose tip from the middle of the eyes along their line, over the distance of the eyes from the mouth;
0 for a face that looks into the camera. ``features``: root mean square of the model's mean
features, in standard deviations of the validation data.
"""


def measure_conditions(
    width: float, crops: Sequence[NDArray[np.uint8]], landmarks: Sequence[FloatArray]
) -> dict[str, float]:
    """Measure the conditions of one person, except the features.

    Args:
        width: shorter side of the face's box in the source, pixels.
        crops: (S, S, 3) uint8 RGB, the model's crops of some faces.
        landmarks: (5, 2) of the same faces, or fewer; ``turn`` is missing without any.
    """
    lumas = [cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops]
    measured = {
        "width": width,
        "sharpness": float(np.median([sharpness(crop) for crop in crops])),
        "detail": float(np.median([_detail(luma) for luma in lumas])),
        "brightness": float(np.median([luma.mean() for luma in lumas])),
    }
    if landmarks:
        measured["turn"] = float(np.median([head_turn(points) for points in landmarks]))
    return measured


def head_turn(landmarks: FloatArray) -> float:
    """Measure how far a head is turned to a side, see ``CONDITIONS``; landmarks (5, 2)."""
    middle, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    down = mouth - middle
    length = max(float(np.hypot(*down)), 1e-6)
    nose = landmarks[2] - middle
    return abs(float(nose[0] * down[1] - nose[1] * down[0])) / length**2


def feature_distance(
    features: FloatArray, mean: Sequence[float], deviation: Sequence[float]
) -> float:
    """Return how far features (C,) lie from a mean (C,): RMS in standard deviations (C,)."""
    away = (features - np.asarray(mean)) / np.maximum(np.asarray(deviation), 1e-6)
    return float(np.sqrt(np.mean(away**2)))


def _detail(luma: NDArray[np.integer | np.floating]) -> float:
    # One squared grey level is added to avoid 0 / 0 for a flat picture.
    return float(cv2.Laplacian(luma, cv2.CV_32F).var()) / (float(luma.var()) + 1)
