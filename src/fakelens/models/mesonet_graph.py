"""Builds MesoNet as an ONNX graph that returns the logit and what heatmaps need.

MesoNet: Afchar et al., "MesoNet: a Compact Facial Video Forgery Detection Network", WIFS 2018.

Both architectures end in the same layers: convolution, ReLU (the explained *activation*), batch
normalisation, 4x4 max-pooling, flatten, Dense(16), LeakyReLU(0.1), Dense(1). The derivative of the
logit with respect to the activation therefore has a closed form that consists of forward
operators, and the graph computes it together with the logit. There is no dropout, since the graph
is for inference only.

Weights are a mapping from these names to float32 arrays:

==================  ===========================  =================================================
name                shape                        meaning
==================  ===========================  =================================================
``CONV.weight``     (out, in, height, width)     kernel of a stride-1, zero-padded "same"
                                                 convolution, not flipped, as in torch
``CONV.bias``       (out,)
``BN.gamma``        (channels,)                  batch normalisation: scale,
``BN.beta``         (channels,)                  shift,
``BN.mean``         (channels,)                  running mean,
``BN.variance``     (channels,)                  running variance
``dense1.weight``   (16, 16, side/32, side/32)   output, then channel, row, column of the last
                                                 pool: the four axes define the flatten order
``dense1.bias``     (16,)
``dense2.weight``   (1, 16)
``dense2.bias``     (1,)
==================  ===========================  =================================================

The side of the crop in pixels is a multiple of 32 and follows from ``dense1.weight``; it is 256 in
the published models. BN is ``bn1`` to ``bn4``, one per stage. CONV is ``conv1`` to ``conv4`` in
Meso4. In MesoInception4, the first two stages are inception modules with the convolutions
``inceptionI.branchB.convK``: branch 1 is a 1x1 convolution; branches 2, 3 and 4 are a 1x1
convolution followed by a 3x3 convolution of dilation 1, 2 and 3. ``weight_shapes`` lists them all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fakelens.errors import ModelError
from fakelens.records.arrays import FloatArray

Architecture = Literal["meso4", "mesoinception4"]

LAYER = "conv4"
LEAKY_SLOPE = 0.1

_OPSET = 17
_IR_VERSION = 8  # the oldest for this opset, so that older runtimes can read the file

_POOLS = (2, 2, 2, 4)
_STRIDE = 32  # product of the pools: side in pixels of the square behind one flattened cell
_DILATIONS = {1: 1, 2: 1, 3: 2, 4: 3}  # of the 3x3 convolution, by inception branch

# Outputs, inputs and side of each kernel.
_MESO4 = {"conv1": (8, 3, 3), "conv2": (8, 8, 5), "conv3": (16, 8, 5), "conv4": (16, 16, 5)}
_INCEPTION_TAIL = {"conv3": (16, 12, 5), "conv4": (16, 16, 5)}
_INCEPTION_MODULES = {1: (3, (1, 4, 4, 2)), 2: (11, (2, 4, 4, 2))}  # inputs, outputs by branch


@dataclass(frozen=True, slots=True)
class MesoWeights:
    """The weights of a MesoNet whose logit is positive for FAKE.

    Attributes:
        architecture: ``"meso4"`` or ``"mesoinception4"``.
        tensors: float32 arrays, with the names and shapes of the table in the module docstring.
        bn_epsilon: added to the running variances (Keras uses 1e-3, torch 1e-5).

    Raises:
        ModelError: a tensor is missing, unknown, of the wrong shape or not finite.
    """

    architecture: Architecture
    tensors: Mapping[str, FloatArray]
    bn_epsilon: float = 1e-3

    def __post_init__(self) -> None:
        expected = weight_shapes(self.architecture, self.input_size)
        differing = sorted(expected.keys() ^ self.tensors.keys())
        if differing:
            raise ModelError(
                f"these are not {self.architecture} weights: {differing[0]} is missing or unknown"
            )
        for name, shape in expected.items():
            tensor = self.tensors[name]
            if tensor.shape != shape:
                raise ModelError(
                    f"these are not {self.architecture} weights: "
                    f"{name} has the shape {tensor.shape} instead of {shape}"
                )
            if not np.isfinite(tensor).all():
                raise ModelError(f"the weights are damaged: {name} has values that are not finite")

    @property
    def input_size(self) -> int:
        """Side of the square crop in pixels."""
        dense = self.tensors.get("dense1.weight")
        if dense is None or dense.ndim != 4:
            raise ModelError("dense1.weight is missing or does not have 4 dimensions")
        return int(dense.shape[2]) * _STRIDE

    def inverted(self) -> "MesoWeights":
        """Return weights that give the same logits with the opposite sign."""
        last = {name: -self.tensors[name] for name in ("dense2.weight", "dense2.bias")}
        return replace(self, tensors={**self.tensors, **last})


def weight_shapes(architecture: Architecture, input_size: int) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor, for crops of ``input_size`` pixels."""
    convs = dict(_MESO4 if architecture == "meso4" else _INCEPTION_TAIL)
    norms = {stage: convs[f"conv{stage}"][0] for stage in range(1, 5) if f"conv{stage}" in convs}
    if architecture == "mesoinception4":
        for module, (inputs, widths) in _INCEPTION_MODULES.items():
            norms[module] = sum(widths)
            for branch, width in enumerate(widths, 1):
                name = f"inception{module}.branch{branch}"
                convs[f"{name}.conv1"] = (width, inputs, 1)
                if branch > 1:
                    convs[f"{name}.conv2"] = (width, width, 3)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (outputs, inputs, side) in convs.items():
        shapes |= {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}
    for stage, width in norms.items():
        for part in ("gamma", "beta", "mean", "variance"):
            shapes[f"bn{stage}.{part}"] = (width,)
    cells = input_size // _STRIDE
    shapes |= {"dense1.weight": (16, 16, cells, cells), "dense1.bias": (16,)}
    return shapes | {"dense2.weight": (1, 16), "dense2.bias": (1,)}


def build_graph(weights: MesoWeights) -> onnx.ModelProto:
    """Build the ONNX model.

    Returns:
        A model with the input ``crops`` (N, side, side, 3) uint8 RGB and the float32 outputs
        ``logit`` (N,), positive = fake; ``activation`` (N, 16, side/8, side/8), the last
        convolution after its ReLU; ``gradient``, of the same shape, d logit / d activation.
        If cells of a pooling window tie, the first in row-major order gets the gradient, as in
        TensorFlow and torch; the gradient is one-sided there.
    """
    return _GraphBuilder(weights).build()


class _GraphBuilder:
    """Collects the nodes and constants of one graph; each method returns the name of a value."""

    def __init__(self, weights: MesoWeights) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def build(self) -> onnx.ModelProto:
        size = self._weights.input_size
        crops: list[str | int | None] = ["N", size, size, 3]
        cells: list[str | int | None] = ["N", 16, size // 8, size // 8]
        self._tail(self._trunk("crops"))
        graph = helper.make_graph(
            self._nodes,
            self._weights.architecture,
            [helper.make_tensor_value_info("crops", TensorProto.UINT8, crops)],
            [
                helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"]),
                helper.make_tensor_value_info("activation", TensorProto.FLOAT, cells),
                helper.make_tensor_value_info("gradient", TensorProto.FLOAT, cells),
            ],
            list(self._constants.values()),
        )
        return helper.make_model(
            graph,
            producer_name="fakelens",
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", _OPSET)],
        )

    def _trunk(self, crops: str) -> str:
        """Add the nodes from the crops to the activation."""
        planes = self._node("Transpose", [crops], "planes", perm=[0, 3, 1, 2])
        pixels = self._node("Cast", [planes], "pixels", to=TensorProto.FLOAT)
        x = self._node("Div", [pixels, self._constant("white", np.float32(255))], "stage0")
        for stage, pool in enumerate(_POOLS[:3], 1):
            if self._weights.architecture == "mesoinception4" and stage in _INCEPTION_MODULES:
                x = self._inception(f"inception{stage}", x)
            else:
                x = self._conv(f"conv{stage}", x)
            x = self._norm(stage, x)
            x = self._node("MaxPool", [x], f"stage{stage}", **_window(pool))
        return self._conv(LAYER, x, output="activation")

    def _tail(self, activation: str) -> None:
        """Add the nodes from the activation to the logit, and back to the gradient."""
        window = _window(_POOLS[3])
        normal = self._norm(4, activation)
        pooled = self._node("MaxPool", [normal], "pooled", "winners", **window)
        flat = self._node("Flatten", [pooled], "flat")
        dense1 = self._tensor("dense1.weight", (16, -1))
        hidden = self._node("Gemm", [flat, dense1, self._tensor("dense1.bias")], "hidden", transB=1)
        active = self._node("Greater", [hidden, self._constant("zero", np.float32(0))], "active")
        one, leak = (
            self._constant("one", np.float32(1)),
            self._constant("leak", np.float32(LEAKY_SLOPE)),
        )
        slope = self._node("Where", [active, one, leak], "slope")
        leaky = self._node("Mul", [hidden, slope], "leaky")
        dense2 = self._tensor("dense2.weight")
        column = self._node(
            "Gemm", [leaky, dense2, self._tensor("dense2.bias")], "column", transB=1
        )
        self._node("Reshape", [column, self._constant("vector", np.array([-1]))], "logit")

        d_hidden = self._node("Mul", [slope, dense2], "d_hidden")
        d_flat = self._node("MatMul", [d_hidden, dense1], "d_flat")
        d_pooled = self._node(
            "Reshape", [d_flat, self._node("Shape", [pooled], "pooled_shape")], "d_pooled"
        )
        # Normalisation is per channel, so its factor can be applied before unpooling, to a
        # sixteenth of the cells.
        d_winners = self._node("Mul", [d_pooled, self._norm_factor(4)], "d_winners")
        shape = self._node("Shape", [activation], "activation_shape")
        self._node("MaxUnpool", [d_winners, "winners", shape], "gradient", **window)

    def _inception(self, module: str, x: str) -> str:
        branches = []
        for branch, dilation in _DILATIONS.items():
            name = f"{module}.branch{branch}"
            y = self._conv(f"{name}.conv1", x)
            branches.append(y if branch == 1 else self._conv(f"{name}.conv2", y, dilation))
        return self._node("Concat", branches, module, axis=1)

    def _conv(self, name: str, x: str, dilation: int = 1, output: str | None = None) -> str:
        """Add a convolution with ReLU."""
        weight, bias = self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias")
        side = self._weights.tensors[f"{name}.weight"].shape[2]
        x = self._node(
            "Conv",
            [x, weight, bias],
            f"{name}.linear",
            pads=[dilation * (side // 2)] * 4,
            dilations=[dilation, dilation],
        )
        return self._node("Relu", [x], output or name)

    def _norm(self, stage: int, x: str) -> str:
        parts = [self._tensor(f"bn{stage}.{p}") for p in ("gamma", "beta", "mean", "variance")]
        epsilon = self._weights.bn_epsilon
        return self._node("BatchNormalization", [x, *parts], f"bn{stage}", epsilon=epsilon)

    def _norm_factor(self, stage: int) -> str:
        """Add the derivative of a batch normalisation, (channels, 1, 1), as a constant."""
        variance = self._weights.tensors[f"bn{stage}.variance"].astype(np.float64)
        gamma = self._weights.tensors[f"bn{stage}.gamma"]
        factor = gamma / np.sqrt(variance + self._weights.bn_epsilon)
        return self._constant(f"bn{stage}.factor", factor[:, None, None].astype(np.float32))

    def _tensor(self, name: str, shape: tuple[int, ...] | None = None) -> str:
        tensor = np.asarray(self._weights.tensors[name], np.float32)
        return self._constant(name, tensor if shape is None else tensor.reshape(shape))

    def _constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        self._constants[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def _node(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, list(outputs), **attributes))
        return outputs[0]


def _window(side: int) -> dict[str, list[int]]:
    return {"kernel_shape": [side, side], "strides": [side, side]}
