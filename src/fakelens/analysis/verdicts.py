"""Computes the verdict on a person from the logits of a track, with an interval and reasons.

Neighbouring frames of a video are not independent, so a thousand frames are not a thousand
measurements. Time is therefore divided into blocks of half a second. A block's logit is the
*median* of its usable frames, which ignores single outliers. A person's logit is the 10 % trimmed
mean of the blocks; ``statistics`` has its 95 % interval and the test of high stretches.
"""

from dataclasses import dataclass, replace
from math import floor

import numpy as np
from numpy.typing import NDArray

from fakelens.analysis.statistics import chance_of_run, mean_interval, trimmed_mean
from fakelens.faces.quality import QualityFlag
from fakelens.records.arrays import sigmoid
from fakelens.records.findings import DomainCheck, Finding, Span, Verdict
from fakelens.records.models import Calibration, Thresholds
from fakelens.records.times import format_time
from fakelens.records.tracks import Track
from fakelens.records.trust import ControlOutcome, Robustness

BLOCK_SECONDS = 0.5
MIN_BLOCKS = 4  # with fewer blocks there is neither an interval nor a verdict
MAX_CHANCE = 0.05
"""A high stretch of somebody who does not look fake counts if chance makes it more rarely."""


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The blocks of a track that contain a usable frame: block numbers and median logits."""

    numbers: NDArray[np.int64]
    logits: NDArray[np.float64]


def _block_numbers(track: Track) -> NDArray[np.int64]:
    elapsed: NDArray[np.float64] = track.times - track.times[0]
    return np.floor(elapsed / BLOCK_SECONDS).astype(np.int64)


def _blocks(track: Track) -> _Blocks:
    logits = track.logits[track.usable]
    numbers = _block_numbers(track)[track.usable]
    unique, starts = np.unique(numbers, return_index=True)
    parts = np.split(logits, starts[1:]) if len(unique) else []
    medians = [float(np.median(part)) for part in parts]
    return _Blocks(unique, np.array(medians, dtype=np.float64))


def person_logit(track: Track) -> float | None:
    """Compute the logit of a person over the whole track; ``None`` without a usable face."""
    logits = _blocks(track).logits
    return float(trimmed_mean(logits)) if len(logits) else None


def _interval(logits: NDArray[np.float64]) -> tuple[float, float] | None:
    if len(logits) < MIN_BLOCKS:
        return None
    low, high = mean_interval(logits)
    return float(sigmoid(low)), float(sigmoid(high))


def _spans(blocks: _Blocks, track: Track, threshold: float) -> tuple[Span, ...]:
    """Return the stretches with a high score.

    A person whose score is below the threshold can have high blocks by chance, the more the longer
    the video; only stretches of at least ``BLOCK_SECONDS`` that are unlikely by chance count then.
    """
    high = sigmoid(blocks.logits) >= threshold
    is_fake = sigmoid(float(trimmed_mean(blocks.logits))) >= threshold
    # Blocks without a usable face interrupt a stretch, unless frames are examined so rarely that
    # most blocks have none.
    steps = np.diff(blocks.numbers)
    apart = steps > max(1, int(np.median(steps))) if len(steps) else steps > 0
    ends = np.flatnonzero(apart | (np.diff(high.astype(int)) != 0)) + 1
    spans = []
    for first, end in zip([0, *ends.tolist()], [*ends.tolist(), len(high)], strict=True):
        run = slice(first, end)
        if not high[first] or (
            not is_fake and (end - first < 2 or chance_of_run(blocks.logits, run) > MAX_CHANCE)
        ):
            continue
        inside = track.usable & np.isin(_block_numbers(track), blocks.numbers[run])
        times = track.times[inside]
        score = sigmoid(float(np.mean(blocks.logits[run])))
        spans.append(Span(float(times[0]), float(times[-1]), float(score)))
    return tuple(spans)


def _quality_reasons(track: Track) -> list[str]:
    total = len(track)
    return [
        f"{count} of {total} faces: {flag.descriptions[0]}"
        for flag in QualityFlag
        if (count := int(np.count_nonzero(track.quality_flags & flag.value)))
    ]


def _verdict(
    score: float,
    interval: tuple[float, float] | None,
    spans: tuple[Span, ...],
    thresholds: Thresholds,
    start: float,
) -> tuple[Verdict, list[str]]:
    """Compare a score with the thresholds; return the verdict, its reason and cautions.

    The thresholds are chosen for the error rates of this comparison. An interval that crosses one
    is a caution and not a veto: see ``docs/explanation/trust.md`` for what a veto would cost.
    """
    if thresholds.real < score < thresholds.fake:
        between = f"between {thresholds.real:.2f} and {thresholds.fake:.2f}"
        return Verdict.INCONCLUSIVE, [f"the score {score:.2f} lies {between}"]
    low, high = interval if interval else (score, score)
    if score >= thresholds.fake:
        verdict, limit, side, crosses = (
            Verdict.FAKE,
            thresholds.fake,
            "above",
            low < thresholds.fake,
        )
    elif spans:
        parts = ", ".join(
            f"{format_time(span.start - start)} to {format_time(span.end - start)}"
            for span in spans
        )
        return Verdict.INCONCLUSIVE, [f"real overall, but parts look fake: {parts}"]
    else:
        verdict, limit, side, crosses = (
            Verdict.REAL,
            thresholds.real,
            "below",
            high > thresholds.real,
        )
    reasons = [f"the score {score:.2f} is {side} {limit:.2f}"]
    if crosses:
        reasons.append(f"uncertain: the 95 % interval {low:.2f}-{high:.2f} crosses {limit:.2f}")
    return verdict, reasons


def _key_frame(track: Track, score: float | None) -> int:
    """Return the frame with the strongest evidence for the score's side, usable if possible."""
    candidates = np.flatnonzero(track.usable) if track.usable.any() else np.arange(len(track))
    logits = track.logits[candidates]
    best = np.argmin(logits) if score is not None and score < 0.5 else np.argmax(logits)
    return int(track.frames[candidates[best]])


def _log10_likelihood_ratio(logit: float, calibration: Calibration) -> float:
    return float(np.clip(logit / np.log(10), -calibration.limit, calibration.limit))


def judge_track(
    track: Track,
    thresholds: Thresholds,
    calibration: Calibration | None = None,
    *,
    still: bool,
    smallest_face: float = 0.0,
    start: float = 0.0,
) -> Finding:
    """Compute the finding on one person: score, interval, verdict and reasons.

    Args:
        track: at least one observation.
        thresholds: scores at which a verdict changes.
        calibration: of the model, if it has one.
        still: whether the input is a still picture, so that there is only one observation.
        smallest_face: see ``ModelCard``, pixels.
        start: timestamp of the first frame of the video, seconds; reasons count times from it.
    """
    blocks = _blocks(track)
    logit = person_logit(track)
    score: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    spans: tuple[Span, ...] = ()
    seen_well = False
    if logit is None:
        verdict, reasons = (
            Verdict.INCONCLUSIVE,
            ["no face of this person is good enough for a score"],
        )
    else:
        score, interval = float(sigmoid(logit)), _interval(blocks.logits)
        # The calibration is made with single crops, so it also holds for a picture. A short track
        # of a video has neither an interval nor a likelihood ratio.
        if calibration is not None and (interval or still):
            ratio = _log10_likelihood_ratio(logit, calibration)
        if len(blocks.logits) < MIN_BLOCKS and not still:
            verdict = Verdict.INCONCLUSIVE
            seconds = MIN_BLOCKS * BLOCK_SECONDS
            reasons = [f"too short for a verdict: good faces in less than {seconds:g} s"]
        elif (size := median_size(track)) < smallest_face:
            verdict = Verdict.INCONCLUSIVE
            reasons = [
                f"the face is {floor(size)} pixels wide: the model is not reliable below "
                f"{smallest_face:.0f}"
            ]
        else:
            seen_well = True
            spans = _spans(blocks, track, thresholds.fake)
            verdict, reasons = _verdict(score, interval, spans, thresholds, start)
            if still:
                reasons.append("a single picture: the uncertainty of the score is not known")
    return Finding(
        person=track.person,
        verdict=verdict,
        score=score,
        interval=interval,
        spans=spans,
        reasons=(*reasons, *_quality_reasons(track)),
        first=float(track.times[0]),
        last=float(track.times[-1]),
        examined=len(track),
        usable=int(np.count_nonzero(track.usable)),
        key_frame=_key_frame(track, score),
        log10_likelihood_ratio=ratio if seen_well else None,
        seen_well=seen_well,
    )


def median_size(track: Track) -> float:
    """Compute the median of the shorter side of the usable boxes, pixels."""
    boxes = track.boxes[track.usable]
    return float(np.median((boxes[:, 2:] - boxes[:, :2]).min(axis=1)))


def apply_assessment(finding: Finding, thresholds: Thresholds) -> Finding:
    """Add what an assessment says about a verdict, and withdraw a verdict it does not support.

    *Likely real* becomes *inconclusive* if the control is missed. A score range that crosses the
    threshold is a caution, as an interval that does. So are conditions outside the range of the
    model's validation data, where there is no likelihood ratio either.

    Args:
        finding: with its assessment and its domain check.
        thresholds: scores at which a verdict changes.
    """
    if finding.domain and not finding.domain.inside:
        finding = replace(finding, log10_likelihood_ratio=None)
    assessment = finding.assessment
    if assessment is None or finding.verdict is Verdict.INCONCLUSIVE:
        return finding
    is_fake, controls = finding.verdict is Verdict.FAKE, assessment.controls
    if not is_fake and controls and controls.outcome is ControlOutcome.MISSED:
        missed = (
            "control missed: a synthetic forgery added to this person's own frames leaves the "
            f"score at {controls.forged_score:.2f}"
        )
        reasons = (missed, *finding.reasons[1:])
        return replace(finding, verdict=Verdict.INCONCLUSIVE, reasons=reasons)
    cautions = [
        caution
        for caution in (
            _domain_caution(finding.domain),
            _robustness_caution(finding, assessment.robustness, thresholds),
        )
        if caution
    ]
    if not cautions:
        return finding
    first, *others = finding.reasons
    return replace(finding, reasons=(first, *cautions, *others))


def _domain_caution(domain: DomainCheck | None) -> str | None:
    """Say that the conditions lie outside the range of the validation data, if they do.

    The finding's domain check has the details.
    """
    if domain is None or domain.inside:
        return None
    return "seen under conditions outside the range of the validation data"


def _robustness_caution(
    finding: Finding, robustness: Robustness | None, thresholds: Thresholds
) -> str | None:
    """Say which perturbation moves the score across the threshold of its verdict, if one does."""
    if robustness is None:
        return None
    low, high = robustness.score_range
    is_fake = finding.verdict is Verdict.FAKE
    limit = thresholds.fake if is_fake else thresholds.real
    if low >= limit if is_fake else high <= limit:
        return None
    pick = min if is_fake else max
    worst = pick(robustness.scores, key=lambda name: robustness.scores[name])
    return (
        "not robust: small changes of crop, compression and resolution move the score from "
        f"{low:.2f} to {high:.2f}, across {limit:.2f} ({worst}: {robustness.scores[worst]:.2f})"
    )
