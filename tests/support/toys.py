"""A face detector and a model of known output, and clips for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.analysis.pipeline import analyze
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face
from fakelens.records.models import Evidence, ModelCard
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from support.builders import CARD
from support.media import draw_frame, read_number

WIDTH, HEIGHT = 240, 144
RATE = Fraction(25)
RED, BLUE = (200, 90, 60), (60, 90, 200)  # the model scores red faces as fake, blue ones as real


@dataclass(frozen=True)
class Actor:
    """A square face of one colour that moves right by one pixel per frame."""

    colour: tuple[int, int, int]
    x: int
    y: int = 60
    side: int = 60
    first: int = 0  # frame
    last: int = 10**9

    def box(self, number: int) -> Box | None:
        if not self.first <= number <= self.last:
            return None
        x = self.x + number
        return Box(x, self.y, x + self.side, self.y + self.side)


FAKE, REAL = Actor(RED, 10), Actor(BLUE, 120)


class ScriptedDetector:
    """Reads the number of a frame from its picture, and returns the actors on that frame."""

    name = "scripted"
    sure_confidence = 0.5

    def __init__(self, *actors: Actor) -> None:
        self._actors = actors

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        return [
            [Face(box, None, 0.9) for box in boxes_on(read_number(image), self._actors)]
            for image in images
        ]


class RedModel:
    """Scores red as fake and blue as real: the logit is the mean of (red - blue) / 32.

    The explained layer is that difference on 8 x 8 cells, so HiResCAM adds up to the logit.
    """

    sha256 = "2" * 64

    def __init__(self, card: ModelCard = CARD) -> None:
        self.card = card
        self.calls: list[int] = []  # number of crops in each call

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        self.calls.append(len(crops))
        side = self.card.input_size
        assert crops.shape[1:] == (side, side, 3)
        assert crops.dtype == np.uint8
        redness = (crops[..., 0].astype(np.float32) - crops[..., 2]) / 32
        cells = redness.reshape(-1, 8, side // 8, 8, side // 8).mean(axis=(2, 4))[:, None]
        return Evidence(
            logit=cells.mean(axis=(1, 2, 3)),
            activation=cells,
            gradient=np.full_like(cells, 1 / 64),
        )

    def head(self, activation: NDArray[np.float32]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = activation.mean(axis=(1, 2, 3))
        return logits


def boxes_on(number: int, actors: Sequence[Actor]) -> list[Box]:
    return [box for actor in actors if (box := actor.box(number))]


def draw_scene(number: int, actors: Sequence[Actor]) -> RGBImage:
    """Draw a frame that shows its number, and each face as a chequered square of its colour."""
    image = draw_frame(number, WIDTH, HEIGHT)
    for actor in actors:
        if actor.box(number):
            x, y, side = actor.x + number, actor.y, actor.side
            rows, columns = np.indices((side, side)) // 4
            chequers = np.where((rows + columns) % 2, 25, -25)[..., None]
            image[y : y + side, x : x + side] = np.array(actor.colour) + chequers
    return image


def film(path: Path, *actors: Actor, frames: int = 40, keys_every: int = 250) -> Path:
    """Write an almost lossless clip of some actors; ``keys_every`` sets the key frame interval."""
    with av.open(path, "w") as container:
        stream = container.add_stream(
            "libx264", rate=RATE, options={"crf": "6", "g": str(keys_every)}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            image = draw_scene(number, actors)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def analyzed(path: Path, *actors: Actor, every: int = 1) -> Report:
    """Analyze a clip or picture of some actors, without trust measures.

    Uniformly red faces have uniform heatmaps, which would be hatched in grey.
    """
    return analyze(
        path,
        model=RedModel(),
        detector=ScriptedDetector(*actors),
        settings=Settings(trust=False, every=every),
    )


def photograph(path: Path, image: RGBImage) -> Path:
    """Write a picture; its suffix selects the format."""
    assert cv2.imwrite(str(path), image[:, :, ::-1])
    return path


def count_frames(path: Path) -> int:
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))
