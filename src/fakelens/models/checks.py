"""What every ``examine`` checks before and after it runs its model."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import ModelError
from fakelens.records.models import Evidence


def check_crops(crops: NDArray[Any], side: int) -> None:
    """Raise ValueError unless these are (N, side, side, 3) uint8 crops, N >= 1."""
    if crops.dtype != np.uint8 or crops.shape[1:] != (side, side, 3) or crops.shape[0] < 1:
        raise ValueError(
            f"crops must be uint8 (N, {side}, {side}, 3) with N >= 1, "
            f"not {crops.dtype} {crops.shape}"
        )


def check_evidence(evidence: Evidence, count: int, name: str) -> None:
    """Raise ModelError unless the evidence of ``count`` crops is finite and of one shape."""
    shape = evidence.activation.shape
    if evidence.logit.shape != (count,) or len(shape) != 4 or shape[0] != count:
        raise ModelError(
            f"{name} answered {count} crops with logits {evidence.logit.shape} and an "
            f"activation {shape} instead of ({count},) and ({count}, C, h, w)"
        )
    if evidence.gradient.shape != shape:
        raise ModelError(
            f"{name}: the gradient {evidence.gradient.shape} has not the shape "
            f"of the activation {shape}"
        )
    for field in fields(evidence):
        if not np.isfinite(getattr(evidence, field.name)).all():
            raise ModelError(f"{name} answered with a {field.name} that is not a finite number")
