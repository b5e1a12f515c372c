"""Is what a heatmap points at enough to turn the model's answer round?

The protocol of Tsigos, Apostolidis, Baxevanakis, Papadopoulos and Mezaris, "Towards Quantitative
Evaluation of Explainable AI Methods for Deepfake Detection", MAD 2024: a fake that was called fake
is cut into SLIC segments, which are ranked by the mean of the map; then pixels of the first one,
two or three segments alone are changed, by natural evolution strategies (Ilyas et al., "Black-box
Adversarial Attacks with Limited Queries and Information", ICML 2018), until it is called real. The
better the segments, the more answers turn round and the further the score falls.

Theirs takes up to 50 steps of 40 pairs of passes; the ``Push`` here is a small part of that, so its
figures are lower and not to be compared with theirs, only with each other and with random
segments. The search is wider because a model of fakelens takes bytes: 0.001 of the range, theirs,
is a quarter of a grey level.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fakelens.evaluation.outcomes import TOPS
from fakelens.evaluation.segments import segment
from fakelens.explain.heatmaps import resize_heatmap
from fakelens.models.batching import compute_logits
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Model


@dataclass(frozen=True, slots=True)
class Push:
    """How hard the adversary tries.

    Attributes:
        steps: at most.
        pairs: of passes, by which the direction of a step is estimated.
        search: standard deviation of the noise in these passes, grey levels.
        step: by which every pixel is changed in a step, grey levels.
        reach: by which a pixel may differ from the untouched picture, grey levels.
    """

    steps: int = 8
    pairs: int = 6
    search: float = 2.0
    step: float = 2.0
    reach: float = 16.0

    @property
    def note(self) -> str:
        """How hard, for readers."""
        return (
            f"The adversary took {self.steps} steps of {self.pairs} pairs of passes at most; "
            "the published protocol takes 50 of 40."
        )


@dataclass(slots=True)
class Adversary:
    """Pushes segments of one crop towards REAL; the same segments are pushed only once.

    Attributes:
        model: to be misled.
        crop: (side, side, 3) uint8 RGB.
        push: how hard to try.
        seed: of the noise and of the random segments.
    """

    model: Model
    crop: NDArray[np.uint8]
    push: Push
    seed: int
    _labels: NDArray[np.int64] = field(init=False)
    _known: dict[frozenset[int], float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._labels = segment(self.crop)

    def along(self, cells: FloatArray) -> list[float]:
        """The logits that are reached by pushing the first one, two, three segments of a map."""
        fine = resize_heatmap(cells, self.crop.shape[:2]).ravel().astype(np.float64)
        labels = self._labels.ravel()
        ranking = np.argsort(-np.bincount(labels, fine) / np.bincount(labels), kind="stable")
        return self._pushed(ranking)

    def at_random(self, draws: int) -> list[list[float]]:
        """The same for random segments, drawn several times."""
        rng = np.random.default_rng([self.seed, 1])
        count = int(self._labels.max()) + 1
        return [self._pushed(rng.permutation(count)) for _ in range(draws)]

    def _pushed(self, ranking: NDArray[np.intp]) -> list[float]:
        reached = []
        for top in TOPS:
            chosen = frozenset(ranking[:top].tolist())
            if chosen not in self._known:
                area = np.isin(self._labels, list(chosen))
                rng = np.random.default_rng([self.seed, 0])
                self._known[chosen] = push_area(self.model, self.crop, area, self.push, rng)
            reached.append(self._known[chosen])
        return reached


def push_area(
    model: Model,
    crop: NDArray[np.uint8],
    area: NDArray[np.bool_],
    push: Push,
    rng: np.random.Generator,
) -> float:
    """Change an area of a crop so that its logit falls; the lowest logit that was reached.

    Args:
        model: to be misled; only its answers are used.
        crop: (side, side, 3) uint8 RGB.
        area: (side, side), the pixels that may be changed.
        push: how hard to try; it ends when the logit is no longer positive.
        rng: the only source of chance.
    """
    untouched = crop[area].astype(np.float64)
    pixels, lowest = untouched, np.inf
    for left in range(push.steps, -1, -1):
        noise = rng.standard_normal((push.pairs if left else 0, *pixels.shape))
        tried = [pixels, *(pixels + push.search * noise), *(pixels - push.search * noise)]
        logits = compute_logits(model, [_with_pixels(crop, area, values) for values in tried])
        lowest = min(lowest, float(logits[0]))
        if logits[0] <= 0:
            break
        ahead, back = logits[1 : 1 + len(noise)], logits[1 + len(noise) :]
        slope = np.tensordot(ahead - back, noise, axes=1)
        moved = np.clip(pixels - push.step * np.sign(slope), *_around(untouched, push.reach))
        pixels = np.clip(moved, 0, 255)
    return lowest


def _around(values: NDArray[np.float64], reach: float) -> tuple[NDArray[np.float64], ...]:
    return values - reach, values + reach


def _with_pixels(
    crop: NDArray[np.uint8], area: NDArray[np.bool_], values: NDArray[np.float64]
) -> NDArray[np.uint8]:
    copy = crop.copy()
    copy[area] = np.clip(np.rint(values), 0, 255)
    return copy
