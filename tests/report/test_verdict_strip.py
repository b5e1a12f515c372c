"""The verdict strip and what to do next, in words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakelens.records.findings import DomainCheck, Finding, Span, Verdict
from fakelens.records.report import Report
from fakelens.records.trust import Assessment, ControlOutcome, Controls, Robustness
from fakelens.report.next_steps import next_steps
from fakelens.report.plain_words import how_sure, main_reason, reliability
from fakelens.report.verdict_strip import make_strip
from support.builders import INFO, THRESHOLDS, make_report, make_track
from support.comparing import assessed, specificity


def report_of(*logits: float, frames: int = 100) -> Report:
    """Return a report on people who are seen well, each with one score."""
    tracks = [
        make_track(np.full(frames, logit), person=n + 1, heatmaps=[0] * frames)
        for n, logit in enumerate(logits)
    ]
    return make_report(*tracks, maps=np.ones((1, 4, 4)))


def steady(low: float, high: float, controls: Controls | None = None) -> Assessment:
    return Assessment(
        None, Robustness((low, high), {"a": low, "b": high}, 3), controls, None, None, (), ()
    )


def finding(logit: float, assessment: Assessment | None = None) -> Finding:
    return replace(report_of(logit).findings[0], assessment=assessment)


def test_the_most_suspicious_person_comes_first() -> None:
    report = report_of(-3, 0, 3, 2)
    tiny = make_track(np.full(100, 9.0), person=5, quality_flags=1, heatmaps=[0] * 100)
    with_tiny = make_report(*report.tracks, tiny, maps=np.ones((1, 4, 4)))
    strip = make_strip(with_tiny, Path("nowhere"), {})
    assert [one.person for one in strip.people] == [3, 4, 2]
    assert [one.verdict for one in strip.people] == ["likely fake", "likely fake", "inconclusive"]
    assert strip.judged == 4
    assert not strip.is_complete
    assert make_strip(report_of(3), Path("nowhere"), {}).is_complete


def test_someone_who_is_not_seen_well_is_not_judged() -> None:
    (one,) = make_strip(report_of(3, frames=5), Path("nowhere"), {}).people
    assert (one.verdict, one.side) == ("not judged", "unsure")
    assert one.sure == "No answer: not seen well enough."
    assert one.reason.startswith("Too short for a verdict")


UNUSUAL = DomainCheck(False, ("it is dark",))
ALARM = Controls(ControlOutcome.UNKNOWN, 0.9, None, 0.2, 0.9, True, 3)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (finding(3, steady(0.9, 0.97)), "Can be wrong, but unchanged if re-cropped"),
        (finding(-3, steady(0.01, 0.3)), "Can be wrong, but unchanged if re-cropped"),
        (finding(3, steady(0.5, 0.97)), "Weak: the verdict changes if re-cropped"),
        (
            finding(-3, steady(0.01, 0.5)),
            "Weak: the verdict changes if re-cropped",
        ),
        (finding(3, steady(0.9, 0.97, ALARM)), "Weak: recompression alone makes"),
        (
            replace(finding(3, steady(0.9, 0.97)), domain=UNUSUAL),
            "Weak: unlike the faces the model was validated on.",
        ),
        (
            replace(finding(3, steady(0.9, 0.97)), interval=(0.4, 0.99)),
            "Weak: the score varies over time.",
        ),
        (finding(3), "Its stability was not checked."),
        (finding(0, steady(0.4, 0.5)), "No answer: the model cannot tell."),
    ],
)
def test_how_sure_a_verdict_is(found: Finding, words: str) -> None:
    assert how_sure(found, THRESHOLDS).startswith(words)


def test_the_main_reason_is_one_sentence_with_the_score() -> None:
    assert main_reason(finding(3), THRESHOLDS) == "Score 0.95; likely fake from 0.60."
    parts = assessed(specificity(np.zeros((4, 4)), parts=("mouth", "nose")))
    assert main_reason(finding(3, parts), THRESHOLDS).endswith(
        "The model reacts to: mouth; it cannot say why."
    )
    assert main_reason(finding(-3), THRESHOLDS).startswith("Score 0.05; likely real up to 0.40.")
    assert main_reason(finding(0), THRESHOLDS) == (
        "Score 0.50, between likely real (to 0.40) and likely fake (from 0.60)."
    )
    partly = replace(
        finding(-3), verdict=Verdict.INCONCLUSIVE, reasons=("real overall, but parts look fake",)
    )
    assert main_reason(partly, THRESHOLDS) == "Real overall, but parts look fake."


def test_reliability_is_told_without_the_jargon() -> None:
    found = finding(3, replace(steady(0.5, 0.97, ALARM)))
    sentences = reliability(found, THRESHOLDS)
    assert sentences[0] == "the verdict changes if re-cropped or recompressed: 0.50 to 0.97"
    assert "test: recompression alone makes this face look fake" in sentences
    missed = Controls(ControlOutcome.MISSED, 0.1, None, 0.2, 0.1, False, 3)
    undecided = finding(0, steady(0.45, 0.55, missed))
    assert reliability(undecided, THRESHOLDS) == [
        "the score, if re-cropped or recompressed: 0.45 to 0.55",
        "test: the model misses a synthetic forgery of this face, so a low score says little",
    ]


def titles(report: Report, *, player: bool = True) -> list[str]:
    return [step.title for step in next_steps(report, (), player=player).steps]


def test_what_to_do_next_depends_on_the_verdict() -> None:
    fake, real, open_, unseen = (
        report_of(3),
        report_of(-3),
        report_of(0),
        report_of(3, frames=5),
    )
    nobody = replace(fake, tracks=(), findings=())
    assert titles(fake)[0] == "Look at person 1"
    assert titles(real)[0] == titles(open_)[0] == "Find the earliest copy"
    for report in (fake, real, open_, unseen, nobody):
        assert {"Find the earliest copy", "Check source and metadata"} <= set(titles(report))
        assert "Listen to the voice" in titles(report)
    assert "Ask a second model" in titles(open_)
    assert not {"Ask a second model", "Look at person 1"} & {*titles(unseen), *titles(nobody)}
    assert next_steps(real, (), player=True).lead == "No alarm does not mean genuine."
    assert "faces only" in next_steps(nobody, (), player=True).lead
    assert "Look at person 1" not in titles(fake, player=False)
    mute = replace(fake, video=replace(INFO, audio=()))
    assert "Listen to the voice" not in titles(mute)


def test_the_moment_to_look_at_has_the_highest_score_or_begins_the_suspicious_stretch() -> None:
    for logit in (3, -3):
        logits = np.full(100, logit, dtype=float)
        logits[60] += 0.5
        peak = make_report(make_track(logits, heatmaps=[0] * 100), maps=np.ones((1, 4, 4)))
        (look,) = [s for s in next_steps(peak, (), player=True).steps if s.time is not None]
        assert look.time == 60 / 25
    real = report_of(-3)
    partly = replace(real.findings[0], verdict=Verdict.INCONCLUSIVE, spans=(Span(1.5, 2.5, 0.9),))
    report = replace(real, findings=(partly,))
    (look,) = [s for s in next_steps(report, (), player=True).steps if s.time is not None]
    assert look.time == 1.5


def test_the_command_for_a_second_model_can_be_copied() -> None:
    report = report_of(3)
    named = replace(report, provenance=replace(report.provenance, input_name="a b.mp4"))
    (step,) = [s for s in next_steps(named, (), player=True).steps if s.command]
    assert step.command == (
        "fakelens models pull mesoinception4-df\n"
        "fakelens analyze 'a b.mp4' --model mesoinception4-df -o second_model"
    )
