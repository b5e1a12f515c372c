"""Logits of the faces of items, from a model or from a network in training."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.models.loading import load_model
from fakelens.records.arrays import FloatArray, log_odds
from fakelens.records.faces import CropGeometry
from training.yardstick.items import Item, View

Crops: TypeAlias = NDArray[np.uint8]

_BATCH = 32
# A state file contains neither crop geometry nor input size nor thresholds.
_TRAINING_CROP, _TRAINING_SIZE = CropGeometry("box", 1.2), 256


@dataclass(frozen=True, slots=True)
class Scorer:
    """A scoring function and its input.

    Attributes:
        score: function from crops (N, S, S, 3) uint8 RGB to logits (N,) float32, positive = fake.
        input_size: side S of the crops, pixels.
        crop: the model's own crop geometry.
        fake_logit: threshold for *likely fake*, as a logit.
    """

    score: Callable[[Crops], FloatArray]
    input_size: int
    crop: CropGeometry
    fake_logit: float


def load_scorer(name: str, threads: int) -> Scorer:
    """Load a model or a network in training.

    Args:
        name: name or file for ``fakelens.models.loading.load_model``, or the ``.pt`` state file of
            a network in training, which runs on a GPU if there is one.
        threads: number of CPU threads.
    """
    if Path(name).suffix == ".pt":
        return _load_network(Path(name), threads)
    model = load_model(name, threads=threads)
    card = model.card
    return Scorer(
        lambda crops: model.examine(crops).logit,
        card.input_size,
        card.crop,
        log_odds(card.thresholds.fake),
    )


def face_logits(
    scorer: Scorer, items: Sequence[Item], crop: CropGeometry, *, mirror: bool = False
) -> list[FloatArray]:
    """Compute the logits of each item's faces, (faces,) float32 per item.

    Args:
        scorer: scoring function.
        items: items to score.
        crop: crop geometry to use.
        mirror: score the mirror images of the crops.
    """
    crops = (
        np.ascontiguousarray(_crop(view, crop, scorer.input_size)[:, :: -1 if mirror else 1])
        for item in items
        for view in item.views
    )
    logits = np.concatenate([scorer.score(np.stack(batch)) for batch in _batches(crops)])
    ends = np.cumsum([len(item.views) for item in items])
    return np.split(logits.astype(np.float32, copy=False), ends[:-1])


def _load_network(path: Path, threads: int) -> Scorer:
    # Imported here: models in ONNX files need no torch.
    import torch  # noqa: PLC0415

    from training.network import load_state, predict  # noqa: PLC0415

    torch.set_num_threads(threads)
    network = load_state(path).to("cuda" if torch.cuda.is_available() else "cpu")
    return Scorer(lambda crops: predict(network, crops)[0], _TRAINING_SIZE, _TRAINING_CROP, 0.0)


def _crop(view: View, crop: CropGeometry, size: int) -> Crops:
    return extract_crop(view.picture, crop_area(view.face, crop), size)


def _batches(crops: Iterator[Crops]) -> Iterator[list[Crops]]:
    while batch := list(islice(crops, _BATCH)):
        yield batch
