"""The records that pass between the parts of fakelens, and the seams they meet at.

Conventions, valid everywhere inside the package:

* pictures are RGB, ``uint8``, shape ``(H, W, 3)``, upright as displayed (rotation applied);
* boxes are in pixels of that picture, ``float``, half-open ``[x1, x2) x [y1, y2)``, and may
  reach over its edges;
* a **logit is positive for FAKE evidence** and the score is ``sigmoid(logit)``, 1 = fake;
* times are presentation timestamps in seconds, rates are ``Fraction`` (frames per second).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

RGBImage = NDArray[np.uint8]
FloatArray = NDArray[np.float32]


def sigmoid(logit: NDArray[np.floating] | np.floating | float) -> FloatArray:
    """Score of a logit, 0..1, without overflow at either end."""
    half = np.asarray(logit, dtype=np.float64) / 2
    return (0.5 + 0.5 * np.tanh(half)).astype(np.float32)


def log_odds(score: float) -> float:
    """Logit of a score, held within 1e-6 of 0 and 1."""
    held = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(held / (1 - held))


class Pixels(Protocol):
    """An upright RGB picture that is not converted before its pixels are asked for.

    ``numpy.asarray`` gives all of it.

    Attributes:
        shape: height, width and 3.
    """

    shape: tuple[int, ...]

    def __array__(self) -> RGBImage:
        """(H, W, 3) uint8."""
        ...

    def __getitem__(self, area: tuple[slice, slice], /) -> RGBImage:
        """Rows and columns, each from a begin to an end within the picture."""
        ...

    def shrunk(self, size: tuple[int, int]) -> "Pixels":
        """The whole picture at a smaller width and height."""
        ...

    def luma(self, down: int, across: int) -> NDArray[np.uint8]:
        """The luma, 0..255, of one pixel in each cell of ``down`` rows and ``across`` columns."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One displayed picture of a video.

    Attributes:
        index: 0-based position among the frames that could be decoded.
        time: presentation timestamp, seconds.
        pixels: (H, W, 3) uint8 RGB, upright; an array, or what makes one where it is looked at.
    """

    index: int
    time: Fraction
    pixels: RGBImage | Pixels

    @property
    def image(self) -> RGBImage:
        """The whole picture, (H, W, 3) uint8 RGB, upright."""
        return np.asarray(self.pixels)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What an input is, as far as its header says.

    Attributes:
        width: pixels, as displayed (after rotation).
        height: pixels, as displayed.
        rotation: degrees counter-clockwise that were applied to get there: 0, 90, 180 or 270.
        rate: average frames per second, if known.
        time_base: seconds in one tick of the timestamps.
        start: timestamp of the first frame, seconds; not 0 in recordings of broadcasts.
        frame_estimate: number of frames, if the header or the duration tells; may be wrong.
        duration: seconds, if known.
        codec: of the video stream, FFmpeg's name.
        pixel_format: FFmpeg's name.
        is_picture: a still picture rather than a video or an animation.
        audio: codec of every sound stream.
    """

    width: int
    height: int
    rotation: int
    rate: Fraction | None
    time_base: Fraction
    start: Fraction
    frame_estimate: int | None
    duration: Fraction | None
    codec: str
    pixel_format: str
    is_picture: bool
    audio: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Damage:
    """A place in the input that could not be read.

    Attributes:
        time: seconds, where it was noticed.
        message: what is wrong, in words.
    """

    time: Fraction
    message: str


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
    """Which square of the picture a network wants to see, relative to a face.

    Attributes:
        reference: ``"box"``: centred on the box, side = ``scale`` x its longer side.
            ``"dlib"``: dlib's frontal-face square, estimated from the landmarks (centred midway
            between the eyes' and the mouth's midpoints, side = ``scale`` x 2.31 x their
            distance); without landmarks the box is taken to be dlib's.
        scale: side of the crop over the side of the reference square.
    """

    reference: Literal["box", "dlib"]
    scale: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a person's score becomes a verdict.

    Attributes:
        fake: *likely fake* from this score on.
        real: *likely real* up to this score; between the two is *inconclusive*.
        source: what these numbers rest on, in words (calibration data, or "not calibrated").
    """

    fake: float
    real: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.real <= self.fake <= 1:
            raise ValueError(f"thresholds must satisfy 0 <= real <= fake <= 1, not {self}")


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """What became of the faces that got about the same score.

    Attributes:
        score: mean score of the bin's faces.
        fake: share of them that are fake, each class weighing one half.
        faces: how many.
    """

    score: float
    fake: float
    faces: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a network's score is worth, on the data it was calibrated with.

    A calibrated logit is the natural logarithm of the likelihood ratio, fake over real: how much
    more often a face of the calibration data looks like this if it is fake. So the score is the
    probability of a fake where one half is fake.

    Attributes:
        method: how the logit was made a log-likelihood ratio.
        data: with which faces, and what they are not; a sentence.
        limit: largest magnitude of the base-10 logarithm of the ratio that these faces bear
            out (Vergeer et al., "Numerical likelihood ratios outputted by LR systems are often
            based on extrapolation: when to stop extrapolating?", Science & Justice 56, 2016).
        bins: in order of the score; none of these faces was trained on.
    """

    method: str
    data: str
    limit: float
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True)
class NetworkCard:
    """What a network says of itself; stored in its file, copied into every report.

    Attributes:
        name: short name, as on the command line.
        version: of the weights.
        description: one sentence.
        licence: SPDX identifier or words, of the weights.
        source: where it comes from (paper, address).
        input_size: side of the square crop in pixels.
        crop: which square of the picture it wants.
        layer: the layer that is explained.
        cam: the heatmap method that suits it best (a key of ``explain.METHODS``).
        polarity: what the *original* output meant, for the record; inside fakelens a positive
            logit always means fake.
        thresholds: score -> verdict.
        trained_on: data, in words.
        limits: what it cannot do, one sentence each.
        calibration: what the score is worth; ``None`` if the network was never calibrated.
        smallest_face: shorter side of a face's box, pixels, below which the network is not
            reliable; a person whose median face is smaller gets no verdict.
    """

    name: str
    version: str
    description: str
    licence: str
    source: str
    input_size: int
    crop: CropGeometry
    layer: str
    cam: str
    polarity: str
    thresholds: Thresholds
    trained_on: str
    limits: tuple[str, ...]
    calibration: Calibration | None = None
    smallest_face: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a network found in a batch of N crops, in one forward pass.

    Attributes:
        logit: (N,) float32, positive = fake.
        activation: (N, C, h, w) float32, output of the explained layer.
        gradient: (N, C, h, w) float32, derivative of ``logit`` with respect to it.
    """

    logit: FloatArray
    activation: FloatArray
    gradient: FloatArray


Head = Callable[[FloatArray], Evidence]
"""From an explained layer (N, C, h, w) to the logits (N,), and their gradient."""


class FaceDetector(Protocol):
    """Finds faces.

    It may have two attributes more, both of which save time. With a ``longest_side`` in pixels
    pictures come to it shrunk to that. With a ``grid`` in pixels of these pictures it may be
    given parts, whose corners lie on the grid: it finds the same faces there as in the whole.
    """

    @property
    def name(self) -> str:
        """Short name and version, for the report."""
        ...

    @property
    def sure_confidence(self) -> float:
        """On the detector's own scale: below it a detection may not be a face."""
        ...

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """The faces in each of some pictures of one size, the most confident first."""
        ...


class Network(Protocol):
    """Scores face crops and says where the score came from.

    It may have two methods more, with which is measured whether heatmaps are true to it:
    ``head(activation) -> logit``, the logits (N,) that follow from an explained layer
    (N, C, h, w) that was changed; and ``random_heads(count)``, so many ``Head`` with the head's
    weights in random orders, or none if it has no weights to be put in another order.
    """

    @property
    def card(self) -> NetworkCard:
        """What the network says of itself."""
        ...

    @property
    def sha256(self) -> str:
        """Of the file the weights came from, hexadecimal; empty if they came from no file."""
        ...

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        """Examine (N, input_size, input_size, 3) uint8 RGB crops, N >= 1."""
        ...
