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
    TrustMark.SUPPORTED: "heatmap supported, it shows what the score depends on",
    TrustMark.WEAK: "heatmap weak, the score depends little on the areas it marks",
    TrustMark.CHANCE: "heatmap not better than chance, do not read places from it",
}
_ABLATIONS = {
    "features": "setting the top 20 % of cells to zero in the explained layer",
    "deletion": "blurring the pixels under the top 20 % of cells",
    "insertion": "blurring all pixels but those under the top 20 % of cells",
    "road": "interpolating the pixels under the top 20 % of cells",
}
_CONTROLS = {
    ControlOutcome.DETECTED: "control detected: a synthetic forgery added to this person's own "
    "frames scores {score:.2f}",
    ControlOutcome.PARTIAL: "control partly detected: a synthetic forgery added to this person's "
    "own frames raises the score to {score:.2f}, which is not likely fake",
    ControlOutcome.MISSED: "control missed: a synthetic forgery added to this person's own frames "
    "does not raise the score ({score:.2f})",
    ControlOutcome.UNKNOWN: "control not informative: this person already scores as fake (with a "
    "synthetic forgery: {score:.2f})",
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
    faces = "1 face" if found.faces == 1 else f"{found.faces} faces"
    details = [
        f"{_ABLATIONS[found.ablation]} changes the logit by {-found.drop:+.1f} (random 20 %: "
        f"{-found.random_drop:+.1f}; p = {found.p:.2f}, {faces})"
    ]
    if found.random_effect is not None:
        details.append(
            f"the difference of the two is {abs(found.drop - found.random_drop):.1f}; with the "
            f"weights of the last layers in random order it is at most {found.random_effect:.1f}"
        )
    if found.completeness is not None:
        complete = _COMPLETE[0] <= found.completeness <= _COMPLETE[1]
        share = f"{found.completeness:.0%} of the logit"
        details.append(
            f"the cells add up to {share}" if complete else "the cells do not add up to the logit"
        )
    if found.ablation != "features":
        # Measured on pictures that no camera took, a faithful heatmap may fail.
        details.append("removing pixels leaves traces that a forgery detector may react to")
    return f"{_MARKS[found.mark]}: {'; '.join(details)}"


def _robustness_sentence(found: Robustness) -> str:
    low, high = found.score_range
    lowest = min(found.scores, key=lambda name: found.scores[name])
    highest = max(found.scores, key=lambda name: found.scores[name])
    return (
        f"robustness: re-cropping and recompression move the score between {low:.2f} and "
        f"{high:.2f} ({lowest}: {found.scores[lowest]:.2f}; {highest}: "
        f"{found.scores[highest]:.2f})"
    )


def _control_sentences(found: Controls) -> list[str]:
    sentences = [_CONTROLS[found.outcome].format(score=found.forged_score)]
    known = found.outcome in (ControlOutcome.DETECTED, ControlOutcome.PARTIAL)
    if known and found.evidence_inside is not None:
        sentences[0] += (
            f"; {found.evidence_inside:.0%} of the added evidence lies inside the forged area, "
            f"which covers {found.area_inside:.0%} of the heatmap"
        )
    if found.recompression_false_alarm:
        sentences.append(
            "false alarm when recompressed: the untouched frames, compressed again, score "
            f"{found.recompressed_score:.2f}"
        )
    return sentences
