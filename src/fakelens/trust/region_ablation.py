"""What the answer would be without a part of the face.

Parts are hidden where the model looks last: their cells of the explained layer are set to zero.
Hidden in the picture, by blur or interpolation, they would leave what a detector of forgeries
looks for; see docs/explanation/trust.md for how much that is.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.regions import REGION_NAMES, RegionShares, region_of_cells
from fakelens.faces.crops import crop_area
from fakelens.faces.sampler import FaceSample
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import CropGeometry
from fakelens.records.models import Evidence, Model
from fakelens.records.trust import Region, Regions
from fakelens.trust.ablation import (
    Answer,
    ablate_cells,
    surrogates,
    threshold_distance,
    top_cells,
    working_head,
)

_DRAWS = 19  # of areas elsewhere
_LEAST = 0.05  # of the distance of the thresholds; what does less is not worth a sentence
_SENTENCES = 3
_SEED = 71


def ablate_regions(
    model: Model,
    person: float,
    samples: Sequence[FaceSample],
    evidence: Evidence,
    found: RegionShares,
) -> Regions:
    """Where on the face the evidence lies, and what the answer is without each part.

    Args:
        model: without a ``head`` nothing is hidden, and only shares are told.
        person: logit of the person, which what hiding does is added to.
        samples: faces with landmarks.
        evidence: in their crops.
        found: shares of the evidence over the whole track.
    """
    hidden = None
    if head := working_head(model, evidence):
        moved = _hidden(head, model.card.crop, samples, evidence)
        hidden = person + moved - float(evidence.logit.mean())
    least = _LEAST * threshold_distance(model.card.thresholds)
    return Regions(
        parts=tuple(_region(found, hidden, index) for index in range(len(REGION_NAMES))),
        start=found.start,
        step=found.step,
        score=None if hidden is None else float(sigmoid(person)),
        sentences=() if hidden is None else _sentences(person, hidden, least),
    )


def _hidden(
    head: Answer, geometry: CropGeometry, samples: Sequence[FaceSample], evidence: Evidence
) -> NDArray[np.float64]:
    """Logits (parts, 2) with a part's cells at zero, and with as many cells elsewhere."""
    shape = evidence.activation.shape[2:]
    rng = np.random.default_rng(_SEED)
    noise, ties = rng.normal(size=(_DRAWS, *shape)), rng.random(shape)
    logits = np.zeros((len(samples), len(REGION_NAMES), 2))
    for face, (sample, activation) in enumerate(zip(samples, evidence.activation, strict=True)):
        landmarks = sample.face.landmarks
        if landmarks is None:
            raise ValueError("parts of a face can be hidden only where landmarks are known")
        labels = region_of_cells(landmarks, crop_area(sample.face, geometry), shape)
        for index in range(len(REGION_NAMES)):
            area = labels == index
            answers = ablate_cells(
                head, activation, np.stack([area, *_elsewhere(area, noise, ties)])
            )
            logits[face, index] = answers[0], answers[1:].mean()
    return np.asarray(logits.mean(axis=0))


def _elsewhere(
    area: NDArray[np.bool_], noise: NDArray[np.float64], ties: NDArray[np.float64]
) -> list[NDArray[np.bool_]]:
    """Random areas of the same size and grain as one, beside it as far as there is room."""
    cells = area.astype(np.float32)
    if not area.any() or area.all():
        return [area] * len(noise)
    others = surrogates(cells, noise)
    # Below anything outside: its own cells are taken only when no others are left.
    others[:, area] -= 1 + float(np.ptp(others))
    return [top_cells(other, float(cells.mean()), ties) for other in others]


def _region(found: RegionShares, hidden: NDArray[np.float64] | None, index: int) -> Region:
    return Region(
        name=REGION_NAMES[index],
        area=float(found.area[index]),
        fake=float(found.fake[index]),
        contribution=float(found.contribution[index]),
        fake_over_time=tuple(np.round(found.fake_over_time[:, index], 4).tolist()),
        contribution_over_time=tuple(np.round(found.contribution_over_time[:, index], 4).tolist()),
        ablated_score=None if hidden is None else float(sigmoid(hidden[index, 0])),
        control_score=None if hidden is None else float(sigmoid(hidden[index, 1])),
    )


def _sentences(whole: float, hidden: NDArray[np.float64], least: float) -> tuple[str, ...]:
    """What hiding the parts does that matter most, and more than any other area of their size.

    Args:
        whole: logit.
        hidden: (parts, 2) logits, see ``_hidden``.
        least: logits; parts that do less are passed over.
    """
    gains = hidden[:, 1] - hidden[:, 0]
    told = []
    for index in np.argsort(-gains, kind="stable")[:_SENTENCES]:
        logits = (whole, float(hidden[index, 0]), float(hidden[index, 1]))
        score, without, elsewhere = (f"{float(sigmoid(logit)):.2f}" for logit in logits)
        # A difference that rounding swallows would read as nonsense.
        if min(gains[index], whole - hidden[index, 0]) < least or without in (score, elsewhere):
            continue
        name = (
            REGION_NAMES[index]
            if REGION_NAMES[index] == "surroundings"
            else f"the {REGION_NAMES[index]}"
        )
        told.append(
            f"removing {name} changes the score from {score} to {without} "
            f"(an equal area elsewhere: {elsewhere})"
        )
    return tuple(told)
