"""Planted parts: how often a heatmap names the part of the face that is forged.

One part of a genuine face is forged, so the right answer is known. Zhou et al., "Do Feature
Attribution Methods Correctly Attribute Features?", AAAI 2022, test explanations in this way. The
heatmap is read in two ways:

* *by region*: the region of the face with the highest mean. The regions are the eyes, the nose, the
  mouth, and the jaw with the cheeks, see ``explain.regions``; a random choice is right in one of
  four. Whole faces do not count.
* *by filter*: the strongest matched filter of what the heatmap shows beyond the model's baseline,
  see ``explain.baseline``. The whole face is one of its five parts, so a random choice is right in
  one of five.

Parts with equal values share the answer: if all four regions have the same mean, the heatmap is
right by a quarter. As for localisation, heatmaps without positive evidence do not count.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fakelens.evaluation.forgeries import Forgery
from fakelens.evaluation.outcomes import BY_FILTER, BY_REGION, part_key
from fakelens.explain.baseline import (
    PART_REGIONS,
    WHOLE_FACE,
    align_to_grid,
    difference,
    part_outputs,
)
from fakelens.explain.heatmaps import resize_heatmap
from fakelens.explain.regions import REGION_NAMES, region_of_cells
from fakelens.faces.crops import crop_area
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box
from fakelens.records.models import Baseline, ModelCard

_REGIONS = {part: names for part, names in PART_REGIONS.items() if part != WHOLE_FACE}
# The part that each region belongs to, in the order of _REGIONS; -1 for none.
_PART_OF_REGION = np.array(
    [
        next((number for number, names in enumerate(_REGIONS.values()) if name in names), -1)
        for name in REGION_NAMES
    ]
)


@dataclass(frozen=True, slots=True)
class PlantedPart:
    """The forged part of a face, and where a model's crop shows the parts.

    Attributes:
        name: of the forged part, one of ``explain.baseline.PARTS``.
        landmarks: (5, 2) of the face, in pixels of the picture.
        area: the square of the crop, in the same pixels.
        part_of_pixel: (side, side), the part that each pixel of the crop belongs to, as an index
            into eyes, nose, mouth, jaw and cheeks; -1 for none.
    """

    name: str
    landmarks: FloatArray
    area: Box
    part_of_pixel: NDArray[np.intp]


def locate_part(forgery: Forgery, card: ModelCard) -> PlantedPart | None:
    """Return the forged part on a model's crop; ``None`` if it is not known.

    Args:
        forgery: the forgery.
        card: of the model.
    """
    landmarks = forgery.face.landmarks
    if forgery.part is None or landmarks is None:
        return None
    area = crop_area(forgery.face, card.crop)
    regions = region_of_cells(landmarks, area, (card.input_size,) * 2)
    return PlantedPart(forgery.part, landmarks, area, _PART_OF_REGION[regions])


def measure_named_part(
    cells: FloatArray, planted: PlantedPart, baseline: Baseline | None
) -> dict[str, float]:
    """Measure whether a heatmap names the forged part.

    Args:
        cells: the heatmap, (h, w).
        planted: the forged part.
        baseline: of the model, for the method that made the heatmap, if there is one.

    Returns:
        1 if the forged part is named, 0 if not, or a share if it is one of several with equal
        values; by keys of ``MEASURES``. Measures that are not possible are missing.
    """
    found: dict[str, float] = {}
    if not cells.max() > 0:
        return found
    if planted.name in _REGIONS:
        means = _region_means(cells, planted.part_of_pixel)
        found[BY_REGION] = _share_of_answer(means, list(_REGIONS).index(planted.name))
    if baseline is not None and planted.name in baseline.parts:
        aligned = align_to_grid(cells, planted.landmarks, planted.area)
        outputs = part_outputs(difference(aligned, baseline)[None], baseline)[0]
        found[BY_FILTER] = _share_of_answer(outputs, baseline.parts.index(planted.name))
    return found | {part_key(key, planted.name): value for key, value in found.items()}


def _region_means(cells: FloatArray, part_of_pixel: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean of a heatmap over each part, (4,); -inf for parts outside the crop."""
    # The cells of some heatmaps are larger than a nose, so that no centre may lie inside.
    fine = resize_heatmap(cells, part_of_pixel.shape).astype(np.float64)
    inside = [fine[part_of_pixel == number] for number in range(len(_REGIONS))]
    return np.array([values.mean() if values.size else -np.inf for values in inside])


def _share_of_answer(values: NDArray[np.float64], right: int) -> float:
    """Return 1 if the right value is the highest, 1 / n if n values are the highest, else 0."""
    highest = values >= values.max()
    return float(highest[right]) / max(1, int(highest.sum()))
