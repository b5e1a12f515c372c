"""Other models made of an evidence model's graph: its head alone, and copies that know nothing.

A head tells what becomes of the logit when cells of the explained layer are changed, without a run
of the trunk. A copy with random weights tells whether a heatmap depends on what was learned.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from fakelens.errors import ModelError


def extract_head(model: bytes, name: str, outputs: Sequence[str] = ("logit",)) -> bytes:
    """The part of a graph that leads from ``activation`` to ``logit``, as a model of its own.

    Args:
        model: a serialised evidence model.
        name: of the model, for messages.
        outputs: ``logit``, and ``gradient`` if it is wanted too.

    Raises:
        ModelError: they depend on something besides the activation.
    """
    graph = onnx.load_from_string(model).graph
    made_by = {output: node for node in graph.node for output in node.output}
    wanted, found = list(outputs), set[str]()
    needed = []
    while wanted:
        value = wanted.pop()
        if value in found or value == "activation" or not value:
            continue
        found.add(value)
        if value in made_by:
            needed.append(made_by[value])
            wanted.extend(made_by[value].input)
    if "crops" in found or "activation" not in {put for node in needed for put in node.input}:
        raise ModelError(f"{name}: the logit does not follow from the explained layer alone")
    head = onnx.ModelProto()
    head.CopyFrom(onnx.load_from_string(model))
    del head.graph.node[:], head.graph.input[:], head.graph.output[:], head.graph.value_info[:]
    kept = {id(node) for node in needed}
    head.graph.node.extend(node for node in graph.node if id(node) in kept)
    head.graph.input.extend(put for put in graph.output if put.name == "activation")
    head.graph.output.extend(put for put in graph.output if put.name in outputs)
    constants = [put for put in head.graph.initializer if put.name in found]
    del head.graph.initializer[:]
    head.graph.initializer.extend(constants)
    serialised: bytes = head.SerializeToString()
    return serialised


def randomise(model: bytes, seed: int) -> bytes:
    """A copy of a graph whose kernels and matrices hold their own values in a random order.

    So each layer keeps the distribution of its weights and loses what it learned (Adebayo et al.,
    "Sanity Checks for Saliency Maps", NeurIPS 2018, with the weights of each layer shuffled).
    Biases, scales and whatever else is a vector or a single number stay as they are.

    Args:
        model: a serialised ONNX model; integers and floating point alike.
        seed: of the order.
    """
    rng = np.random.default_rng(seed)
    copy = onnx.load_from_string(model)
    for constant, values in _kernels(copy.graph):
        shuffled = rng.permutation(values.ravel()).reshape(values.shape)
        constant.CopyFrom(numpy_helper.from_array(shuffled, constant.name))
    serialised: bytes = copy.SerializeToString()
    return serialised


def has_kernels(model: bytes) -> bool:
    """Whether there is anything that ``randomise`` would put in another order."""
    return any(True for _ in _kernels(onnx.load_from_string(model).graph))


def _kernels(graph: onnx.GraphProto) -> Iterator[tuple[onnx.TensorProto, NDArray[np.generic]]]:
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.ndim >= 2 and values.size > 1:
            yield constant, values
