"""Detector models: their cards, their evidence, and the interface they implement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import FloatArray
from fakelens.records.faces import CropGeometry


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
    """What a model's score is worth, on the data it was calibrated with.

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
class ModelCard:
    """What a model says of itself; stored in its file, copied into every report.

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
        calibration: what the score is worth; ``None`` if the model was never calibrated.
        smallest_face: shorter side of a face's box, pixels, below which the model is not
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
    """What a model found in a batch of N crops, in one forward pass.

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
        """Of the weights file, hexadecimal; empty if the weights came from no file."""
        ...

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        """Examine (N, input_size, input_size, 3) uint8 RGB crops, N >= 1."""
        ...


@runtime_checkable
class HasHead(Protocol):
    """A model whose layers after the explained one can run on their own.

    Heatmap faithfulness can be tested by feature ablation only on such a model.
    """

    def head(self, activation: FloatArray) -> FloatArray:
        """Compute the logits (N,) of an explained layer (N, C, h, w), changed or not.

        Raises:
            ModelError: the logit does not depend on the explained layer alone.
        """
        ...


Head = Callable[[FloatArray], Evidence]
"""From an explained layer (N, C, h, w) to the logits (N,) and their gradient."""


@runtime_checkable
class HasRandomHeads(Protocol):
    """A model that can make copies of its head with permuted weights, for sanity checks."""

    def random_heads(self, count: int) -> Sequence[Head]:
        """Return ``count`` heads with permuted weights; none if the head has no weights."""
        ...


@runtime_checkable
class HasDevice(Protocol):
    """A model that says what it runs on."""

    @property
    def device(self) -> str:
        """Such as ``"cpu"`` or ``"cuda"``."""
        ...
