"""Which verdicts an assessment withdraws."""

from dataclasses import replace

import numpy as np
import pytest

from fakelens.analysis.verdicts import apply_assessment, judge_track
from fakelens.records.findings import Verdict
from fakelens.records.trust import Assessment, ControlOutcome, Controls, Robustness
from fakelens.trust.robustness import PERTURBATIONS, RECOMPRESSED
from support.builders import THRESHOLDS, make_track


def make_assessment(score_range: tuple[float, float], outcome: ControlOutcome) -> Assessment:
    low, high = score_range
    scores = dict.fromkeys(PERTURBATIONS, low) | {RECOMPRESSED: high}
    controls = Controls(outcome, 0.3, 0.5, 0.2, high, recompression_false_alarm=False, faces=2)
    return Assessment(None, Robustness(score_range, scores, 2), controls, None, None, (), ())


@pytest.mark.parametrize(
    ("logit", "score_range", "outcome", "verdict"),
    [
        (2.0, (0.7, 0.9), ControlOutcome.UNKNOWN, Verdict.FAKE),
        (-2.0, (0.1, 0.3), ControlOutcome.DETECTED, Verdict.REAL),
        (-2.0, (0.1, 0.3), ControlOutcome.PARTIAL, Verdict.REAL),
        (0.0, (0.0, 1.0), ControlOutcome.MISSED, Verdict.INCONCLUSIVE),
    ],
)
def test_a_supported_or_inconclusive_verdict_is_not_changed(
    logit: float, score_range: tuple[float, float], outcome: ControlOutcome, verdict: Verdict
) -> None:
    finding = judge_track(make_track(np.full(100, logit)), THRESHOLDS, still=False)
    finding = replace(finding, assessment=make_assessment(score_range, outcome))
    assert finding.verdict is verdict
    assert apply_assessment(finding, THRESHOLDS) is finding


@pytest.mark.parametrize(
    ("logit", "score_range", "outcome", "reason"),
    [
        (
            -2.0,
            (0.1, 0.3),
            ControlOutcome.MISSED,
            "control missed: a synthetic forgery added to this person's own frames leaves the "
            "score at 0.30",
        ),
    ],
)
def test_an_unsupported_verdict_becomes_inconclusive_with_a_reason(
    logit: float, score_range: tuple[float, float], outcome: ControlOutcome, reason: str
) -> None:
    finding = judge_track(make_track(np.full(100, logit)), THRESHOLDS, still=False)
    finding = replace(finding, assessment=make_assessment(score_range, outcome))
    withdrawn = apply_assessment(finding, THRESHOLDS)
    assert withdrawn.verdict is Verdict.INCONCLUSIVE
    assert withdrawn.reasons == (reason, *finding.reasons[1:])


@pytest.mark.parametrize(
    ("logit", "score_range", "caution"),
    [
        (
            2.0,
            (0.55, 0.9),
            "not robust: small changes of crop, compression and resolution move the score from "
            "0.55 to 0.90, across 0.60 (10 % wider crop: 0.55)",
        ),
        (
            -2.0,
            (0.1, 0.45),
            "not robust: small changes of crop, compression and resolution move the score from "
            "0.10 to 0.45, across 0.40 (JPEG quality 40: 0.45)",
        ),
    ],
)
def test_a_score_range_across_the_threshold_is_a_caution(
    logit: float, score_range: tuple[float, float], caution: str
) -> None:
    finding = judge_track(make_track(np.full(100, logit)), THRESHOLDS, still=False)
    finding = replace(finding, assessment=make_assessment(score_range, ControlOutcome.DETECTED))
    cautioned = apply_assessment(finding, THRESHOLDS)
    assert cautioned.verdict is finding.verdict is not Verdict.INCONCLUSIVE
    assert cautioned.reasons == (finding.reasons[0], caution, *finding.reasons[1:])
