"""Ablation of the explained layer: choose cells, set them to zero, compute the logits."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import ModelError
from fakelens.records.arrays import FloatArray, log_odds
from fakelens.records.models import Evidence, HasHead, Model, Thresholds

_BATCH = 16  # ablated layers in one call of the head
_MIN_DISTANCE = 1.0  # logits; thresholds set by convention may be closer

LogitHead = Callable[[FloatArray], FloatArray]
"""A model's head: from explained layers (K, C, h, w) to the K logits."""


def threshold_distance(thresholds: Thresholds) -> float:
    """Return the distance from *likely real* to *likely fake* in logits, the unit of effects.

    At least 1.
    """
    distance = float(log_odds(thresholds.fake) - log_odds(thresholds.real))
    return max(distance, _MIN_DISTANCE)


def select_rows(evidence: Evidence, rows: slice | NDArray[np.intp]) -> Evidence:
    """Return the evidence of some of the crops."""
    features = None if evidence.features is None else evidence.features[rows]
    return Evidence(
        evidence.logit[rows], evidence.activation[rows], evidence.gradient[rows], features
    )


def join_evidence(parts: Sequence[Evidence]) -> Evidence:
    """Concatenate the evidence of several batches."""
    features = [part.features for part in parts if part.features is not None]
    return Evidence(
        np.concatenate([part.logit for part in parts]),
        np.concatenate([part.activation for part in parts]),
        np.concatenate([part.gradient for part in parts]),
        np.concatenate(features) if len(features) == len(parts) else None,
    )


def top_cells(cells: FloatArray, share: float, ties: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Mark the cells with the highest values.

    Args:
        cells: (h, w).
        share: share of all cells to mark, 0..1; at least one cell is marked.
        ties: (h, w) random numbers that decide between equal values, so that a constant heatmap
            marks random cells and not the top of the image.

    Returns:
        (h, w).
    """
    order = np.lexsort((ties.ravel(), -cells.ravel()))
    mask = np.zeros(cells.size, np.bool_)
    mask[order[: max(1, round(share * cells.size))]] = True
    return mask.reshape(cells.shape)


def surrogates(cells: FloatArray, noise: NDArray[np.floating]) -> FloatArray:
    """Return K random heatmaps (K, h, w) with the power spectrum and the mean of a heatmap.

    These are phase-randomised surrogates.

    Args:
        cells: the heatmap, (h, w).
        noise: (K, h, w) white noise, which supplies the phases.
    """
    spectrum = np.abs(np.fft.rfft2(cells))
    random = np.fft.rfft2(noise)
    phases = np.divide(random, np.abs(random), out=np.ones_like(random), where=random != 0)
    phases[:, 0, 0] = 1
    sign = np.sign(cells.sum()) or 1.0
    spectrum[0, 0] *= sign
    return np.fft.irfft2(spectrum * phases, s=cells.shape).astype(np.float32)


def ablate_cells(head: LogitHead, activation: FloatArray, masks: NDArray[np.bool_]) -> FloatArray:
    """Compute the logits (K,) with cells of the explained layer set to zero.

    Args:
        head: of the model.
        activation: the explained layer of one crop, (C, h, w).
        masks: (K, h, w), the cells to set to zero.

    Raises:
        ModelError: the head does not return one finite logit for each mask.
    """
    batches = (masks[at : at + _BATCH, None] for at in range(0, len(masks), _BATCH))
    logits = np.concatenate([head(np.where(mask, np.float32(0), activation)) for mask in batches])
    if logits.shape != (len(masks),) or not np.isfinite(logits).all():
        raise ModelError(
            f"the model's head returned an array of shape {logits.shape} for {len(masks)} inputs, "
            "or values that are not finite"
        )
    return logits


def working_head(model: Model, evidence: Evidence) -> LogitHead | None:
    """Return the model's head if it runs on its own and reproduces the logits of the evidence.

    ``None`` is not an error, because a model need not have a head. The report says so.
    """
    if not isinstance(model, HasHead):
        return None
    try:
        logits = model.head(evidence.activation)
    except ModelError:  # the logit does not depend on the explained layer alone
        return None
    if logits.shape != evidence.logit.shape:
        return None
    return model.head if np.allclose(logits, evidence.logit, rtol=1e-3, atol=1e-3) else None
