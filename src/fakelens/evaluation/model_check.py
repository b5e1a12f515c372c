"""Checks a model before it is believed: polarity, preprocessing, saturation, heatmaps, speed.

A user states what the weights of a model do not: polarity, order of the colours, mean and standard
deviation, crop, layer. Each of these can be wrong without an error. The checks measure the effect
on faces, and say in words what would mislead.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import FakelensError, ModelError
from fakelens.evaluation.check_heatmaps import check_head, check_heatmaps
from fakelens.evaluation.check_preprocessing import (
    Subject,
    check_colours,
    check_polarity,
    check_scales,
    check_statistics,
)
from fakelens.evaluation.check_results import Check
from fakelens.evaluation.labelled_faces import MARGINS, LabelledFace
from fakelens.models.batching import compute_logits
from fakelens.models.checks import varied_crops
from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.conventions import Values
from fakelens.records.models import HasConvention, Model, ModelCard
from fakelens.records.settings import Progress
from fakelens.trust.ablation import threshold_distance

_VARIED = 64
_MIN_SPREAD = 1e-6  # of the logits, over their magnitude
_SATURATED = 15.0  # logit from which the score is 1 in float32, or nearly
_ABSURD = 100.0  # median magnitude of the logits that only a mistake explains
_NEAR_ONE = 0.9  # difference of two probabilities that is near its limit
_NEAR_SHARE = 0.1  # share of the pictures whose difference is near its limit
_CHANGED = 0.25  # share of the verdicts that may change with the margin
_SPEED_BATCH = 8
_SPEED_RUNS = 3


def check_model(
    model: Model,
    faces: Sequence[LabelledFace],
    *,
    labelled: bool,
    progress: Progress | None = None,
) -> list[Check]:
    """Check a model that was loaded.

    Args:
        model: to check.
        faces: cut for this model, see ``gather_faces`` and ``sample_faces``.
        labelled: whether the faces are from labelled files; polarity and preprocessing are judged
            by how well fakes are told from genuine faces only then.
        progress: called after each check.

    Returns:
        One result for each check, in a fixed order.
    """
    done: list[Check] = [_describe(model)]
    try:
        varied = compute_logits(model, varied_crops(model.card.input_size, _VARIED))
        logits = compute_logits(model, (face.crop for face in faces))
    except ModelError as error:
        advice = "see the message, and check the weights and the layer"
        return [
            *done,
            Check("answers", "wrong", f"the model cannot run on pictures: {error}", advice),
        ]
    done.append(_check_answers(varied, logits))
    if done[-1].outcome == "wrong":
        return done
    subject = Subject(model, faces, logits, labelled=labelled)
    steps: list[Callable[[], Check]] = [
        lambda: _check_saturation(model, varied, logits),
        lambda: check_polarity(subject),
        lambda: check_colours(subject),
        lambda: check_scales(subject),
        lambda: check_statistics(subject),
        lambda: _check_margin(model, faces, logits),
        lambda: check_heatmaps(model, [face.crop for face in faces]),
        lambda: check_head(model, faces[0].crop),
        lambda: _measure_speed(model, faces[0].crop),
    ]
    for number, step in enumerate(steps, 1):
        done.append(step())
        if progress:
            progress(number, len(steps))
    return done


def _describe(model: Model) -> Check:
    card = model.card
    hash_ = f"SHA-256 {model.sha256}" if model.sha256 else "no weights file"
    notes = model.notes if isinstance(model, HasConvention) else ()
    return Check(
        "loads", "ok", "; ".join([f"{card.name}, version {card.version}, {hash_}", *notes])
    )


def _check_answers(varied: FloatArray, logits: FloatArray) -> Check:
    every = np.concatenate([varied, logits])
    broken = int(np.count_nonzero(~np.isfinite(every)))
    if broken:
        finding = f"the logit is not a finite number for {broken} of {len(every)} pictures"
        return Check("answers", "wrong", finding, "the weights are damaged")
    low, high = float(every.min()), float(every.max())
    if high - low <= _MIN_SPREAD * max(1.0, abs(low), abs(high)):
        return Check(
            "answers",
            "wrong",
            f"the logit is {low:.3g} (score {sigmoid(low):.2f}) for all of {len(every)} pictures",
            "load trained weights, and check how the pixels are scaled",
        )
    finding = f"logits from {low:.3g} to {high:.3g} on {len(every)} pictures"
    return Check("answers", "ok", finding)


def _check_saturation(model: Model, varied: FloatArray, logits: FloatArray) -> Check:
    every = np.concatenate([varied, logits])
    if np.abs(every).max() <= 1:
        if _ends_in_probabilities(model):
            return _check_second_ending(every)
        if _accepts(model, "probabilities"):
            return _check_probabilities(model, every)
        return Check("saturation", "caution", _undecided(every))
    share = float(np.mean(np.abs(logits) > _SATURATED))
    finding = f"{share:.0%} of the faces have a score of 0 or 1, to six digits"
    median = float(np.median(np.abs(logits)))
    if median > _ABSURD:
        return Check(
            "saturation",
            "wrong",
            f"{finding}; the median logit is {median:.0f} from 0",
            "check that the pixels are scaled as in training, not to 0 to 255 instead of 0 to 1",
        )
    return Check("saturation", "caution" if share > 0.01 else "ok", finding)


def _check_probabilities(model: Model, every: FloatArray) -> Check:
    """Tell whether logits from -1 to 1 are probabilities."""
    advice = (
        'state values = "probabilities"'
        if isinstance(model, HasConvention)
        else "let the model return logits"
    )
    low, high = float(every.min()), float(every.max())
    if low >= 0 or high <= 0:
        scores = sigmoid(np.array([low, high]))
        finding = (
            f"all logits lie between {low:.2f} and {high:.2f}, so no score is outside "
            f"{scores[0]:.2f} to {scores[1]:.2f}: the model returns probabilities"
        )
        return Check("saturation", "wrong", finding, advice)
    if _near_one(every):
        finding = (
            "all logits lie between -1 and 1, many near these limits, so every score is between "
            ".27 and .73: the model returns the difference of two probabilities"
        )
        return Check("saturation", "wrong", finding, advice)
    return Check("saturation", "caution", f"{_undecided(every)}, or it returns probabilities")


def _check_second_ending(every: FloatArray) -> Check:
    """Tell whether logits from -1 to 1, from before the end of a model, are probabilities."""
    if _near_one(every):
        finding = (
            f"{_range(every)}, many near 1 or -1: the model has a sigmoid or softmax before its "
            "last one"
        )
        return Check("saturation", "wrong", finding, "remove one of the two")
    return Check("saturation", "caution", _undecided(every))


def _range(every: FloatArray) -> str:
    return f"no logit is outside {every.min():.2f} to {every.max():.2f}"


def _undecided(every: FloatArray) -> str:
    return f"{_range(every)}: the model is undecided on every picture"


def _near_one(every: FloatArray) -> bool:
    return bool(np.mean(np.abs(every) > _NEAR_ONE) >= _NEAR_SHARE)


def _ends_in_probabilities(model: Model) -> bool:
    """Return whether logits were already computed from probabilities, or taken from before them."""
    if not isinstance(model, HasConvention):
        return False
    if model.convention.values != "auto":
        return model.convention.values == "probabilities"
    return not _accepts(model, "logits")


def _accepts(model: Model, values: Values) -> bool:
    """Return whether the outputs of a model may be what a convention says of them."""
    if not isinstance(model, HasConvention):
        return True
    try:
        model.with_convention(replace(model.convention, values=values))
    except FakelensError:
        return False
    return True


def _check_margin(model: Model, faces: Sequence[LabelledFace], logits: FloatArray) -> Check:
    """Compare logits and verdicts at other margins; caution if they depend on it.

    The limits: the median change is as large as the distance of the thresholds, or a quarter of
    the verdicts change.
    """
    rows = [row for row, face in enumerate(faces) if face.at_margins]
    if not rows:
        return Check("margin", "not checked", "install the extra 'demo', or give --labelled")
    changes, changed = [], []
    for number in range(len(MARGINS)):
        other = compute_logits(model, (faces[row].at_margins[number] for row in rows))
        changes.append(float(np.median(np.abs(other - logits[rows]))))
        changed.append(
            float(np.mean(_verdicts(other, model.card) != _verdicts(logits[rows], model.card)))
        )
    parts = (
        f"{factor:g} x the margin changes the logit by {change:.2f} (median) and "
        f"{share:.0%} of the verdicts"
        for factor, change, share in zip(MARGINS, changes, changed, strict=True)
    )
    large = max(changes) > threshold_distance(model.card.thresholds) or max(changed) > _CHANGED
    return Check("margin", "caution" if large else "ok", "; ".join(parts))


def _verdicts(logits: FloatArray, card: ModelCard) -> NDArray[np.int_]:
    scores = sigmoid(logits)
    return (scores >= card.thresholds.fake).astype(int) - (scores <= card.thresholds.real)


def _measure_speed(model: Model, crop: NDArray[np.uint8]) -> Check:
    batch = np.repeat(crop[None], _SPEED_BATCH, axis=0)

    def runs() -> Iterator[float]:
        for _ in range(_SPEED_RUNS):
            began = perf_counter()
            model.examine(batch)
            yield perf_counter() - began

    milliseconds = 1000 * float(np.median(list(runs()))) / _SPEED_BATCH
    return Check("speed", "ok", f"{milliseconds:.1f} ms a face, in batches of {_SPEED_BATCH}")
