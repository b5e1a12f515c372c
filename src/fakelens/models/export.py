"""Writes models of other frameworks as evidence models: one ONNX file that needs no framework."""

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
from numpy.typing import NDArray

from fakelens.errors import ModelError, OutputError
from fakelens.models.checks import varied_crops
from fakelens.models.onnx import Layout, OnnxModel, load_evidence_model, save_evidence_model
from fakelens.models.plain_onnx.evidence import evidence_graph
from fakelens.models.quantize import quantize_trunk
from fakelens.records.models import Evidence, Model

_TRIED = 8
_AGREEMENT = 1e-3  # of logits, and of activations and gradients over their largest value
_TOLERANCE, _INTEGER_TOLERANCE = 1e-3, 5e-2  # of the self-test; runtimes round integers differently
_RUNS = 3


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did.

    Attributes:
        size: of the file, bytes.
        difference: largest difference between a logit of the file and one of the model.
        milliseconds: for one crop in a batch of 8, of the model and of the file, on this machine.
        crops: number of crops on which this was measured.
    """

    size: int
    difference: float
    milliseconds: tuple[float, float]
    crops: int


def export_model(
    model: Model,
    path: Path,
    *,
    faces: NDArray[np.uint8] | None = None,
    force: bool = False,
) -> Exported:
    """Write a model as an evidence model, and verify that the file gives the same evidence.

    Args:
        model: a torch, Keras or plain ONNX classifier.
        path: file to write, ``.onnx``.
        faces: (N, S, S, 3) uint8 RGB crops, from which the ranges of 8-bit integers in the trunk
            are taken; ``None`` keeps floating point.
        force: overwrite an existing file.

    Raises:
        ModelError: the model cannot be exported, or the file would give another evidence.
        MissingExtraError: the exporter of torch needs a package that is not installed.
        OutputError: the file exists or cannot be written.
    """
    if path.suffix.lower() != ".onnx":
        raise OutputError(f"{path}: an evidence model must have the suffix .onnx")
    if path.exists() and not force:
        raise OutputError(f"{path}: exists already; use --force to overwrite it")
    graph = _evidence_graph(model)
    crops = varied_crops(model.card.input_size, _TRIED) if faces is None else faces
    before = model.examine(crops[:_TRIED])
    if faces is None:
        _check_same(model, before, OnnxModel(graph.SerializeToString(), model.card, ""))
    else:
        graph = quantize_trunk(graph, faces)
    layout = _faster_layout(graph, model, crops[:_TRIED])
    tolerance = _TOLERANCE if faces is None else _INTEGER_TOLERANCE
    save_evidence_model(graph, model.card, path, layout=layout, tolerance=tolerance)
    written = load_evidence_model(path)
    after = np.concatenate([written.examine(crops[i : i + 1]).logit for i in range(len(crops))])
    whole = np.concatenate([model.examine(crops[i : i + 1]).logit for i in range(len(crops))])
    return Exported(
        path.stat().st_size,
        float(np.abs(after - whole).max()),
        (_milliseconds(model, crops[:_TRIED]), _milliseconds(written, crops[:_TRIED])),
        len(crops),
    )


def _evidence_graph(model: Model) -> onnx.ModelProto:
    if isinstance(model, OnnxModel):
        return model.proto()
    from fakelens.models.torch import TorchModel  # noqa: PLC0415 - of an extra

    if not isinstance(model, TorchModel):
        raise ModelError(
            f"{model.card.name}: only torch, Keras and ONNX classifiers can be exported, not an "
            f"object of the type {type(model).__name__}"
        )
    from fakelens.models.torch_export import EXPLAINED, SCORES, to_onnx  # noqa: PLC0415 - likewise

    card = replace(model.card, layer=EXPLAINED)
    convention = replace(model.convention, field=SCORES)
    return evidence_graph(to_onnx(model), card, convention, model.layout).model


def _check_same(model: Model, before: Evidence, exported: OnnxModel) -> None:
    """Raise ``ModelError`` unless the exported model gives the same evidence."""
    after = exported.examine(varied_crops(model.card.input_size, len(before.logit)))
    for name in ("logit", "activation", "gradient"):
        wanted, found = getattr(before, name), getattr(after, name)
        largest = 1.0 if name == "logit" else float(np.abs(wanted).max())
        if wanted.shape != found.shape or np.abs(wanted - found).max() > _AGREEMENT * largest:
            raise ModelError(
                f"{model.card.name} cannot be exported: the exported graph gives another {name}"
            )


def _faster_layout(graph: onnx.ModelProto, model: Model, crops: NDArray[np.uint8]) -> Layout:
    """Return the arrangement of channels with which onnxruntime is faster on this machine."""
    data = graph.SerializeToString()
    layouts: tuple[Layout, ...] = ("plain", "blocked")
    times = {
        layout: _milliseconds(OnnxModel(data, model.card, "", layout=layout), crops)
        for layout in layouts
    }
    return min(layouts, key=times.__getitem__)


def _milliseconds(model: Model, crops: NDArray[np.uint8]) -> float:
    """Return the least time for a crop; the first run, which prepares memory, does not count."""
    times = []
    for _ in range(1 + _RUNS):
        start = perf_counter()
        model.examine(crops)
        times.append(perf_counter() - start)
    return 1000 * min(times[1:]) / len(crops)
