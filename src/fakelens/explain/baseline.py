"""The baseline: what a model's heatmaps look like on genuine faces.

The heatmap of a detector is partly a habit of the model, which marks the same places on every
face. The card of a model can therefore hold the mean heatmap of genuine faces, aligned to the
canonical face (see ``regions``) on a grid of ``GRID`` x ``GRID`` cells. What a heatmap shows beyond
this mean is about the face at hand.

For each part of the face, the card also holds a matched filter (Turin, "An introduction to matched
filters", IRE Transactions on Information Theory 6, 1960): the mean change of the heatmap when the
part is forged, whitened by the covariance of the heatmaps of genuine faces. It takes into account
that the evidence of a forged part spills over to its neighbours, and that some places vary more
than others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.explain.regions import REGION_NAMES, SIDE, align_heatmap, cell_to_grid
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box
from fakelens.records.models import BASELINE_SIDE, Baseline

PARTS = ("eyes", "nose", "mouth", "jaw and cheeks", "whole face")
"""Parts of the face that a filter can name."""

WHOLE_FACE = PARTS[-1]

GRID = BASELINE_SIDE
"""Cells along a side of the grid."""

PART_REGIONS: dict[str, tuple[str, ...]] = {
    "eyes": ("eyes",),
    "nose": ("nose",),
    "mouth": ("mouth",),
    "jaw and cheeks": ("cheeks", "jaw and boundary"),
    WHOLE_FACE: REGION_NAMES,
}
"""Regions of the face that each part consists of."""

_MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class AlignedHeatmap:
    """A heatmap on the grid of the canonical face.

    Attributes:
        values: (GRID, GRID) float32 in the heatmap's unit; 0 outside the crop.
        covered: (GRID, GRID) float32, share of each cell that the crop covers, 0..1.
    """

    values: FloatArray
    covered: FloatArray


def align_to_grid(heatmap: FloatArray, landmarks: FloatArray, area: Box) -> AlignedHeatmap:
    """Resample a heatmap (h, w) on the grid.

    Args:
        heatmap: over the square ``area``.
        landmarks: (5, 2) in image pixels.
        area: in image pixels.
    """
    return AlignedHeatmap(
        _to_grid(align_heatmap(heatmap, landmarks, area)),
        _to_grid(align_heatmap(np.ones_like(heatmap), landmarks, area)),
    )


def difference(aligned: AlignedHeatmap, baseline: Baseline) -> FloatArray:
    """Return what a heatmap shows beyond the baseline, (GRID, GRID); 0 outside the crop."""
    mean = np.asarray(baseline.mean, np.float32)
    return aligned.values - aligned.covered * mean


def similarity(aligned: Sequence[AlignedHeatmap], baseline: Baseline) -> float:
    """Compute the correlation of the mean of aligned heatmaps with the baseline, -1..1.

    Over the cells that all of the crops cover; 0 if either is constant there.
    """
    covered = np.min([each.covered for each in aligned], axis=0) > 0.99
    values = np.mean([each.values for each in aligned], axis=0)[covered]
    mean = np.asarray(baseline.mean)[covered]
    if not len(values) or values.std() == 0 or mean.std() == 0:
        return 0.0
    return float(np.corrcoef(values, mean)[0, 1])


def part_outputs(differences: FloatArray, baseline: Baseline) -> NDArray[np.float64]:
    """Return the outputs of the filters, (N, parts), for differences (N, GRID, GRID)."""
    filters = np.asarray(baseline.filters, np.float64).reshape(len(baseline.filters), -1)
    return differences.reshape(len(differences), -1).astype(np.float64) @ filters.T


def strongest_part(outputs: NDArray[np.float64], baseline: Baseline) -> str:
    """Return the part with the largest filter output, of outputs (parts,)."""
    return baseline.parts[int(np.argmax(outputs))]


def named_parts(outputs: NDArray[np.float64], baseline: Baseline) -> tuple[str, ...]:
    """Return the parts that stand out beyond chance, the strongest first.

    The response to the strongest part is subtracted before the next one is sought. The whole face
    is named alone, or not at all.

    Args:
        outputs: (parts,) of one person.
        baseline: of the model.
    """
    responses = np.asarray(baseline.responses, np.float64)
    remaining, named = outputs.astype(np.float64).copy(), list[str]()
    while len(named) < _MAX_NAMED:
        best = int(np.argmax(remaining))
        part = baseline.parts[best]
        # Not "<=": an output that is not a number must name nothing.
        if not remaining[best] > baseline.part_limit or part in named:
            break
        if part == WHOLE_FACE:
            return (*named,) or (part,)
        named.append(part)
        remaining -= remaining[best] / responses[best, best] * responses[best]
    return tuple(named)


def baseline_on_crop(
    baseline: Baseline, landmarks: FloatArray, area: Box, shape: tuple[int, int]
) -> FloatArray:
    """Resample the baseline on the cells of a crop: (h, w) float32, in the heatmaps' unit.

    Cells outside the grid get the value of its edge.

    Args:
        baseline: of the model.
        landmarks: (5, 2) in image pixels.
        area: the square of the crop, in image pixels.
        shape: (h, w) of the heatmap.
    """
    mean = np.asarray(baseline.mean, np.float32)
    matrix = cell_to_grid(landmarks, area, shape, len(mean))
    return cv2.warpAffine(
        mean,
        matrix,
        shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32, copy=False)


def _to_grid(values: FloatArray) -> FloatArray:
    factor = SIDE // GRID
    return np.asarray(values.reshape(GRID, factor, GRID, factor).mean(axis=(1, 3)), np.float32)
