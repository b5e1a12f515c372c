"""What enters the batch normalisations of a torch or Keras module (extra ``torch``)."""

from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import nn

from fakelens.models.torch_layers import named_layers
from fakelens.records.models import NormStatistics


class NormWatch(ExitStack):
    """A context in which the statistics of the batch normalisations that run are collected.

    Args:
        module: torch module or Keras model.

    Attributes:
        found: one for each normalisation that has run, in that order.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.found: list[NormStatistics] = []
        self._module = module

    def __enter__(self) -> "NormWatch":
        super().__enter__()
        for name, layer in named_layers(self._module):
            trained = _trained(layer)
            if trained is not None:
                hook = layer.register_forward_pre_hook(
                    lambda _layer, inputs, name=name, trained=trained: self._collect(
                        name, inputs, *trained
                    )
                )
                self.callback(hook.remove)
        return self

    def _collect(
        self, name: str, inputs: tuple[torch.Tensor, ...], trained: tuple[Any, Any], axis: int
    ) -> None:
        values = inputs[0].detach().float()
        cells = tuple(other for other in range(1, values.ndim) if other != axis % values.ndim)
        if not cells:  # after a pooling of the whole map, there is one value for each crop
            return
        arrays = (values.mean(cells), (values**2).mean(cells), *trained)
        self.found.append(NormStatistics(name, *map(_array, arrays)))


def _trained(layer: Any) -> tuple[tuple[Any, Any], int] | None:
    """Return mean and variance in training and the axis of the channels; ``None`` for others."""
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        if layer.running_mean is None or layer.running_var is None:
            return None
        return (layer.running_mean, layer.running_var + layer.eps), 1
    if type(layer).__name__ == "BatchNormalization" and hasattr(layer, "moving_mean"):  # of Keras
        mean, variance = layer.moving_mean.value, layer.moving_variance.value
        return (mean, variance + layer.epsilon), int(layer.axis)
    return None


def _array(values: torch.Tensor) -> Any:
    return np.asarray(values.detach().float().cpu().numpy(), np.float32)
