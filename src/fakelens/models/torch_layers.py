"""A trial run of a torch classifier: its layers, and the one to explain (extra ``torch``)."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from fakelens.errors import ModelError, UsageError
from fakelens.models.factories import first_line
from fakelens.models.layers import Layer, before_last_pool, check_map, find_layout, guess_grid
from fakelens.records.conventions import LayerLayout
from fakelens.records.models import AUTO_LAYER

_PLANES = (
    *("Conv", "BatchNorm", "InstanceNorm", "MaxPool", "AvgPool", "AdaptiveAvgPool", "LayerNorm"),
    *("AdaptiveMaxPool", "Upsample", "Dropout", "SeparableConv", "DepthwiseConv"),
)
_PLANE_KINDS = frozenset(f"{kind}2d" for kind in _PLANES) | {"GroupNorm", "PixelShuffle"}
_PLANE_OPERATIONS = (
    *("convolution", "conv2d", "batch_norm", "native_batch_norm", "group_norm"),
    *("_native_batch_norm_legit_no_training", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"),
)
_LAST_AXIS_OPERATIONS = ("layer_norm", "native_layer_norm", "linear", "addmm")
_LINEAR_KINDS = ("Linear", "NonDynamicallyQuantizableLinear", "linear", "addmm", "mm")


@dataclass(slots=True, eq=False)
class Run:
    """A layer in a trial run.

    Attributes:
        layer: its name, type and shape.
        output: of the layer, with its gradient history.
        calls: how often the layer ran.
        crops_second: whether its second axis, and not its first, is that of the crops.
    """

    layer: Layer
    output: torch.Tensor
    calls: int
    crops_second: bool


def reference_tensor(module: nn.Module) -> torch.Tensor:
    """Return a weight of a module, whose type and device its input must have."""
    tensors = (*module.parameters(), *module.buffers(), torch.empty(0))
    return next(tensor for tensor in tensors if tensor.is_floating_point()).detach()


def first_tensor(output: object) -> torch.Tensor | None:
    """Return the output of a layer, or the first of several."""
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, torch.Tensor) else None


def replace_first(output: object, replacement: torch.Tensor) -> object:
    """Return the output of a layer with its first tensor replaced."""
    if not isinstance(output, tuple | list):
        return replacement
    items = (replacement, *output[1:])
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*items)
    return list(items) if isinstance(output, list) else items


@contextmanager
def watch_layers(module: nn.Module, count: int) -> Iterator[dict[str, Run]]:
    """Return a context in which the layers that run are collected, in the order they end.

    Args:
        module: to watch.
        count: number of crops that it will run on. Outputs without such an axis are left out, such
            as those of parts of crops.
    """
    runs: dict[str, Run] = {}

    def collect(name: str, layer: nn.Module, output: object) -> None:
        found = first_tensor(output)
        if found is None or found.ndim < 2 or not found.is_floating_point():
            return
        crops_second = len(found) != count and found.ndim == 3 and found.shape[1] == count
        if len(found) != count and not crops_second:
            return
        calls = runs.pop(name).calls if name in runs else 0  # in the order of the last run
        shape = (len(found), found.shape[2]) if crops_second else tuple(found.shape[1:])
        kind = str(getattr(layer, "operation", type(layer).__name__))
        axis = channel_axis(layer)
        if isinstance(layer, nn.LayerNorm) and shape[-1] != layer.normalized_shape[-1]:
            axis = None  # one of planes, which turns them round inside
        runs[name] = Run(Layer(name, kind, shape, axis), found, calls + 1, crops_second)

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
    operation = getattr(layer, "operation", None)  # of a graph
    if type(layer).__name__ in _PLANE_KINDS or operation in _PLANE_OPERATIONS:
        return 0
    linear = isinstance(layer, nn.LayerNorm | nn.Linear) or operation in _LAST_AXIS_OPERATIONS
    return -1 if linear else None


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
    if not logit.requires_grad:
        raise ModelError(
            f"{model}: its output has no gradient, so there is nothing to explain: return scores "
            "that are computed without torch.inference_mode, detach, numpy or argmax"
        )
    if name == AUTO_LAYER:
        return _choose_automatically(runs, logit, layout, model)
    run = runs.get(name)
    if run is None:
        raise ModelError(
            f"{model}: the layer {name} does not run, or returns no array of numbers with the "
            "axis of the crops first: choose another layer"
        )
    if run.calls != 1:
        raise ModelError(
            f"{model}: the layer {name} must run once per forward pass, not {run.calls} times"
        )
    if run.crops_second:
        raise ModelError(
            f"{model}: the layer {name} returns tokens x crops x channels, but the crops must "
            "come first: choose another layer"
        )
    layer = _with_axis(run, runs.values())
    layout = layout or find_layout(layer) or _assume_layout(layer, model)
    check_map(layer, layout, model)
    if _slopes(logit, [(run, layout)], model)[0] == 0:
        raise ModelError(
            f"{model}: the logit does not depend on the map of the layer {name}: choose a layer on "
            "the way to the output, in a transformer before the last attention"
        )
    return run, layout


def differentiate(
    logit: torch.Tensor, outputs: Sequence[torch.Tensor], model: str
) -> Sequence[torch.Tensor | None]:
    """Return the gradients of logits (N,), each with respect to the outputs for its own crop.

    ``None`` for an output that they do not depend on.

    Raises:
        ModelError: there is a step that torch cannot differentiate.
    """
    try:
        return torch.autograd.grad(logit.sum(), outputs, allow_unused=True)
    except RuntimeError as error:
        raise ModelError(f"{model}: it has no gradient: {first_line(error)}") from error


def _slopes(
    logit: torch.Tensor, found: Sequence[tuple[Run, LayerLayout]], model: str
) -> list[float]:
    """Return the largest gradient of each map; 0 for one that the logit does not depend on."""
    outputs = [run.output for run, _ in found if run.output.requires_grad]
    if not outputs:
        return [0.0] * len(found)
    gradients = iter(differentiate(logit, outputs, model))
    slopes = []
    for run, layout in found:
        gradient = next(gradients) if run.output.requires_grad else None
        planes = None if gradient is None else to_planes(gradient, layout)
        slopes.append(0.0 if planes is None else float(planes.abs().max()))
    return slopes


def _assume_layout(layer: Layer, model: str) -> LayerLayout:
    """Return a layout under which ``check_map`` says what is wrong with the output."""
    if _is_unclear(layer):
        raise ModelError(
            f"{model}: the layer {layer.name} returns {' x '.join(map(str, layer.shape))}, which "
            "does not tell where the channels are: state its layout"
        )
    return LayerLayout("channels_first")


def _is_unclear(layer: Layer) -> bool:
    both = (find_layout(replace(layer, axis=axis)) for axis in (0, -1))
    return find_layout(layer) is None and all(both)


def _choose_automatically(
    runs: dict[str, Run], logit: torch.Tensor, stated: LayerLayout | None, model: str
) -> tuple[Run, LayerLayout]:
    layers = [_with_axis(run, runs.values()) for run in runs.values()]
    if stated is None or stated.kind != "tokens":
        layers = before_last_pool(layers)
    usable = [runs[layer.name] for layer in layers]
    usable = [run for run in usable if run.calls == 1 and not run.crops_second]
    found = [
        (run, layout)
        for run in usable
        if (layout := _usable_layout(run, runs.values(), stated, model))
    ]
    if not found:
        raise ModelError(f"{model}: no layer returns a map to explain{_advice(runs)}")
    slopes = _slopes(logit, found, model)
    working = [pair for pair, slope in zip(found, slopes, strict=True) if slope != 0]
    if stated is not None and stated.kind == "tokens":
        # The branches of an attention layer mix its tokens; its inputs belong to places.
        places = [pair for pair in working if pair[0].layer.kind not in _LINEAR_KINDS]
        working = places or working
    if not working:
        raise ModelError(
            f"{model}: the logit depends on no layer that returns a map: state the layer to explain"
        )
    run, layout = working[-1]
    if stated is None and len(_tokens_after(run, runs)) > 1:
        raise ModelError(
            f"{model}: the last layer that returns a map is {run.layer.name}, but layers "
            f"of tokens follow{_advice(runs)}; or state {run.layer.name}"
        )
    later = usable[usable.index(run) + 1 :]
    for other in reversed(later) if stated is None else ():
        if _is_unclear(_with_axis(other, runs.values())):
            shape = " x ".join(map(str, other.layer.shape))
            raise ModelError(
                f"{model}: the layer {other.layer.name} returns {shape}, which does not tell where "
                f"the channels are: state its layout, or the layer {run.layer.name}"
            )
    return run, layout


def _usable_layout(
    run: Run, runs: Iterable[Run], stated: LayerLayout | None, model: str
) -> LayerLayout | None:
    if stated is None:
        return None if _is_attention(run, runs) else find_layout(_with_axis(run, runs))
    try:
        check_map(run.layer, stated, model)
    except ModelError:
        return None
    return stated


def _is_attention(run: Run, runs: Iterable[Run]) -> bool:
    """Return whether a layer returns the attention of each token to each other."""
    shape = run.layer.shape
    lengths = {len(other.layer.shape) == 2 and other.layer.shape[0] for other in runs}
    return len(shape) == 3 and shape[1] == shape[2] and shape[1] in lengths


def _with_axis(run: Run, runs: Iterable[Run]) -> Layer:
    """Return the layer with the axis of others of its shape, if its own type tells none.

    Activation functions, for example, keep the arrangement of what they get. Layers that do not
    agree tell nothing: some blocks arrange their input in another way inside.
    """
    layer = run.layer
    if layer.axis is not None:
        return layer
    axes = {other.layer.axis for other in runs if other.layer.shape == layer.shape} - {None}
    return replace(layer, axis=axes.pop() if len(axes) == 1 else None)


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
