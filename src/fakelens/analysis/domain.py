"""Checks whether a person is seen under conditions like those of the model's validation data."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fakelens.faces.conditions import CONDITIONS, feature_distance, measure_conditions
from fakelens.records.arrays import FloatArray
from fakelens.records.findings import DomainCheck
from fakelens.records.models import Domain, Evidence


def check_domain(
    domain: Domain,
    width: float,
    crops: Sequence[NDArray[np.uint8]],
    landmarks: Sequence[FloatArray],
    evidence: Evidence,
) -> DomainCheck:
    """Compare the conditions of a person with those of the validation data.

    Args:
        domain: of the model.
        width: shorter side of the face's box in the video, pixels.
        crops: (S, S, 3) uint8 RGB, the model's crops of some faces.
        landmarks: (5, 2) of the same faces, or none.
        evidence: of the model in the same crops.
    """
    measured = measure_conditions(width, crops, landmarks)
    if evidence.features is not None and evidence.features.shape[1] == len(domain.feature_mean):
        measured["features"] = feature_distance(
            evidence.features.mean(axis=0), domain.feature_mean, domain.feature_deviation
        )
    outside = tuple(_outside(domain, measured))
    return DomainCheck(not outside, outside)


def _outside(domain: Domain, measured: Mapping[str, float]) -> Iterator[str]:
    for known in domain.ranges:
        condition, value = CONDITIONS.get(known.name), measured.get(known.name)
        if condition is None or value is None:
            continue  # not measured, or of a later version
        if condition.limits != "high" and value < known.low:
            limit, words = known.low, "at least"
        elif condition.limits != "low" and value > known.high:
            limit, words = known.high, "at most"
        else:
            continue
        number, bound = (f"{each:.{condition.digits}f}" for each in (value, limit))
        text = condition.title.format(value=f"{number}{condition.unit}")
        yield f"{text} (99 % of the validation data: {words} {bound})"
