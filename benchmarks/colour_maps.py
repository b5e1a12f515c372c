"""Compare colour maps for heatmaps: how much of a face stays readable, and how visible the heat is.

    python -m benchmarks.colour_maps

A drawn face texture in three skin tones of the Monk Skin Tone scale (Monk, 2019) is covered by each
map as reports do, with the default opacity. For each map and tone it prints the share of the face's
contrast in lightness (CIE L*) that is kept, the mean over evidence of 10 % to 100 %, and the mean
difference in colour (CIE 1976) between the face with and without evidence of 50 % or more.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.render.painter import colour_tables
from fakelens.render.style import COLORMAPS, Style

TONES = {"light": "#f7ead0", "medium": "#a07e56", "dark": "#3a312a"}
"""Tones 3, 6 and 9 of 10."""

_CONTRAST = 0.15  # standard deviation of the texture over its mean
_STRENGTHS = np.linspace(0.1, 1, 19)


def main() -> None:
    """Print the table."""
    faces = {name: _face(tone) for name, tone in TONES.items()}
    print(f"{'map':9}" + "".join(f"{name + ' kept':>13}{'seen':>7}" for name in faces))
    for colormap in COLORMAPS:
        figures = [_measure(face, colormap) for face in faces.values()]
        print(f"{colormap:9}" + "".join(f"{kept:13.2f}{seen:7.1f}" for kept, seen in figures))


def _face(tone: str) -> NDArray[np.float64]:
    """Draw a texture of blurred noise in a skin tone, (64, 64, 3) 0..255."""
    noise = np.random.default_rng(0).normal(size=(64, 64))
    blurred = cv2.GaussianBlur(noise, (0, 0), 2)
    texture = 1 + _CONTRAST * blurred / blurred.std()
    colour = np.array([int(tone[at : at + 2], 16) for at in (1, 3, 5)])
    return np.clip(colour * texture[..., None], 0, 255)


def _measure(face: NDArray[np.float64], colormap: str) -> tuple[float, float]:
    colours, alpha = colour_tables(Style(colormap=colormap))
    plain = _lab(face)
    kept, seen = [], []
    for strength in _STRENGTHS:
        entry = round((strength + 1) / 2 * (len(alpha) - 1))
        opacity = alpha[entry] / 255
        heated = _lab((1 - opacity) * face + opacity * colours[entry])
        kept.append(heated[..., 0].std() / plain[..., 0].std())
        if strength >= 0.5:
            seen.append(np.linalg.norm(heated - plain, axis=-1).mean())
    return float(np.mean(kept)), float(np.mean(seen))


def _lab(image: NDArray[np.float64]) -> NDArray[np.float32]:
    return cv2.cvtColor((image / 255).astype(np.float32), cv2.COLOR_RGB2Lab)


if __name__ == "__main__":
    main()
