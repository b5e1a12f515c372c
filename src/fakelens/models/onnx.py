"""Evidence models: ONNX files that say what they are and return what the heatmaps need.

Such a file has the input ``crops`` (N, side, side, 3) uint8 RGB, the float32 outputs ``logit``
(N,), positive = fake, ``activation`` (N, C, h, w) and ``gradient`` (N, C, h, w), the derivative of
the logit with respect to the activation, and three metadata entries:

* ``fakelens.format``: ``"1"``;
* ``fakelens.card``: a ``data.ModelCard`` as JSON;
* ``fakelens.self_test``: a ``SelfTest`` as JSON.

A fourth, ``fakelens.layout`` = ``"blocked"``, says that its convolutions are wide enough for
onnxruntime's layout in blocks of 8 or 16 channels. A trunk of 16 to 672 channels then takes less
than half the time (in integers, which it arranges by pixels instead, three quarters); MesoNet's
layers of 1 to 16 channels would take twice.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from pydantic import TypeAdapter, ValidationError

from fakelens.errors import ModelError
from fakelens.models import graph_editing as surgery
from fakelens.models import store
from fakelens.models.checks import check_crops, check_evidence
from fakelens.models.devices import CPU, providers
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Evidence, Head, ModelCard

FORMAT = "1"

Layout = Literal["plain", "blocked"]
_LEVELS = {
    "plain": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "blocked": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}

_ORT_ERRORS = (  # they share no base but Exception
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What a sound model answers to ``self_test_crops``.

    Attributes:
        logit: of each crop.
        contribution: the sum over activation * gradient of each crop; it covers the two outputs
            that the logit says nothing about.
        tolerance: the largest difference that rounding on another machine explains.
    """

    logit: tuple[float, ...]
    contribution: tuple[float, ...]
    tolerance: float


_CARD = TypeAdapter(ModelCard)
_SELF_TEST = TypeAdapter(SelfTest)


class OnnxModel:
    """A ``data.Model`` that runs a serialised ONNX model.

    Args:
        model: with inputs and outputs as the module says.
        card: what the model says of itself.
        sha256: of the file the weights came from, hexadecimal.
        threads: for one run; ``None`` leaves it to onnxruntime, which takes one per core.
        layout: how onnxruntime arranges channels, see the module.
        device: a key of ``devices.DEVICES``.

    Raises:
        ModelError: onnxruntime cannot load the model, or its inputs or outputs are others.
    """

    def __init__(
        self,
        model: bytes,
        card: ModelCard,
        sha256: str,
        *,
        threads: int | None = None,
        layout: Layout = "plain",
        device: str = CPU,
    ) -> None:
        self._session = _open(model, card.name, threads, _LEVELS[layout], device)
        self._model, self._layout = model, layout
        self._random_heads: list[Head] = []  # opened once, they serve all persons
        self.device = device
        self.card = card
        self.sha256 = sha256
        side = card.input_size
        inputs = {put.name: (put.type, put.shape[1:]) for put in self._session.get_inputs()}
        if inputs != {"crops": ("tensor(uint8)", [side, side, 3])}:
            raise ModelError(
                f"{card.name} is no evidence model: it must have the one input crops, "
                f"uint8 (N, {side}, {side}, 3)"
            )
        outputs = {put.name: put.type for put in self._session.get_outputs()}
        for name in ("logit", "activation", "gradient"):
            if outputs.get(name) != "tensor(float)":
                raise ModelError(f"{card.name} is no evidence model: no float32 output {name}")

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        """Examine (N, input_size, input_size, 3) uint8 RGB crops, N >= 1.

        Raises:
            ValueError: the crops have another shape or type.
            ModelError: the run failed, or an answer is not finite.
        """
        check_crops(crops, self.card.input_size)
        try:
            logit, activation, gradient = self._session.run(
                ["logit", "activation", "gradient"], {"crops": crops}
            )
        except _ORT_ERRORS as error:
            raise ModelError(f"{self.card.name} cannot be run: {_one_line(error)}") from error
        evidence = Evidence(logit, activation, gradient)
        check_evidence(evidence, len(crops), self.card.name)
        return evidence

    def head(self, activation: FloatArray) -> FloatArray:
        """The logits (N,) that follow from an explained layer (N, C, h, w), changed or not.

        Raises:
            ModelError: the logit depends on something besides the explained layer.
        """
        try:
            (logit,) = self._head.run(["logit"], {"activation": activation})
        except _ORT_ERRORS as error:
            raise ModelError(f"{self.card.name} cannot be run: {_one_line(error)}") from error
        return np.asarray(logit, np.float32)

    @cached_property
    def _head(self) -> ort.InferenceSession:
        return self._open_head(surgery.extract_head(self._model, self.card.name))

    def random_heads(self, count: int) -> list[Head]:
        """So many heads with their weights in random orders; none if it has no weights.

        Raises:
            ModelError: the logit depends on something besides the explained layer.
        """
        head = surgery.extract_head(self._model, self.card.name, ("logit", "gradient"))
        if not surgery.has_kernels(head):
            return []
        for seed in range(len(self._random_heads), count):
            session = self._open_head(surgery.randomise(head, seed))
            self._random_heads.append(partial(_answer_of_head, session))
        return self._random_heads[:count]

    def _open_head(self, model: bytes) -> ort.InferenceSession:
        return _open(model, self.card.name, 1, _LEVELS["plain"], CPU)

    def randomised(self, seed: int) -> "OnnxModel":
        """The same model with its weights in a random order; see ``surgery.randomise``."""
        model = surgery.randomise(self._model, seed)
        return OnnxModel(model, self.card, "", layout=self._layout, device=self.device)


def _answer_of_head(session: ort.InferenceSession, activation: FloatArray) -> Evidence:
    logit, gradient = session.run(["logit", "gradient"], {"activation": activation})
    return Evidence(logit, activation, gradient)


def load_evidence_model(path: Path, *, threads: int | None = None, device: str = CPU) -> OnnxModel:
    """Load an evidence model and let it pass its self-test.

    Args:
        path: of the file.
        threads: as of ``OnnxModel``.
        device: likewise.

    Raises:
        ModelError: the file is missing, damaged, no evidence model, of another format
            version, or its self-test differs.
    """
    data = store.read(path)
    # Not to be run: only opened as it is, which takes no time.
    session = _open(data, str(path), 1, ort.GraphOptimizationLevel.ORT_DISABLE_ALL, CPU)
    try:
        metadata = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise ModelError(f"the fakelens metadata of {path} are damaged: {error}") from error
    version = metadata.get("fakelens.format")
    if version is None:
        raise ModelError(
            f"{path} is an ONNX file but no evidence model: it lacks the fakelens metadata"
        )
    if version != FORMAT:
        raise ModelError(
            f"{path} has the evidence model format {version}, this fakelens reads {FORMAT}: "
            "update fakelens or export the model again"
        )
    try:
        card = _CARD.validate_json(metadata.get("fakelens.card", ""))
        expected = _SELF_TEST.validate_json(metadata.get("fakelens.self_test", ""))
    except ValidationError as error:
        raise ModelError(
            f"the fakelens metadata of {path} are damaged: {error.title} is not valid"
        ) from error
    layout: Layout = "blocked" if metadata.get("fakelens.layout") == "blocked" else "plain"
    sha256 = hashlib.sha256(data).hexdigest()
    model = OnnxModel(data, card, sha256, threads=threads, layout=layout, device=device)
    logit, contribution = _answers(model)
    for answer, wanted in ((logit, expected.logit), (contribution, expected.contribution)):
        if len(wanted) != len(answer) or np.abs(answer - wanted).max() > expected.tolerance:
            raise ModelError(
                f"{path} fails its self-test, it is damaged or this machine computes wrongly: "
                f"the answer is {answer.tolist()} instead of {list(wanted)}"
            )
    return model


def save_evidence_model(
    model: onnx.ModelProto,
    card: ModelCard,
    path: Path,
    *,
    layout: Layout = "plain",
    tolerance: float = 1e-3,
) -> None:
    """Write a model as an evidence model; its answers now become its self-test.

    Args:
        model: with inputs and outputs as the module says; it is not changed.
        card: what the model says of itself.
        path: written completely or not at all, over an older file.
        layout: "blocked" if onnxruntime should arrange channels in blocks, see the module.
        tolerance: of the self-test, as a part of its largest answer.

    Raises:
        ModelError: the model has other inputs or outputs or does not run.
        OutputError: the file cannot be written.
    """
    logit, contribution = _answers(OnnxModel(model.SerializeToString(), card, ""))
    largest = max(1.0, float(np.abs([logit, contribution]).max()))
    self_test = SelfTest(tuple(logit), tuple(contribution), tolerance * largest)
    described = onnx.ModelProto()
    described.CopyFrom(model)
    del described.metadata_props[:]
    for key, value in (
        ("fakelens.format", FORMAT),
        ("fakelens.card", _CARD.dump_json(card).decode()),
        ("fakelens.self_test", _SELF_TEST.dump_json(self_test).decode()),
        ("fakelens.layout", layout),
    ):
        described.metadata_props.add(key=key, value=value)
    store.write_atomically(path, described.SerializeToString(deterministic=True))


def self_test_crops(side: int) -> NDArray[np.uint8]:
    """Two crops (2, side, side, 3), the same everywhere: rings that grow finer outwards.

    The value of crop n at row y, column x, channel c is
    ``((x * x + (n + 1) * y * y) // 64 + 80 * c) mod 256``, all integers.
    """
    n, y, x, c = np.ogrid[:2, :side, :side, :3]
    return np.asarray(((x * x + (n + 1) * y * y) // 64 + 80 * c) % 256, np.uint8)


def _answers(model: OnnxModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    evidence = model.examine(self_test_crops(model.card.input_size))
    product = evidence.activation.astype(np.float64) * evidence.gradient
    return evidence.logit.astype(np.float64), product.sum(axis=(1, 2, 3))


def _open(
    model: bytes,
    name: str,
    threads: int | None,
    level: ort.GraphOptimizationLevel,
    device: str,
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Threads that spin while they wait take the processor from the decoder beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # failures are raised; the log would say them twice
    options.graph_optimization_level = level
    try:
        return ort.InferenceSession(
            model, options, providers=providers(device), enable_fallback=False
        )
    except (*_ORT_ERRORS, ValueError) as error:  # ValueError: damaged names are not UTF-8
        raise ModelError(
            f"{name} is damaged or no ONNX file that onnxruntime can run: {_one_line(error)}"
        ) from error


def _one_line(error: Any) -> str:
    return " ".join(str(error).split())
