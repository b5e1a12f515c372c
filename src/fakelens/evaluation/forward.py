"""Many altered copies of one crop through a model, some at a time."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.records.arrays import FloatArray
from fakelens.records.models import Model

_BATCH = 16


def logits_of(model: Model, crops: Iterable[NDArray[np.uint8]]) -> FloatArray:
    """The logits (N,) of N crops, of which only a batch is in memory at a time."""
    found: list[FloatArray] = []
    batch: list[NDArray[np.uint8]] = []
    for crop in crops:
        batch.append(crop)
        if len(batch) == _BATCH:
            found.append(model.examine(np.stack(batch)).logit)
            batch = []
    if batch:
        found.append(model.examine(np.stack(batch)).logit)
    return np.concatenate(found) if found else np.empty(0, np.float32)


def blurred(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The crop without its details: what hidden parts are filled with.

    A Gaussian of a twelfth of the side leaves the colours and the light of each place and nothing
    of eyes and mouth. Nothing that is done to a face leaves a detector of forgeries cold, but this,
    with hard edges, disturbs least: where a random tenth of 20 real faces was hidden so, the logits
    of fakelens-patch and MesoInception_DF moved by 0.5 and 1.5 (the crop's mean colour: 0.5 and
    2.5; weaker blurs and soft edges: no less), mostly towards FAKE.
    """
    soft = cv2.GaussianBlur(crop, (0, 0), crop.shape[0] / 12)
    return soft.astype(np.uint8, copy=False)


def mixed(
    crop: NDArray[np.uint8], fill: NDArray[np.uint8], shown: NDArray[np.bool_] | FloatArray
) -> NDArray[np.uint8]:
    """The crop where ``shown``, (side, side), is 1, the fill where it is 0, a mixture between."""
    if shown.dtype == np.bool_:
        return np.asarray(np.where(shown[..., None], crop, fill))
    weight = shown[..., None].astype(np.float32)
    return np.rint(weight * crop + (1 - weight) * fill).astype(np.uint8)


def enlarge(cells: FloatArray, side: int) -> FloatArray:
    """A map (h, w) brought to (side, side), by linear interpolation."""
    fine = cv2.resize(np.asarray(cells, np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    return fine.astype(np.float32, copy=False)
