"""Gradients of single ONNX operators, against finite differences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fakelens.errors import ModelError
from support.onnx_gradients import SHAPE, random, with_gradient


def graph(
    nodes: Sequence[onnx.NodeProto], shape: Sequence[int], opset: int = 20, **weights: Any
) -> bytes:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", *shape])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in weights.items()]
    made = helper.make_graph(list(nodes), "toy", [images], [scores], tensors)
    opsets = [helper.make_opsetid("", opset)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString())


NODE = helper.make_node
DIRECT: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "Gelu": ([NODE("Gelu", ["images"], ["y"])], {}),
    "Gelu tanh": ([NODE("Gelu", ["images"], ["y"], approximate="tanh")], {}),
    "Mish": ([NODE("Mish", ["images"], ["y"])], {}),
    "Celu": ([NODE("Celu", ["images"], ["y"], alpha=0.5)], {}),
    "HardSigmoid": ([NODE("HardSigmoid", ["images"], ["y"], alpha=0.3, beta=0.4)], {}),
    "Clip without an edge": ([NODE("Clip", ["images", "", "high"], ["y"])], {"high": 0.3}),
    "Sum": ([NODE("Sum", ["images", "row", "images"], ["y"])], {"row": np.ones((1, 6))}),
    "BatchNormalization": (
        [NODE("BatchNormalization", ["images", "a", "b", "b", "a"], ["y"], epsilon=0.1)],
        {"a": [0.5, 1, 2, 0.2], "b": [1, 0, -1, 0.5]},
    ),
    "same conv, odd": (
        [NODE("Conv", ["images", "w"], ["y"], auto_pad="SAME_LOWER", strides=[2, 2])],
        {"w": random(3, (4, 3, 3))},
    ),
    "same pool": (
        [
            NODE(
                "AveragePool",
                ["images"],
                ["y"],
                kernel_shape=[3, 3],
                strides=[2, 2],
                auto_pad="SAME_UPPER",
            )
        ],
        {},
    ),
    "matrix times vector": (
        [NODE("MatMul", ["images", "v"], ["x"]), NODE("Unsqueeze", ["x", "axis"], ["y"])],
        {"v": np.arange(6), "axis": [1]},
    ),
    "matrix on the left": ([NODE("MatMul", ["m", "images"], ["y"])], {"m": random(5, (6,))}),
    "transposed matrices": (
        [
            NODE("Flatten", ["images"], ["f"]),
            NODE("Transpose", ["f"], ["t"], perm=[1, 0]),
            NODE("Gemm", ["t", "m", "c"], ["g"], transA=1, transB=1, alpha=0.5, beta=2.0),
            NODE("Gemm", ["m2", "g"], ["h"], transB=1),
            NODE("Transpose", ["h"], ["i"], perm=[1, 0]),
            NODE("Unsqueeze", ["i", "axis"], ["y"]),
        ],
        {
            "m": random(3, (144,)),
            "m2": random(2, (3,)),
            "c": [[1.0, 2, 3]],
            "axis": [2, 3],
        },
    ),
    "Pow": ([NODE("Pow", ["images", "two"], ["y"])], {"two": 2.0}),
}


@pytest.mark.parametrize("name", DIRECT)
def test_operators_against_finite_differences(name: str) -> None:
    nodes, weights = DIRECT[name]
    tensors = {
        key: np.asarray(value, np.int64 if key == "axis" else np.float32)
        for key, value in weights.items()
    }
    ending = [
        helper.make_node("Tanh", ["y"], ["s"]),
        helper.make_node("ReduceSum", ["s", "axes"], ["scores"], keepdims=0),
    ]
    data = graph([*nodes, *ending], SHAPE, **tensors, axes=np.array([1, 2, 3]))
    x = random(1, seed=3) * 0.5
    session = with_gradient(data, x)
    _, gradient = session.run(["total", "gradient"], {"images": x})
    rng = np.random.default_rng(0)
    for _ in range(5):
        direction = rng.choice([-1, 1], x.shape).astype(np.float32)
        step = np.float32(1e-3)
        up, down = (session.run(["total"], {"images": x + s * direction})[0] for s in (step, -step))
        slope = (up - down) / (2 * step)
        expected = (gradient * direction).sum()
        assert slope == pytest.approx(expected, rel=0.02, abs=0.02)
    assert np.abs(gradient).max() > 1e-3


def test_an_operator_without_a_rule_is_named() -> None:
    nodes = [
        helper.make_node("Sinh", ["images"], ["y"]),
        helper.make_node("ReduceSum", ["y", "axes"], ["scores"], keepdims=0),
    ]
    data = graph(nodes, SHAPE, axes=np.array([1, 2, 3]))
    with pytest.raises(ModelError, match=r"operator Sinh, between the layer conv and the output"):
        with_gradient(data, random(2))


def test_a_target_that_does_not_depend_on_the_layer_is_refused() -> None:
    nodes = [
        helper.make_node("Relu", ["images"], ["other"]),
        helper.make_node("ReduceSum", ["images", "axes"], ["scores"], keepdims=0),
    ]
    data = graph(nodes, SHAPE, axes=np.array([1, 2, 3]))
    with pytest.raises(ModelError, match="does not depend on the layer conv"):
        with_gradient(data, random(2), "other")


def test_half_precision_keeps_small_gradients() -> None:
    """A gradient of 1e-9 would be zero in float16."""
    nodes = [
        helper.make_node("Cast", ["images"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["half", "weights"], ["y"]),
        helper.make_node("Sigmoid", ["y"], ["s"]),
        helper.make_node("ReduceMean", ["s", "axes"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["scores"], to=TensorProto.FLOAT),
    ]
    weights = np.full((4, 1, 1), 6e-7, np.float16)
    data = graph(nodes, SHAPE, weights=weights, axes=np.array([1, 2, 3]))
    x = random(2)
    (gradient,) = with_gradient(data, x, "half").run(["gradient"], {"images": x})
    np.testing.assert_allclose(gradient, float(weights[0, 0, 0]) / 4 / 144, rtol=1e-3)
