"""Other causes of a score than a manipulation, and what the data of an item say about each."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fakelens.casework.case import Cause
from fakelens.faces.conditions import CONDITIONS
from fakelens.faces.quality import QualityFlag
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Thresholds
from fakelens.records.report import Report
from fakelens.records.tracks import Track

_NOT_MEASURED = "The software measures nothing about this."
_NO_PERSON = "No person has a score."


@dataclass(frozen=True, slots=True)
class ConsideredCause:
    """A cause and what is known about it.

    Attributes:
        name: of the cause.
        data: what the data of the item say; sentences.
        remark: of the examiner; empty if there is none.
    """

    name: str
    data: str
    remark: str


def consider(
    report: Report, numbers: Sequence[int], remarks: Sequence[Cause]
) -> list[ConsideredCause]:
    """Return the standard list of causes, followed by those that only the examiner names.

    Args:
        report: of the item.
        numbers: of the tracks to look at.
        remarks: of the examiner, by the name of a cause; a cause can have several.
    """
    people = [(report.tracks[n], report.findings[n]) for n in numbers]
    noted = defaultdict[str, list[str]](list)
    for one in remarks:
        if one.remark:
            noted[one.name.casefold()].append(one.remark)
    known = {name.casefold() for name in STANDARD}
    standard = [
        ConsideredCause(name, say(report, people), "\n".join(noted[name.casefold()]))
        for name, say in STANDARD.items()
    ]
    further = [
        ConsideredCause(one.name, _NOT_MEASURED, one.remark)
        for one in remarks
        if one.name.casefold() not in known
    ]
    return standard + further


_People = Sequence[tuple[Track, Finding]]


def _perturbed(*kinds: str) -> Callable[[Report, _People], str]:
    """Return what says how the scores change under the perturbations of some kinds."""

    def say(report: Report, people: _People) -> str:
        sentences = list(_changes(kinds, report.thresholds, people))
        return " ".join(sentences) or "Not measured for anyone."

    return say


def _changes(kinds: Sequence[str], used: Thresholds, people: _People) -> Iterator[str]:
    for _, finding in people:
        robustness = finding.assessment and finding.assessment.robustness
        if not robustness or finding.score is None:
            continue
        found = {
            name: score
            for name, score in robustness.scores.items()
            if any(kind in name for kind in kinds)
        }
        if not found:
            continue
        scores = ", ".join(f"{score:.2f} ({name})" for name, score in found.items())
        own = _band(finding.score, used)
        changed = any(_band(score, used) is not own for score in found.values())
        yield (
            f"Person {finding.person}: score {finding.score:.2f}, changed to {scores}; "
            + (
                "this crosses a threshold, so it speaks for this cause."
                if changed
                else "no threshold is crossed, so it speaks against this cause."
            )
        )


def _band(score: float, used: Thresholds) -> Verdict:
    if score >= used.fake:
        return Verdict.FAKE
    return Verdict.REAL if score <= used.real else Verdict.INCONCLUSIVE


def _recompression(report: Report, people: _People) -> str:
    sentences = [_perturbed("JPEG")(report, people)]
    for _, finding in people:
        controls = finding.assessment and finding.assessment.controls
        if controls and controls.recompression_false_alarm:
            sentences.append(
                f"Person {finding.person}: recompression alone makes this face score as fake."
            )
    return " ".join(sentences)


def _condition(*names: str) -> Callable[[Report, _People], str]:
    """Return what compares conditions with those of the validation data."""
    begins = tuple(CONDITIONS[name].title.split("{", 1)[0] for name in names)

    def say(report: Report, people: _People) -> str:
        known = {one.name for one in report.model.domain.ranges} if report.model.domain else set()
        checked = [finding for _, finding in people if finding.domain]
        if not checked or not known & set(names):
            return "Not compared with the validation data."
        outside = [
            f"Person {finding.person}: {text}."
            for finding in checked
            for text in (finding.domain.outside if finding.domain else ())
            if text.startswith(begins)
        ]
        if outside:
            return " ".join((*outside, "This speaks for this cause."))
        inside = "ithin the range of the validation data, which speaks against this cause."
        if len(checked) == len(people):
            return f"W{inside}"
        numbers = ", ".join(str(finding.person) for finding in checked)
        return f"Person {numbers}: w{inside} The others were not compared."

    return say


def _small_faces(report: Report, people: _People) -> str:
    smallest = report.model.smallest_face
    sentences = []
    for track, finding in people:
        sides = (track.boxes[:, 2:] - track.boxes[:, :2]).min(axis=1)
        side = float(np.median(sides))
        below = "below" if side < smallest else "not below"
        sentences.append(
            f"Person {finding.person}: median width {side:.0f} pixels, {below} the model's limit "
            f"of {smallest:.0f} pixels."
        )
    return " ".join(sentences) or _NO_PERSON


def _blur(report: Report, people: _People) -> str:
    compared = _condition("sharpness", "detail")(report, people)
    return f"{_flagged(QualityFlag.BLURRED, people)} {compared}"


def _no_face(report: Report, people: _People) -> str:
    return _flagged(QualityFlag.LOW_CONFIDENCE, people)


def _flagged(flag: QualityFlag, people: _People) -> str:
    number = sum(int(np.count_nonzero(track.quality_flags & flag.value)) for track, _ in people)
    total = sum(len(track) for track, _ in people)
    return f"{number} of {total} faces: {flag.descriptions[0]}." if total else _NO_PERSON


def _damage(report: Report, people: _People) -> str:
    number = len(report.damage)
    return f"Damage found in {number} places." if number else "No damage was found."


def _unseen_kinds(report: Report, people: _People) -> str:
    limits = " ".join(report.model.limits) or "The model card states no limits."
    return f"A low score does not speak against such a manipulation. By the model card: {limits}"


def _nothing(report: Report, people: _People) -> str:
    return _NOT_MEASURED


STANDARD: dict[str, Callable[[Report, _People], str]] = {
    "Compression and re-encoding": _recompression,
    "Change of resolution": _perturbed("resolution"),
    "Framing of the face (crop, shift)": _perturbed("crop", "shift"),
    "Small faces": _small_faces,
    "Blur and loss of detail": _blur,
    "Lighting": _condition("brightness"),
    "Pose": _condition("turn"),
    "Beauty filters and camera processing": _nothing,
    "Make-up, glasses, beard, skin": _nothing,
    "Something that is not a face": _no_face,
    "Damage of the file": _damage,
    "Kinds of manipulation the model does not see": _unseen_kinds,
}
"""The standard list: name of a cause, and what says in words what the data of an item show."""
