"""Graphs with gradients, and sessions that run them."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from fakelens.models.plain_onnx.gradient import differentiate
from fakelens.models.plain_onnx.nodes import GraphEditor
from fakelens.models.plain_onnx.trial import Trial
from support.onnx_export import load

SHAPE = (4, 6, 6)


def random(count: int, shape: Sequence[int] = SHAPE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1.5, (count, *shape)).astype(np.float32)


def with_gradient(data: bytes, x: np.ndarray, source: str = "images") -> ort.InferenceSession:
    """Add the output ``gradient`` of a graph whose output ``scores`` has one number per row."""
    editor = GraphEditor(load(data))
    editor.node("Reshape", [editor.value("scores"), editor.integers([-1])], "total")
    editor.tidy(["total"])
    gradient = differentiate(editor, trial(editor, x), source, "total", "toy", "conv")
    editor.node("Identity", [gradient], "gradient")
    editor.tidy(["total", "gradient"])
    return open_session(editor, ["total", "gradient"])


def open_session(editor: GraphEditor, outputs: Sequence[str]) -> ort.InferenceSession:
    del editor.graph.output[:]
    editor.graph.output.extend(onnx.ValueInfoProto(name=output) for output in outputs)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(editor.model.SerializeToString(), options)


def trial(editor: GraphEditor, x: np.ndarray) -> Trial:
    """Record all tensors of a graph with the input ``images``."""
    probe = editor.copy()
    names = [name for node in probe.graph.node for name in node.output if name]
    session = open_session(probe, names)
    tensors = dict(zip(names, session.run(names, {"images": x}), strict=True)) | {"images": x}
    tensors |= {put.name: numpy_helper.to_array(put) for put in probe.graph.initializer}
    kinds = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}
    return Trial(
        len(x),
        {name: kinds.get(value.dtype, value.dtype.name) for name, value in tensors.items()},
        {name: value.shape for name, value in tensors.items()},
        {name: value for name, value in tensors.items() if value.dtype == np.int64},
    )
