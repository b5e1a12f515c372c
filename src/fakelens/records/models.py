"""Detector models: their cards, their output, and the interface they implement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import FloatArray
from fakelens.records.conventions import Convention
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


UNCALIBRATED = Thresholds(fake=0.6, real=0.4, source="not calibrated: a convention around 0.5")
"""The thresholds of a model whose own are not known."""

AUTO_LAYER = "auto"
"""Instead of the name of a layer: the last one whose output is a map."""


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
class VerdictCounts:
    """Verdicts of ``analyze`` on labelled clips of one dataset and label.

    The verdict of a clip is that of its decisive person, see ``Report.decisive``.

    Attributes:
        dataset: origin of the clips.
        label: of all these clips.
        clips: number of clips.
        fake: clips called *likely fake*.
        real: clips called *likely real*.
        inconclusive: clips called *inconclusive*.
        not_judged: clips in which nobody is seen well enough for a verdict.
    """

    dataset: str
    label: Literal["real", "fake"]
    clips: int
    fake: int
    real: int
    inconclusive: int
    not_judged: int

    def __post_init__(self) -> None:
        counts = (self.fake, self.real, self.inconclusive, self.not_judged)
        if min(counts) < 0 or sum(counts) != self.clips:
            raise ValueError(f"the verdicts do not add up to the number of clips: {self}")


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """How often ``analyze`` with this model was right and wrong on a labelled set of clips.

    Attributes:
        name: of the set.
        data: what the clips are; a sentence.
        independent: whether the clips were not used to train the model or to choose it, its
            thresholds or the rules for verdicts.
        counts: by dataset and label.
        cllr: cost of the likelihood ratios on these clips in bits: 0 for perfect ratios, 1 for
            no information (Bruemmer and du Preez, "Application-independent evaluation of speaker
            detection", Computer Speech and Language 20, 2006); ``None`` if it was not measured.
        command: that made the figures; empty if unknown.
    """

    name: str
    data: str
    independent: bool
    counts: tuple[VerdictCounts, ...]
    cllr: float | None = None
    command: str = ""


BASELINE_SIDE = 16
"""Cells along a side of a baseline."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model's heatmaps on genuine faces, aligned to the canonical face.

    See ``explain.baseline`` for the grid and for the meaning of the filters.

    Attributes:
        cam: heatmap method, a key of ``explain.cam.METHODS``.
        mean: (16, 16) rows of the mean heatmap, in the unit of the heatmaps.
        parts: names of the parts of the face.
        filters: for each part (16, 16) rows of a matched filter. Its output for a genuine face
            has a mean of 0 and a standard deviation of 1.
        responses: for each part, the mean outputs of all filters if this part is forged.
        part_limit: value that the largest filter output exceeds on one in twenty genuine faces.
        excess_limit: see ``Specificity.limit``; logits.
        faces: number of genuine faces.
        data: which faces were used; a sentence.
    """

    cam: str
    mean: tuple[tuple[float, ...], ...]
    parts: tuple[str, ...]
    filters: tuple[tuple[tuple[float, ...], ...], ...]
    responses: tuple[tuple[float, ...], ...]
    part_limit: float
    excess_limit: float
    faces: int
    data: str

    def __post_init__(self) -> None:
        parts, grids = len(self.parts), (self.mean, *self.filters)
        if any({len(grid), *map(len, grid)} != {BASELINE_SIDE} for grid in grids):
            raise ValueError(
                f"the mean and the filters of a baseline must have {BASELINE_SIDE} rows and columns"
            )
        if {len(self.filters), len(self.responses), *map(len, self.responses)} != {parts}:
            raise ValueError("a baseline must have a filter and a response for each part")
        if any(row[number] <= 0 for number, row in enumerate(self.responses)):
            raise ValueError("the response of each filter to its own part must be positive")


@dataclass(frozen=True, slots=True)
class ConditionRange:
    """Range of one condition over the persons of a model's validation data.

    Attributes:
        name: a key of ``faces.conditions.CONDITIONS``.
        low: value that one in a hundred persons falls below.
        high: value that one in a hundred persons exceeds.
    """

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Domain:
    """The conditions under which a model was validated.

    Attributes:
        ranges: of the conditions.
        feature_mean: (F,) mean over the persons of their mean features, see
            ``Evidence.features``; empty if the model does not provide them.
        feature_deviation: (F,) standard deviation of the same.
        persons: number of persons.
        data: which persons were used; a sentence.
    """

    ranges: tuple[ConditionRange, ...]
    feature_mean: tuple[float, ...]
    feature_deviation: tuple[float, ...]
    persons: int
    data: str

    def __post_init__(self) -> None:
        if len(self.feature_mean) != len(self.feature_deviation):
            raise ValueError("features must have as many deviations as means")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Description of a model; stored in its file and copied into every report.

    Attributes:
        name: short name, as used on the command line.
        input_size: side of the square crop in pixels.
        crop: which square of the picture it takes as input.
        version: of the weights.
        description: one sentence.
        licence: of the weights; SPDX identifier or free text.
        source: origin of the model (paper, URL).
        layer: name of the layer that heatmaps explain; ``AUTO_LAYER`` lets an adapter choose the
            last one whose output is a map.
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
        error_records: how often ``analyze`` with this model was right and wrong; the most
            independent first.
        baseline: heatmaps on genuine faces; ``None`` if they were not measured.
        domain: conditions of the validation data; ``None`` if they were not measured.
    """

    name: str
    input_size: int
    crop: CropGeometry
    version: str = "unknown"
    description: str = ""
    licence: str = "unknown"
    source: str = "unknown"
    layer: str = AUTO_LAYER
    cam: str = "hirescam"
    polarity: str = ""
    thresholds: Thresholds = UNCALIBRATED
    trained_on: str = "unknown"
    limits: tuple[str, ...] = ()
    calibration: Calibration | None = None
    smallest_face: float = 0.0
    error_records: tuple[ErrorRecord, ...] = ()
    baseline: Baseline | None = None
    domain: Domain | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Output of a model for a batch of N crops, from one forward pass.

    Attributes:
        logit: (N,) float32, positive = fake.
        activation: (N, C, h, w) float32, output of the explained layer.
        gradient: (N, C, h, w) float32, derivative of ``logit`` with respect to it.
        features: (N, F) float32, mean features of each crop, which the domain check compares with
            those of the validation data; ``None`` if the model does not provide them.
    """

    logit: FloatArray
    activation: FloatArray
    gradient: FloatArray
    features: FloatArray | None = None


@runtime_checkable
class Model(Protocol):
    """Scores face crops and returns what a heatmap is computed from.

    A model may also be a ``HasHead``, ``HasRandomHeads``, ``HasDevice``, ``HasConvention`` or
    ``HasNormStatistics``.
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


@runtime_checkable
class HasConvention(Protocol):
    """A model whose preprocessing and polarity were stated by a user, who may be wrong."""

    @property
    def convention(self) -> Convention:
        """The convention in use."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was recognised when the model was loaded, one sentence each."""
        ...

    def with_convention(self, convention: Convention) -> "Model":
        """Return the same model under another convention, to compare the two."""
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


@dataclass(frozen=True, slots=True)
class NormStatistics:
    """What enters a batch normalisation, for N crops, and what entered it in training.

    Attributes:
        layer: name of the normalisation.
        mean: (N, C) mean over the cells of each crop.
        square: (N, C) mean square, likewise.
        trained_mean: (C,) mean in training, from the weights.
        trained_variance: (C,) variance in training, likewise.
    """

    layer: str
    mean: FloatArray
    square: FloatArray
    trained_mean: FloatArray
    trained_variance: FloatArray


@runtime_checkable
class HasNormStatistics(Protocol):
    """A model with batch normalisations, which keep the statistics of the training data."""

    def norm_statistics(self, crops: NDArray[np.uint8]) -> Sequence[NormStatistics]:
        """Return the statistics of each batch normalisation, in the order they run.

        Args:
            crops: (N, input_size, input_size, 3) uint8 RGB, N >= 1.
        """
        ...
