"""Face coordinates, in which a place on the face is the same in every frame.

The origin is the midpoint of the eyes. x points to the right along the line of the eyes, y down to
the mouth. The unit is the distance from the midpoint of the eyes to that of the mouth. A placement
is the similarity that maps the five landmarks of an average face to those of a face with the least
squared error (Umeyama, IEEE TPAMI 13(4), 1991, in complex numbers).
"""

from dataclasses import dataclass

import numpy as np

from fakelens.records.arrays import FloatArray

# Eyes, nose tip, mouth corners of an upright frontal face.
_AVERAGE = np.array([-0.47, 0.47, 0.53j, -0.38 + 1j, 0.38 + 1j])


@dataclass(frozen=True, slots=True)
class Placement:
    """Map from face coordinates to pixels: ``turn * point + shift`` of complex numbers."""

    turn: complex
    shift: complex

    @property
    def unit(self) -> float:
        """Distance from the midpoint of the eyes to that of the mouth, pixels."""
        return abs(self.turn)

    def to_pixels(self, points: FloatArray) -> FloatArray:
        """Map (N, 2) x, y in face coordinates to (N, 2) pixels."""
        return _pairs(_complex(points) * self.turn + self.shift)

    def to_face(self, points: FloatArray) -> FloatArray:
        """Map (N, 2) pixels to (N, 2) x, y in face coordinates."""
        return _pairs((_complex(points) - self.shift) / self.turn)

    def scaled(self, factor: float) -> "Placement":
        """Return the placement of the face in a picture resized by a factor."""
        return Placement(self.turn * factor, self.shift * factor)


def place_face(landmarks: FloatArray) -> Placement:
    """Compute the placement of a face.

    Args:
        landmarks: (5, 2) x, y in pixels, as in ``fakelens.records.faces.Face``.
    """
    found = _complex(landmarks)
    average, centred = _AVERAGE - _AVERAGE.mean(), found - found.mean()
    turn = complex((average.conj() * centred).sum() / (np.abs(average) ** 2).sum())
    return Placement(turn, complex(found.mean()) - turn * complex(_AVERAGE.mean()))


def alignment(source: Placement, target: Placement) -> FloatArray:
    """Compute the (2, 3) matrix for ``cv2.warpAffine`` that aligns one face with another."""
    turn = target.turn / source.turn
    shift = target.shift - turn * source.shift
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32
    )


def _complex(points: FloatArray) -> np.ndarray:
    return points[:, 0].astype(np.float64) + 1j * points[:, 1]


def _pairs(points: np.ndarray) -> FloatArray:
    return np.stack([points.real, points.imag], axis=1).astype(np.float32)
