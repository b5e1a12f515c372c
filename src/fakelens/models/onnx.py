"""Evidence models: self-describing ONNX files that also return what heatmaps need.

Such a file has the input ``crops`` (N, side, side, 3) uint8 RGB and the float32 outputs ``logit``
(N,), positive = fake, ``activation`` (N, C, h, w) and ``gradient`` (N, C, h, w), the derivative of
the logit with respect to the activation. It may have the float32 output ``features`` (N, F), see
``records.models.Evidence``. If the batch size of the input is fixed, N = 1, crops run one by one.
It has three metadata entries:

* ``fakelens.format``: ``"1"``;
* ``fakelens.card``: a ``ModelCard`` as JSON;
* ``fakelens.self_test``: a ``SelfTest`` as JSON.

A fourth entry, ``fakelens.layout`` = ``"blocked"``, declares that the convolutions are wide enough
for onnxruntime's layout in blocks of 8 or 16 channels. A trunk of 16 to 672 channels then takes
less than half the time (three quarters with integer weights, for which onnxruntime uses a
channels-last layout instead). MesoNet's layers of 1 to 16 channels would take twice as long.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fakelens.errors import ModelError
from fakelens.models import graph_editing, store
from fakelens.models.checks import check_crops, check_evidence
from fakelens.models.devices import CPU
from fakelens.models.onnx_session import ORT_ERRORS, one_line, open_session, run_session
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Evidence, Head, ModelCard, NormStatistics

FORMAT = "1"
"""Version of the evidence model format."""

Layout = Literal["plain", "blocked"]
"""How onnxruntime arranges channels, see the module docstring."""

_LEVELS = {
    "plain": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "blocked": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The output of an undamaged model for ``self_test_crops``.

    Attributes:
        logit: of each crop.
        contribution: sum of activation x gradient of each crop; verifies the two outputs that the
            logit does not depend on.
        tolerance: largest difference that rounding on another machine can cause.
    """

    logit: tuple[float, ...]
    contribution: tuple[float, ...]
    tolerance: float


_CARD = TypeAdapter(ModelCard)
_SELF_TEST = TypeAdapter(SelfTest)


class OnnxModel:
    """A serialised ONNX model.

    Implements ``Model``, ``HasHead``, ``HasRandomHeads``, ``HasDevice`` and
    ``HasNormStatistics``.

    Args:
        model: ONNX model, with the inputs and outputs of an evidence model.
        card: description of the model.
        sha256: of the weights file, hexadecimal; empty if the weights came from no file.
        threads: for one run; ``None`` uses onnxruntime's default, one per core.
        layout: how onnxruntime arranges channels.
        device: a key of ``devices.DEVICES``.

    Raises:
        ModelError: onnxruntime cannot load the model, or its inputs or outputs are different.
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
        self._session = open_session(model, card.name, threads, _LEVELS[layout], device)
        self._model, self._layout = model, layout
        self._random_heads: list[Head] = []  # loaded once and used for all persons
        self.device = device
        self.card = card
        self.sha256 = sha256
        side = card.input_size
        inputs = {put.name: (put.type, put.shape[1:]) for put in self._session.get_inputs()}
        if inputs != {"crops": ("tensor(uint8)", [side, side, 3])}:
            raise ModelError(
                f"{card.name} is not an evidence model: it must have one input, crops, "
                f"uint8 (N, {side}, {side}, 3)"
            )
        outputs = {put.name: put.type for put in self._session.get_outputs()}
        for name in ("logit", "activation", "gradient"):
            if outputs.get(name) != "tensor(float)":
                raise ModelError(
                    f"{card.name} is not an evidence model: it has no float32 output {name}"
                )
        self._outputs = ["logit", "activation", "gradient"]
        if outputs.get("features") == "tensor(float)":
            self._outputs.append("features")

    def proto(self) -> onnx.ModelProto:
        """Return a copy of the graph, without fakelens' metadata if it was not read from a file."""
        return onnx.load_from_string(self._model)

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        """Run the model on (N, input_size, input_size, 3) uint8 RGB crops, N >= 1.

        Raises:
            ValueError: the crops have another shape or dtype.
            ModelError: the run fails, or the output is not finite.
        """
        check_crops(crops, self.card.input_size)
        try:
            logit, activation, gradient, *features = run_session(
                self._session, self._outputs, "crops", crops
            )
        except ORT_ERRORS as error:
            raise ModelError(f"{self.card.name} cannot run: {one_line(error)}") from error
        evidence = Evidence(logit, activation, gradient, *features)
        check_evidence(evidence, len(crops), self.card.name)
        return evidence

    def head(self, activation: FloatArray) -> FloatArray:
        """Compute the logits (N,) from activations (N, C, h, w) of the explained layer.

        Raises:
            ModelError: the logit depends on something other than the explained layer.
        """
        try:
            (logit,) = run_session(self._head, ["logit"], "activation", activation)
        except ORT_ERRORS as error:
            raise ModelError(f"{self.card.name} cannot run: {one_line(error)}") from error
        return np.asarray(logit, np.float32)

    @cached_property
    def _head(self) -> ort.InferenceSession:
        return self._open_head(graph_editing.extract_head(self._model, self.card.name))

    def random_heads(self, count: int) -> list[Head]:
        """Return ``count`` heads with permuted weights; none if the head has no weights.

        Raises:
            ModelError: the logit depends on something other than the explained layer.
        """
        head = graph_editing.extract_head(self._model, self.card.name, ("logit", "gradient"))
        if not graph_editing.has_weights(head):
            return []
        for seed in range(len(self._random_heads), count):
            session = self._open_head(graph_editing.randomise(head, seed))
            self._random_heads.append(partial(_run_head, session))
        return self._random_heads[:count]

    def _open_head(self, model: bytes) -> ort.InferenceSession:
        return open_session(model, self.card.name, 1, _LEVELS["plain"], CPU)

    def norm_statistics(self, crops: NDArray[np.uint8]) -> list[NormStatistics]:
        """Return the statistics of each batch normalisation in the graph, in its order.

        Exporters often fold normalisations into convolutions, so a graph may have none.

        Args:
            crops: (N, input_size, input_size, 3) uint8 RGB, N >= 1.

        Raises:
            ModelError: the run fails.
        """
        session, norms = self._norm_session
        if not norms:
            return []
        names = [name for norm in norms for name in (norm.mean, norm.square)]
        try:
            values = dict(zip(names, run_session(session, names, "crops", crops), strict=True))
        except ORT_ERRORS as error:
            raise ModelError(f"{self.card.name} cannot run: {one_line(error)}") from error
        return [
            NormStatistics(
                norm.name,
                values[norm.mean],
                values[norm.square],
                norm.trained_mean,
                norm.trained_variance,
            )
            for norm in norms
        ]

    @cached_property
    def _norm_session(self) -> tuple[ort.InferenceSession, list[graph_editing.NormInput]]:
        model, norms = graph_editing.watch_norms(self._model)
        return open_session(model, self.card.name, 1, _LEVELS["plain"], CPU), norms

    def randomised(self, seed: int) -> "OnnxModel":
        """Return a copy of the model with permuted weights; see ``graph_editing.randomise``."""
        model = graph_editing.randomise(self._model, seed)
        return OnnxModel(model, self.card, "", layout=self._layout, device=self.device)


def _run_head(session: ort.InferenceSession, activation: FloatArray) -> Evidence:
    logit, gradient = run_session(session, ["logit", "gradient"], "activation", activation)
    return Evidence(logit, activation, gradient)


def load_evidence_model(path: Path, *, threads: int | None = None, device: str = CPU) -> OnnxModel:
    """Load an evidence model and run its self-test.

    Args:
        path: of the file.
        threads: see ``OnnxModel``.
        device: see ``OnnxModel``.

    Raises:
        ModelError: the file is missing, damaged, not an evidence model or of another format
            version, or the self-test fails.
    """
    data = store.read(path)
    # A session only to read the metadata: without optimisation it opens quickly.
    session = open_session(data, str(path), 1, ort.GraphOptimizationLevel.ORT_DISABLE_ALL, CPU)
    try:
        metadata = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: the fakelens metadata is damaged: {error}") from error
    version = metadata.get("fakelens.format")
    if version is None:
        raise ModelError(
            f"{path} is an ONNX file but not an evidence model: it has no fakelens metadata; for a "
            "plain classifier, write a model file (TOML) and give that instead"
        )
    if version != FORMAT:
        raise ModelError(
            f"{path} has evidence model format {version}, but this fakelens reads {FORMAT}: "
            "update fakelens or export the model again"
        )
    try:
        card = _CARD.validate_json(metadata.get("fakelens.card", ""))
        expected = _SELF_TEST.validate_json(metadata.get("fakelens.self_test", ""))
    except ValidationError as error:
        raise ModelError(
            f"{path}: the fakelens metadata is damaged: {error.title} is not valid"
        ) from error
    layout: Layout = "blocked" if metadata.get("fakelens.layout") == "blocked" else "plain"
    sha256 = hashlib.sha256(data).hexdigest()
    model = OnnxModel(data, card, sha256, threads=threads, layout=layout, device=device)
    logit, contribution = _self_test_output(model)
    for found, wanted in ((logit, expected.logit), (contribution, expected.contribution)):
        if len(wanted) != len(found) or np.abs(found - wanted).max() > expected.tolerance:
            raise ModelError(
                f"{path} fails its self-test: the file is damaged or this machine computes wrongly "
                f"(the output is {found.tolist()} instead of {list(wanted)})"
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
    """Write a model as an evidence model; its current output becomes its self-test.

    Args:
        model: with the inputs and outputs of an evidence model; it is not changed.
        card: description of the model.
        path: file to write, completely or not at all; an existing file is overwritten.
        layout: ``"blocked"`` if onnxruntime should arrange channels in blocks.
        tolerance: of the self-test, relative to the largest value of its output.

    Raises:
        ModelError: the model has different inputs or outputs, or does not run.
        OutputError: the file cannot be written.
    """
    logit, contribution = _self_test_output(OnnxModel(model.SerializeToString(), card, ""))
    largest = max(1.0, float(np.abs([logit, contribution]).max()))
    self_test = SelfTest(tuple(logit), tuple(contribution), tolerance * largest)
    with_metadata = onnx.ModelProto()
    with_metadata.CopyFrom(model)
    del with_metadata.metadata_props[:]
    for key, value in (
        ("fakelens.format", FORMAT),
        ("fakelens.card", _CARD.dump_json(card).decode()),
        ("fakelens.self_test", _SELF_TEST.dump_json(self_test).decode()),
        ("fakelens.layout", layout),
    ):
        with_metadata.metadata_props.add(key=key, value=value)
    store.write_atomically(path, with_metadata.SerializeToString(deterministic=True))


def replace_card(path: Path, card: ModelCard) -> None:
    """Replace the card of an evidence model file; its graph and other metadata stay as they are.

    Args:
        path: file to change, completely or not at all.
        card: new description of the model.

    Raises:
        ModelError: the file is missing, damaged or not an evidence model, or the model does not
            fit the card.
        OutputError: the file cannot be written.
    """
    load_evidence_model(path)  # refuses any other file
    model = onnx.load_from_string(store.read(path))
    for entry in model.metadata_props:
        if entry.key == "fakelens.card":
            entry.value = _CARD.dump_json(card).decode()
    changed = model.SerializeToString(deterministic=True)
    OnnxModel(changed, card, "")  # refuses a card of another input size
    store.write_atomically(path, changed)


def self_test_crops(side: int) -> NDArray[np.uint8]:
    """Create the two crops (2, side, side, 3) of the self-test: rings that get finer outwards.

    The value of crop n at row y, column x, channel c is
    ``((x * x + (n + 1) * y * y) // 64 + 80 * c) mod 256``, all integers.
    """
    n, y, x, c = np.ogrid[:2, :side, :side, :3]
    return np.asarray(((x * x + (n + 1) * y * y) // 64 + 80 * c) % 256, np.uint8)


def _self_test_output(model: OnnxModel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    evidence = model.examine(self_test_crops(model.card.input_size))
    product = evidence.activation.astype(np.float64) * evidence.gradient
    return evidence.logit.astype(np.float64), product.sum(axis=(1, 2, 3))
