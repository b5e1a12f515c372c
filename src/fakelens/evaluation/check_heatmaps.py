"""Checks of heatmaps: whether there are any, and whether they follow the picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.evaluation.check_results import Check
from fakelens.explain.cam import METHODS
from fakelens.models.batching import stack_batches
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Model
from fakelens.trust.ablation import working_head

_FACES = 64
_PROBES = 8  # faces of which one half is greyed out
_FOLLOWS = 0.55  # least share of the change of the layer inside that half
_GREY = 128


def check_heatmaps(model: Model, crops: Sequence[NDArray[np.uint8]]) -> Check:
    """Compute the heatmaps of some crops (S, S, 3) by the method of the model's card."""
    method = METHODS[model.card.cam]
    chosen = crops[:: max(1, len(crops) // _FACES)]
    maps = np.concatenate(
        [method.function(model.examine(batch)) for batch in stack_batches(chosen, _PROBES)]
    )
    height, width = maps.shape[1:]
    if height != width:
        return Check(
            "heatmaps",
            "wrong",
            f"the map of a square crop has {height} x {width} cells",
            "the layer has its channels last, or is not a map: state its layout or choose another",
        )
    finite = np.isfinite(maps).all(axis=(1, 2))
    empty = ~maps.any(axis=(1, 2))
    useless = int((empty | ~finite).sum())
    finding = f"{useless} of {len(maps)} {method.title} maps are empty or not finite"
    if useless > len(maps) / 2:
        return Check("heatmaps", "wrong", finding, "choose a layer on the path to the output")
    finding += f", {height} x {width} cells, {_likeness(maps[finite & ~empty])}"
    follows = _share_inside(model, np.stack(chosen[:_PROBES]))
    if follows < _FOLLOWS:
        finding += (
            f"; if half of a face is greyed out, only {follows:.0%} of the change of the layer is "
            "in that half: its cells may not be places of the picture"
        )
    return Check("heatmaps", "caution" if useless or follows < _FOLLOWS else "ok", finding)


def check_head(model: Model, crop: NDArray[np.uint8]) -> Check:
    """Say whether the layers after the explained one run on their own."""
    if working_head(model, model.examine(crop[None])) is not None:
        return Check("head", "ok", "the layers after the explained one run on their own")
    return Check(
        "head",
        "caution",
        "the layers after the explained one do not run on their own, so the faithfulness of "
        "heatmaps will not be measured",
    )


def _likeness(maps: FloatArray) -> str:
    """Describe how alike the maps of different faces are."""
    rows = maps.reshape(len(maps), -1).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1)
    rows = rows[norms > 0] / norms[norms > 0, None]
    if len(rows) < 2:
        return "too few to compare"
    pairs = (rows @ rows.T)[np.triu_indices(len(rows), 1)]
    return f"median correlation of two faces' maps {np.median(pairs):.2f}"


def _share_inside(model: Model, crops: NDArray[np.uint8]) -> float:
    """Return the share of the layer's change that is in the half of the picture that changes.

    Args:
        model: to examine.
        crops: (N, S, S, 3).

    Returns:
        The smaller of the shares for left and right, and for top and bottom.
    """
    whole = model.examine(crops).activation
    shares = []
    for axis in (1, 2):
        of_axis = []
        for first in (True, False):
            greyed = crops.copy()
            _half(greyed, axis, first=first)[...] = _GREY
            change = np.abs(model.examine(greyed).activation - whole).sum(axis=1)
            total = float(change.sum())
            inside = float(_half(change, axis, first=first).sum())
            of_axis.append(inside / total if total else 0.0)
        shares.append(sum(of_axis) / 2)
    return min(shares)


def _half(values: NDArray[np.generic], axis: int, *, first: bool) -> NDArray[np.generic]:
    """Return a view of the first or last half along an axis, without the middle row or column."""
    count = values.shape[axis] // 2
    part = slice(None, count) if first else slice(values.shape[axis] - count, None)
    return values[(slice(None),) * axis + (part,)]
