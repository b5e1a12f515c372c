"""From scores along a track to a verdict about a person, with its interval and its reasons.

Neighbouring frames of a video say nearly the same thing, so a thousand frames are not a thousand
witnesses. Time is cut into half-second blocks; a block's logit is the *median* of its usable
frames (single bad frames do not count), a person's logit the 10 % trimmed mean of the blocks, and
its 95 % interval the percentile bootstrap over blocks (Kuensch 1989 for the idea of blocks).
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
MIN_BLOCKS = 4  # with fewer there is neither an interval nor a verdict
TRIM = 0.1
RESAMPLES = 1000
SEED = 20180911
_TABLE = 1 << 20


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The blocks of a track that hold a usable frame: block number and median logit."""

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
    """Mean along the last axis, (..., n), without the ``TRIM`` lowest and highest parts.

    As scipy.stats.trim_mean, whose import takes longer than some videos.
    """
    left_out = int(TRIM * values.shape[-1])
    kept = np.sort(values, axis=-1)[..., left_out : values.shape[-1] - left_out]
    return np.asarray(kept.mean(axis=-1))


def person_logit(track: Track) -> float | None:
    """Of a person over the whole track; ``None`` without a usable face."""
    logits = _blocks(track).logits
    return float(trimmed_mean(logits)) if len(logits) else None


def _interval(logits: NDArray[np.float64]) -> tuple[float, float] | None:
    if len(logits) < MIN_BLOCKS:
        return None
    rng = np.random.default_rng(SEED)
    # In parts: the blocks of a long video times all resamples would be a large table.
    part = max(1, _TABLE // len(logits))
    means = np.concatenate(
        [
            trimmed_mean(rng.choice(logits, (min(part, RESAMPLES - done), len(logits))))
            for done in range(0, RESAMPLES, part)
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return float(sigmoid(low)), float(sigmoid(high))


def _spans(blocks: _Blocks, track: Track, threshold: float) -> tuple[Span, ...]:
    # Positions among the blocks that were seen: sampled sparsely, not every half second is.
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


def _gate_reasons(track: Track) -> list[str]:
    total = len(track)
    return [
        f"{count} of {total} faces: {doubt.words[0]}"
        for doubt in QualityFlag
        if (count := int(np.count_nonzero(track.quality_flags & doubt.value)))
    ]


def _judge(
    score: float,
    interval: tuple[float, float] | None,
    spans: tuple[Span, ...],
    thresholds: Thresholds,
) -> tuple[Verdict, list[str]]:
    low, high = interval if interval else (score, score)
    if low >= thresholds.fake:
        return Verdict.FAKE, [f"the score {score:.2f} stays above {thresholds.fake:.2f}"]
    if high <= thresholds.real:
        if long := [span for span in spans if span.end - span.start >= BLOCK_SECONDS]:
            parts = ", ".join(f"{span.start:.1f}-{span.end:.1f} s" for span in long)
            return Verdict.INCONCLUSIVE, [f"real on the whole, but parts look fake: {parts}"]
        return Verdict.REAL, [f"the score {score:.2f} stays below {thresholds.real:.2f}"]
    if thresholds.real < score < thresholds.fake:
        between = f"between {thresholds.real:.2f} and {thresholds.fake:.2f}"
        return Verdict.INCONCLUSIVE, [f"the score {score:.2f} lies {between}"]
    limit = thresholds.fake if score >= thresholds.fake else thresholds.real
    return Verdict.INCONCLUSIVE, [
        f"the score {score:.2f} is uncertain: its interval {low:.2f}-{high:.2f} crosses {limit:.2f}"
    ]


def _key_frame(track: Track, score: float | None) -> int:
    """The frame to show: strongest evidence for the side the score is on, usable if possible."""
    candidates = np.flatnonzero(track.usable) if track.usable.any() else np.arange(len(track))
    logits = track.logits[candidates]
    best = np.argmin(logits) if score is not None and score < 0.5 else np.argmax(logits)
    return int(track.frames[candidates[best]])


def _likelihood_ratio(logit: float, calibration: Calibration) -> float:
    return float(np.clip(logit / np.log(10), -calibration.limit, calibration.limit))


def judge_track(
    track: Track,
    thresholds: Thresholds,
    calibration: Calibration | None = None,
    *,
    still: bool,
    smallest_face: float = 0.0,
) -> Finding:
    """Say what the scores of one person amount to.

    Args:
        track: at least one observation.
        thresholds: where a score becomes a verdict.
        calibration: of the model, if it has one.
        still: the input is one picture, so one observation is all there can be.
        smallest_face: as of the model's card, pixels.
    """
    blocks = _blocks(track)
    logit = person_logit(track)
    score: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    spans: tuple[Span, ...] = ()
    seen_well = False
    if logit is None:
        verdict, reasons = Verdict.INCONCLUSIVE, ["no face of this person is good enough to judge"]
    else:
        score, interval = float(sigmoid(logit)), _interval(blocks.logits)
        # It is made from single crops, so a picture has it too; a face_crop of a video has neither.
        if calibration is not None and (interval or still):
            ratio = _likelihood_ratio(logit, calibration)
        if len(blocks.logits) < MIN_BLOCKS and not still:
            verdict = Verdict.INCONCLUSIVE
            seconds = MIN_BLOCKS * BLOCK_SECONDS
            reasons = [f"too little to judge: good faces in less than {seconds:g} s"]
        elif (size := _usual_size(track)) < smallest_face:
            verdict = Verdict.INCONCLUSIVE
            reasons = [
                f"the face is {floor(size)} pixels wide: the model is not reliable below "
                f"{smallest_face:.0f}"
            ]
        else:
            seen_well = True
            spans = _spans(blocks, track, thresholds.fake)
            verdict, reasons = _judge(score, interval, spans, thresholds)
            if still:
                reasons.append("a single picture: nothing says how steady the score is")
    return Finding(
        person=track.person,
        verdict=verdict,
        score=score,
        interval=interval,
        spans=spans,
        reasons=(*reasons, *_gate_reasons(track)),
        first=float(track.times[0]),
        last=float(track.times[-1]),
        examined=len(track),
        usable=int(np.count_nonzero(track.usable)),
        key_frame=_key_frame(track, score),
        log10_likelihood_ratio=ratio if seen_well else None,
        seen_well=seen_well,
    )


def _usual_size(track: Track) -> float:
    """Median of the shorter side of the usable boxes, pixels."""
    boxes = track.boxes[track.usable]
    return float(np.median((boxes[:, 2:] - boxes[:, :2]).min(axis=1)))


def apply_assessment(finding: Finding, thresholds: Thresholds) -> Finding:
    """Take a verdict back that its assessment does not bear out.

    Args:
        finding: with its assessment.
        thresholds: where a score becomes a verdict.
    """
    assessment = finding.assessment
    if assessment is None or finding.verdict is Verdict.INCONCLUSIVE:
        return finding
    objections = []
    steady, is_fake = assessment.robustness, finding.verdict is Verdict.FAKE
    if steady:
        low, high = steady.score_range
        limit = thresholds.fake if is_fake else thresholds.real
        if low < limit if is_fake else high > limit:
            pick = min if is_fake else max
            way = pick(steady.scores, key=lambda name: steady.scores[name])
            objections.append(
                f"the score {finding.score:.2f} hangs on how the picture is prepared: "
                f"{low:.2f}-{high:.2f} crosses {limit:.2f} ({way}: {steady.scores[way]:.2f})"
            )
    controls = assessment.controls
    if not is_fake and controls and controls.outcome is ControlOutcome.MISSED:
        objections.append(
            "blind here: a forgery planted into this person's own frames leaves the score at "
            f"{controls.forged_score:.2f}"
        )
    if not objections:
        return finding
    reasons = (*objections, *finding.reasons[1:])
    return replace(finding, verdict=Verdict.INCONCLUSIVE, reasons=reasons)
