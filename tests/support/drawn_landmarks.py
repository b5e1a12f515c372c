"""68 landmarks of drawn faces, for tests that need no landmark predictor."""

import numpy as np

from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.faces import Box, Face
from training.faces.landmarks import LandmarkedFace

EYES_TO_MOUTH, BETWEEN_EYES = 100.0, 110.0
"""Distances in ``frontal_face``, pixels."""


def frontal_face() -> FloatArray:
    """Return landmarks around (0, 0): eyes at y = -50, mouth at y = 50, chin at y = 110."""
    jaw_angle = np.linspace(np.pi, 0, 17)
    jaw = np.stack([120 * np.cos(jaw_angle), 150 * np.sin(jaw_angle) - 40], 1)
    brow_x = np.linspace(-1, 1, 5)
    brow = np.stack([32 * brow_x, -80 - 8 * (1 - brow_x**2)], 1)
    bridge = np.stack([np.zeros(4), np.linspace(-45, 5, 4)], 1)
    nostrils = np.stack([np.linspace(-20, 20, 5), [15, 18, 20, 18, 15]], 1)
    eye_angle = np.arange(6) * np.pi / 3
    eye = np.stack([-18 * np.cos(eye_angle), 7 * np.sin(eye_angle) - 50], 1)
    outer_angle, inner_angle = np.arange(12) * np.pi / 6, np.arange(8) * np.pi / 4
    outer = np.stack([-40 * np.cos(outer_angle), 18 * np.sin(outer_angle) + 50], 1)
    inner = np.stack([-28 * np.cos(inner_angle), 7 * np.sin(inner_angle) + 50], 1)
    offset = np.array([BETWEEN_EYES / 2, 0])
    parts = [jaw, brow - offset, brow + offset, bridge, nostrils]
    parts += [eye - offset, eye + offset, outer, inner]
    return np.concatenate(parts).astype(np.float32)


def turned_face(rng: np.random.Generator, center: tuple[float, float], scale: float) -> FloatArray:
    """Return the landmarks of a face with random shape and pose, around ``center``."""
    angle = rng.normal(0, 0.3)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    shape = np.array([(rng.uniform(0.7, 1.2), rng.normal(0, 0.1)), (0, rng.uniform(0.8, 1.2))])
    points = frontal_face() + rng.normal(0, 1.5, (68, 2))
    return (scale * points @ shape.T @ turn.T + center).astype(np.float32)


class PixelCodedFinder:
    """Landmark finder that reads the face's centre from the red and green of the top left pixel.

    If both are 0, it finds no face.
    """

    def find(self, image: RGBImage, box: Box | None = None) -> LandmarkedFace | None:
        x, y = (float(value) for value in image[0, 0, :2])
        if x == y == 0:
            return None
        scale = 0.002 * image.shape[0]
        points = scale * frontal_face() + np.array([x, y], np.float32)
        return LandmarkedFace(points, Face(Box(x, y, x + 1, y + 1), None, 1.0))
