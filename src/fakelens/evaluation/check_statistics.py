"""Statistics of the model check: AUC, and distances between layer statistics, with their certainty.

Faces of one group are alike, so all intervals are bootstrap intervals over whole groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fakelens.records.models import NormStatistics

EARLY = 10
"""Layers whose statistics are compared: the first ones, which the input changes most."""

_DRAWS = 1000
_FEW = 5  # groups (of each label), below which a bootstrap over groups is meaningless


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float


class Resamples:
    """Bootstrap resamples of whole groups, the same for everything that is compared.

    Args:
        groups: of N faces.
        fake: (N,) labels; each resample has both. ``None`` if there are no labels.
        seed: random seed.

    Attributes:
        groups: number of groups.
        enough_groups: whether there are enough groups for a bootstrap over them.
        enough: whether there are enough groups of each label for intervals of an AUC.
    """

    def __init__(
        self, groups: Sequence[str], fake: NDArray[np.bool_] | None = None, seed: int = 0
    ) -> None:
        _, member = np.unique(groups, return_inverse=True)
        self.groups = int(member.max()) + 1
        rng = np.random.default_rng(seed)
        found: list[NDArray[np.intp]] = []
        while len(found) < _DRAWS:
            drawn = rng.integers(self.groups, size=self.groups)
            counts = np.bincount(drawn, minlength=self.groups)[member]
            if fake is None or (counts[fake].any() and counts[~fake].any()):
                found.append(counts)
        self._counts = np.array(found, np.float64)
        self._fake = fake
        self._member = member
        self.enough_groups = self.groups >= _FEW
        labels = () if fake is None else (fake, ~fake)
        # Two groups of one label can only agree, so their interval would be far too short.
        self.enough = all(len(np.unique(member[rows])) >= _FEW for rows in labels)

    def auc(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Compute the AUC of fakes over genuine faces: (1 + resamples,), of all faces first."""
        if self._fake is None:
            raise ValueError("an AUC needs labels")
        values, rank = np.unique(scores, return_inverse=True)
        weights = np.vstack([np.ones(len(scores)), self._counts])
        genuine = ~self._fake
        rows = weights[:, genuine]
        real = np.array([np.bincount(rank[genuine], row, len(values)) for row in rows])
        below = np.cumsum(real, axis=1) - real / 2
        fakes = weights[:, self._fake]
        wins = (fakes * below[:, rank[self._fake]]).sum(axis=1)
        return np.asarray(wins / (fakes.sum(axis=1) * real.sum(axis=1)))

    def nearness(
        self, stated: Sequence[NormStatistics], other: Sequence[NormStatistics]
    ) -> Interval:
        """Compute how much nearer the other statistics are to those of the training.

        Returns:
            The mean over the first layers of the natural logarithm of the distance of ``stated``
            over that of ``other``, and its 95 % interval. With fewer than five groups, the
            interval is from the lowest to the highest value of one group.
        """
        if not self.enough_groups:
            weights = np.array([self._member == group for group in range(self.groups)], float)
        else:
            weights = self._counts
        every = np.vstack([np.ones(len(self._member)), weights])
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(layer_distances(stated, every) / layer_distances(other, every))
        value, *resampled = np.nan_to_num(logs[:, :EARLY].mean(axis=1))
        low, high = np.percentile(resampled, [0, 100] if not self.enough_groups else [2.5, 97.5])
        return Interval(float(value), float(low), float(high))


def interval(values: NDArray[np.float64], comparisons: int = 1) -> Interval:
    """Return a value and its interval of 95 %, or more if it is one of several (Bonferroni).

    Args:
        values: (1 + resamples,), the value itself first.
        comparisons: number of intervals of which all must hold.
    """
    outside = 2.5 / comparisons
    low, high = np.percentile(values[1:], [outside, 100 - outside])
    return Interval(float(values[0]), float(low), float(high))


def layer_distances(
    statistics: Sequence[NormStatistics], weights: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Compute how far the input of each layer is from that in training.

    Args:
        statistics: of L layers, for N crops.
        weights: (K, N) weights of the crops.

    Returns:
        (K, L): median over channels of the Kullback-Leibler divergence between two normal
        distributions, that of the crops and that of the training, nats. The median, because
        channels that were dead in training are far from anything.
    """
    shares = weights / weights.sum(axis=1, keepdims=True)
    distances = []
    for layer in statistics:
        mean = shares @ layer.mean.astype(np.float64)
        variance = shares @ layer.square.astype(np.float64) - mean**2
        trained = np.maximum(layer.trained_variance.astype(np.float64), 1e-12)
        ratio = np.maximum(variance, 1e-12) / trained
        shift = (mean - layer.trained_mean) ** 2 / trained
        distances.append(np.median((ratio + shift - 1 - np.log(ratio)) / 2, axis=1))
    return np.stack(distances, axis=1)
