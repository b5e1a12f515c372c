"""From a model and a set of items to the logits of their faces."""

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
# A model in training carries neither a crop nor a size nor thresholds.
_TRAINING_CROP, _TRAINING_SIZE = CropGeometry("box", 1.2), 256


@dataclass(frozen=True, slots=True)
class Scorer:
    """A model, as the yardstick sees it.

    Attributes:
        score: from crops (N, S, S, 3) uint8 RGB to logits (N,) float32, positive = fake.
        input_size: S, pixels.
        crop: that the model asks for.
        fake_logit: *likely fake* from here on.
    """

    score: Callable[[Crops], FloatArray]
    input_size: int
    crop: CropGeometry
    fake_logit: float


def load_scorer(name: str, threads: int) -> Scorer:
    """Load a model.

    Args:
        name: a name or file for ``fakelens.models.loading.load_model``, or the ``.pt`` state of a
            model in training, which runs on a GPU where there is one.
        threads: on the CPU.
    """
    if Path(name).suffix == ".pt":
        return _in_training(Path(name), threads)
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
    """The logits of each item's faces, (faces,) float32.

    Args:
        scorer: the model.
        items: to be scored.
        crop: what the model is shown.
        mirror: show the mirror images of the crops.
    """
    crops = (
        np.ascontiguousarray(_cut(view, crop, scorer.input_size)[:, :: -1 if mirror else 1])
        for item in items
        for view in item.views
    )
    logits = np.concatenate([scorer.score(np.stack(batch)) for batch in _batches(crops)])
    ends = np.cumsum([len(item.views) for item in items])
    return np.split(logits.astype(np.float32, copy=False), ends[:-1])


def _in_training(path: Path, threads: int) -> Scorer:
    # Figures of bundled models need no torch.
    import torch  # noqa: PLC0415

    from training.network import judge, load_state  # noqa: PLC0415

    torch.set_num_threads(threads)
    model = load_state(path).to("cuda" if torch.cuda.is_available() else "cpu")
    return Scorer(lambda crops: judge(model, crops)[0], _TRAINING_SIZE, _TRAINING_CROP, 0.0)


def _cut(view: View, crop: CropGeometry, size: int) -> Crops:
    return extract_crop(view.picture, crop_area(view.face, crop), size)


def _batches(crops: Iterator[Crops]) -> Iterator[list[Crops]]:
    while batch := list(islice(crops, _BATCH)):
        yield batch
