"""Ablation of the explained layer: which cells to set to zero, and the logit without them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import ModelError
from fakelens.records.arrays import FloatArray, log_odds
from fakelens.records.models import Evidence, HasHead, Model, Thresholds

_BATCH = 16  # ablated layers in one call of the head
_LEAST_DISTANCE = 1.0  # logits; thresholds set by convention may lie closer


Answer = Callable[[FloatArray], FloatArray]
"""A model's head: from explained layers (K, C, h, w) to the K logits."""


def threshold_distance(thresholds: Thresholds) -> float:
    """From likely real to likely fake, in logits: the unit of effects."""
    between = float(log_odds(thresholds.fake) - log_odds(thresholds.real))
    return max(between, _LEAST_DISTANCE)


def select_rows(evidence: Evidence, rows: slice | NDArray[np.intp]) -> Evidence:
    """The evidence of some of the crops."""
    return Evidence(evidence.logit[rows], evidence.activation[rows], evidence.gradient[rows])


def top_cells(cells: FloatArray, share: float, ties: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The cells (h, w) of the highest values, a share of all; ``ties`` (h, w) decides among equals.

    A map of equal values so marks cells at random, not the top of the picture.
    """
    order = np.lexsort((ties.ravel(), -cells.ravel()))
    marked = np.zeros(cells.size, np.bool_)
    marked[order[: max(1, round(share * cells.size))]] = True
    return marked.reshape(cells.shape)


def surrogates(cells: FloatArray, noise: NDArray[np.floating]) -> FloatArray:
    """Random maps with the power spectrum of a map, and its mean.

    Args:
        cells: (h, w).
        noise: (K, h, w) white noise, whose phases are taken.
    """
    spectrum = np.abs(np.fft.rfft2(cells))
    random = np.fft.rfft2(noise)
    phases = np.divide(random, np.abs(random), out=np.ones_like(random), where=random != 0)
    phases[:, 0, 0] = 1
    sign = np.sign(cells.sum()) or 1.0
    spectrum[0, 0] *= sign
    return np.fft.irfft2(spectrum * phases, s=cells.shape).astype(np.float32)


def ablate_cells(head: Answer, activation: FloatArray, marked: NDArray[np.bool_]) -> FloatArray:
    """The logits (K,) when marked cells (K, h, w) of a layer (C, h, w) are zero.

    Raises:
        ModelError: the head answers with something else.
    """
    parts = (marked[at : at + _BATCH, None] for at in range(0, len(marked), _BATCH))
    logits = np.concatenate([head(np.where(part, np.float32(0), activation)) for part in parts])
    if logits.shape != (len(marked),) or not np.isfinite(logits).all():
        raise ModelError(
            f"the model's head answered {len(marked)} layers with {logits.shape} numbers "
            "or with some that are not finite"
        )
    return logits


def working_head(model: Model, evidence: Evidence) -> Answer | None:
    """The model's head, if it can be asked alone and gives the logits of the evidence.

    ``None`` is an answer that the report tells, not a failure: models need not have a head.
    """
    if not isinstance(model, HasHead):
        return None
    try:
        again = model.head(evidence.activation)
    except ModelError:  # its logit depends on something besides the layer
        return None
    same = again.shape == evidence.logit.shape
    return model.head if same and np.allclose(again, evidence.logit, rtol=1e-3, atol=1e-3) else None
