"""Heatmap specificity: whether a heatmap shows more than the model shows on any face.

A heatmap may be faithful to the model and still be the same on everybody. So the model's mean
heatmap on genuine faces, its *baseline*, is subtracted. The fifth of the cells that exceeds the
baseline most is removed from the explained layer. The logit must then drop by more than the
baseline predicts for these cells, and by more than it does on nineteen of twenty genuine faces. It
must also drop nearly as much as for the best reference heatmap: the heatmap of another face may
mark cells with much evidence, but rarely the right ones.

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
from fakelens.trust.ablation import LogitHead, ablate_cells, top_cells
from fakelens.trust.faithfulness import SHARE

MIN_SHARE = 0.95
"""Smallest excess of a specific heatmap, over that of the best reference heatmap."""

_SEED = 71


def measure_specificity(
    head: LogitHead,
    baseline: Baseline,
    places: Sequence[tuple[FloatArray, Box]],
    evidence: Evidence,
    maps: FloatArray,
) -> Specificity:
    """Compare the heatmaps of one person with the baseline.

    Args:
        head: of the model.
        baseline: of the model, for the method that made the heatmaps.
        places: landmarks (5, 2) and area of each of the N crops, in pixels of one picture.
        evidence: in the crops.
        maps: (N, h, w), the heatmaps to test.

    Raises:
        ModelError: the head does not return finite logits.
    """
    shape = (maps.shape[1], maps.shape[2])
    usual = np.stack([baseline_on_crop(baseline, *place, shape) for place in places])
    aligned = [align_to_grid(cells, *place) for cells, place in zip(maps, places, strict=True)]
    beyond = np.mean([difference(each, baseline) for each in aligned], axis=0)
    excess = measure_excess(head, evidence, maps, usual)
    best = measure_excess(head, evidence, METHODS[baseline.cam].function(evidence), usual)
    best = max(best, excess)
    share = excess / best if best > 0 else None
    # Not "<": an excess that is not a number must not count. Nor must a heatmap of such values,
    # which would mark random cells.
    is_specific = (
        bool(np.isfinite(maps).all())
        and excess > baseline.excess_limit
        and share is not None
        and share >= MIN_SHARE
    )
    return Specificity(
        mark=SpecificityMark.SPECIFIC if is_specific else SpecificityMark.USUAL,
        similarity=similarity(aligned, baseline),
        excess=excess,
        limit=baseline.excess_limit,
        share=share,
        parts=named_parts(part_outputs(beyond[None], baseline)[0], baseline),
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
    ties = np.random.default_rng(_SEED).random(maps.shape[1:])
    excesses = []
    for logit, activation, cells, expected in zip(
        evidence.logit, evidence.activation, maps, usual, strict=True
    ):
        mask = top_cells(smooth_heatmap(cells - expected), SHARE, ties)
        drop = float(logit) - float(_logit_without(head, activation, mask))
        excesses.append(drop - float(expected[mask].sum()))
    return float(np.mean(excesses))


def _logit_without(head: LogitHead, activation: FloatArray, mask: NDArray[np.bool_]) -> float:
    return float(ablate_cells(head, activation, mask[None])[0])
