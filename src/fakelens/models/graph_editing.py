"""Derives other models from the graph of an evidence model: its head, and changed copies.

A head computes the logit from changed activations of the explained layer, without running the
trunk. A copy with permuted weights shows whether a heatmap depends on what the model has learned.
A copy that also returns what enters its batch normalisations shows whether that is as in training.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fakelens.errors import ModelError
from fakelens.records.arrays import FloatArray


def extract_head(model: bytes, name: str, outputs: Sequence[str] = ("logit",)) -> bytes:
    """Extract the part of a graph from ``activation`` to ``outputs`` as a model of its own.

    Args:
        model: a serialised evidence model.
        name: of the model, for messages.
        outputs: ``logit``, ``gradient`` or both.

    Raises:
        ModelError: the outputs depend on something other than the activation.
    """
    graph = onnx.load_from_string(model).graph
    made_by = {output: node for node in graph.node for output in node.output}
    pending, values = list(outputs), set[str]()
    nodes = []
    while pending:
        value = pending.pop()
        if value in values or value == "activation" or not value:
            continue
        values.add(value)
        if value in made_by:
            nodes.append(made_by[value])
            pending.extend(made_by[value].input)
    if "crops" in values or "activation" not in {put for node in nodes for put in node.input}:
        raise ModelError(f"{name}: the logit does not depend on the explained layer alone")
    head = onnx.ModelProto()
    head.CopyFrom(onnx.load_from_string(model))
    del head.graph.node[:], head.graph.input[:], head.graph.output[:], head.graph.value_info[:]
    kept = {id(node) for node in nodes}
    head.graph.node.extend(node for node in graph.node if id(node) in kept)
    head.graph.input.extend(put for put in graph.output if put.name == "activation")
    head.graph.output.extend(put for put in graph.output if put.name in outputs)
    constants = [put for put in head.graph.initializer if put.name in values]
    del head.graph.initializer[:]
    head.graph.initializer.extend(constants)
    serialised: bytes = head.SerializeToString()
    return serialised


def randomise(model: bytes, seed: int) -> bytes:
    """Return a copy of a model with the values of each kernel and matrix permuted.

    Each layer keeps the distribution of its weights and loses what it has learned (Adebayo et al.,
    "Sanity Checks for Saliency Maps", NeurIPS 2018, with the weights of each layer shuffled).
    Vectors and scalars, such as biases and scales, are not changed.

    Args:
        model: a serialised ONNX model, with integer or floating-point weights.
        seed: of the permutations.
    """
    rng = np.random.default_rng(seed)
    copy = onnx.load_from_string(model)
    for constant, values in _kernels(copy.graph):
        shuffled = rng.permutation(values.ravel()).reshape(values.shape)
        constant.CopyFrom(numpy_helper.from_array(shuffled, constant.name))
    serialised: bytes = copy.SerializeToString()
    return serialised


def has_weights(model: bytes) -> bool:
    """Return whether a model has kernels or matrices that ``randomise`` would permute."""
    return any(True for _ in _kernels(onnx.load_from_string(model).graph))


@dataclass(frozen=True, slots=True)
class NormInput:
    """A batch normalisation of a graph.

    Attributes:
        name: of its node, or of its output.
        mean: output that ``watch_norms`` adds: (N, C) mean of the normalisation's input.
        square: likewise, its mean square.
        trained_mean: (C,) from the weights.
        trained_variance: (C,) from the weights.
    """

    name: str
    mean: str
    square: str
    trained_mean: FloatArray
    trained_variance: FloatArray


def watch_norms(model: bytes) -> tuple[bytes, list[NormInput]]:
    """Return a copy of a model that also returns what enters its batch normalisations.

    Args:
        model: a serialised ONNX model.

    Returns:
        The copy, and its batch normalisations with the names of the added outputs.
    """
    copy = onnx.load_from_string(model)
    graph = copy.graph
    weights = {constant.name: constant for constant in graph.initializer}
    found = []
    for number, node in enumerate([node for node in graph.node if _is_watchable(node, weights)]):
        x, squared = node.input[0], f"norm{number}_squared"
        graph.node.append(helper.make_node("Mul", [x, x], [squared]))
        outputs = (f"norm{number}_mean", f"norm{number}_square")
        for name, source in zip(outputs, (x, squared), strict=True):
            pooled = f"{name}_pooled"
            graph.node.append(helper.make_node("GlobalAveragePool", [source], [pooled]))
            graph.node.append(helper.make_node("Flatten", [pooled], [name]))
            graph.output.append(onnx.ValueInfoProto(name=name))
        mean, variance = (numpy_helper.to_array(weights[put]) for put in node.input[3:5])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        variance = np.asarray(variance + epsilon, np.float32)
        found.append(NormInput(node.name or node.output[0], *outputs, mean, variance))
    serialised: bytes = copy.SerializeToString()
    return serialised, found


def _is_watchable(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    return node.op_type == "BatchNormalization" and all(
        name in weights and weights[name].data_type == TensorProto.FLOAT for name in node.input[3:5]
    )


def _kernels(graph: onnx.GraphProto) -> Iterator[tuple[onnx.TensorProto, NDArray[np.generic]]]:
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.ndim >= 2 and values.size > 1:
            yield constant, values
