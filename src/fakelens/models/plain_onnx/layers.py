"""Finds the layers of an ONNX classifier that heatmaps can explain, and rearranges their output."""

from difflib import get_close_matches

import onnx

from fakelens.errors import ModelError, UsageError
from fakelens.models.layers import Layer, before_last_pool, find_layout, guess_grid
from fakelens.models.plain_onnx.arithmetic_rules import SAME_PLACE
from fakelens.models.plain_onnx.file import RENAMED
from fakelens.models.plain_onnx.nodes import NEW, GraphEditor, Value, attribute
from fakelens.models.plain_onnx.trial import Trial
from fakelens.records.conventions import LayerLayout

_PLANES = {
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "InstanceNormalization",
    "LRN",
    "MaxPool",
    "SpaceToDepth",
}
# These keep the axis of the channels where it is.
_KEEPING = SAME_PLACE | {"Concat", "DequantizeLinear", "Pad", "QuantizeLinear", "Resize", "Slice"}
_LINEAR = {"LayerNormalization", "MatMul"}  # these mix or scale the last axis


def all_layers(editor: GraphEditor, trial: Trial) -> list[Layer]:
    """Return the floats of a classifier with 3 or 4 axes, the first of them the batch, in order."""
    axes = _channel_axes(editor, trial)
    return [
        Layer(name, node.op_type, trial.shapes[name][1:], axes.get(name))
        for node in editor.graph.node
        for name in node.output
        if name
        and not name.startswith(NEW)
        and trial.is_float(name)
        and _is_layer(trial.shapes[name], trial.batch)
    ]


def _is_layer(shape: tuple[int, ...], batch: int) -> bool:
    return len(shape) in (3, 4) and shape[0] == batch


def _channel_axes(editor: GraphEditor, trial: Trial) -> dict[str, int]:
    """Find the tensors whose axis of channels follows from the operators before them.

    Returns:
        0 for channels before rows and columns, -1 for channels after them, by tensor. A tensor
        that is missing may be anything, such as the similarities of an attention layer.
    """
    axes: dict[str, int] = {}
    dependent = {"crops"}
    for node in editor.graph.node:
        sources = [name for name in node.input if name in dependent]
        if sources:
            dependent.update(node.output)
            axis = _channel_axis(node, sources, axes)
            if axis is not None:
                axes |= dict.fromkeys(node.output, axis)
    return axes


def _channel_axis(node: onnx.NodeProto, sources: list[str], axes: dict[str, int]) -> int | None:
    operator = node.op_type
    if operator in _PLANES:
        return 0
    if operator in _LINEAR:
        return -1 if len(sources) == 1 and sources[0] == node.input[0] else None
    known = {axes.get(name) for name in sources}
    if len(known) != 1:
        return None
    axis = known.pop()
    if operator in _KEEPING or axis is None:
        return axis
    if operator == "Transpose":
        turned = {(0, (0, 2, 3, 1)): -1, (-1, (0, 3, 1, 2)): 0}
        return turned.get((axis, tuple(attribute(node, "perm", ()))))
    return None


def find_layer(layers: list[Layer], editor: GraphEditor, wanted: str, name: str) -> Layer:
    """Return the layer of a name: that of a tensor, or of the node that computes it.

    Raises:
        UsageError: there is no such layer.
    """
    by_name = {layer.name: layer for layer in layers}
    names = [wanted, RENAMED + wanted]
    names += [node.output[0] for node in editor.graph.node if node.name == wanted]
    for candidate in names:
        if candidate in by_name:
            return by_name[candidate]
    close = get_close_matches(wanted, by_name, 3) or list(by_name)[-3:]
    raise UsageError(
        f"{name} has no layer {wanted!r} with 3 or 4 axes: choose one of its {len(by_name)} "
        f"layers, such as {', '.join(close) or 'none'}"
    )


def candidates(
    layers: list[Layer], editor: GraphEditor, layout: LayerLayout | None, name: str
) -> list[tuple[Layer, LayerLayout]]:
    """Return the maps on the path from the crops to the logit, the last one first.

    Args:
        layers: of the graph, in order.
        editor: of the graph.
        layout: that the map must have; ``None`` takes any.
        name: of the model, for messages.

    Raises:
        ModelError: there is no map, or the model works on tokens after its last map.
    """
    path = editor.ancestors("logit")
    on_path = [layer for layer in layers if layer.name in path]
    found: list[tuple[Layer, LayerLayout]] = []
    for layer in reversed(before_last_pool(on_path)):
        own = find_layout(layer) if layer.axis is not None else None
        if own is not None and layout in (None, own):
            found.append((layer, own))
        elif not found and layer.kind == "LayerNormalization" and len(layer.shape) == 2:
            guess = guess_grid(layer.shape[0])
            advice = (
                f", such as a grid of {guess[0][0]} x {guess[0][1]} and {guess[1]} class tokens"
                if guess
                else ""
            )
            raise ModelError(
                f"{name}: works on {layer.shape[0]} tokens, not on maps: name a layer, such as "
                f"{layer.name}, and state its layout: tokens, the token grid and the number of "
                f"class tokens{advice}"
            )
    if not found:
        raise ModelError(f"{name} has no layer whose output is a map: name a layer and its layout")
    return found


def arrange(value: Value, layer: Layer, layout: LayerLayout, size: tuple[int, int]) -> Value:
    """Rearrange the output of a layer, or its gradient, to (N, C, h, w).

    Args:
        value: of the shape of the layer's output.
        layer: explained layer.
        layout: of its output.
        size: (h, w).
    """
    if layout.kind == "channels_last":
        return value.apply("Transpose", perm=[0, 3, 1, 2])
    if layout.kind == "tokens":
        if layout.class_tokens:
            bounds = ([layout.class_tokens], [layer.shape[0]], [1])
            value = value.apply("Slice", *map(value.editor.integers, bounds))
        turned = value.apply("Transpose", perm=[0, 2, 1])
        return turned.apply("Reshape", value.editor.integers([-1, layer.shape[1], *size]))
    return value


def arrange_back(value: Value, layer: Layer, layout: LayerLayout) -> Value | None:
    """Undo ``arrange``; ``None`` if the class tokens are lost."""
    if layout.kind == "channels_last":
        return value.apply("Transpose", perm=[0, 2, 3, 1])
    if layout.kind == "tokens":
        if layout.class_tokens:
            return None
        tokens, channels = layer.shape
        flat = value.apply("Reshape", value.editor.integers([-1, channels, tokens]))
        return flat.apply("Transpose", perm=[0, 2, 1])
    return value
