"""A trial run of a torch classifier: its layers, and the one to explain (extra ``torch``)."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from fakelens.errors import ModelError, UsageError
from fakelens.models.layers import Layer, before_last_pool, check_map, find_layout, guess_grid
from fakelens.records.conventions import LayerLayout
from fakelens.records.models import AUTO_LAYER

_PLANES = (
    *("Conv", "BatchNorm", "InstanceNorm", "MaxPool", "AvgPool", "AdaptiveAvgPool", "LayerNorm"),
    *("AdaptiveMaxPool", "Upsample", "Dropout", "SeparableConv", "DepthwiseConv"),
)
_PLANE_KINDS = frozenset(f"{kind}2d" for kind in _PLANES) | {"GroupNorm", "PixelShuffle"}


@dataclass(slots=True, eq=False)
class Run:
    """A layer in a trial run.

    Attributes:
        layer: its name, type and shape.
        output: of the layer, with its gradient history.
        calls: how often the layer ran.
    """

    layer: Layer
    output: torch.Tensor
    calls: int


def first_tensor(output: object) -> torch.Tensor | None:
    """Return the output of a layer, or the first of several."""
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, torch.Tensor) else None


@contextmanager
def watch_layers(module: nn.Module) -> Iterator[dict[str, Run]]:
    """Return a context in which the layers that run are collected, in the order they end."""
    runs: dict[str, Run] = {}

    def collect(name: str, layer: nn.Module, output: object) -> None:
        found = first_tensor(output)
        if found is None or found.ndim < 2 or not found.is_floating_point():
            return
        calls = runs.pop(name).calls if name in runs else 0  # in the order of the last run
        shape = tuple(found.shape[1:])
        kind = str(getattr(layer, "operation", type(layer).__name__))
        runs[name] = Run(Layer(name, kind, shape, channel_axis(layer)), found, calls + 1)

    hooks = [
        layer.register_forward_hook(
            lambda layer, _inputs, output, name=name: collect(name, layer, output)
        )
        for name, layer in named_layers(module)
    ]
    try:
        yield runs
    finally:
        for hook in hooks:
            hook.remove()


def named_layers(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers inside a module; those of Keras have the names that Keras gives them."""
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(module, keras.Layer):
        return [(path, layer) for path, layer in module.named_modules() if path]
    # Keras keeps its layers in lists, which torch does not look into.
    layers: dict[str, nn.Module] = {}
    for layer in module._flatten_layers(include_self=False):
        name = str(layer.name)
        while name in layers:  # of another part of the model
            name += "'"
        layers[name] = layer
    return list(layers.items())


def find_layer(module: nn.Module, name: str, model: str) -> nn.Module:
    """Return the layer of a name.

    Raises:
        UsageError: the module has no such layer.
    """
    try:
        return dict(named_layers(module))[name]
    except KeyError as error:
        raise UsageError(
            f"{model} has no layer {name!r}: 'fakelens models layers' lists its layers"
        ) from error


def channel_axis(layer: nn.Module) -> int | None:
    """Return the position of the channels that the type of a layer implies, see ``Layer.axis``."""
    stated = getattr(layer, "data_format", None)  # of Keras
    if stated in ("channels_first", "channels_last"):
        return 0 if stated == "channels_first" else -1
    kind = type(layer).__name__
    if kind in _PLANE_KINDS:
        return 0
    return -1 if isinstance(layer, nn.LayerNorm | nn.Linear) else None


def choose_layer(
    runs: dict[str, Run], logit: torch.Tensor, name: str, layout: LayerLayout | None, model: str
) -> tuple[Run, LayerLayout]:
    """Choose the layer to explain.

    Args:
        runs: of a trial run.
        logit: (N,) of the trial run, with its gradient history.
        name: of the layer; ``AUTO_LAYER`` chooses the last one whose output is a map, runs once,
            and has a gradient that is not zero.
        layout: of its output; ``None`` to find out.
        model: its name, for messages.

    Raises:
        ModelError: the layer's output is not a map, the layer does not run once, or the logit
            does not depend on it.
    """
    if name == AUTO_LAYER:
        return _choose_automatically(runs, logit, layout, model)
    run = runs.get(name)
    if run is None or run.calls != 1:
        raise ModelError(
            f"{model}: the layer {name} must run once per forward pass, not "
            f"{run.calls if run else 0} times"
        )
    layer = _with_axis(run, runs.values())
    layout = layout or find_layout(layer) or _assume_layout(layer, model)
    check_map(layer, layout, model)
    return run, layout


def _assume_layout(layer: Layer, model: str) -> LayerLayout:
    """Return a layout under which ``check_map`` says what is wrong with the output."""
    if find_layout(replace(layer, axis=0)) and find_layout(replace(layer, axis=-1)):
        raise ModelError(
            f"{model}: the layer {layer.name} returns {' x '.join(map(str, layer.shape))}, which "
            "does not tell where the channels are: state its layout"
        )
    return LayerLayout("channels_first")


def _choose_automatically(
    runs: dict[str, Run], logit: torch.Tensor, stated: LayerLayout | None, model: str
) -> tuple[Run, LayerLayout]:
    layers = before_last_pool([_with_axis(run, runs.values()) for run in runs.values()])
    found = [
        (run, layout)
        for run in (runs[layer.name] for layer in layers)
        if run.calls == 1 and (layout := _usable_layout(run, runs.values(), stated, model))
    ]
    if not found:
        raise ModelError(f"{model}: no layer returns a map to explain{_advice(runs)}")
    gradients = torch.autograd.grad(
        logit.sum(), [run.output for run, _ in found], allow_unused=True
    )
    for (run, layout), gradient in reversed(list(zip(found, gradients, strict=True))):
        if gradient is not None and bool(to_planes(gradient, layout).any()):
            if stated is None and len(_tokens_after(run, runs)) > 1:
                raise ModelError(
                    f"{model}: the last layer that returns a map is {run.layer.name}, but layers "
                    f"of tokens follow{_advice(runs)}; or state {run.layer.name}"
                )
            return run, layout
    raise ModelError(
        f"{model}: the logit depends on no layer that returns a map: state the layer to explain"
    )


def _usable_layout(
    run: Run, runs: Iterable[Run], stated: LayerLayout | None, model: str
) -> LayerLayout | None:
    if stated is None:
        return find_layout(_with_axis(run, runs))
    try:
        check_map(run.layer, stated, model)
    except ModelError:
        return None
    return stated


def _with_axis(run: Run, runs: Iterable[Run]) -> Layer:
    """Return the layer with the axis of one inside or before it, if its own type tells none.

    Activation functions, for example, keep the arrangement of what they get.
    """
    layer = run.layer
    if layer.axis is not None:
        return layer
    axis = None
    for other in runs:
        if other.layer.axis is not None and other.layer.shape == layer.shape:
            axis = other.layer.axis
        if other is run:
            break
    return replace(layer, axis=axis)


def _tokens_after(run: Run | None, runs: dict[str, Run]) -> list[Layer]:
    """Return the layers after a run that return tokens, such as those of a transformer."""
    layers = list(runs.values())
    later = layers[layers.index(run) + 1 :] if run else layers
    return [
        other.layer
        for other in later
        if len(other.layer.shape) == 2 and guess_grid(other.layer.shape[0])
    ]


def _advice(runs: dict[str, Run]) -> str:
    tokens = _tokens_after(None, runs)
    guess = guess_grid(tokens[-1].shape[0]) if tokens else None
    if guess is None:
        return ": 'fakelens models layers' lists its layers"
    (height, width), extra = guess
    return (
        f': state a layout with kind = "tokens", grid = [{height}, {width}] and class_tokens = '
        f"{extra}, and a layer before the last attention"
    )


def to_planes(values: torch.Tensor, layout: LayerLayout) -> torch.Tensor:
    """Arrange the output of a layer, or its gradient, as (N, C, h, w)."""
    if layout.kind == "channels_last":
        return values.permute(0, 3, 1, 2)
    if layout.grid is not None:
        cells = values[:, layout.class_tokens :].transpose(1, 2)
        return cells.reshape(*cells.shape[:2], *layout.grid)
    return values


def from_planes(planes: torch.Tensor, layout: LayerLayout, model: str) -> torch.Tensor:
    """Arrange (N, C, h, w) as the output of a layer.

    Raises:
        ModelError: the layer has class tokens, which the planes do not contain.
    """
    if layout.kind == "channels_last":
        return planes.permute(0, 2, 3, 1)
    if layout.class_tokens:
        raise ModelError(f"{model}: the class tokens are not part of the explained map")
    return planes.flatten(2).transpose(1, 2) if layout.kind == "tokens" else planes
