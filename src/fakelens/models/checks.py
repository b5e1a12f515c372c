"""Checks of a model's input and output, used by every ``examine``."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import ModelError
from fakelens.records.models import Evidence


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
