"""Checks of what a user states about a model: polarity, order of the colours, mean and deviation.

Two kinds of evidence are used. *Separation*: with labels, the AUC of fakes over genuine faces under
the stated and under another preprocessing, on the same bootstrap resamples of groups. It is weak:
a detector loses little by a small mistake. *Layer statistics*: batch normalisations keep mean and
variance of their inputs in training, and under the right preprocessing faces have nearly the same.
This needs no labels and few faces, and is strong for the scale of the pixels; for the order of the
colours less so, since faces have a similar brightness in all three.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fakelens.evaluation.check_conventions import Alternative, other_scales, reversed_colours
from fakelens.evaluation.check_results import Check, Outcome
from fakelens.evaluation.check_statistics import (
    Interval,
    Resamples,
    interval,
    layer_distances,
)
from fakelens.evaluation.labelled_faces import LabelledFace
from fakelens.models.batching import compute_logits, stack_batches
from fakelens.records.arrays import FloatArray
from fakelens.records.models import HasNormStatistics, Model, NormStatistics

# Logarithms of how many times nearer the statistics must be. Measured on four MesoNets and a patch
# network: a wrong scale is at least 2.7 farther than the right one. Reversed colours are between
# 0.2 nearer and 2.4 farther, so that some networks cannot tell.
_NEARER_SCALE, _NEARER_COLOURS = 1.0, 0.3
# Two portraits can be that much nearer by chance if a model was trained on other pictures.
_NEARER_SCALE_OF_FEW = 2.5
# Nats. Layers of those networks are at most 0.5 away; after a layer with random weights 0.1 to 9.9.
_FAR, _VERY_FAR = 0.75, 2.0
_STATISTICS_FACES = 96
_NO_LABELS = "give --labelled TABLE.csv with genuine and fake videos or pictures of many people"
_FEW_LABELS = "cannot tell from so few people: give more files of each label"
_FALL = 0.8  # share of the synthetic forgeries whose logit falls, to suspect the polarity


class Subject:
    """A model with the faces it is checked on.

    Args:
        model: to check.
        faces: N faces.
        logits: (N,) of the faces.
        labelled: whether the faces are from labelled files.
    """

    def __init__(
        self, model: Model, faces: Sequence[LabelledFace], logits: FloatArray, *, labelled: bool
    ) -> None:
        self.model, self.faces, self.logits, self.labelled = model, faces, logits, labelled
        self.fake = np.array([face.fake for face in faces])
        self.groups = [face.group for face in faces]

    @cached_property
    def resamples(self) -> Resamples:
        """Resamples of the groups."""
        return Resamples(self.groups, self.fake)

    @property
    def judges(self) -> bool:
        """Whether there are labels, and enough groups of each."""
        return self.labelled and self.resamples.enough

    @property
    def needs(self) -> str:
        """What a check that judges by labels needs."""
        return _FEW_LABELS if self.labelled else _NO_LABELS

    @cached_property
    def auc(self) -> NDArray[np.float64]:
        """AUC of all faces, then of the resamples."""
        return self.resamples.auc(self.logits)

    @cached_property
    def some(self) -> list[LabelledFace]:
        """Genuine faces for layer statistics, or all if there are too few."""
        genuine = [face for face in self.faces if not face.fake]
        return genuine[:: max(1, len(genuine) // _STATISTICS_FACES)]

    @property
    def few(self) -> bool:
        """Whether the faces for layer statistics are of too few groups for a bootstrap."""
        return not Resamples([face.group for face in self.some]).enough_groups

    @cached_property
    def statistics(self) -> Sequence[NormStatistics]:
        """Statistics of the batch normalisations; empty if there are none."""
        return measure_statistics(self.model, np.stack([face.crop for face in self.some]))

    def gain(self, other: Alternative, comparisons: int) -> Interval | None:
        """Return the AUC of an alternative minus that of the model; ``None`` with few labels."""
        if not self.judges:
            return None
        crops = (
            crop
            for batch in stack_batches(face.crop for face in self.faces)
            for crop in other.change(batch)
        )
        found = self.resamples.auc(compute_logits(other.model, crops))
        return interval(found - self.auc, comparisons)

    def nearness(self, other: Alternative) -> Interval | None:
        """Return how much nearer its layer statistics are; ``None`` if it has none."""
        if not self.statistics:
            return None
        crops = other.change(np.stack([face.crop for face in self.some]))
        found = measure_statistics(other.model, crops)
        groups = [face.group for face in self.some]
        return Resamples(groups).nearness(self.statistics, found)


def measure_statistics(model: Model, crops: NDArray[np.uint8]) -> Sequence[NormStatistics]:
    """Return the statistics of the batch normalisations of a model; empty if it has none."""
    if not isinstance(model, HasNormStatistics):
        return ()
    batches = [model.norm_statistics(batch) for batch in stack_batches(crops)]
    return [
        NormStatistics(
            parts[0].layer,
            np.concatenate([part.mean for part in parts]),
            np.concatenate([part.square for part in parts]),
            parts[0].trained_mean,
            parts[0].trained_variance,
        )
        for parts in zip(*batches, strict=True)
    ]


def check_polarity(subject: Subject) -> Check:
    """Check whether fakes have higher logits than genuine faces."""
    name = "polarity"
    if subject.labelled:
        auc = interval(subject.auc)
        finding = f"AUC of fake over genuine faces {_range(auc)}, {len(set(subject.groups))} groups"
        if not subject.judges:
            return Check(name, "caution", f"{finding}: cannot tell, give more files of each label")
        if auc.high < 0.5:
            advice = "swap real and fake in the outputs that you state"
            finding += ", so logits are higher for genuine faces: the polarity is swapped"
            return Check(name, "wrong", finding, advice)
        if auc.low <= 0.5:
            return Check(name, "caution", f"{finding}: cannot tell, give more files of each label")
        return Check(name, "ok", f"{finding}: logits are higher for fakes")
    changes = _forgery_changes(subject)
    if len(changes) and np.mean(changes < 0) >= _FALL:
        finding = (
            f"the logit falls in {np.count_nonzero(changes < 0)} of {len(changes)} synthetic "
            "forgeries of portraits: the polarity may be swapped"
        )
        return Check(name, "caution", finding, _NO_LABELS)
    return Check(name, "not checked", _NO_LABELS)


def check_colours(subject: Subject) -> Check:
    """Check whether the model works better with the colours reversed."""
    name, other = "colour order", reversed_colours(subject.model)
    if other is None:
        return Check(name, "not checked", "the model does not run with the colours reversed")
    gain, nearness = subject.gain(other, 1), subject.nearness(other)
    finding = _describe(other.name, gain, nearness)
    surely_nearer = nearness and nearness.low > _NEARER_COLOURS and not subject.few
    if (gain and gain.low > 0) or surely_nearer:
        return Check(name, "wrong", f"works better with {other.name}: {finding}", other.advice)
    if not finding:
        return Check(name, "not checked", subject.needs)
    if nearness and nearness.low > 0:
        needs = f"; {subject.needs}" if subject.few else ""
        return Check(name, "caution", f"cannot tell: {finding}{needs}")
    sure = (gain and gain.high < 0) or (nearness and nearness.high < 0)
    return Check(name, "ok", finding if sure else f"no sign of {other.name}: {finding}")


def check_scales(subject: Subject) -> Check:
    """Check whether the model works better with another common mean and standard deviation."""
    name = "mean and std"
    crops = np.stack([face.crop for face in subject.some])
    others = other_scales(subject.model, crops)
    found = [(other, subject.gain(other, len(others)), subject.nearness(other)) for other in others]
    limit = _NEARER_SCALE_OF_FEW if subject.few else _NEARER_SCALE
    better = [
        (other, gain, nearness)
        for other, gain, nearness in found
        if (gain and gain.low > 0) or (nearness and nearness.low > limit)
    ]
    if better:
        other, gain, nearness = max(better, key=_strength)
        finding = f"works better with {other.name}: {_describe(other.name, gain, nearness)}"
        return Check(name, "wrong", finding, other.advice)
    if not (subject.judges or subject.statistics):
        return Check(name, "not checked", subject.needs)
    if not found:
        return Check(name, "not checked", "no other scale can be tried on this model")
    kind = "AUC and layer statistics" if subject.judges else "layer statistics"
    names = ", ".join(other.name for other, _, _ in found)
    if not subject.statistics:
        kind = "AUC"
    return Check(name, "ok", f"not surely better by {kind} with {names}")


def check_statistics(subject: Subject) -> Check:
    """Check whether the inputs of the batch normalisations are as in training."""
    name = "layer statistics"
    if not subject.statistics:
        return Check(name, "not checked", "the model states no batch normalisation")
    weights = np.ones((1, len(subject.some)))
    distances = layer_distances(subject.statistics, weights)[0]
    farthest = int(np.argmax(distances))
    finding = (
        f"the farthest of {len(distances)} batch normalisations, "
        f"{subject.statistics[farthest].layer}, is {distances[farthest]:.2g} nats from training"
    )
    if distances[farthest] <= _FAR:
        return Check(name, "ok", finding)
    advice = "check the preprocessing, and that all weights before this layer were loaded"
    outcome: Outcome = "wrong" if distances[farthest] > _VERY_FAR else "caution"
    return Check(name, outcome, finding, advice)


def _forgery_changes(subject: Subject) -> NDArray[np.float64]:
    """Return how synthetic forgeries change the logit of the genuine face of their group."""
    genuine = {
        face.group: float(logit)
        for face, logit in zip(subject.faces, subject.logits, strict=True)
        if not face.fake
    }
    return np.array(
        [
            float(logit) - genuine[face.group]
            for face, logit in zip(subject.faces, subject.logits, strict=True)
            if face.fake and face.group in genuine
        ]
    )


def _strength(found: tuple[Alternative, Interval | None, Interval | None]) -> tuple[float, float]:
    _, gain, nearness = found
    return nearness.value if nearness else 0.0, gain.value if gain else 0.0


def _describe(name: str, gain: Interval | None, nearness: Interval | None) -> str:
    """Describe the evidence for an alternative; empty without any."""
    parts = []
    if gain:
        parts.append(f"AUC changes by {_range(gain, '+.3f')}")
    if nearness:
        factor = np.exp(abs(nearness.value))
        direction = "nearer to" if nearness.value > 0 else "farther from"
        parts.append(f"layer statistics are {factor:.1f} times {direction} those of training")
    return f"with {name}, {' and '.join(parts)}" if parts else ""


def _range(found: Interval, form: str = ".3f") -> str:
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"
