"""A verdict and its reliability in plain words; ``wording`` has the figures, for experts."""

from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Thresholds
from fakelens.records.trust import (
    Assessment,
    ControlOutcome,
    Controls,
    Specificity,
    SpecificityMark,
    TrustMark,
)

CHANGES = "changes if re-cropped or recompressed"

_HEATMAP = {
    TrustMark.SUPPORTED: "the heatmap is faithful to the model (says nothing about the video)",
    TrustMark.WEAK: "the heatmap is only weakly faithful to the model (says nothing about the "
    "video)",
    TrustMark.CHANCE: "the heatmap is not faithful to the model, not better than chance: do not "
    "read a place from it",
}
_CONTROLS = {
    ControlOutcome.DETECTED: "test: the model notices a synthetic forgery of this face",
    ControlOutcome.PARTIAL: "test: the model reacts to a synthetic forgery of this face, but does "
    "not call it fake",
    ControlOutcome.MISSED: "test: the model misses a synthetic forgery of this face, so a low "
    "score says little",
}


def answer(finding: Finding) -> str:
    """Return the verdict, or *not judged* if the person is not seen well enough."""
    return finding.verdict.value if finding.seen_well else "not judged"


def how_sure(finding: Finding, thresholds: Thresholds) -> str:
    """Say what weakens a verdict or, if nothing was found, that it can still be wrong."""
    if not finding.seen_well:
        return "No answer: not seen well enough."
    if finding.verdict is Verdict.INCONCLUSIVE:
        return "No answer: the model cannot tell."
    if doubts := _doubts(finding, thresholds):
        return f"Weak: {doubts[0]}."
    if finding.assessment is None or finding.assessment.robustness is None:
        return "Its stability was not checked."
    return "Can be wrong, but unchanged if re-cropped or recompressed."


def main_reason(finding: Finding, thresholds: Thresholds) -> str:
    """Return the main reason for a verdict, one sentence."""
    if finding.score is None or not finding.seen_well:
        return _sentence(finding.reasons[0])
    score = f"Score {finding.score:.2f}"
    if finding.verdict is Verdict.FAKE:
        parts = _parts(finding.assessment)
        place = f" The model reacts to: {parts[0]}; it cannot say why." if parts else ""
        return f"{score}; likely fake from {thresholds.fake:.2f}.{place}"
    if finding.verdict is Verdict.REAL:
        return f"{score}; likely real up to {thresholds.real:.2f}. The model misses many forgeries."
    if thresholds.real < finding.score < thresholds.fake:
        return (
            f"{score}, between likely real (to {thresholds.real:.2f}) and likely fake (from "
            f"{thresholds.fake:.2f})."
        )
    return _sentence(finding.reasons[0])


def reliability(finding: Finding, thresholds: Thresholds) -> list[str]:
    """Say in plain words how far a verdict and its heatmap can be trusted."""
    assessment = finding.assessment
    if assessment is None:
        return ["the reliability of the score and the heatmap was not measured"]
    sentences = []
    if robustness := assessment.robustness:
        low, high = robustness.score_range
        if finding.verdict is Verdict.INCONCLUSIVE:
            change = "the score, if re-cropped or recompressed"
        elif _crosses((low, high), finding, thresholds):
            change = f"the verdict {CHANGES}"
        else:
            change = "the verdict stays the same if re-cropped or recompressed"
        sentences.append(f"{change}: {low:.2f} to {high:.2f}")
    if assessment.controls:
        sentences += _control_sentences(assessment.controls)
    answers = []
    if finding.trust_mark:
        answers.append(_HEATMAP[finding.trust_mark])
    if assessment.specificity:
        answers.append(_specificity_sentence(assessment.specificity))
    if answers:
        answers.append("a marked area need not be edited")
    return sentences + answers


def _doubts(finding: Finding, thresholds: Thresholds) -> list[str]:
    """Return what speaks against relying on a verdict, the weightiest first."""
    assessment = finding.assessment
    doubts = []
    if finding.domain and not finding.domain.inside:
        doubts.append("unlike the faces the model was validated on")
    if assessment:
        if assessment.robustness and _crosses(
            assessment.robustness.score_range, finding, thresholds
        ):
            doubts.append(f"the verdict {CHANGES}")
        controls = assessment.controls
        if finding.verdict is Verdict.FAKE and controls and controls.recompression_false_alarm:
            doubts.append("recompression alone makes this face look fake")
    if finding.interval and _crosses(finding.interval, finding, thresholds):
        doubts.append("the score varies over time")
    return doubts


def _crosses(score_range: tuple[float, float], finding: Finding, thresholds: Thresholds) -> bool:
    """Return whether a score range leaves the verdict's side of its threshold."""
    low, high = score_range
    return low < thresholds.fake if finding.verdict is Verdict.FAKE else high > thresholds.real


def _control_sentences(found: Controls) -> list[str]:
    sentences = [_CONTROLS[found.outcome]] if found.outcome in _CONTROLS else []
    if found.recompression_false_alarm:
        sentences.append("test: recompression alone makes this face look fake")
    return sentences


def _specificity_sentence(found: Specificity) -> str:
    if found.mark is SpecificityMark.USUAL:
        return "the heatmap is not specific to this face: it looks alike on genuine faces"
    parts = f"; stands out: {', '.join(found.parts)}" if found.parts else ""
    return f"the heatmap is specific to this face: it shows more than on genuine faces{parts}"


def _parts(assessment: Assessment | None) -> tuple[str, ...]:
    return assessment.specificity.parts if assessment and assessment.specificity else ()


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}{'' if reason.endswith('.') else '.'}"
