"""Region ablation: the score without a region of the face.

A region is ablated by setting its cells of the explained layer to zero. Blurring or interpolating
its pixels instead would leave artefacts that a deepfake detector reacts to. How strongly it does is
documented in docs/explanation/trust.md.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.baseline import PART_REGIONS
from fakelens.explain.regions import REGION_NAMES, RegionShares, region_of_cells
from fakelens.faces.crops import crop_area
from fakelens.faces.sampler import FaceSample
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import CropGeometry
from fakelens.records.models import Evidence, Model
from fakelens.records.trust import Region, Regions
from fakelens.trust.ablation import (
    LogitHead,
    ablate_cells,
    surrogates,
    threshold_distance,
    top_cells,
    working_head,
)

_CONTROL_AREAS = 19
_MIN_EFFECT = 0.05  # over the distance of the thresholds; a smaller effect gets no sentence
_MAX_SENTENCES = 3
_SEED = 71


def ablate_regions(
    model: Model,
    person: float,
    samples: Sequence[FaceSample],
    evidence: Evidence,
    shares: RegionShares,
    parts: Collection[str] | None = None,
) -> Regions:
    """Measure where on the face the evidence lies, and the score without each region.

    Args:
        model: if its head does not run on its own, only the shares are returned.
        person: logit of the person, to which the effect of the ablation is added.
        samples: faces with landmarks.
        evidence: in the crops of the samples.
        shares: evidence by region over the whole track.
        parts: parts of the face in which the evidence stands out, see ``Specificity.parts``; only
            regions of these parts get a sentence. ``None`` if that was not measured.

    Raises:
        ModelError: the model's head does not return finite logits.
        ValueError: a sample has no landmarks.
    """
    ablated = None
    if head := working_head(model, evidence):
        logits = _ablated_logits(head, model.card.crop, samples, evidence)
        ablated = person + logits - float(evidence.logit.mean())
    min_effect = _MIN_EFFECT * threshold_distance(model.card.thresholds)
    return Regions(
        parts=tuple(_region(shares, ablated, index) for index in range(len(REGION_NAMES))),
        start=shares.start,
        step=shares.step,
        score=None if ablated is None else float(sigmoid(person)),
        sentences=()
        if ablated is None
        else _sentences(person, ablated, min_effect, _regions_of(parts)),
    )


def _ablated_logits(
    head: LogitHead, geometry: CropGeometry, samples: Sequence[FaceSample], evidence: Evidence
) -> NDArray[np.float64]:
    """Compute the mean logits (regions, 2) without a region, and without equal areas elsewhere."""
    shape = evidence.activation.shape[2:]
    rng = np.random.default_rng(_SEED)
    noise, ties = rng.normal(size=(_CONTROL_AREAS, *shape)), rng.random(shape)
    logits = np.zeros((len(samples), len(REGION_NAMES), 2))
    for face, (sample, activation) in enumerate(zip(samples, evidence.activation, strict=True)):
        landmarks = sample.face.landmarks
        if landmarks is None:
            raise ValueError("region ablation needs the landmarks of the face")
        regions = region_of_cells(landmarks, crop_area(sample.face, geometry), shape)
        for index in range(len(REGION_NAMES)):
            area = regions == index
            masks = np.stack([area, *_control_areas(area, noise, ties)])
            ablated = ablate_cells(head, activation, masks)
            logits[face, index] = ablated[0], ablated[1:].mean()
    return np.asarray(logits.mean(axis=0))


def _control_areas(
    area: NDArray[np.bool_], noise: NDArray[np.float64], ties: NDArray[np.float64]
) -> list[NDArray[np.bool_]]:
    """Return random areas of the same size and granularity, outside the area if there is room."""
    cells = area.astype(np.float32)
    if not area.any() or area.all():
        return [area] * len(noise)
    scores = surrogates(cells, noise)
    # Below every cell outside, so that cells of the area are used only if no others remain.
    scores[:, area] -= 1 + float(np.ptp(scores))
    return [top_cells(each, float(cells.mean()), ties) for each in scores]


def _region(shares: RegionShares, ablated: NDArray[np.float64] | None, index: int) -> Region:
    return Region(
        name=REGION_NAMES[index],
        area=float(shares.area[index]),
        fake=float(shares.fake[index]),
        contribution=float(shares.contribution[index]),
        fake_over_time=tuple(np.round(shares.fake_over_time[:, index], 4).tolist()),
        contribution_over_time=tuple(np.round(shares.contribution_over_time[:, index], 4).tolist()),
        ablated_score=None if ablated is None else float(sigmoid(ablated[index, 0])),
        control_score=None if ablated is None else float(sigmoid(ablated[index, 1])),
    )


def _regions_of(parts: Collection[str] | None) -> Collection[str]:
    """Return the names of the regions that parts of the face consist of."""
    if parts is None:
        return REGION_NAMES
    return {region for part in parts for region in PART_REGIONS.get(part, ())}


def _sentences(
    person: float, ablated: NDArray[np.float64], min_effect: float, regions: Collection[str]
) -> tuple[str, ...]:
    """Describe the ablations with the largest effects beyond those of equal areas elsewhere.

    Args:
        person: logit of the person.
        ablated: (regions, 2) logits as of ``_ablated_logits``.
        min_effect: in logits; regions with a smaller effect are not mentioned.
        regions: names of the regions that may be mentioned.
    """
    effects = ablated[:, 1] - ablated[:, 0]
    sentences = []
    for index in np.argsort(-effects, kind="stable")[:_MAX_SENTENCES]:
        logits = (person, float(ablated[index, 0]), float(ablated[index, 1]))
        score, without, control = (f"{float(sigmoid(logit)):.2f}" for logit in logits)
        is_small = min(effects[index], person - ablated[index, 0]) < min_effect
        # Scores that are equal after rounding would make no sense in the sentence.
        name = REGION_NAMES[index]
        if is_small or without in (score, control) or name not in regions:
            continue
        article = "" if name == "surroundings" else "the "
        sentences.append(
            f"removing {article}{name} changes the score from {score} to {without} "
            f"(an equal area elsewhere: {control})"
        )
    return tuple(sentences)
