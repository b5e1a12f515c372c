"""Fits the thresholds of a model on labelled clips, and counts its errors at these thresholds.

The counts are cross-fitted: the clips are divided into folds, and those of one fold get the verdict
of ``analyze`` with thresholds that were fitted on the other folds. No clip is judged by thresholds
that it had a part in.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fakelens.analysis.pipeline import analyze
from fakelens.evaluation.labels import LabelledFile
from fakelens.evaluation.thresholds import ErrorLimits, assign_folds, fit_thresholds
from fakelens.media.reader import open_video
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Model, ModelCard, Thresholds
from fakelens.records.settings import Progress, Settings

CROSS_FITTED = (
    "cross-fitted: the thresholds were fitted on these clips, but each clip was judged by "
    "thresholds fitted without it and its group. A test on clips that played no part in choosing "
    "anything is still needed"
)
"""How the counts of ``cross_fit`` were made, for the data of an error record."""


def count_frames(clips: Sequence[LabelledFile]) -> list[int]:
    """Open each clip and return the estimated number of its frames, at least 1.

    Raises:
        MediaError: a clip cannot be read.
    """
    frames = []
    for clip in clips:
        with open_video(clip.path) as reader:
            frames.append(max(1, reader.info.frame_estimate or 1))
    return frames


def find_decisive(
    model: Model,
    clips: Sequence[LabelledFile],
    frames: Sequence[int],
    *,
    settings: Settings,
    progress: Progress,
) -> list[Finding | None]:
    """Run ``analyze`` on each clip and return its decisive finding, see ``Report.decisive``.

    Args:
        model: the detector model.
        clips: labelled clips.
        frames: of each clip, see ``count_frames``.
        settings: of the analyses.
        progress: called with the number of frames done, of all clips.

    Returns:
        One finding per clip; ``None`` if nobody is seen well enough.

    Raises:
        MediaError: a clip cannot be read.
        ModelError: the model cannot run.
    """
    found, before, total = [], 0, sum(frames)
    for clip, count in zip(clips, frames, strict=True):
        report = analyze(
            clip.path,
            model=model,
            settings=settings,
            progress=partial(_step, progress, before, count, total),
        )
        found.append(report.decisive)
        before += count
        progress(before, total)
    return found


def _step(
    progress: Progress, before: int, count: int, total: int, done: int, _: int | None
) -> None:
    progress(before + min(done, count), total)


def cross_fit(
    model: Model,
    clips: Sequence[LabelledFile],
    findings: Sequence[Finding | None],
    frames: Sequence[int],
    limits: ErrorLimits,
    *,
    settings: Settings,
    progress: Progress,
) -> list[Finding | None]:
    """Judge each clip by thresholds that were fitted without it and its group.

    A second analysis is needed only for a score that is low enough for *likely real*: high
    stretches and a missed control can withdraw that verdict, and no other.

    Args:
        model: the detector model.
        clips: labelled clips.
        findings: decisive finding of each clip by ``find_decisive``, with any thresholds.
        frames: of each clip, see ``count_frames``.
        limits: of the probabilities of errors.
        settings: of the analyses.
        progress: called with the number of frames done, of the clips analyzed a second time.

    Returns:
        One finding per clip, of which verdict and score are those with the fold's thresholds;
        ``None`` if nobody is seen well enough.

    Raises:
        UsageError: too few groups to fit thresholds without one of them.
        MediaError: a clip cannot be read.
        ModelError: the model cannot run.
    """
    scores, fake, groups = arrays(clips, findings)
    judged = np.flatnonzero(~np.isnan(scores))
    scores, fake, groups = scores[judged], fake[judged], groups[judged]
    folds = assign_folds(fake, groups, limits)
    verdicts = list(findings)
    total = 0
    again: list[tuple[Model, list[int]]] = []
    for fold in np.unique(folds):
        others, inside = folds != fold, np.flatnonzero(folds == fold)
        fitted = fit_thresholds(scores[others], fake[others], groups[others], limits)
        for row in inside[scores[inside] > fitted.real]:
            verdict = Verdict.FAKE if scores[row] >= fitted.fake else Verdict.INCONCLUSIVE
            finding = findings[judged[row]]
            assert finding is not None, "it has a score"
            verdicts[judged[row]] = replace(finding, verdict=verdict)
        low = judged[inside[scores[inside] <= fitted.real]].tolist()
        total += sum(frames[row] for row in low)
        again.append((with_thresholds(model, fitted), low))
    before = 0
    for changed, rows in again:
        counts = [frames[row] for row in rows]
        found = find_decisive(
            changed,
            [clips[row] for row in rows],
            counts,
            settings=settings,
            progress=_shifted(progress, before, total),
        )
        before += sum(counts)
        for row, finding in zip(rows, found, strict=True):
            verdicts[row] = finding
    return verdicts


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)


def arrays(
    clips: Sequence[LabelledFile], findings: Sequence[Finding | None]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.str_]]:
    """Return scores (N,), NaN if nobody is seen well enough, labels (N,) and groups (N,)."""
    scores = [np.nan if one is None or one.score is None else one.score for one in findings]
    labels = [clip.fake for clip in clips]
    return np.array(scores), np.array(labels, bool), np.array([clip.group for clip in clips])


def with_thresholds(model: Model, thresholds: Thresholds) -> Model:
    """Return a copy of a model with other thresholds; it shares all else with the original.

    Args:
        model: with its card as a plain attribute, as those that ``load_model`` returns.
        thresholds: for the card.
    """
    return _with_card(model, replace(model.card, thresholds=thresholds))


def _with_card(model: Model, card: ModelCard) -> Model:
    changed = copy.copy(model)
    vars(changed)["card"] = card  # the Protocol only promises that it can be read
    return changed
