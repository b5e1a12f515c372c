"""Heatmap specificity: whether a heatmap shows more than the model shows on any face.

A heatmap may be faithful to the model and still be the same on everybody. So the model's mean
heatmap on genuine faces, its *baseline*, is subtracted. The fifth of the cells that exceeds the
baseline most is removed from the explained layer. The logit must then drop by more than the
baseline predicts for these cells, by more than it does on nineteen of twenty genuine faces, and by
more than for nineteen random heatmaps as smooth as this one (see ``faithfulness``). It must also
drop nearly as much as for the best reference heatmap: the heatmap of another face may mark cells
with much evidence, but rarely the right ones.

Neither this nor faithfulness says that a marked area was edited.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.baseline import (
    align_to_grid,
    baseline_on_crop,
    difference,
    named_parts,
    part_outputs,
    similarity,
)
from fakelens.explain.cam import METHODS
from fakelens.explain.heatmaps import smooth_heatmap
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box
from fakelens.records.models import Baseline, Evidence
from fakelens.records.trust import Specificity, SpecificityMark
from fakelens.trust.ablation import LogitHead, ablate_cells, surrogates, top_cells
from fakelens.trust.faithfulness import SHARE

MIN_SHARE = 0.95
"""Smallest excess of a specific heatmap, over that of the best reference heatmap."""

_RANDOM_HEATMAPS = 19
_SEED = 71


def measure_specificity(
    head: LogitHead,
    baseline: Baseline,
    places: Sequence[tuple[FloatArray, Box]],
    evidence: Evidence,
    maps: FloatArray,
    *,
    faithful: bool = True,
) -> Specificity:
    """Compare the heatmaps of one person with the baseline.

    Args:
        head: of the model.
        baseline: of the model, for the method that made the heatmaps.
        places: landmarks (5, 2) and area of each of the N crops, in pixels of one picture.
        evidence: in the crops.
        maps: (N, h, w), the heatmaps to test.
        faithful: whether the heatmaps were tested and are better than chance, see
            ``faithfulness``. Otherwise they are never specific: subtracting the baseline from a
            constant leaves its negative, which may happen to mark the right cells.

    Raises:
        ModelError: the head does not return finite logits.
    """
    shape = (maps.shape[1], maps.shape[2])
    usual = np.stack([baseline_on_crop(baseline, *place, shape) for place in places])
    aligned = [align_to_grid(cells, *place) for cells, place in zip(maps, places, strict=True)]
    beyond = np.mean([difference(each, baseline) for each in aligned], axis=0)
    reference = METHODS[baseline.cam].function(evidence)
    rng = np.random.default_rng(_SEED)
    noise = rng.normal(size=(_RANDOM_HEATMAPS, *shape))
    own = _smoothed(maps - usual)
    random = np.stack([surrogates(cells, noise) for cells in own], axis=1)
    tested = np.concatenate([own[None], _smoothed(reference - usual)[None], random])
    excess, of_reference, *of_random = _excesses(head, evidence, usual, tested).tolist()
    best = max(excess, of_reference)
    share = excess / best if best > 0 else None
    # Not "<": an excess that is not a number must not count. Nor must a heatmap of such values,
    # which would mark random cells.
    is_specific = (
        faithful
        and bool(np.isfinite(maps).all())
        and excess > max(baseline.excess_limit, *of_random)
        and share is not None
        and share >= MIN_SHARE
    )
    return Specificity(
        mark=SpecificityMark.SPECIFIC if is_specific else SpecificityMark.USUAL,
        similarity=similarity(aligned, baseline),
        excess=excess,
        limit=baseline.excess_limit,
        share=share,
        parts=named_parts(part_outputs(beyond[None], baseline)[0], baseline) if is_specific else (),
        baseline=tuple(tuple(row) for row in np.round(usual.mean(axis=0), 6).tolist()),
        faces=len(maps),
    )


def measure_excess(
    head: LogitHead, evidence: Evidence, maps: FloatArray, usual: FloatArray
) -> float:
    """Return the mean excess of N faces, see ``records.trust.Specificity``; logits.

    Args:
        head: of the model.
        evidence: in the crops.
        maps: (N, h, w) heatmaps.
        usual: (N, h, w) the baseline on the same crops.
    """
    return float(_excesses(head, evidence, usual, _smoothed(maps - usual)[None])[0])


def _smoothed(maps: FloatArray) -> FloatArray:
    return np.stack([smooth_heatmap(cells) for cells in maps])


def _excesses(
    head: LogitHead, evidence: Evidence, usual: FloatArray, differences: FloatArray
) -> NDArray[np.float64]:
    """Return the mean excess (K,) of N faces for K differences from the baseline, (K, N, h, w)."""
    ties = np.random.default_rng(_SEED).random(usual.shape[1:])
    excesses = np.zeros(differences.shape[:2])
    for face, (logit, activation, expected) in enumerate(
        zip(evidence.logit, evidence.activation, usual, strict=True)
    ):
        masks = np.stack([top_cells(cells, SHARE, ties) for cells in differences[:, face]])
        predicted = (masks * expected).sum(axis=(1, 2))
        excesses[:, face] = logit - ablate_cells(head, activation, masks) - predicted
    return np.asarray(excesses.mean(axis=1))
