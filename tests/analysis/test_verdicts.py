"""Verdicts: robust scores, intervals with the right coverage, and limits of length and quality."""

import math

import numpy as np
import pytest

from fakelens.analysis.statistics import trimmed_mean
from fakelens.analysis.verdicts import judge_track
from fakelens.faces.quality import QualityFlag
from fakelens.records.findings import Verdict
from fakelens.records.models import Calibration
from support.builders import THRESHOLDS, make_report, make_track


@pytest.mark.parametrize(
    ("logit", "verdict"),
    [(2.0, Verdict.FAKE), (-2.0, Verdict.REAL), (0.0, Verdict.INCONCLUSIVE)],
)
def test_a_constant_score_gets_the_verdict_of_its_side(logit: float, verdict: Verdict) -> None:
    noise = np.random.default_rng(1).normal(0, 0.3, 100)
    finding = judge_track(make_track(logit + noise), THRESHOLDS, still=False)
    assert finding.verdict is verdict
    assert finding.score == pytest.approx(1 / (1 + np.exp(-logit)), abs=0.05)
    assert finding.reasons


@pytest.mark.parametrize(
    ("logit", "expected"),
    # The score is the probability of a fake at even odds: the ratio is score / (1 - score).
    [(0.0, 0.0), (np.log(20), np.log10(20)), (-np.log(3), -np.log10(3)), (50, 2.5), (-50, -2.5)],
)
def test_a_calibrated_score_is_a_likelihood_ratio_within_its_limit(
    logit: float, expected: float
) -> None:
    calibration = Calibration("by hand", "none", 2.5, ())
    track = make_track(np.full(100, logit))
    finding = judge_track(track, THRESHOLDS, calibration, still=False)
    assert finding.log10_likelihood_ratio == pytest.approx(expected, abs=1e-6)
    assert judge_track(track, THRESHOLDS, still=False).log10_likelihood_ratio is None


def test_a_picture_has_a_likelihood_ratio_and_a_short_track_has_none() -> None:
    calibration = Calibration("by hand", "none", 2.5, ())
    short = judge_track(make_track(np.full(5, 1.0)), THRESHOLDS, calibration, still=False)
    assert short.interval is None
    assert short.log10_likelihood_ratio is None
    picture = judge_track(make_track(np.full(1, 1.0)), THRESHOLDS, calibration, still=True)
    assert picture.log10_likelihood_ratio == pytest.approx(1 / np.log(10))


@pytest.mark.parametrize("value", [-60.0, -3.0, 0.0, 2.0, 60.0])
@pytest.mark.parametrize("count", [0, 1, 5, 6, 10, 15])
@pytest.mark.parametrize("seed", range(4))
def test_a_few_outlier_frames_do_not_change_the_score(seed: int, count: int, value: float) -> None:
    rng = np.random.default_rng(seed)
    scattered = rng.choice(200, count, replace=False).tolist()
    together = range(start := int(rng.integers(0, 186)), start + count)
    outliers = scattered if seed % 2 else list(together)
    logits = np.full(200, -1.5)
    logits[outliers] = value
    clean = judge_track(make_track(np.full(200, -1.5)), THRESHOLDS, still=False)
    finding = judge_track(make_track(logits), THRESHOLDS, still=False)
    if len(outliers) <= 5:  # no majority in any half-second block of 12 frames
        assert finding.score == pytest.approx(clean.score, abs=1e-6)
    assert finding.score is not None
    assert clean.score is not None
    assert abs(finding.score - clean.score) < 0.25


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 29, 30, 100])
def test_the_trimmed_mean_drops_a_tenth_at_each_end(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(3, count)) ** 3
    cut = count // 10
    expected = [math.fsum(sorted(row)[cut : count - cut]) / (count - 2 * cut) for row in values]
    np.testing.assert_allclose(trimmed_mean(values), expected, rtol=1e-12)
    assert trimmed_mean(values[0]) == pytest.approx(expected[0], rel=1e-12)


def test_the_interval_covers_the_truth_in_about_95_percent_of_cases() -> None:
    # Frames within half a second share their error, as in a video. An interval that treats frames
    # as independent would cover the truth far less often.
    rng = np.random.default_rng(7)
    truth, trials = 0.3, 200
    covered = 0
    for _ in range(trials):
        shared = np.repeat(rng.normal(0, 1, 20), 13)[:250]
        logits = truth + shared + rng.normal(0, 0.3, 250)
        interval = judge_track(make_track(logits, rate=26), THRESHOLDS, still=False).interval
        assert interval is not None
        covered += interval[0] <= 1 / (1 + np.exp(-truth)) <= interval[1]
    assert 0.85 <= covered / trials <= 0.99


def test_an_interval_that_crosses_a_threshold_is_a_caution() -> None:
    alternating = np.repeat([4.4, -2.0] * 5, 13)
    finding = judge_track(make_track(alternating), THRESHOLDS, still=False)
    assert finding.score is not None
    assert finding.score >= THRESHOLDS.fake
    assert finding.verdict is Verdict.FAKE
    assert finding.interval is not None
    assert finding.interval[0] < THRESHOLDS.fake
    assert "crosses 0.60" in finding.reasons[1]


def test_one_observation_is_inconclusive_in_a_video_but_not_in_a_picture() -> None:
    one = make_track([3.0])
    assert judge_track(one, THRESHOLDS, still=False).verdict is Verdict.INCONCLUSIVE
    still = judge_track(one, THRESHOLDS, still=True)
    assert still.verdict is Verdict.FAKE
    assert any("single picture" in reason for reason in still.reasons)


def test_flagged_faces_do_not_count_and_are_reported() -> None:
    logits = np.concatenate([np.full(60, -2.0), np.full(40, 9.0)])
    quality_flags = np.concatenate([np.zeros(60), np.full(40, QualityFlag.BLURRED.value)])
    finding = judge_track(make_track(logits, quality_flags=quality_flags), THRESHOLDS, still=False)
    assert finding.verdict is Verdict.REAL
    assert finding.usable == 60
    assert any("40 of 100" in reason and "blurred" in reason for reason in finding.reasons)


def test_without_a_usable_face_there_is_no_score() -> None:
    finding = judge_track(
        make_track(np.full(50, 5.0), quality_flags=QualityFlag.SMALL.value), THRESHOLDS, still=False
    )
    assert finding.score is None
    assert finding.verdict is Verdict.INCONCLUSIVE


def test_a_fake_part_of_a_real_video_is_found() -> None:
    logits = np.full(250, -3.0)
    logits[100:150] = 3.0  # seconds 4 to 6
    finding = judge_track(make_track(logits), THRESHOLDS, still=False)
    (span,) = finding.spans
    assert span.start == pytest.approx(4.0, abs=0.1)
    assert span.end == pytest.approx(6.0, abs=0.1)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "0:04.0 to 0:06.0" in finding.reasons[0]


def test_times_in_reasons_count_from_the_first_frame() -> None:
    logits = np.full(250, -3.0)
    logits[100:150] = 3.0
    finding = judge_track(make_track(logits, first=1250), THRESHOLDS, still=False, start=48.0)
    assert "0:06.0 to 0:08.0" in finding.reasons[0]
    assert finding.spans[0].start == pytest.approx(54.0, abs=0.1)


def test_a_span_does_not_bridge_time_without_usable_faces() -> None:
    flags = np.zeros(250)
    flags[100:150] = QualityFlag.BLURRED.value  # seconds 4 to 6
    finding = judge_track(
        make_track(np.full(250, 3.0), quality_flags=flags), THRESHOLDS, still=False
    )
    before, after = finding.spans
    assert before.end == pytest.approx(4.0, abs=0.1)
    assert after.start == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("minutes", [1, 10, 60])
def test_likely_real_does_not_depend_on_the_length_of_the_video(minutes: int) -> None:
    # A genuine person whose blocks are correlated and now and then far above the rest.
    rng = np.random.default_rng(5)
    real = 0
    trials = 20 if minutes < 60 else 8
    for _ in range(trials):
        steps = rng.standard_t(4, 120 * minutes) / np.sqrt(2)
        blocks = np.empty_like(steps)
        blocks[0] = steps[0]
        for index in range(1, len(steps)):
            blocks[index] = 0.5 * blocks[index - 1] + np.sqrt(0.75) * steps[index]
        track = make_track(np.repeat(blocks - 2.5, 2), rate=4)
        real += judge_track(track, THRESHOLDS, still=False).verdict is Verdict.REAL
    assert real / trials >= 0.85


def test_rarely_examined_frames_do_not_interrupt_a_span() -> None:
    finding = judge_track(make_track(np.full(12, 4.0), every=20), THRESHOLDS, still=False)
    (span,) = finding.spans
    assert (span.start, span.end) == (0, pytest.approx(8.8))


def test_the_key_frame_shows_the_strongest_usable_evidence() -> None:
    logits = np.full(100, 1.0)
    logits[30], logits[60] = 3.0, 9.0
    quality_flags = np.zeros(100)
    quality_flags[60] = QualityFlag.BLURRED.value
    assert (
        judge_track(
            make_track(logits, quality_flags=quality_flags), THRESHOLDS, still=False
        ).key_frame
        == 30
    )


def test_a_face_too_small_for_the_model_gets_a_score_but_no_verdict() -> None:
    track = make_track(np.full(100, 3.0))
    widths = (track.boxes[:, 2:] - track.boxes[:, :2]).min(axis=1)
    width = float(np.median(widths))
    calibration = Calibration("by hand", "none", 2.5, ())
    large = judge_track(track, THRESHOLDS, calibration, still=False, smallest_face=width)
    assert (large.verdict, large.seen_well) == (Verdict.FAKE, True)
    small = judge_track(track, THRESHOLDS, calibration, still=False, smallest_face=width + 1)
    assert (small.verdict, small.seen_well) == (Verdict.INCONCLUSIVE, False)
    assert small.score == large.score
    assert small.log10_likelihood_ratio is None
    assert f"the face is {width:.0f} pixels wide" in small.reasons[0]


def test_the_size_of_a_face_slightly_too_small_is_rounded_down() -> None:
    track = make_track(np.full(100, 3.0), box=(40, 20, 119.7, 120))
    (reason, *_) = judge_track(track, THRESHOLDS, still=False, smallest_face=80).reasons
    assert "the face is 79 pixels wide: the model is not reliable below 80" in reason


def test_the_most_suspicious_person_seen_well_is_decisive() -> None:
    seen_well = [make_track(np.full(100, logit), person=n) for n, logit in ((1, -2.0), (2, 1.0))]
    short = make_track(np.full(5, 6.0), person=3)
    maps = np.zeros((1, 4, 4))
    decisive = make_report(*seen_well, short, maps=maps).decisive
    assert decisive is not None
    assert decisive.person == 2
    assert make_report(short, maps=maps).decisive is None
    assert make_report(maps=maps).decisive is None
