"""Quantization of a patch network's trunk to 8-bit integers: half the CPU time, half the file."""

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


class _CropReader(CalibrationDataReader):
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
        return onnx.load(target)
