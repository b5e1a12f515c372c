"""The derivatives of ONNX operators that compute with numbers, see ``onnx_gradient``."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from fakelens.models.plain_onnx.backward import Backward, NoRuleError, Rule
from fakelens.models.plain_onnx.nodes import Value

_Gradients = Sequence[Value | None]


def _elementwise(slope: Callable[[Backward, Value], Value]) -> Rule:
    """Make the rule of an operator on each element from its derivative, given node and input."""
    return lambda b: [b.gradient * slope(b, b.input())]


def _pass(b: Backward) -> _Gradients:
    return [b.gradient]


def _inside(b: Backward, low: Value | None, high: Value | None) -> _Gradients:
    gradient = b.gradient
    if low is not None:
        gradient = gradient.where(b.input() > low)
    if high is not None:
        gradient = gradient.where(b.input() < high)
    return [gradient]


def _clip(b: Backward) -> _Gradients:
    return _inside(b, *(b.input(number) if b.has(number) else None for number in (1, 2)))


def _relu(b: Backward) -> _Gradients:
    return [b.gradient.where(b.input() > 0)]


def _choose(b: Backward, condition: Value, yes: Value | float, no: Value | float) -> Value:
    values = [v if isinstance(v, Value) else b.editor.constant(np.float32(v)) for v in (yes, no)]
    return b.editor.node("Where", [condition, *values])


def _leaky(b: Backward, x: Value) -> Value:
    return _choose(b, x > 0, 1.0, b.get("alpha", 0.01))


def _elu(b: Backward, x: Value) -> Value:
    return _choose(b, x > 0, 1.0, b.output() + b.get("alpha", 1.0))


def _selu(b: Backward, x: Value) -> Value:
    alpha = b.get("alpha", 1.6732632423543772)
    gamma = b.get("gamma", 1.0507009873554805)
    return _choose(b, x > 0, gamma, b.output() + alpha * gamma)


def _celu(b: Backward, x: Value) -> Value:
    return _choose(b, x > 0, 1.0, (x / b.get("alpha", 1.0)).apply("Exp"))


def _hard_sigmoid(b: Backward) -> _Gradients:
    alpha, beta = b.get("alpha", 0.2), b.get("beta", 0.5)
    x = b.input() * alpha + beta
    return [(b.gradient * alpha).where(x > 0).where(x < 1)]


def _hard_swish(b: Backward, x: Value) -> Value:
    return _choose(b, x > 3, 1.0, (x / 3 + 0.5).where(x > -3))


def _gelu(b: Backward, x: Value) -> Value:
    if b.get("approximate", "none") == "tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        tanh = inner.apply("Tanh")
        slope = (x * x * (3 * 0.044715) + 1.0) * math.sqrt(2 / math.pi)
        return (tanh + 1.0) * 0.5 + x * 0.5 * (1.0 - tanh * tanh) * slope
    share = ((x * math.sqrt(0.5)).apply("Erf") + 1.0) * 0.5
    return share + x * (x * x * -0.5).apply("Exp") * (1 / math.sqrt(2 * math.pi))


def _mish(b: Backward, x: Value) -> Value:
    tanh = x.apply("Softplus").apply("Tanh")
    return tanh + x * (1.0 - tanh * tanh) * x.apply("Sigmoid")


def _softsign(b: Backward, x: Value) -> Value:
    root = x.apply("Abs") + 1.0
    return 1.0 / (root * root)


def _prelu(b: Backward) -> _Gradients:
    if b.needs(1):
        raise NoRuleError("with a slope that depends on the layer")
    return [b.gradient * _choose(b, b.input() > 0, 1.0, b.input(1))]


def _both(left: Callable[[Backward], Value], right: Callable[[Backward], Value]) -> Rule:
    """Make the rule of an operator with two inputs that are broadcast."""

    def rule(b: Backward) -> _Gradients:
        shape = b.output_shape()
        return [
            b.sum_to_input(side(b), number, shape) if b.needs(number) else None
            for number, side in enumerate((left, right))
        ]

    return rule


def _sum(b: Backward) -> _Gradients:
    shape = b.output_shape()
    return [b.sum_to_input(b.gradient, number, shape) for number in range(len(b.node.input))]


def _power(b: Backward) -> _Gradients:
    if b.needs(1):
        raise NoRuleError("with an exponent that depends on the layer")
    exponent = b.input(1)
    gradient = b.gradient * exponent * b.input().apply("Pow", exponent - 1.0)
    return [b.sum_to_input(gradient, 0, b.output_shape())]


def _where(b: Backward) -> _Gradients:
    condition, shape = b.editor.value(b.node.input[0]), b.output_shape()
    yes = b.gradient.where(condition)
    no = b.gradient.where(condition.apply("Not"))
    return [
        None,
        b.sum_to_input(yes, 1, shape) if b.needs(1) else None,
        b.sum_to_input(no, 2, shape) if b.needs(2) else None,
    ]


def _axes(b: Backward) -> list[int]:
    """Return the axes of a reduction, not negative."""
    axes = b.get("axes")
    if axes is None:
        axes = b.integers(1)
    if axes is None or not len(axes):
        return [] if b.get("noop_with_empty_axes", 0) else list(range(len(b.shape())))
    return sorted(int(axis) % len(b.shape()) for axis in axes)


def _kept(b: Backward, value: Value, axes: Sequence[int]) -> Value:
    """Give a reduced tensor back the axes that it has lost."""
    if b.get("keepdims", 1) or not axes:
        return value
    return value.apply("Unsqueeze", b.editor.integers(axes))


def _spread(b: Backward, value: Value) -> Value:
    """Repeat a reduced tensor, which has all axes, to the shape of the first input."""
    return value.apply("Expand", b.editor.node("Shape", [b.node.input[0]]))


def _reduce_sum(b: Backward) -> _Gradients:
    return [_spread(b, _kept(b, b.gradient, _axes(b)))]


def _reduce_mean(b: Backward) -> _Gradients:
    axes = _axes(b)
    count = math.prod(b.shape()[axis] for axis in axes)
    return [_spread(b, _kept(b, b.gradient / count, axes))]


def _largest(b: Backward, gradient: Value, largest: Value, axes: Sequence[int]) -> _Gradients:
    """Share a gradient equally among the largest elements along some axes, as torch does."""
    hits = b.editor.node("Equal", [b.input(), largest]).apply("Cast", to=1)
    return [gradient * hits / hits.sum(axes)]


def _reduce_max(b: Backward) -> _Gradients:
    axes = _axes(b)
    return _largest(b, _kept(b, b.gradient, axes), _kept(b, b.output(), axes), axes)


def _reduce_norm(b: Backward) -> _Gradients:
    axes = _axes(b)
    return [b.input() * _kept(b, b.gradient / b.output(), axes)]


def _reduce_log_sum_exp(b: Backward) -> _Gradients:
    axes = _axes(b)
    share = (b.input() - _kept(b, b.output(), axes)).apply("Exp")
    return [share * _kept(b, b.gradient, axes)]


def _softmax(b: Backward) -> _Gradients:
    y, axis = b.output(), b.get("axis", -1) % len(b.shape())
    product = b.gradient * y
    return [product - y * product.sum([axis])]


def _log_softmax(b: Backward) -> _Gradients:
    axis = b.get("axis", -1) % len(b.shape())
    return [b.gradient - b.output().apply("Exp") * b.gradient.sum([axis])]


def _per_channel(b: Backward, vector: Value) -> Value:
    """Arrange a vector (C,) along axis 1."""
    rank = len(b.shape())
    return vector.apply("Reshape", b.editor.integers([-1, *[1] * (rank - 2)]))


def _batch_normalization(b: Backward) -> _Gradients:
    if any(b.needs(number) for number in range(1, 5)) or b.get("training_mode", 0):
        raise NoRuleError("in training mode")
    deviation = (b.input(4) + b.get("epsilon", 1e-5)).apply("Sqrt")
    return [b.gradient * _per_channel(b, b.input(1) / deviation)]


def _normalised(b: Backward, gradient: Value, axes: Sequence[int]) -> _Gradients:
    """Differentiate (x - mean) / deviation, both over some axes, given the outer gradient."""
    x, count = b.input(), math.prod(b.shape()[axis] for axis in axes)
    centred = x - x.sum(axes) / count
    variance = (centred * centred).sum(axes) / count
    deviation = (variance + b.get("epsilon", 1e-5)).apply("Sqrt")
    normal = centred / deviation
    mean = gradient.sum(axes) / count
    slope = (gradient * normal).sum(axes) / count
    return [(gradient - mean - normal * slope) / deviation]


def _layer_normalization(b: Backward) -> _Gradients:
    if b.needs(1) or b.needs(2):
        raise NoRuleError("with a scale that depends on the layer")
    rank = len(b.shape())
    first = b.get("axis", -1) % rank
    return _normalised(b, b.gradient * b.input(1), range(first, rank))


def _instance_normalization(b: Backward) -> _Gradients:
    if b.needs(1) or b.needs(2):
        raise NoRuleError("with a scale that depends on the layer")
    scaled = b.gradient * _per_channel(b, b.input(1))
    return _normalised(b, scaled, range(2, len(b.shape())))


def _gemm(b: Backward) -> _Gradients:
    alpha, beta = b.get("alpha", 1.0), b.get("beta", 1.0)
    turn_a, turn_b = b.get("transA", 0), b.get("transB", 0)
    out: list[Value | None] = [None, None, None]
    if b.needs(0):
        pair = [b.input(1), b.gradient] if turn_a else [b.gradient, b.input(1)]
        turns = (turn_b, 1) if turn_a else (0, 1 - turn_b)
        out[0] = b.editor.node("Gemm", pair, alpha=alpha, transA=turns[0], transB=turns[1])
    if b.needs(1):
        pair = [b.gradient, b.input(0)] if turn_b else [b.input(0), b.gradient]
        turns = (1, turn_a) if turn_b else (1 - turn_a, 0)
        out[1] = b.editor.node("Gemm", pair, alpha=alpha, transA=turns[0], transB=turns[1])
    if b.needs(2):
        out[2] = b.sum_to_input(b.gradient * beta, 2, b.output_shape())
    return out


def _matmul(b: Backward) -> _Gradients:
    left, right, gradient = b.shape(0), b.shape(1), b.gradient
    if len(left) < 2 or (len(right) < 2 and b.needs(1)):
        raise NoRuleError("with a vector")
    second = b.input(1)
    if len(right) < 2:
        last = b.editor.integers([-1])
        gradient, second = gradient.apply("Unsqueeze", last), second.apply("Unsqueeze", last)
        right = (*right, 1)
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    out: list[Value | None] = [None, None]
    if b.needs(0):
        product = gradient.apply("MatMul", _turned(second, len(right)))
        out[0] = b.sum_to_input(product, 0, (*batch, *left[-2:]))
    if b.needs(1):
        product = _turned(b.input(0), len(left)).apply("MatMul", gradient)
        out[1] = b.sum_to_input(product, 1, (*batch, *right[-2:]))
    return out


def _turned(matrix: Value, rank: int) -> Value:
    """Exchange the last two axes."""
    return matrix.apply("Transpose", perm=[*range(rank - 2), rank - 1, rank - 2])


_ELEMENTWISE: dict[str, Rule] = {
    "Abs": _elementwise(lambda b, x: x.apply("Sign")),
    "Cast": _pass,
    "Celu": _elementwise(_celu),
    "Clip": _clip,
    "Dropout": _pass,
    "Elu": _elementwise(_elu),
    "Erf": _elementwise(lambda b, x: (-(x * x)).apply("Exp") * (2 / math.sqrt(math.pi))),
    "Exp": _elementwise(lambda b, x: b.output()),
    "Gelu": _elementwise(_gelu),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _elementwise(_hard_swish),
    "Identity": _pass,
    "LeakyRelu": _elementwise(_leaky),
    "Log": _elementwise(lambda b, x: 1.0 / x),
    "Mish": _elementwise(_mish),
    "Neg": lambda b: [-b.gradient],
    "PRelu": _prelu,
    "Reciprocal": _elementwise(lambda b, x: -(b.output() * b.output())),
    "Relu": _relu,
    "Selu": _elementwise(_selu),
    "Sigmoid": _elementwise(lambda b, x: b.output() * (1.0 - b.output())),
    "Softplus": _elementwise(lambda b, x: x.apply("Sigmoid")),
    "Softsign": _elementwise(_softsign),
    "Sqrt": _elementwise(lambda b, x: 0.5 / b.output()),
    "Tanh": _elementwise(lambda b, x: 1.0 - b.output() * b.output()),
}

_BINARY: dict[str, Rule] = {
    "Add": _both(lambda b: b.gradient, lambda b: b.gradient),
    "Sub": _both(lambda b: b.gradient, lambda b: -b.gradient),
    "Mul": _both(lambda b: b.gradient * b.input(1), lambda b: b.gradient * b.input(0)),
    "Div": _both(
        lambda b: b.gradient / b.input(1),
        lambda b: -(b.gradient * b.output() / b.input(1)),
    ),
    "Pow": _power,
    "Sum": _sum,
    "Where": _where,
}

ARITHMETIC_RULES: dict[str, Rule] = {
    **_ELEMENTWISE,
    **_BINARY,
    "BatchNormalization": _batch_normalization,
    "Gemm": _gemm,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _log_softmax,
    "MatMul": _matmul,
    "ReduceL2": _reduce_norm,
    "ReduceLogSumExp": _reduce_log_sum_exp,
    "ReduceMax": _reduce_max,
    "ReduceMean": _reduce_mean,
    "ReduceSum": _reduce_sum,
    "Softmax": _softmax,
}
"""From operators to their rules."""

SAME_PLACE = frozenset((*_ELEMENTWISE, *_BINARY))
"""The operators that leave each number in its place."""
