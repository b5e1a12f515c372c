"""What the answer would be without a part of the face.

Parts are hidden where the network looks last: their cells of the explained layer are set to zero.
Hidden in the picture, by blur or interpolation, they would leave what a detector of forgeries
looks for; see docs/explanations.md for how much that is.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.regions import NAMES, Shares, cells_of
from fakelens.faces.crops import crop_area
from fakelens.faces.sampler import Specimen
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import CropGeometry
from fakelens.records.models import Evidence, Network
from fakelens.records.trust import Region, Regions
from fakelens.trust.ablation import (
    Answer,
    head_of,
    strongest,
    surrogates,
    threshold_distance,
    zeroed,
)

_DRAWS = 19  # of areas elsewhere
_LEAST = 0.05  # of the distance of the thresholds; what does less is not worth a sentence
_SENTENCES = 3
_SEED = 71


def regions_of(
    network: Network,
    person: float,
    specimens: Sequence[Specimen],
    evidence: Evidence,
    found: Shares,
) -> Regions:
    """Where on the face the evidence lies, and what the answer is without each part.

    Args:
        network: without a ``head`` nothing is hidden, and only shares are told.
        person: logit of the person, which what hiding does is added to.
        specimens: faces with landmarks.
        evidence: in their crops.
        found: shares of the evidence over the whole track.
    """
    hidden = None
    if head := head_of(network, evidence):
        moved = _hidden(head, network.card.crop, specimens, evidence)
        hidden = person + moved - float(evidence.logit.mean())
    least = _LEAST * threshold_distance(network.card.thresholds)
    return Regions(
        parts=tuple(_region(found, hidden, index) for index in range(len(NAMES))),
        start=found.start,
        step=found.step,
        score=None if hidden is None else float(sigmoid(person)),
        sentences=() if hidden is None else _sentences(person, hidden, least),
    )


def _hidden(
    head: Answer, geometry: CropGeometry, specimens: Sequence[Specimen], evidence: Evidence
) -> NDArray[np.float64]:
    """Logits (parts, 2) with a part's cells at zero, and with as many cells elsewhere."""
    shape = evidence.activation.shape[2:]
    rng = np.random.default_rng(_SEED)
    noise, ties = rng.normal(size=(_DRAWS, *shape)), rng.random(shape)
    logits = np.zeros((len(specimens), len(NAMES), 2))
    for face, (specimen, activation) in enumerate(zip(specimens, evidence.activation, strict=True)):
        landmarks = specimen.face.landmarks
        if landmarks is None:
            raise ValueError("parts of a face can be hidden only where landmarks are known")
        labels = cells_of(landmarks, crop_area(specimen.face, geometry), shape)
        for index in range(len(NAMES)):
            area = labels == index
            answers = zeroed(head, activation, np.stack([area, *_elsewhere(area, noise, ties)]))
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
    return [strongest(other, float(cells.mean()), ties) for other in others]


def _region(found: Shares, hidden: NDArray[np.float64] | None, index: int) -> Region:
    return Region(
        name=NAMES[index],
        area=float(found.area[index]),
        fake=float(found.fake[index]),
        contribution=float(found.contribution[index]),
        course=tuple(np.round(found.course[:, index], 4).tolist()),
        contributions=tuple(np.round(found.contributions[:, index], 4).tolist()),
        hidden=None if hidden is None else float(sigmoid(hidden[index, 0])),
        elsewhere=None if hidden is None else float(sigmoid(hidden[index, 1])),
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
        name = NAMES[index] if NAMES[index] == "surroundings" else f"the {NAMES[index]}"
        told.append(
            f"hiding {name} moves the score from {score} to {without} "
            f"(hiding an equal area elsewhere: {elsewhere})"
        )
    return tuple(told)
