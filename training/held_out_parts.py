"""How well a model's baseline and heatmaps name planted parts, on faces held out from the baseline.

One part of each face is forged, and the explanation is asked which one. Genuine faces, heatmaps of
other faces and uninformative heatmaps must not count as specific.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.baseline import (
    PART_REGIONS,
    PARTS,
    WHOLE_FACE,
    baseline_on_crop,
    named_parts,
    part_outputs,
)
from fakelens.explain.cam import METHODS
from fakelens.explain.regions import REGION_NAMES, region_of_cells
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Baseline, Evidence, HasHead, Model
from fakelens.records.trust import SpecificityMark, TrustMark
from fakelens.trust.ablation import select_rows
from fakelens.trust.faithfulness import measure_faithfulness
from fakelens.trust.specificity import measure_specificity
from training.validation_faces import (
    FaceCrops,
    aligned_maps,
    crop_faces,
    examine_all,
)
from training.yardstick.items import Item

_FOUR = PARTS[:4]
_REGIONS = [[REGION_NAMES.index(name) for name in PART_REGIONS[part]] for part in _FOUR]


def measure_held_out(model: Model, baseline: Baseline, items: Sequence[Item]) -> str:
    """Describe how well planted parts are named, in lines of text.

    Args:
        model: with a head that runs on its own.
        baseline: of the model.
        items: genuine faces that the baseline is not made of.
    """
    method = METHODS[baseline.cam].function
    genuine = crop_faces(model, items, [None] * len(items))
    evidence = examine_all(model, genuine.crops)
    maps = method(evidence)
    planted = [_FOUR[index % len(_FOUR)] for index in range(len(items))]
    forged = crop_faces(model, items, planted, seed=1)
    forged_evidence = examine_all(model, forged.crops)
    forged_maps = method(forged_evidence)
    outputs = _outputs(forged_maps, forged, baseline)
    truth = np.array([PARTS.index(part) for part in planted])
    whole_rows = items[:: len(_FOUR)]
    whole = crop_faces(model, whole_rows, [WHOLE_FACE] * len(whole_rows), seed=2)
    whole_outputs = _outputs(method(examine_all(model, whole.crops)), whole, baseline)

    usual = _usual(baseline, forged, maps)
    lines = [
        f"{len(items)} held-out faces, one of four parts forged; named correctly (chance 25 %):"
    ]
    for title, scores in (
        ("strongest region of the heatmap", _region_means(forged_maps, forged)),
        ("strongest region beyond the baseline", _region_means(forged_maps - usual, forged)),
        ("strongest filter", outputs[:, : len(_FOUR)]),
    ):
        right = scores.argmax(axis=1) == truth
        parts = ", ".join(
            f"{part} {right[truth == number].mean():.2f}" for number, part in enumerate(_FOUR)
        )
        lines.append(f"  {title}: {right.mean():.3f} ({parts})")
    five = np.concatenate([outputs, whole_outputs]).argmax(axis=1)
    five_truth = np.concatenate([truth, np.full(len(whole_rows), len(_FOUR))])
    lines.append(
        f"  strongest of five filters: {(five == five_truth).mean():.3f}, whole face "
        f"{(five == five_truth)[len(items) :].mean():.2f} of {len(whole_rows)}"
    )
    found = [named_parts(row, baseline) for row in outputs]
    right_named = np.mean([part in names for part, names in zip(planted, found, strict=True)])
    wrong = np.mean([bool({*names} - {part}) for part, names in zip(planted, found, strict=True)])
    quiet = np.mean([bool(named_parts(row, baseline)) for row in _outputs(maps, genuine, baseline)])
    lines.append(
        f"  named beyond chance: the forged part {right_named:.2f}, another part {wrong:.2f}; "
        f"any part of a genuine face {quiet:.2f}"
    )
    lines += _specific_shares(model, baseline, (genuine, evidence), (forged, forged_evidence))
    return "\n".join([*lines, *_similarities(maps, genuine, baseline)])


def _outputs(maps: FloatArray, faces: FaceCrops, baseline: Baseline) -> NDArray[np.float64]:
    values, covered = aligned_maps(maps, faces)
    return part_outputs(values - covered * np.asarray(baseline.mean, np.float32), baseline)


def _usual(baseline: Baseline, faces: FaceCrops, maps: FloatArray) -> FloatArray:
    shape = (maps.shape[1], maps.shape[2])
    places = zip(faces.landmarks, faces.areas, strict=True)
    return np.stack([baseline_on_crop(baseline, *place, shape) for place in places])


def _region_means(maps: FloatArray, faces: FaceCrops) -> NDArray[np.float64]:
    """Return the mean of each heatmap over the regions of the four parts, (N, 4)."""
    means = np.full((len(maps), len(_FOUR)), -np.inf)
    for face, (cells, points, area) in enumerate(
        zip(maps, faces.landmarks, faces.areas, strict=True)
    ):
        regions = region_of_cells(points, area, cells.shape)
        for number, indices in enumerate(_REGIONS):
            inside = np.isin(regions, indices)
            if inside.any():
                means[face, number] = cells[inside].mean()
    return means


def _specific_shares(
    model: Model,
    baseline: Baseline,
    genuine: tuple[FaceCrops, Evidence],
    forged: tuple[FaceCrops, Evidence],
) -> list[str]:
    """Count the heatmaps that are specific, of forged and genuine faces and of the wrong kind."""
    method = METHODS[baseline.cam].function
    maps, genuine_maps = method(forged[1]), method(genuine[1])
    noise = np.random.default_rng(3).normal(size=maps.shape).astype(np.float32) * maps.std()
    shares = {
        "forged faces": _specific(model, baseline, forged, maps),
        "genuine faces": _specific(model, baseline, genuine, genuine_maps),
        "heatmaps of another forged face": _specific(model, baseline, forged, np.roll(maps, 1, 0)),
        "negative heatmaps": _specific(model, baseline, forged, -maps),
        "constant heatmaps": _specific(model, baseline, forged, np.ones_like(maps)),
        "noise": _specific(model, baseline, forged, noise),
    }
    text = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    return [f"specific: {text}"]


def _specific(
    model: Model, baseline: Baseline, faces: tuple[FaceCrops, Evidence], maps: FloatArray
) -> float:
    assert isinstance(model, HasHead)
    crops, evidence = faces
    specific = 0
    for row in range(len(crops)):
        own, cells = select_rows(evidence, slice(row, row + 1)), maps[row : row + 1]
        faithfulness = measure_faithfulness(
            model, crops.crops[row : row + 1], own, cells, METHODS[baseline.cam]
        )
        place = (crops.landmarks[row], crops.areas[row])
        found = measure_specificity(
            model.head,
            baseline,
            [place],
            own,
            cells,
            faithful=faithfulness is None or faithfulness.mark is not TrustMark.CHANCE,
        )
        specific += found.mark is SpecificityMark.SPECIFIC
    return specific / len(crops)


def _similarities(maps: FloatArray, faces: FaceCrops, baseline: Baseline) -> list[str]:
    """Describe how the heatmaps of different genuine faces correlate with each other."""
    values, covered = aligned_maps(maps, faces)
    beyond = values - covered * np.asarray(baseline.mean, np.float32)
    common = (covered > 0.99).mean(axis=0) > 0.9
    lines = []
    for title, aligned in (("as they are", values), ("beyond the baseline", beyond)):
        correlations = np.atleast_2d(np.corrcoef(aligned[:, common]))
        between = correlations[np.triu_indices(len(correlations), 1)]
        low, middle, high = np.quantile(between, (0.05, 0.5, 0.95))
        lines.append(
            f"correlation of the heatmaps of two genuine faces, {title}: median {middle:.2f}, "
            f"90 % between {low:.2f} and {high:.2f}"
        )
    return lines
