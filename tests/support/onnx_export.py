"""Exports torch modules to ONNX in memory."""

import io
import logging
import warnings
from typing import Any

import onnx
import torch
from torch import nn


def export(
    module: nn.Module,
    side: int | tuple[int, ...],
    *,
    batch: int | str = "N",
    dynamo: bool = False,
    opset: int = 17,
    outputs: tuple[str, ...] = ("scores",),
    dtype: torch.dtype = torch.float32,
) -> bytes:
    """Export a module to ONNX with one input, ``images``.

    Args:
        module: to export; it is set to evaluation mode.
        side: of pictures (N, 3, side, side), or another shape without the batch axis.
        batch: fixed batch size, or ``"N"`` for any.
        dynamo: whether torch's newer exporter is used.
        opset: version of the operators.
        outputs: names of the outputs.
        dtype: of the input.
    """
    shape = (3, side, side) if isinstance(side, int) else side
    images = torch.zeros(2 if batch == "N" else int(batch), *shape, dtype=dtype)
    buffer, options = io.BytesIO(), dict[str, Any]()
    if dynamo:
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        if batch == "N":
            options["dynamic_shapes"] = ({0: torch.export.Dim("N")},)
    elif batch == "N":
        options["dynamic_axes"] = {"images": {0: "N"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (images,),
            None if dynamo else buffer,
            input_names=["images"],
            output_names=list(outputs),
            opset_version=opset,
            dynamo=dynamo,
            **options,
        )
    if program is not None:
        return bytes(program.model_proto.SerializeToString())
    return buffer.getvalue()


def load(data: bytes) -> onnx.ModelProto:
    """Parse a model, to change it."""
    return onnx.load_from_string(data)
