"""The patch network as an ONNX graph that returns the logit and the inputs of the heatmap methods.

The explained layer is the evidence map, one channel. Its mean is the logit, so the gradient is
constant and activation times gradient sums to the logit.
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
"""Name of the explained layer in the model card."""

_FLOAT_BLOCKS = 1  # leading blocks that stay in floating point
_FACTOR, _OFFSET = "calibration_factor", "calibration_offset"
_OPSET = 17
_IR_VERSION = 8  # the oldest one for the opset, so that older runtimes can read the file


def build_graph(network: PatchNet, side: int) -> tuple[onnx.ModelProto, frozenset[str]]:
    """Build the graph, with the inputs and outputs of an evidence model.

    Batch normalisations are folded into the convolutions before them.

    Args:
        network: network in evaluation mode.
        side: side of the crops, pixels; a multiple of 32.

    Returns:
        The graph, and the names of the nodes that should stay in floating point: the head, so that
        the map sums to the logit, and the first layers, where rounding would hide fine traces.
    """
    graph = _GraphBuilder()
    x = graph.add("Cast", "crops", to=TensorProto.FLOAT)
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    x = graph.add("Sub", x, graph.constant(np.float32(MEAN)))
    x = graph.add("Mul", x, graph.constant(np.float32(SCALE)))
    x = _conv_norm(graph, network.stem, x)
    fine, early = "", graph.nodes()
    for index, block in enumerate(network.blocks):
        y = x
        for layer in block.layers:
            y = _conv_norm(graph, layer, y)
        x = graph.add("Add", x, y) if block.residual else y
        if index + 1 == network.fine_blocks:
            fine = _conv(graph, network.fine, x)
        if index + 1 == _FLOAT_BLOCKS:
            early = graph.nodes()
    factors = graph.constant(np.array([1, 1, 2, 2], np.float32))
    coarse = graph.add(
        "Resize",
        _conv(graph, network.coarse, x),
        "",
        factors,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    x = _conv_norm(graph, network.mix, graph.add("Add", fine, coarse))
    trunk = graph.nodes()
    deviation = graph.add("Sub", x, graph.add("GlobalAveragePool", x))
    contrast = _conv(
        graph, network.contrast, graph.add("Relu", _conv(graph, network.differing, deviation))
    )
    cells = graph.add("Add", _conv(graph, network.evidence, x), contrast)
    cells = graph.add("Mul", cells, graph.constant(np.float32(1), _FACTOR))
    graph.name(graph.add("Add", cells, graph.constant(np.float32(0), _OFFSET)), "activation")
    # keepdims=0 over channel, row and column: the shape becomes (N,).
    graph.name(graph.add("ReduceMean", "activation", axes=[1, 2, 3], keepdims=0), "logit")
    share = graph.constant(np.float32((STRIDE / side) ** 2))
    graph.name(graph.add("Expand", share, graph.add("Shape", "activation")), "gradient")
    graph.name(graph.add("ReduceMean", x, axes=[2, 3], keepdims=0), "features")
    return graph.finish(side), early | (graph.nodes() - trunk)


def calibrate(model: onnx.ModelProto, factor: float, offset: float) -> None:
    """Calibrate a built graph: each cell, and so the logit, becomes ``factor * value + offset``."""
    for name, value in ((_FACTOR, factor), (_OFFSET, offset)):
        (constant,) = (entry for entry in model.graph.initializer if entry.name == name)
        constant.CopyFrom(numpy_helper.from_array(np.float32(value), name))


def _conv(graph: "_GraphBuilder", conv: nn.Conv2d, x: str) -> str:
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
    return graph.conv(x, conv, conv.weight.detach().numpy(), bias.numpy())


def _conv_norm(graph: "_GraphBuilder", layer: ConvNorm, x: str) -> str:
    with torch.no_grad():
        weight, bias = layer.folded()
    y = graph.conv(x, layer.conv, weight.numpy(), bias.numpy())
    if not layer.active:
        return y
    return graph.add("Clip", y, graph.constant(np.float32(0)), graph.constant(np.float32(6)))


class _GraphBuilder:
    """Collects nodes and constants; every value has a name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def nodes(self) -> frozenset[str]:
        """Return the names of all nodes added so far."""
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
        """Rename the newest value to ``output``."""
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
        maps.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", "F"]))
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
