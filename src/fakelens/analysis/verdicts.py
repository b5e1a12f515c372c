"""Computes the verdict on a person from the logits of a track, with an interval and reasons.

Neighbouring frames of a video are not independent, so a thousand frames are not a thousand
measurements. Time is therefore divided into blocks of half a second. A block's logit is the
*median* of its usable frames, which ignores single outliers. A person's logit is the 10 % trimmed
mean of the blocks, and its 95 % interval is a percentile bootstrap over blocks (Kuensch 1989 for
the block bootstrap).
"""

from dataclasses import dataclass, replace
from math import floor

import numpy as np
from numpy.typing import NDArray

from fakelens.faces.quality import QualityFlag
from fakelens.records.arrays import sigmoid
from fakelens.records.findings import Finding, Span, Verdict
from fakelens.records.models import Calibration, Thresholds
from fakelens.records.tracks import Track
from fakelens.records.trust import ControlOutcome

BLOCK_SECONDS = 0.5
MIN_BLOCKS = 4  # with fewer blocks there is neither an interval nor a verdict
TRIM = 0.1
RESAMPLES = 1000
SEED = 20180911
_MAX_RESAMPLED = 1 << 20  # resampled blocks in memory at a time


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


def trimmed_mean(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Compute the mean along the last axis, without a share ``TRIM`` of values at each end.

    Equal to ``scipy.stats.trim_mean``; importing scipy would take longer than analyzing a short
    video.

    Args:
        values: (..., n).
    """
    trimmed = int(TRIM * values.shape[-1])
    kept = np.sort(values, axis=-1)[..., trimmed : values.shape[-1] - trimmed]
    return np.asarray(kept.mean(axis=-1))


def person_logit(track: Track) -> float | None:
    """Compute the logit of a person over the whole track; ``None`` without a usable face."""
    logits = _blocks(track).logits
    return float(trimmed_mean(logits)) if len(logits) else None


def _interval(logits: NDArray[np.float64]) -> tuple[float, float] | None:
    if len(logits) < MIN_BLOCKS:
        return None
    rng = np.random.default_rng(SEED)
    # In batches, to limit the memory for long videos.
    batch = max(1, _MAX_RESAMPLED // len(logits))
    means = np.concatenate(
        [
            trimmed_mean(rng.choice(logits, (min(batch, RESAMPLES - done), len(logits))))
            for done in range(0, RESAMPLES, batch)
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return float(sigmoid(low)), float(sigmoid(high))


def _spans(blocks: _Blocks, track: Track, threshold: float) -> tuple[Span, ...]:
    # Indices of blocks, not block numbers: if frames are examined rarely, block numbers have gaps.
    high = np.flatnonzero(sigmoid(blocks.logits) >= threshold)
    spans = []
    for run in np.split(high, np.flatnonzero(np.diff(high) > 1) + 1):
        if len(run) == 0:
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
) -> tuple[Verdict, list[str]]:
    """Compare a score and its interval with the thresholds; return the verdict and its reason."""
    low, high = interval if interval else (score, score)
    if low >= thresholds.fake:
        return Verdict.FAKE, [f"the score {score:.2f} stays above {thresholds.fake:.2f}"]
    if high <= thresholds.real:
        if long := [span for span in spans if span.end - span.start >= BLOCK_SECONDS]:
            parts = ", ".join(f"{span.start:.1f}-{span.end:.1f} s" for span in long)
            return Verdict.INCONCLUSIVE, [f"real on the whole, but some parts look fake: {parts}"]
        return Verdict.REAL, [f"the score {score:.2f} stays below {thresholds.real:.2f}"]
    if thresholds.real < score < thresholds.fake:
        between = f"between {thresholds.real:.2f} and {thresholds.fake:.2f}"
        return Verdict.INCONCLUSIVE, [f"the score {score:.2f} lies {between}"]
    limit = thresholds.fake if score >= thresholds.fake else thresholds.real
    return Verdict.INCONCLUSIVE, [
        f"the score {score:.2f} is uncertain: its interval {low:.2f}-{high:.2f} crosses {limit:.2f}"
    ]


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
) -> Finding:
    """Compute the finding on one person: score, interval, verdict and reasons.

    Args:
        track: at least one observation.
        thresholds: scores at which a verdict changes.
        calibration: of the model, if it has one.
        still: whether the input is a still picture, so that there is only one observation.
        smallest_face: see ``ModelCard``, pixels.
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
        elif (size := _median_size(track)) < smallest_face:
            verdict = Verdict.INCONCLUSIVE
            reasons = [
                f"the face is {floor(size)} pixels wide: the model is not reliable below "
                f"{smallest_face:.0f}"
            ]
        else:
            seen_well = True
            spans = _spans(blocks, track, thresholds.fake)
            verdict, reasons = _verdict(score, interval, spans, thresholds)
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


def _median_size(track: Track) -> float:
    """Compute the median of the shorter side of the usable boxes, pixels."""
    boxes = track.boxes[track.usable]
    return float(np.median((boxes[:, 2:] - boxes[:, :2]).min(axis=1)))


def apply_assessment(finding: Finding, thresholds: Thresholds) -> Finding:
    """Withdraw a verdict that its assessment does not support.

    *Likely fake* and *likely real* become *inconclusive* if the score range crosses the
    threshold; *likely real* also if the control is missed.

    Args:
        finding: with its assessment.
        thresholds: scores at which a verdict changes.
    """
    assessment = finding.assessment
    if assessment is None or finding.verdict is Verdict.INCONCLUSIVE:
        return finding
    objections = []
    robustness, is_fake = assessment.robustness, finding.verdict is Verdict.FAKE
    if robustness:
        low, high = robustness.score_range
        limit = thresholds.fake if is_fake else thresholds.real
        if low < limit if is_fake else high > limit:
            pick = min if is_fake else max
            worst = pick(robustness.scores, key=lambda name: robustness.scores[name])
            objections.append(
                f"the score {finding.score:.2f} is not robust: re-cropping and recompression move "
                f"it from {low:.2f} to {high:.2f}, across {limit:.2f} "
                f"({worst}: {robustness.scores[worst]:.2f})"
            )
    controls = assessment.controls
    if not is_fake and controls and controls.outcome is ControlOutcome.MISSED:
        objections.append(
            "control missed: a synthetic forgery added to this person's own frames leaves the "
            f"score at {controls.forged_score:.2f}"
        )
    if not objections:
        return finding
    reasons = (*objections, *finding.reasons[1:])
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reasons=reasons)
