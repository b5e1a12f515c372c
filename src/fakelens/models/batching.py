"""Runs a model on any number of crops, a batch at a time."""

from collections.abc import Generator, Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.models import Model

BATCH = 16
"""Default number of crops per model call."""


def stack_batches(crops: Iterable[RGBImage], size: int = BATCH) -> Generator[NDArray[np.uint8]]:
    """Stack crops (S, S, 3) into batches (N, S, S, 3), 1 <= N <= ``size``."""
    remaining = iter(crops)
    while batch := list(islice(remaining, size)):
        yield np.stack(batch)


def compute_logits(model: Model, crops: Iterable[RGBImage]) -> FloatArray:
    """Compute the logits (N,) of N crops; only one batch is in memory at a time."""
    logits = [model.examine(batch).logit for batch in stack_batches(crops)]
    return np.concatenate(logits) if logits else np.empty(0, np.float32)
