"""Which layer of a classifier a heatmap explains, and how its output is arranged.

Pure functions of the shapes that a trial run shows, without the batch axis: they serve torch, Keras
and ONNX alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fakelens.errors import ModelError
from fakelens.records.conventions import LayerLayout

CHANNELS_FIRST, CHANNELS_LAST = LayerLayout("channels_first"), LayerLayout("channels_last")

MAX_ASPECT = 2.0
"""Largest ratio of the sides of a heatmap that can be that of a square crop."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as a trial run shows it.

    Attributes:
        name: by which it can be chosen.
        kind: type of the layer, such as ``"Conv2d"``.
        shape: of its output, without the batch axis.
        axis: position of the channels, as far as the type of the layer tells: 0 for a convolution
            of planes, -1 for a normalisation of the last axis; ``None`` if the type does not tell.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    axis: int | None = None


def find_layout(layer: Layer) -> LayerLayout | None:
    """Tell how the output of a layer is arranged, from its type, else from its shape.

    Returns:
        ``None`` if the output is not a map, or cannot be told: tokens need a stated grid.
    """
    if len(layer.shape) != 3 or min(layer.shape) < 1:
        return None
    first, second, third = layer.shape
    planes, pixels = _is_map(second, third), _is_map(first, second)
    if planes and pixels:  # such as 7 x 7 x 7 or 16 x 8 x 8
        if layer.axis is not None:
            return CHANNELS_FIRST if layer.axis == 0 else CHANNELS_LAST
        planes, pixels = second == third, first == second  # crops are square
        return None if planes == pixels else CHANNELS_FIRST if planes else CHANNELS_LAST
    if planes and layer.axis != -1:
        return CHANNELS_FIRST
    if pixels and layer.axis != 0:
        return CHANNELS_LAST
    return None


def _is_map(height: int, width: int) -> bool:
    return height > 1 and width > 1 and max(height, width) <= MAX_ASPECT * min(height, width)


def guess_grid(tokens: int) -> tuple[tuple[int, int], int] | None:
    """Guess a square grid and the number of class tokens, for advice in messages.

    Returns:
        (h, w) and the number of tokens before the grid, at most 8; ``None`` if no square fits.
    """
    side = math.isqrt(tokens)
    return ((side, side), tokens - side * side) if side > 1 and tokens - side * side <= 8 else None


def check_map(layer: Layer, layout: LayerLayout, name: str) -> tuple[int, int]:
    """Return the size (h, w) of the heatmaps of a layer.

    Args:
        layer: explained layer.
        layout: of its output.
        name: of the model, for messages.

    Raises:
        ModelError: the output has another number of axes, the tokens do not fill the grid, or the
            map cannot be one of a square crop.
    """
    shape, where = layer.shape, f"{name}: the layer {layer.name} returns {_text(layer.shape)}"
    if layout.kind == "tokens" and layout.grid is not None:
        height, width = layout.grid
        if len(shape) != 2:
            raise ModelError(f"{where} per crop, not tokens x channels: it has no token grid")
        if height * width + layout.class_tokens != shape[0]:
            raise ModelError(
                f"{where} per crop: {shape[0]} tokens are not {layout.class_tokens} class tokens "
                f"and a grid of {height} x {width}{_advice(shape[0])}"
            )
    elif len(shape) == 2:
        raise ModelError(
            f"{where} per crop, tokens x channels: state the token grid and the number of class "
            f"tokens{_advice(shape[0])}"
        )
    elif len(shape) != 3:
        raise ModelError(f"{where} per crop, which is not a map: choose another layer")
    else:
        height, width = shape[1:] if layout.kind == "channels_first" else shape[:2]
    if not _is_map(height, width):
        other = "last" if layout.kind == "channels_first" else "first"
        swapped = shape[:2] if layout.kind == "channels_first" else shape[1:]
        hint = (
            f"its channels seem to come {other}: state that layout"
            if len(shape) == 3 and _is_map(*swapped)
            else "choose another layer"
        )
        raise ModelError(
            f"{where} per crop: a heatmap of {height} x {width} cannot be that of a square crop; "
            f"{hint}"
        )
    return height, width


def _advice(tokens: int) -> str:
    guess = guess_grid(tokens)
    if guess is None:
        return ""
    (height, width), extra = guess
    return f"; {tokens} tokens would be a grid of {height} x {width} and {extra} class tokens"


def before_last_pool(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers before the last pooling, if nothing after it looks at the map again.

    A pooled map shows less of the place, and nothing that the map before it does not show.

    Args:
        layers: in the order they ran.
    """
    maps = [layer for layer in layers if len(layer.shape) == 3]
    for number in reversed(range(len(maps))):
        layer, kind = maps[number], maps[number].kind.lower()
        # A pool before a layer of another shape is one inside of a block. One that keeps the shape
        # does not pool.
        if layer.shape != maps[-1].shape:
            break
        if "pool" in kind and (number == 0 or maps[number - 1].shape != layer.shape):
            before = list(layers[: layers.index(layer)])
            return before if any(find_layout(other) for other in before) else list(layers)
        if "conv" in kind:
            break
    return list(layers)


def _text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"
