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

from fakelens.data import FloatArray
from training.patchnet import Block, ConvNorm, PatchNet

LAYER = "evidence"

_OPSET = 17
_IR_VERSION = 8  # the oldest that goes with the opset, so that older runtimes read the file


def build_patchnet(model: PatchNet) -> tuple[onnx.ModelProto, frozenset[str]]:
    """Build the graph; inputs and outputs are those of an evidence network.

    Batch normalisations are folded into the convolutions before them.

    Args:
        model: in evaluation, as dropout and normalisation are meant to be then.

    Returns:
        The graph, and the names of the nodes of its head.
    """
    graph = _Graph()
    x = graph.add("Cast", "crops", to=TensorProto.FLOAT)
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    x = graph.add("Sub", x, graph.constant(np.float32(127)))
    x = graph.add("Mul", x, graph.constant(np.float32(1 / 128)))
    x = _conv_norm(graph, model.stem, x)
    for block in model.blocks:
        if not isinstance(block, Block):
            raise TypeError(f"a block is a {type(block).__name__}")
        y = x
        for layer in block.layers:
            y = _conv_norm(graph, layer, y)
        x = graph.add("Add", x, y) if block.residual else y
    trunk = graph.nodes()
    away = graph.add("Sub", x, graph.add("GlobalAveragePool", x))
    contrast = _conv(graph, model.contrast, graph.add("Relu", _conv(graph, model.differing, away)))
    graph.name(graph.add("Add", _conv(graph, model.evidence, x), contrast), "activation")
    # keepdims=0 over channel, row and column leaves (N,).
    graph.name(graph.add("ReduceMean", "activation", axes=[1, 2, 3], keepdims=0), "logit")
    shape = graph.add("Shape", "activation")
    cells = graph.add("ReduceProd", graph.add("Shape", "activation", start=2), keepdims=0)
    share = graph.add("Reciprocal", graph.add("Cast", cells, to=TensorProto.FLOAT))
    graph.name(graph.add("Expand", share, shape), "gradient")
    return graph.finish(model.input_size), graph.nodes() - trunk


def _conv(graph: "_Graph", conv: nn.Conv2d, x: str) -> str:
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()
    return graph.conv(x, conv, conv.weight.detach().numpy(), bias.numpy())


def _conv_norm(graph: "_Graph", layer: ConvNorm, x: str) -> str:
    conv, norm = layer[0], layer[1]
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = conv.weight * scale[:, None, None, None]
        bias = norm.bias - norm.running_mean * scale
    y = graph.conv(x, conv, weight.numpy(), bias.numpy())
    if len(layer) == 2:
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

    def constant(self, value: Any) -> str:
        name = f"constant{len(self._constants)}"
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
