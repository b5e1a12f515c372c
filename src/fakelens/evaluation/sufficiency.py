"""Sufficiency: whether an attack on the area that a heatmap marks flips the model's prediction.

The protocol of Tsigos, Apostolidis, Baxevanakis, Papadopoulos and Mezaris, "Towards Quantitative
Evaluation of Explainable AI Methods for Deepfake Detection", MAD 2024: a fake that is called fake
is divided into SLIC segments, ranked by the mean of the heatmap. Then the pixels of only the first
one, two or three segments are changed by natural evolution strategies (Ilyas et al., "Black-box
Adversarial Attacks with Limited Queries and Information", ICML 2018) until the face is called real.
The better the segments, the more predictions flip and the further the score drops.

The authors use up to 50 steps of 40 pairs of forward passes. ``AttackSettings`` has a small part of
that by default, so the figures here are lower than theirs. Compare them only with each other and
with those of random segments. The noise of the search is larger, because a model of fakelens takes
bytes: 0.001 of the range, as in the paper, is a quarter of a grey level.
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
class AttackSettings:
    """Budget of the adversarial attack.

    Attributes:
        steps: largest number of steps.
        pairs: pairs of forward passes that estimate the gradient in a step.
        sigma: standard deviation of the noise in these passes, grey levels.
        step_size: change of every pixel in a step, grey levels.
        epsilon: largest difference of a pixel from the original, grey levels.
    """

    steps: int = 8
    pairs: int = 6
    sigma: float = 2.0
    step_size: float = 2.0
    epsilon: float = 16.0

    @property
    def note(self) -> str:
        """A sentence about the budget for readers of the results."""
        return (
            f"The adversarial attack uses at most {self.steps} steps of {self.pairs} pairs of "
            "forward passes; the published protocol uses 50 of 40."
        )


@dataclass(slots=True)
class Attack:
    """An adversarial attack on segments of one crop, which lowers the fake logit.

    The result for a set of segments is cached.

    Attributes:
        model: the attacked model.
        crop: (side, side, 3) uint8 RGB.
        settings: budget.
        seed: random seed of the noise and of the random segments.
    """

    model: Model
    crop: NDArray[np.uint8]
    settings: AttackSettings
    seed: int
    _labels: NDArray[np.int64] = field(init=False)
    _cache: dict[frozenset[int], float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._labels = segment(self.crop)

    def on_top_segments(self, cells: FloatArray) -> list[float]:
        """Return the lowest logits reached by changing a heatmap's top segments.

        Args:
            cells: the heatmap, (h, w).

        Returns:
            One logit for each number of segments in ``TOPS``.
        """
        fine = resize_heatmap(cells, self.crop.shape[:2]).ravel().astype(np.float64)
        labels = self._labels.ravel()
        ranking = np.argsort(-np.bincount(labels, fine) / np.bincount(labels), kind="stable")
        return self._lowest_logits(ranking)

    def on_random_segments(self, draws: int) -> list[list[float]]:
        """Return the same for ``draws`` random rankings of the segments."""
        rng = np.random.default_rng([self.seed, 1])
        count = int(self._labels.max()) + 1
        return [self._lowest_logits(rng.permutation(count)) for _ in range(draws)]

    def _lowest_logits(self, ranking: NDArray[np.intp]) -> list[float]:
        logits = []
        for top in TOPS:
            chosen = frozenset(ranking[:top].tolist())
            if chosen not in self._cache:
                area = np.isin(self._labels, list(chosen))
                rng = np.random.default_rng([self.seed, 0])
                self._cache[chosen] = attack_area(self.model, self.crop, area, self.settings, rng)
            logits.append(self._cache[chosen])
        return logits


def attack_area(
    model: Model,
    crop: NDArray[np.uint8],
    area: NDArray[np.bool_],
    settings: AttackSettings,
    rng: np.random.Generator,
) -> float:
    """Perturb an area of a crop so that the logit drops, and return the lowest logit reached.

    Args:
        model: the attacked model; only its logits are used.
        crop: (side, side, 3) uint8 RGB.
        area: (side, side), the pixels that may be changed.
        settings: budget; the attack ends as soon as the logit is not positive.
        rng: random generator.
    """
    original = crop[area].astype(np.float64)
    pixels, lowest = original, np.inf
    low, high = original - settings.epsilon, original + settings.epsilon
    for remaining in range(settings.steps, -1, -1):
        noise = rng.standard_normal((settings.pairs if remaining else 0, *pixels.shape))
        offsets = settings.sigma * noise
        tested = [pixels, *(pixels + offsets), *(pixels - offsets)]
        logits = compute_logits(model, [_with_pixels(crop, area, values) for values in tested])
        lowest = min(lowest, float(logits[0]))
        if logits[0] <= 0:
            break
        positive, negative = logits[1 : 1 + len(noise)], logits[1 + len(noise) :]
        gradient = np.tensordot(positive - negative, noise, axes=1)
        moved = np.clip(pixels - settings.step_size * np.sign(gradient), low, high)
        pixels = np.clip(moved, 0, 255)
    return lowest


def _with_pixels(
    crop: NDArray[np.uint8], area: NDArray[np.bool_], values: NDArray[np.float64]
) -> NDArray[np.uint8]:
    copy = crop.copy()
    copy[area] = np.clip(np.rint(values), 0, 255)
    return copy
