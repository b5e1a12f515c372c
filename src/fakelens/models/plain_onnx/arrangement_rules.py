"""The derivatives of ONNX operators that move numbers or slide windows, see ``onnx_gradient``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fakelens.models.plain_onnx.backward import Backward, NoRuleError, Rule
from fakelens.models.plain_onnx.nodes import Value

_Gradients = Sequence[Value | None]


@dataclass(frozen=True, slots=True)
class _Window:
    """How a convolution or pooling slides over its input, one number per axis of the picture."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    begin: list[int]
    end: list[int]

    def transposed(self) -> dict[str, Any]:
        """Return the attributes of the ``ConvTranspose`` that maps its output to its input.

        ``end`` is negative where the last windows leave cells of the input out; those become
        padding of the output.
        """
        return {
            "kernel_shape": self.kernel,
            "strides": self.strides,
            "dilations": self.dilations,
            "pads": [*self.begin, *(max(end, 0) for end in self.end)],
            "output_padding": [max(-end, 0) for end in self.end],
        }


def _window(b: Backward, kernel: Sequence[int]) -> _Window:
    inputs, outputs = b.shape()[2:], b.output_shape()[2:]
    axes = range(len(kernel))
    strides = list(b.get("strides") or [1] * len(kernel))
    dilations = list(b.get("dilations") or [1] * len(kernel))
    # From the first cell of the first window to the last cell of the last one.
    reach = [strides[i] * (outputs[i] - 1) + dilations[i] * (kernel[i] - 1) + 1 for i in axes]
    padding = b.get("auto_pad", "NOTSET")
    missing = [max(reach[i] - inputs[i], 0) for i in axes]
    if padding == "SAME_UPPER":
        begin = [count // 2 for count in missing]
    elif padding == "SAME_LOWER":
        begin = [count - count // 2 for count in missing]
    else:
        begin = list((b.get("pads") or [0] * len(kernel))[: len(kernel)])
    end = [reach[i] - begin[i] - inputs[i] for i in axes]
    return _Window(list(kernel), strides, dilations, begin, end)


def _conv(b: Backward) -> _Gradients:
    if b.needs(1) or b.needs(2):
        raise NoRuleError("with a kernel that depends on the layer")
    attributes = _window(b, b.shape(1)[2:]).transposed()
    inputs = [b.gradient, b.input(1)]
    return [b.editor.node("ConvTranspose", inputs, group=b.get("group", 1), **attributes)]


def _average_pool(b: Backward) -> _Gradients:
    window = _window(b, b.get("kernel_shape"))
    axes, channels = range(len(window.kernel)), b.shape()[1]
    if b.get("count_include_pad", 0):
        if b.get("ceil_mode", 0):
            raise NoRuleError("with ceil_mode and count_include_pad")
        scaled = b.gradient / math.prod(window.kernel)
    else:
        counts = np.ones((1,), np.float32)
        for i in axes:
            first = np.arange(b.output_shape()[2 + i]) * window.strides[i] - window.begin[i]
            cells = first[:, None] + np.arange(window.kernel[i]) * window.dilations[i]
            inside = ((cells >= 0) & (cells < b.shape()[2 + i])).sum(axis=1)
            counts = counts[..., None] * inside.astype(np.float32)
        scaled = b.gradient / b.editor.constant(counts)
    # A window with the weight 1 for each cell, for each channel.
    ones = b.editor.constant(np.ones((channels, 1, *window.kernel), np.float32))
    attributes = window.transposed()
    return [b.editor.node("ConvTranspose", [scaled, ones], group=channels, **attributes)]


def _max_pool(b: Backward) -> _Gradients:
    if b.get("storage_order", 0):
        raise NoRuleError("with columns first")
    flat, shape = b.editor.integers([-1]), b.editor.node("Shape", [b.node.input[0]])
    winners = b.editor.second_output(b.node).apply("Reshape", flat)
    zeros = b.editor.node("Expand", [b.editor.constant(np.zeros(1, np.float32)), shape])
    # Windows that overlap can have the same winner, whose gradients add up.
    scattered = b.editor.node(
        "ScatterElements",
        [zeros.apply("Reshape", flat), winners, b.gradient.apply("Reshape", flat)],
        axis=0,
        reduction="add",
    )
    return [scattered.apply("Reshape", shape)]


def _global_average_pool(b: Backward) -> _Gradients:
    shape = b.editor.node("Shape", [b.node.input[0]])
    return [(b.gradient / math.prod(b.shape()[2:])).apply("Expand", shape)]


def _global_max_pool(b: Backward) -> _Gradients:
    hits = b.editor.node("Equal", [b.input(), b.output()]).apply("Cast", to=1)
    return [b.gradient * hits / hits.sum(range(2, len(b.shape())))]


def _reshape(b: Backward) -> _Gradients:
    return [b.reshape_like(b.gradient, b.node.input[0])]


def _transpose(b: Backward) -> _Gradients:
    order = b.get("perm") or list(reversed(range(len(b.shape()))))
    return [b.gradient.apply("Transpose", perm=np.argsort(order).tolist())]


def _concat(b: Backward) -> _Gradients:
    axis = b.get("axis") % len(b.output_shape())
    edges = np.cumsum([0, *(b.shape(number)[axis] for number in range(len(b.node.input)))])
    return [
        _cut(b, b.gradient, [axis], [edges[number]], [edges[number + 1]])
        if b.needs(number)
        else None
        for number in range(len(b.node.input))
    ]


def _cut(
    b: Backward, value: Value, axes: Sequence[int], starts: Sequence[int], ends: Sequence[int]
) -> Value:
    return value.apply("Slice", *(b.editor.integers(part) for part in (starts, ends, axes)))


def _split(b: Backward) -> _Gradients:
    parts = [
        gradient
        or b.editor.constant(np.zeros(1, np.float32)).apply(
            "Expand", b.editor.node("Shape", [name])
        )
        for name, gradient in zip(b.node.output, b.gradients, strict=True)
    ]
    return [b.editor.node("Concat", parts, axis=b.get("axis", 0))]


def _expand(b: Backward) -> _Gradients:
    return [b.sum_to_input(b.gradient, 0, b.output_shape())]


def _pad(b: Backward) -> _Gradients:
    if b.get("mode", "constant") != "constant":
        raise NoRuleError(f"with the mode {b.get('mode')}")
    pads, axes, rank = b.integers(1), b.integers(3), len(b.shape())
    if pads is None:
        raise NoRuleError("without a width")
    places = [int(axis) % rank for axis in (range(rank) if axes is None else axes)]
    begin, end = pads[: len(places)], pads[len(places) :]
    if pads.min() < 0:
        raise NoRuleError("with a negative width")
    padded = [i for i in range(len(places)) if begin[i] or end[i]]
    if not padded:
        return [b.gradient]
    starts = [int(begin[i]) for i in padded]
    ends = [int(begin[i]) + b.shape()[places[i]] for i in padded]
    return [_cut(b, b.gradient, [places[i] for i in padded], starts, ends)]


def _slice(b: Backward) -> _Gradients:
    starts, ends, axes, steps = (b.integers(number) for number in (1, 2, 3, 4))
    if starts is None or ends is None:
        raise NoRuleError("without bounds")
    rank, gradient = len(b.shape()), b.gradient
    places = range(len(starts)) if axes is None else [int(axis) % rank for axis in axes]
    for number, axis in enumerate(places):
        size = b.shape()[axis]
        step = 1 if steps is None else int(steps[number])
        start, end = int(starts[number]), int(ends[number])
        stop = None if step < 0 and end < -size else end
        taken = list(range(size))[slice(start, stop, step)]
        if taken != list(range(size)):
            gradient = _put_back(b, gradient, axis, taken)
    return [gradient]


def _gather(b: Backward) -> _Gradients:
    indices = b.integers(1)
    if indices is None or indices.ndim > 1:
        raise NoRuleError("with a table of indices")
    axis, gradient = b.get("axis", 0) % len(b.shape()), b.gradient
    if indices.ndim == 0:
        gradient = gradient.apply("Unsqueeze", b.editor.integers([axis]))
    taken = [int(index) % b.shape()[axis] for index in np.atleast_1d(indices)]
    return [_put_back(b, gradient, axis, taken)]


def _put_back(b: Backward, gradient: Value, axis: int, taken: Sequence[int]) -> Value:
    """Add the slices of a gradient along an axis to those places that they were taken from."""
    rank = len(b.shape())
    places = np.zeros((len(taken), b.shape()[axis]), np.float32)
    places[np.arange(len(taken)), taken] = 1
    order = [*range(rank)]
    order[axis], order[-1] = order[-1], order[axis]
    last = gradient.apply("Transpose", perm=order)
    return last.apply("MatMul", b.editor.constant(places)).apply("Transpose", perm=order)


ARRANGEMENT_RULES: dict[str, Rule] = {
    "AveragePool": _average_pool,
    "Concat": _concat,
    "Conv": _conv,
    "Expand": _expand,
    "Flatten": _reshape,
    "Gather": _gather,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
"""From operators to their rules."""
