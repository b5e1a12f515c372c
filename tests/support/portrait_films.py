"""Films of the two people of the demo, cut as the test says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage

WIDTH, HEIGHT = 480, 270
RATE = Fraction(25)
_FACE = 90  # width of a face, pixels
# Centre and width of the face in each portrait, pixels.
_PLACES = {"collins": (223, 124, 95), "hopper": (267, 236, 135)}


@dataclass(frozen=True)
class Scene:
    """Some seconds of one person, or of an empty wall."""

    person: str | None
    seconds: float
    x: float = WIDTH / 2


def load_portrait(person: str) -> RGBImage:
    """Load a portrait in the public domain, *collins* or *hopper*."""
    if person == "collins":
        image: RGBImage = pytest.importorskip("skimage.data").astronaut()
        return image
    sample = pytest.importorskip("matplotlib.cbook").get_sample_data
    with open_video(Path(sample("grace_hopper.jpg", asfileobj=False))) as reader:
        return next(reader.frames()).image


def film_portraits(path: Path, scenes: Sequence[Scene]) -> Path:
    """Write a film of the scenes, one after the other, with a moving camera and noise."""
    rng = np.random.default_rng(5)
    people = {scene.person: load_portrait(scene.person) for scene in scenes if scene.person}
    number = 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for scene in scenes:
            for _ in range(round(scene.seconds * RATE)):
                image = np.full((HEIGHT, WIDTH, 3), 128.0)
                if scene.person:
                    matrix = _camera(scene, number / float(RATE))
                    image = cv2.warpAffine(
                        people[scene.person],
                        matrix,
                        (WIDTH, HEIGHT),
                        borderMode=cv2.BORDER_REPLICATE,
                    ).astype(np.float64)
                noisy = np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
                number += 1
        container.mux(stream.encode())
    return path


def _camera(scene: Scene, time: float) -> np.ndarray:
    assert scene.person is not None
    x, y, width = _PLACES[scene.person]
    matrix = cv2.getRotationMatrix2D((x, y), 3 * math.sin(0.9 * time), _FACE / width)
    matrix[:, 2] += (scene.x + 8 * math.sin(1.3 * time) - x, HEIGHT * 0.45 - y)
    return matrix
