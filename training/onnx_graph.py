"""The patch network as an ONNX graph that returns, with the logit, what the heatmaps need.

The explained layer is the map of evidence itself, one channel; its mean is the logit, so the
gradient is the same everywhere and activation times gradient adds up to the logit.
"""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from fakelens.records.arrays import FloatArray
from training.network import MEAN, SCALE, STRIDE, ConvNorm, PatchNet

LAYER = "evidence"

_FLOAT_BLOCKS = 1
_FACTOR, _OFFSET = "calibration_factor", "calibration_offset"
_OPSET = 17
_IR_VERSION = 8  # the oldest that goes with the opset, so that older runtimes read the file


def build_graph(model: PatchNet, side: int) -> tuple[onnx.ModelProto, frozenset[str]]:
    """Build the graph; inputs and outputs are those of an evidence network.

    Batch normalisations are folded into the convolutions before them.

    Args:
        model: in evaluation, as dropout and normalisation are meant to be then.
        side: of the crops, pixels; a multiple of 32.

    Returns:
        The graph, and the names of the nodes that should stay in floating point: the head, so that
        the map adds up to the logit, and the first layers, whose rounding hides fine traces.
    """
    graph = _Graph()
    x = graph.add("Cast", "crops", to=TensorProto.FLOAT)
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    x = graph.add("Sub", x, graph.constant(np.float32(MEAN)))
    x = graph.add("Mul", x, graph.constant(np.float32(SCALE)))
    x = _conv_norm(graph, model.stem, x)
    fine, early = "", graph.nodes()
    for index, block in enumerate(model.blocks):
        y = x
        for layer in block.layers:
            y = _conv_norm(graph, layer, y)
        x = graph.add("Add", x, y) if block.residual else y
        if index + 1 == model.fine_blocks:
            fine = _conv(graph, model.fine, x)
        if index + 1 == _FLOAT_BLOCKS:
            early = graph.nodes()
    factors = graph.constant(np.array([1, 1, 2, 2], np.float32))
    coarse = graph.add(
        "Resize",
        _conv(graph, model.coarse, x),
        "",
        factors,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    x = _conv_norm(graph, model.mix, graph.add("Add", fine, coarse))
    trunk = graph.nodes()
    away = graph.add("Sub", x, graph.add("GlobalAveragePool", x))
    contrast = _conv(graph, model.contrast, graph.add("Relu", _conv(graph, model.differing, away)))
    cells = graph.add("Add", _conv(graph, model.evidence, x), contrast)
    cells = graph.add("Mul", cells, graph.constant(np.float32(1), _FACTOR))
    graph.name(graph.add("Add", cells, graph.constant(np.float32(0), _OFFSET)), "activation")
    # keepdims=0 over channel, row and column leaves (N,).
    graph.name(graph.add("ReduceMean", "activation", axes=[1, 2, 3], keepdims=0), "logit")
    share = graph.constant(np.float32((STRIDE / side) ** 2))
    graph.name(graph.add("Expand", share, graph.add("Shape", "activation")), "gradient")
    return graph.finish(side), early | (graph.nodes() - trunk)


def calibrate(model: onnx.ModelProto, factor: float, offset: float) -> None:
    """Make every cell of a built graph's map, and so the logit, ``factor * value + offset``."""
    for name, value in ((_FACTOR, factor), (_OFFSET, offset)):
        (constant,) = (entry for entry in model.graph.initializer if entry.name == name)
        constant.CopyFrom(numpy_helper.from_array(np.float32(value), name))


def _conv(graph: "_Graph", conv: nn.Conv2d, x: str) -> str:
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
    return graph.conv(x, conv, conv.weight.detach().numpy(), bias.numpy())


def _conv_norm(graph: "_Graph", layer: ConvNorm, x: str) -> str:
    with torch.no_grad():
        weight, bias = layer.folded()
    y = graph.conv(x, layer.conv, weight.numpy(), bias.numpy())
    if not layer.active:
        return y
    return graph.add("Clip", y, graph.constant(np.float32(0)), graph.constant(np.float32(6)))


class _Graph:
    """Nodes and constants in the making; every value has a name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def nodes(self) -> frozenset[str]:
        """The names of all nodes so far."""
        return frozenset(node.name for node in self._nodes)

    def constant(self, value: Any, name: str = "") -> str:
        name = name or f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def conv(self, x: str, conv: nn.Conv2d, weight: FloatArray, bias: FloatArray) -> str:
        return self.add(
            "Conv",
            x,
            self.constant(weight.astype(np.float32)),
            self.constant(bias.astype(np.float32)),
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            pads=list(conv.padding) * 2,
            group=conv.groups,
        )

    def name(self, value: str, output: str) -> None:
        """Call the newest value ``output``."""
        newest = self._nodes[-1]
        if newest.output[0] != value:
            raise ValueError(f"{value} is not the newest value")
        newest.output[0] = output

    def finish(self, side: int) -> onnx.ModelProto:
        crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", side, side, 3])
        logit = helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"])
        maps = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, "h", "w"])
            for name in ("activation", "gradient")
        ]
        graph = helper.make_graph(
            self._nodes, "patchnet", [crops], [logit, *maps], initializer=self._constants
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="fakelens",
        )
        onnx.checker.check_model(model, full_check=True)
        return model
