"""What figures mean, in sentences for people who do not compute."""

from collections import Counter

from fakelens.records.findings import Verdict
from fakelens.records.models import Calibration
from fakelens.records.report import Report
from fakelens.records.trust import (
    Assessment,
    ControlOutcome,
    Controls,
    Faithfulness,
    Robustness,
    TrustMark,
)

_MARKS = {
    TrustMark.SUPPORTED: "the heatmap is supported: it shows what the answer rests on",
    TrustMark.WEAK: "the heatmap is weak: what it marks counts, but little of the answer",
    TrustMark.CHANCE: "the heatmap is not better than chance: do not read places from it",
}
_TAKEN_AWAY = {
    "features": "set to zero in the explained layer",
    "deletion": "blurred in the picture",
    "insertion": "left alone in a blurred picture",
    "road": "made up from its surroundings in the picture",
}


_COMPLETE = (0.5, 1.5)  # beyond, a share of the answer would only confuse


def clock(seconds: float) -> str:
    """A time in a video: minutes, seconds and tenths."""
    tenths = round(max(seconds, 0) * 10)
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02}.{rest % 10}"


def overall(report: Report) -> str:
    """What was found of all persons, in one or two sentences."""
    judged = [finding for finding in report.findings if finding.score is not None]
    what = "picture" if report.video.is_picture else "video"
    if not report.findings:
        searched = "1 frame was" if report.frames == 1 else f"{report.frames} frames were"
        return (
            f"No face was found, so nothing can be said about this {what}: {searched} searched "
            f"with {report.provenance.detector}."
        )
    if not judged:
        return f"No face in this {what} is good enough to be judged."
    counts = Counter(finding.verdict for finding in judged)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    sentence = (
        f"{len(judged)} {'person was' if len(judged) == 1 else 'persons were'} judged: {told}."
    )
    if len(judged) > 1 and (decisive := report.decisive):
        sentence += (
            f" The most suspicious of those seen well is person {decisive.person} "
            f"({decisive.verdict}, {decisive.score:.2f})."
        )
    if others := len(report.findings) - len(judged):
        sentence += f" {others} more had no face that is good enough to be judged."
    return sentence


def not_examined(report: Report) -> list[str]:
    """What was not examined or judged, and why."""
    start = float(report.video.start)
    told = [
        f"person {finding.person}, {clock(finding.first - start)} to "
        f"{clock(finding.last - start)}: {'; '.join(finding.reasons)}"
        for finding in report.findings
        if finding.score is None
    ]
    told += [f"at {clock(float(d.time) - start)}: {d.message}" for d in report.damage]
    if report.settings.every > 1:
        told.append(
            f"only one of {report.settings.every} frames was examined; heatmaps and boxes in "
            "between are interpolated"
        )
    doubtful = sum(f.examined - f.usable for f in report.findings if f.score is not None)
    if doubtful:
        told.append(
            f"{doubtful} {'face' if doubtful == 1 else 'faces'} of the persons above too small, "
            "too blurred or perhaps not a face: examined and listed, but not counted"
        )
    if report.video.audio:
        told.append("the sound: fakelens judges faces only")
    return told


def likelihood_ratio_sentence(ratio: float | None, calibration: Calibration | None) -> str | None:
    """What a base-10 logarithm of the likelihood ratio, fake over real, means."""
    if ratio is None or calibration is None:
        return None
    times = 10 ** abs(ratio)
    more, less = ("fake", "real") if ratio > 0 else ("real", "fake")
    if times < 1.5:
        return "such a face is about as frequent among the fake as among the real ones"
    number = f"{times:.1f}" if times < 9.95 else f"{times:.0f}"
    words = f"such a face is {number} times as frequent among the {more} as among the {less} ones"
    # Larger ones are held there; see ``Calibration.limit``.
    return f"{words}, the most that these bear out" if abs(ratio) >= calibration.limit else words


def trust_sentences(assessment: Assessment | None) -> list[str]:
    """How far a score and its heatmap can be trusted."""
    if assessment is None:
        return ["how far the score and the heatmap can be trusted was not measured"]
    told = [_faithfulness_sentence(assessment.faithfulness)] if assessment.faithfulness else []
    if assessment.robustness:
        told.append(_robustness_sentence(assessment.robustness))
    if assessment.controls:
        told += _control_sentences(assessment.controls)
    return [*told, *assessment.notes]


def _faithfulness_sentence(found: Faithfulness) -> str:
    faces = "one face" if found.faces == 1 else f"{found.faces} faces"
    said = (
        f"{_MARKS[found.mark]} (with its strongest fifth {_TAKEN_AWAY[found.ablation]} the logit "
        f"moves by {-found.drop:+.1f}, with random fifths by {-found.random_drop:+.1f}; "
        f"p = {found.p:.2f}, {faces}"
    )
    if found.random_effect is not None:
        said += (
            f"; these are {abs(found.drop - found.random_drop):.1f} apart, and "
            f"{found.random_effect:.1f} at most where the last layers' weights are in random orders"
        )
    if found.completeness is not None:
        share = f"{found.completeness:.0%} of the answer"
        complete = _COMPLETE[0] <= found.completeness <= _COMPLETE[1]
        said += f"; its cells add up to {share}" if complete else "; its cells do not add up to it"
    if found.ablation != "features":
        # Measured in pictures that no camera took, a true heatmap may fail.
        said += "; hiding pixels leaves traces that a detector of forgeries may react to itself"
    return f"{said})"


def _robustness_sentence(found: Robustness) -> str:
    low, high = found.score_range
    lowest = min(found.scores, key=lambda way: found.scores[way])
    highest = max(found.scores, key=lambda way: found.scores[way])
    return (
        f"prepared otherwise the score stays between {low:.2f} and {high:.2f} "
        f"({lowest}: {found.scores[lowest]:.2f}; {highest}: {found.scores[highest]:.2f})"
    )


def _control_sentences(found: Controls) -> list[str]:
    told = []
    if found.outcome is ControlOutcome.UNKNOWN:
        told.append(f"{found.outcome.value} (it would be {found.forged_score:.2f})")
    else:
        planted = f"a forgery planted into this person's own frames gets {found.forged_score:.2f}"
        told.append(f"{found.outcome.value}: {planted}")
        if found.outcome is not ControlOutcome.MISSED and found.evidence_inside is not None:
            told[-1] += (
                f", and {found.evidence_inside:.0%} of what the heatmap gains lies in it "
                f"(it takes {found.area_inside:.0%})"
            )
    if found.recompression_false_alarm:
        told.append(
            f"trigger-happy here: the untouched frames compressed anew get {found.recompressed_score:.2f}"
        )
    return told
