"""Runs an ONNX classifier on a few pictures to learn the types and shapes of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from fakelens.errors import ModelError
from fakelens.models.devices import CPU
from fakelens.models.onnx_session import ORT_ERRORS, one_line, open_session
from fakelens.models.plain_onnx.nodes import GraphEditor

_FLOATS = {"float", "float16", "double", "bfloat16"}
_INTEGERS = {"int64", "int32"}
UNOPTIMISED = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
"""For sessions that run a few times."""
_MAX_INTEGERS = 1 << 16  # more than the indices of any rule


@dataclass(frozen=True, slots=True)
class Trial:
    """What a run of a graph shows.

    Attributes:
        batch: number of crops of the run.
        kinds: element type of each tensor in onnxruntime's words, such as ``"float16"``.
        shapes: of the tensors of floats.
        integers: values of the small tensors of integers, such as indices and axes.
    """

    batch: int
    kinds: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    integers: Mapping[str, NDArray[np.generic]]

    def is_float(self, name: str) -> bool:
        """Whether a tensor consists of floats."""
        return self.kinds.get(name) in _FLOATS


def run_trial(editor: GraphEditor, crops: NDArray[np.uint8], name: str) -> Trial:
    """Run a graph on crops and record its tensors.

    Args:
        editor: of a graph with the input ``crops``.
        crops: (N, side, side, 3) uint8.
        name: of the model, for messages.

    Raises:
        ModelError: the graph cannot run.
    """
    probe = editor.copy()
    weights = {tensor.name: tensor for tensor in probe.graph.initializer}
    tensors = [output for node in probe.graph.node for output in node.output if output]
    declare_outputs(probe, tensors)
    session = open_session(probe.model.SerializeToString(), name, 1, UNOPTIMISED, CPU)
    kinds = {
        put.name: put.type.removeprefix("tensor(").removesuffix(")")
        for put in (*session.get_outputs(), *session.get_inputs())
    }
    kinds |= {key: _kind(tensor.data_type) for key, tensor in weights.items()}
    floats = [tensor for tensor in tensors if kinds[tensor] in _FLOATS]
    # Only shapes are fetched: all tensors of a large model would not fit into memory.
    shapes = [probe.node("Shape", [tensor]).name for tensor in floats]
    integers = [tensor for tensor in tensors if kinds[tensor] in _INTEGERS]
    fetched = [*shapes, *integers]
    declare_outputs(probe, fetched)
    session = open_session(probe.model.SerializeToString(), name, 0, UNOPTIMISED, CPU)
    values = dict(zip(fetched, run(session, fetched, crops, name), strict=True))
    known = {
        key: numpy_helper.to_array(tensor)
        for key, tensor in weights.items()
        if kinds[key] in _INTEGERS and np.prod(tensor.dims) <= _MAX_INTEGERS
    }
    return Trial(
        len(crops),
        kinds,
        {
            **{key: tuple(tensor.dims) for key, tensor in weights.items()},
            **{
                key: tuple(values[shape].tolist())
                for key, shape in zip(floats, shapes, strict=True)
            },
        },
        known | {key: values[key] for key in integers if values[key].size <= _MAX_INTEGERS},
    )


def run(
    session: ort.InferenceSession, outputs: list[str], crops: NDArray[np.uint8], name: str
) -> list[NDArray[np.generic]]:
    """Run a session on crops.

    Raises:
        ModelError: the run fails.
    """
    try:
        values: list[NDArray[np.generic]] = session.run(outputs, {"crops": crops})
    except ORT_ERRORS as error:
        raise ModelError(f"{name} cannot run: {one_line(error)}") from error
    return values


def declare_outputs(editor: GraphEditor, outputs: list[str]) -> None:
    """Make some tensors the outputs of a graph; onnxruntime finds their types."""
    del editor.graph.output[:]
    editor.graph.output.extend(onnx.ValueInfoProto(name=output) for output in outputs)


def _kind(data_type: int) -> str:
    name: str = TensorProto.DataType.Name(data_type).lower()
    return name
