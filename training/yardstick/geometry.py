"""The face's own coordinates: the same place on the face in every frame.

The origin is the middle between the eyes, x points to the picture's right along the line of the
eyes, y down to the mouth, and the unit is the distance from the eyes' middle to the mouth's. The
placement is the similarity that brings an average face's five landmarks nearest to the found ones
(least squares; Umeyama, IEEE TPAMI 13(4), 1991, in complex numbers).
"""

from dataclasses import dataclass

import numpy as np

from fakelens.records.arrays import FloatArray

# Eyes, nose tip, mouth corners of an upright frontal face.
_AVERAGE = np.array([-0.47, 0.47, 0.53j, -0.38 + 1j, 0.38 + 1j])


@dataclass(frozen=True, slots=True)
class Placement:
    """From the face's coordinates to pixels: ``turn * point + shift`` of complex numbers."""

    turn: complex
    shift: complex

    @property
    def unit(self) -> float:
        """Pixels from the eyes' middle to the mouth's."""
        return abs(self.turn)

    def to_pixels(self, points: FloatArray) -> FloatArray:
        """(N, 2) x, y of the face -> (N, 2) pixels."""
        return _pairs(_complex(points) * self.turn + self.shift)

    def to_face(self, points: FloatArray) -> FloatArray:
        """(N, 2) pixels -> (N, 2) x, y of the face."""
        return _pairs((_complex(points) - self.shift) / self.turn)

    def scaled(self, factor: float) -> "Placement":
        """The same face in a picture resized by a factor."""
        return Placement(self.turn * factor, self.shift * factor)


def place(landmarks: FloatArray) -> Placement:
    """Find a face's coordinates.

    Args:
        landmarks: (5, 2) as in ``fakelens.records.models.Face``, pixels.
    """
    found = _complex(landmarks)
    model, away = _AVERAGE - _AVERAGE.mean(), found - found.mean()
    turn = complex((model.conj() * away).sum() / (np.abs(model) ** 2).sum())
    return Placement(turn, complex(found.mean()) - turn * complex(_AVERAGE.mean()))


def onto(source: Placement, target: Placement) -> FloatArray:
    """The (2, 3) matrix for ``cv2.warpAffine`` that lays one face on another."""
    turn = target.turn / source.turn
    shift = target.shift - turn * source.shift
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32
    )


def _complex(points: FloatArray) -> np.ndarray:
    return points[:, 0].astype(np.float64) + 1j * points[:, 1]


def _pairs(points: np.ndarray) -> FloatArray:
    return np.stack([points.real, points.imag], axis=1).astype(np.float32)
