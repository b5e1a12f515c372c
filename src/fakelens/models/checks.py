"""Checks of a model's input and output, used by every ``examine`` and by every loader."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import ModelError
from fakelens.records.models import Evidence, Model


def check_crops(crops: NDArray[Any], side: int) -> None:
    """Raise ``ValueError`` unless the crops are (N, side, side, 3) uint8 with N >= 1."""
    if crops.dtype != np.uint8 or crops.shape[1:] != (side, side, 3) or crops.shape[0] < 1:
        raise ValueError(
            f"crops must be uint8 (N, {side}, {side}, 3) with N >= 1, "
            f"not {crops.dtype} {crops.shape}"
        )


def check_evidence(evidence: Evidence, count: int, name: str) -> None:
    """Raise ``ModelError`` unless the evidence has valid shapes and finite numbers.

    Args:
        evidence: output of the model.
        count: number of crops.
        name: of the model, for messages.
    """
    shape = evidence.activation.shape
    if evidence.logit.shape != (count,) or len(shape) != 4 or shape[0] != count:
        raise ModelError(
            f"{name}: for {count} crops, logits must have the shape ({count},) and activations "
            f"({count}, C, h, w), not {evidence.logit.shape} and {shape}"
        )
    if evidence.gradient.shape != shape:
        raise ModelError(
            f"{name}: the gradient has the shape {evidence.gradient.shape}, but the activation "
            f"has {shape}"
        )
    features = evidence.features
    if features is not None and (features.ndim != 2 or len(features) != count):
        raise ModelError(
            f"{name}: for {count} crops, features must have the shape ({count}, F), not "
            f"{features.shape}"
        )
    for field in fields(evidence):
        values = getattr(evidence, field.name)
        if values is not None and not np.isfinite(values).all():
            raise ModelError(f"{name}: the {field.name} contains values that are not finite")


_CELLS = 8  # of a varied crop, along a side
_TRIED = 8
_MIN_SPREAD = 1e-6  # of the logits, over their magnitude


def varied_crops(side: int, count: int) -> NDArray[np.uint8]:
    """Create crops (N, side, side, 3) of 8 x 8 random colours, the same in every call."""
    colours = np.random.default_rng(0).integers(0, 256, (count, _CELLS, _CELLS, 3), np.uint8)
    size = -(-side // _CELLS)
    large = colours.repeat(size, axis=1).repeat(size, axis=2)
    return np.ascontiguousarray(large[:, :side, :side])


def check_plausible(model: Model, where: object) -> None:
    """Refuse a model that answers all crops alike, or whose heatmaps are all zero.

    Args:
        model: just loaded.
        where: its file, for messages.

    Raises:
        ModelError: the model was not trained, is damaged, or explains a layer that its logit does
            not depend on.
    """
    evidence = model.examine(varied_crops(model.card.input_size, _TRIED))
    logits = evidence.logit
    if np.ptp(logits) <= _MIN_SPREAD * max(1.0, float(np.abs(logits).max())):
        raise ModelError(
            f"{where}: gives the same score to different pictures: it is damaged or was not trained"
        )
    if not evidence.gradient.any():
        raise ModelError(
            f"{where}: the logit does not change with the layer {model.card.layer}, so every "
            "heatmap would be empty: choose another layer"
        )
