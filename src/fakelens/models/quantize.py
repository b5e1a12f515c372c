"""Quantization of a model's trunk to 8-bit integers: half the CPU time, a quarter of the file."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from fakelens.errors import ModelError


class _CropReader(CalibrationDataReader):  # type: ignore[misc]
    """Reads crops (N, S, S, 3) uint8 one at a time."""

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        self._crops: Iterator[NDArray[np.uint8]] = iter(crops)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        crop = next(self._crops, None)
        return None if crop is None else {"crops": crop[None]}


def quantized(
    model: onnx.ModelProto, crops: NDArray[np.uint8], kept: frozenset[str]
) -> onnx.ModelProto:
    """Return a copy of the model with its convolutions in 8-bit integers.

    Weights have a scale for each output channel and use 7 of their 8 bits. With all 8 bits,
    processors without VNNI instructions overflow when they add pairs of products, and scores would
    depend on the machine.

    Args:
        model: graph with named nodes.
        crops: (N, S, S, 3) uint8 RGB training crops, from which the ranges are determined.
        kept: names of the nodes that stay in floating point.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "integers.onnx"
        onnx.save(model, source)
        logging.disable(logging.WARNING)  # it advises a step that the graphs here do not need
        try:
            quantize_static(
                source,
                target,
                _CropReader(crops),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Clip", "Add"],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=sorted(kept),
            )
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(target)


def quantize_trunk(model: onnx.ModelProto, crops: NDArray[np.uint8]) -> onnx.ModelProto:
    """Return a copy of an evidence model with the convolutions before ``activation`` in integers.

    The first convolution stays in floating point, since rounding there would hide fine traces, and
    so does all that follows ``activation``.

    Args:
        model: with the inputs and outputs of an evidence model.
        crops: (N, S, S, 3) uint8 RGB crops of faces, from which the ranges are determined.

    Raises:
        ModelError: there are no further convolutions to quantize.
    """
    named = onnx.ModelProto()
    named.CopyFrom(model)
    made_by: dict[str, onnx.NodeProto] = {}
    for number, node in enumerate(named.graph.node):
        node.name = f"node{number}"
        made_by |= dict.fromkeys(node.output, node)
    trunk, pending = set[str](), ["activation"]
    while pending:
        node = made_by.get(pending.pop())
        if node is not None and node.name not in trunk:
            trunk.add(node.name)
            pending.extend(node.input)
    convolutions = [
        node.name for node in named.graph.node if node.op_type == "Conv" and node.name in trunk
    ]
    if len(convolutions) < 2:
        raise ModelError("the model has no convolutions that could compute with integers")
    first = next(
        number for number, node in enumerate(named.graph.node) if node.name == convolutions[1]
    )
    early = {node.name for node in named.graph.node[:first]}
    kept = early | {node.name for node in named.graph.node if node.name not in trunk}
    return quantized(named, crops, frozenset(kept))
