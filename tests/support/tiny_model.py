"""The smallest evidence model, which needs neither torch nor weights."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 32
"""Side of its input in pixels, that of ``builders.CARD``."""


def tiny_model() -> onnx.ModelProto:
    """Build a model whose logit is the mean of the pixels; each pixel is a cell of the map."""
    nodes = [
        helper.make_node("Cast", ["crops"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["activation"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["activation"], ["logit"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["activation", "zero"], ["zeros"]),
        helper.make_node("Add", ["zeros", "share"], ["gradient"]),
    ]
    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    maps = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
        for name in ("activation", "gradient")
    ]
    constants = [
        numpy_helper.from_array(np.float32(value), name)
        for name, value in (("zero", 0), ("share", 1 / (3 * SIDE * SIDE)))
    ]
    logit = helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(nodes, "tiny", [crops], [logit, *maps], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
