"""Likelihood ratios in words."""

import dataclasses
import math

import pytest

from fakelens.casework.likelihood import ratio_statement, scale_sentence, verbal_scale
from fakelens.records.findings import DomainCheck, Finding, Verdict
from fakelens.records.models import (
    Calibration,
    ConditionRange,
    Domain,
    ErrorRecord,
    ModelCard,
    VerdictCounts,
)
from support.builders import CARD

FINDING = Finding(
    person=1,
    verdict=Verdict.FAKE,
    score=0.9,
    interval=None,
    spans=(),
    reasons=(),
    first=0,
    last=1,
    examined=9,
    usable=9,
    key_frame=0,
    log10_likelihood_ratio=0.7,
    seen_well=True,
    domain=DomainCheck(True, ()),
)
RECORD = ErrorRecord("t", "t", True, (VerdictCounts("a", "real", 1, 0, 1, 0, 0),), cllr=0.5)
CALIBRATED = dataclasses.replace(
    CARD,
    calibration=Calibration("Platt", "clips", 0.7, ()),
    error_records=(RECORD,),
    domain=Domain((ConditionRange("width", 80, 400),), (), (), 9, "people"),
)


def test_the_ranges_of_the_words_are_told() -> None:
    sentence = scale_sentence()
    assert "neither proposition below 2; weak 2 to 10; moderate 10 to 100;" in sentence
    assert "very strong 10,000 to 1,000,000; extremely strong from 1,000,000." in sentence


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1, "supports neither"),
        (1.9, "supports neither"),
        (2, "weak support"),
        (9.9, "weak support"),
        (10, "moderate support"),
        (100, "moderately strong support"),
        (1_000, "strong support"),
        (10_000, "very strong support"),
        (1_000_000, "extremely strong support"),
    ],
)
def test_the_scale_has_the_words_of_enfsi_on_both_sides(ratio: float, words: str) -> None:
    above, below = verbal_scale(math.log10(ratio) + 1e-9), verbal_scale(-math.log10(ratio) - 1e-9)
    assert above.startswith(words)
    assert below.startswith(words)
    if ratio >= 2:
        assert "for a forged face" in above
        assert "for a genuine face" in below


def test_a_ratio_is_given_with_its_number() -> None:
    statement = ratio_statement(FINDING, CALIBRATED)
    assert statement.startswith("weak support for a forged face rather than a genuine one: ")
    assert "5.0 times as frequent among fake faces" in statement


@pytest.mark.parametrize(
    ("change", "card", "reason"),
    [
        ({}, CARD, "the model is not calibrated"),
        ({"seen_well": False, "log10_likelihood_ratio": None}, CALIBRATED, "not seen well enough"),
        ({"domain": DomainCheck(False, ("small",))}, CALIBRATED, "outside the range"),
        ({"domain": None}, CALIBRATED, "were not compared"),
        (
            {},
            dataclasses.replace(
                CALIBRATED, error_records=(dataclasses.replace(RECORD, cllr=None),)
            ),
            "was not measured",
        ),
        (
            {},
            dataclasses.replace(CALIBRATED, error_records=(dataclasses.replace(RECORD, cllr=1.2),)),
            "carry no information",
        ),
    ],
)
def test_without_a_ratio_the_reason_is_given(
    change: dict[str, object], card: ModelCard, reason: str
) -> None:
    statement = ratio_statement(dataclasses.replace(FINDING, **change), card)  # type: ignore[arg-type]
    assert statement.startswith("none given: ")
    assert reason in statement
    assert "support for" not in statement
