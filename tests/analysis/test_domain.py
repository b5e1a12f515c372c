"""The domain check: conditions of a person against the ranges of the validation data."""

from dataclasses import replace

import numpy as np
import pytest

from fakelens.analysis.domain import check_domain
from fakelens.analysis.verdicts import apply_assessment, judge_track
from fakelens.records.arrays import FloatArray
from fakelens.records.findings import DomainCheck, Verdict
from fakelens.records.models import Calibration, ConditionRange, Domain, Evidence
from fakelens.records.trust import Assessment
from support.builders import THRESHOLDS, make_track

GREY = np.full((64, 64, 3), 120, np.uint8)
FEATURES = np.array([(0, 1, 2), (2, 1, 0)], np.float32)
"""Of two faces; the mean of each feature is 1."""
FRONTAL = np.array([(20, 20), (44, 20), (32, 32), (24, 44), (40, 44)], np.float32)


def make_domain(**ranges: tuple[float, float]) -> Domain:
    return Domain(
        tuple(ConditionRange(name, low, high) for name, (low, high) in ranges.items()),
        feature_mean=(1, 1, 1),
        feature_deviation=(0.5, 0.5, 0.5),
        persons=100,
        data="made up",
    )


def check(
    domain: Domain, width: float = 150, features: FloatArray | None = FEATURES
) -> DomainCheck:
    cells = np.zeros((2, 1, 4, 4), np.float32)
    evidence = Evidence(np.zeros(2, np.float32), cells, cells, features)
    return check_domain(domain, width, [GREY, GREY], [FRONTAL], evidence)


def test_a_person_within_all_ranges_is_inside() -> None:
    domain = make_domain(width=(80, 400), brightness=(40, 220), turn=(0, 0.3), features=(0, 2))
    assert check(domain) == DomainCheck(inside=True, outside=())


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"width": (160, 400)}, "150 pixels wide (99 % of the validation data: at least 160)"),
        (
            {"brightness": (130, 220)},
            "brightness is 120 of 255 (99 % of the validation data: at least",
        ),
        (
            {"brightness": (30, 100)},
            "brightness is 120 of 255 (99 % of the validation data: at most",
        ),
        ({"turn": (-1, -0.1)}, "turned aside"),
    ],
)
def test_each_condition_outside_its_range_is_named(
    ranges: dict[str, tuple[float, float]], words: str
) -> None:
    found = check(make_domain(**ranges))
    assert not found.inside
    assert len(found.outside) == 1
    assert words in found.outside[0]


def test_a_wide_sharp_face_that_looks_into_the_camera_is_never_outside() -> None:
    domain = make_domain(width=(10, 149), turn=(0.2, 0.3), sharpness=(-2, -1), detail=(-2, -1))
    assert check(domain).inside


def test_features_are_compared_in_standard_deviations() -> None:
    # Two deviations away in every feature.
    found = check(make_domain(features=(0, 1.9)), features=FEATURES + 1)
    assert not found.inside
    assert "2.0 standard deviations" in found.outside[0]
    assert check(make_domain(features=(0, 2.1)), features=FEATURES + 1).inside


def test_a_model_without_features_has_no_feature_condition() -> None:
    assert check(make_domain(features=(0, 0.1)), features=None).inside


def test_outside_the_domain_there_is_a_caution_and_no_likelihood_ratio() -> None:
    calibration = Calibration("Platt", "made up", 1.0, ())
    finding = judge_track(make_track(np.full(200, 2.0)), THRESHOLDS, calibration, still=False)
    assert finding.log10_likelihood_ratio is not None
    assessment = Assessment(None, None, None, None, None, (), ())
    outside = DomainCheck(inside=False, outside=("the face is tiny",))
    inside = DomainCheck(inside=True, outside=())
    found = [
        apply_assessment(replace(finding, assessment=assessment, domain=domain), THRESHOLDS)
        for domain in (outside, inside, None)
    ]
    assert [each.verdict for each in found] == [Verdict.FAKE] * 3
    assert found[0].log10_likelihood_ratio is None
    assert "outside the range of the validation data" in found[0].reasons[1]
    for each in found[1:]:
        assert each.log10_likelihood_ratio == finding.log10_likelihood_ratio
        assert each.reasons == finding.reasons
