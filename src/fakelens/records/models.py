"""Detector models: their cards, their output, and the interface they implement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import FloatArray
from fakelens.records.faces import CropGeometry


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The scores at which a verdict changes.

    Attributes:
        fake: *likely fake* from this score on.
        real: *likely real* up to this score; *inconclusive* between the two.
        source: where these numbers come from (calibration data, or "not calibrated").
    """

    fake: float
    real: float
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.real <= self.fake <= 1:
            raise ValueError(f"thresholds must satisfy 0 <= real <= fake <= 1, not {self}")


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Faces of about the same score, in the calibration data.

    Attributes:
        score: mean score of the bin's faces.
        fake: share of fake faces among them, where each class has a total weight of one half.
        faces: number of faces.
    """

    score: float
    fake: float
    faces: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a model's scores relate to likelihood ratios, on the calibration data.

    A calibrated logit is the natural logarithm of the likelihood ratio, fake over real: how much
    more often a face like this occurs among the fake faces of the calibration data than among the
    real ones. The score is therefore the probability of a fake if half of all faces are fake.

    Attributes:
        method: how logits are calibrated.
        data: which faces were used, and what they do not cover; a sentence.
        limit: largest magnitude of the base-10 logarithm of the ratio that these faces
            support (Vergeer et al., "Numerical likelihood ratios outputted by LR systems are often
            based on extrapolation: when to stop extrapolating?", Science & Justice 56, 2016).
        bins: in order of the score; none of these faces was used for training.
    """

    method: str
    data: str
    limit: float
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Description of a model; stored in its file and copied into every report.

    Attributes:
        name: short name, as used on the command line.
        version: of the weights.
        description: one sentence.
        licence: of the weights; SPDX identifier or free text.
        source: origin of the model (paper, URL).
        input_size: side of the square crop in pixels.
        crop: which square of the picture it takes as input.
        layer: name of the layer that heatmaps explain.
        cam: default heatmap method, a key of ``explain.cam.METHODS``.
        polarity: meaning of the *original* output, for documentation only; inside fakelens a
            positive logit always means fake.
        thresholds: scores at which a verdict changes.
        trained_on: description of the training data.
        limits: what the model cannot do, one sentence each.
        calibration: how scores relate to likelihood ratios; ``None`` if the model is not
            calibrated.
        smallest_face: shorter side of a face's box, in pixels, below which the model is not
            reliable. A person whose median face is smaller gets no verdict.
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
    """Output of a model for a batch of N crops, from one forward pass.

    Attributes:
        logit: (N,) float32, positive = fake.
        activation: (N, C, h, w) float32, output of the explained layer.
        gradient: (N, C, h, w) float32, derivative of ``logit`` with respect to it.
    """

    logit: FloatArray
    activation: FloatArray
    gradient: FloatArray


class Model(Protocol):
    """Scores face crops and returns what a heatmap is computed from.

    A model may also be a ``HasHead``, a ``HasRandomHeads`` or a ``HasDevice``.
    """

    @property
    def card(self) -> ModelCard:
        """The model's description."""
        ...

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights file, hexadecimal; empty if the weights came from no file."""
        ...

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        """Run the model on (N, input_size, input_size, 3) uint8 RGB crops, N >= 1."""
        ...


@runtime_checkable
class HasHead(Protocol):
    """A model whose layers after the explained one can run on their own.

    Heatmap faithfulness can be tested by feature ablation only on such a model.
    """

    def head(self, activation: FloatArray) -> FloatArray:
        """Compute the logits (N,) from activations (N, C, h, w) of the explained layer.

        The activations may be changed ones.

        Raises:
            ModelError: the logit does not depend on the explained layer alone.
        """
        ...


Head = Callable[[FloatArray], Evidence]
"""Computes the logits (N,) and their gradient from activations (N, C, h, w)."""


@runtime_checkable
class HasRandomHeads(Protocol):
    """A model that can provide copies of its head with permuted weights, for sanity checks."""

    def random_heads(self, count: int) -> Sequence[Head]:
        """Return ``count`` heads with permuted weights; none if the head has no weights."""
        ...


@runtime_checkable
class HasDevice(Protocol):
    """A model that reports the device it runs on."""

    @property
    def device(self) -> str:
        """Name of the device, such as ``"cpu"`` or ``"cuda"``."""
        ...
