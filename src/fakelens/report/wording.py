"""Sentences for report readers: what the figures of a report mean."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from fakelens.explain.baseline import PARTS
from fakelens.records.findings import DomainCheck, Finding, Verdict
from fakelens.records.models import ModelCard
from fakelens.records.report import Report
from fakelens.records.times import format_time
from fakelens.records.trust import (
    Assessment,
    ControlOutcome,
    Controls,
    Faithfulness,
    Robustness,
    Specificity,
    SpecificityMark,
    TrustMark,
)
from fakelens.report.error_rates import first_record

_MARKS = {
    TrustMark.SUPPORTED: "supported, it shows what the score depends on",
    TrustMark.WEAK: "weak, the score depends little on the areas it marks",
    TrustMark.CHANCE: "not better than chance, do not read locations from it",
}
_ABLATIONS = {
    "features": "setting the top 20 % of cells to zero in the explained layer",
    "deletion": "blurring the pixels under the top 20 % of cells",
    "insertion": "blurring all pixels except those under the top 20 % of cells",
    "road": "interpolating the pixels under the top 20 % of cells",
}
_CONTROLS = {
    ControlOutcome.DETECTED: "control detected: a synthetic forgery added to this person's own "
    "frames scores {score:.2f}",
    ControlOutcome.PARTIAL: "control partly detected: a synthetic forgery added to this person's "
    "own frames raises the score to {score:.2f}, still below likely fake",
    ControlOutcome.MISSED: "control missed: a synthetic forgery added to this person's own frames "
    "does not raise the score ({score:.2f})",
    ControlOutcome.UNKNOWN: "control not informative: this person already scores as fake (with a "
    "synthetic forgery: {score:.2f})",
}
# Range of the completeness within which it is shown as a percentage; outside it, a figure such as
# "-340 % of the logit" would only confuse.
_COMPLETENESS_RANGE = (0.5, 1.5)


def overall(report: Report) -> str:
    """Summarise the verdicts on all people in a few sentences."""
    judged = [finding for finding in report.findings if finding.seen_well]
    medium = "picture" if report.video.is_picture else "video"
    damaged = (
        f" Parts of the {medium} could not be read, see Not examined." if report.damage else ""
    )
    if not report.findings:
        searched = "1 frame was" if report.frames == 1 else f"{report.frames} frames were"
        return (
            f"No face was found, so nothing can be said about this {medium}. {searched} searched "
            f"with {report.provenance.detector}.{damaged}"
        )
    if not judged:
        return f"Nobody in this {medium} is seen well enough to be judged.{damaged}"
    counts = Counter(finding.verdict for finding in judged)
    verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    sentences = [f"{_people(len(judged))} judged: {verdicts}."]
    if len(judged) > 1 and (decisive := report.decisive):
        sentences.append(
            f"Most suspicious of those with enough good faces: person {decisive.person} "
            f"({decisive.verdict}, {decisive.score:.2f})."
        )
    if others := len(report.findings) - len(judged):
        sentences.append(f"{_people(others)} could not be judged: not seen well enough.")
    return " ".join(sentences) + damaged


def damage_sentences(report: Report) -> list[str]:
    """List what could not be read, and where in a video."""
    if report.video.is_picture:
        return [damage.message for damage in report.damage]
    start = report.video.start
    return [f"at {format_time(float(d.time - start))}: {d.message}" for d in report.damage]


def not_examined(report: Report) -> list[str]:
    """List what was not examined or not judged, and why."""
    start = float(report.video.start)
    unscored = defaultdict[str, list[Finding]](list)  # by reasons: crowds have dozens of them
    for finding in report.findings:
        if finding.score is None:
            unscored["; ".join(finding.reasons)].append(finding)
    items = [f"{_who_and_when(people, start)}: {why}" for why, people in unscored.items()]
    items += damage_sentences(report)
    items += [f"{other}: choose it with --stream" for other in report.video.other_streams]
    if report.settings.every > 1:
        items.append(
            f"only one in {report.settings.every} frames was examined; heatmaps and boxes in "
            "between are interpolated"
        )
    rejected = sum(f.examined - f.usable for f in report.findings if f.score is not None)
    if rejected:
        items.append(
            f"{rejected} {'face' if rejected == 1 else 'faces'} of the people with a score: too "
            "small, too blurred or perhaps not a face, so listed but not counted"
        )
    if report.video.audio:
        items.append("the sound: fakelens examines faces only")
    return items


def _who_and_when(findings: Sequence[Finding], start: float) -> str:
    if len(findings) > 1:
        return f"{len(findings)} people ({', '.join(str(one.person) for one in findings)})"
    [finding] = findings
    first, last = format_time(finding.first - start), format_time(finding.last - start)
    return f"person {finding.person}, {first} to {last}"


def ratio_cost(card: ModelCard) -> float | None:
    """Return the Cllr of a model's likelihood ratios by the first of its error records.

    ``None`` if it was not measured, or if the ratios carry no information (1 or more).
    """
    record = first_record(card)
    cost = record.cllr if record else None
    return cost if cost is not None and cost < 1 else None


def likelihood_ratio_sentence(finding: Finding, card: ModelCard) -> str | None:
    """Explain a person's likelihood ratio and what such ratios are worth.

    ``None`` if there is no ratio, if ratios of this model were not shown to carry information, or
    if the person is not known to be seen under conditions like those of the validation data.
    """
    ratio, calibration, cost = finding.log10_likelihood_ratio, card.calibration, ratio_cost(card)
    checked = finding.domain.inside if finding.domain else card.domain is None
    if ratio is None or calibration is None or cost is None or not checked:
        return None
    # Cllr is in bits: 1 is the cost of knowing nothing about a clip, 0 that of the true answer.
    known = _percent(1 - cost) if cost < 0.995 else "less than 1 %"
    return (
        f"in the model's calibration data, {_frequency(ratio, calibration.limit)} (base-10 "
        f"logarithm of the likelihood ratio: {ratio:+.1f}); on the clips counted above, such "
        f"ratios carry {known} of the information of perfect ones (Cllr {cost:.2f}; 1 would be no "
        "information)"
    )


def ratio_limit_sentence(card: ModelCard) -> str:
    """Say up to which likelihood ratio a calibrated model goes, or why none is shown."""
    record = first_record(card)
    if record is None or record.cllr is None:
        return "Likelihood ratios are not shown: their worth on other clips was not measured."
    if ratio_cost(card) is None:
        return (
            "Likelihood ratios are not shown: they carry no information on the clips counted below "
            f"(Cllr {record.cllr:.2f})."
        )
    limit = 10**card.calibration.limit if card.calibration else 1
    return f"Likelihood ratios are given up to {limit:.0f}, the largest these data support."


def domain_sentence(domain: DomainCheck | None) -> str | None:
    """Say whether a person is seen under conditions like those of the validation data."""
    if domain is None:
        return None
    if domain.inside:
        return "seen under conditions like those the model was validated on"
    conditions = "; ".join(sentence.rstrip(".") for sentence in domain.outside)
    return "outside the range of the validation data" + (f": {conditions}" if conditions else "")


def trust_sentences(assessment: Assessment | None) -> list[str]:
    """Say how reliable a score and its heatmap are."""
    if assessment is None:
        return ["the reliability of the score and the heatmap was not measured"]
    sentences = []
    if assessment.faithfulness:
        sentences.append(_faithfulness_sentence(assessment.faithfulness))
    if assessment.specificity:
        sentences.append(_specificity_sentence(assessment.specificity, assessment.faithfulness))
    if answers := len(sentences):
        nothing = "neither answer means" if answers == 2 else "this does not mean"
        sentences.append(f"{nothing} that the marked area was edited")
    if assessment.robustness:
        sentences.append(_robustness_sentence(assessment.robustness))
    if assessment.controls:
        sentences += _control_sentences(assessment.controls)
    return [*sentences, *assessment.notes]


def _frequency(ratio: float, limit: float) -> str:
    """Compare the frequencies of a face by the base-10 logarithm of their ratio, fake over real."""
    times = 10 ** abs(ratio)
    more, less = ("fake", "real") if ratio > 0 else ("real", "fake")
    if times < 1.5:
        return "such a face is about as frequent among fake faces as among real ones"
    number = f"{times:.1f}" if times < 9.95 else f"{times:.0f}"
    sentence = f"such a face is {number} times as frequent among {more} faces as among {less} ones"
    if abs(ratio) < limit:
        return sentence
    return f"{sentence}, capped at the largest ratio the calibration data support"


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _faithfulness_sentence(found: Faithfulness) -> str:
    faces = "1 face" if found.faces == 1 else f"{found.faces} faces"
    details = [
        f"{_ABLATIONS[found.ablation]} changes the logit by {-found.drop:+.1f} (random 20 %: "
        f"{-found.random_drop:+.1f}; p = {found.p:.2f}, {faces})"
    ]
    if found.random_effect is not None:
        details.append(
            f"the two differ by {abs(found.drop - found.random_drop):.1f}; with the weights of the "
            f"last layers shuffled, by at most {found.random_effect:.1f}"
        )
    if found.completeness is not None:
        low, high = _COMPLETENESS_RANGE
        details.append(
            f"the cells add up to {_percent(found.completeness)} of the logit"
            if low <= found.completeness <= high
            else "the cells do not add up to the logit"
        )
    if found.ablation != "features":
        # Altered pixels look like no camera image, so a faithful heatmap may fail this test.
        details.append("removing pixels leaves traces that a forgery detector may react to")
    return f"heatmap faithful to the model: {_MARKS[found.mark]}. Test: {'; '.join(details)}"


def _specificity_sentence(found: Specificity, faithfulness: Faithfulness | None) -> str:
    faces = "1 face" if found.faces == 1 else f"{found.faces} faces"
    parts = f". Stands out: {', '.join(found.parts)}" if found.parts else ""
    compared = "more" if found.excess >= 0 else "less"
    return (
        f"heatmap {found.mark}: {_specificity_reason(found, faithfulness)}. Correlation with what "
        f"this model shows on genuine faces: {found.similarity:.2f}{parts}. Test: without the 20 % "
        "of cells that exceed the mean heatmap on genuine faces most, the logit falls by "
        f"{abs(found.excess):.1f} {compared} than expected of a genuine face (19 in 20 genuine "
        f"faces: by less than {found.limit:.1f} more; {faces})"
    )


def _specificity_reason(found: Specificity, faithfulness: Faithfulness | None) -> str:
    """Name the condition that a heatmap fails; see ``trust.specificity``."""
    more = "it shows more than this model shows on genuine faces"
    if found.mark is SpecificityMark.SPECIFIC:
        return more
    if not found.excess > found.limit:
        return "it does not show more than this model shows on genuine faces"
    if faithfulness is None:
        return f"{more}, but whether it is faithful to the model was not measured"
    if faithfulness.mark is TrustMark.CHANCE:
        return f"{more}, but it is not faithful to the model"
    return f"{more}, but not clearly more than random heatmaps or the reference heatmap"


def _robustness_sentence(found: Robustness) -> str:
    low, high = found.score_range
    lowest = min(found.scores, key=lambda name: found.scores[name])
    highest = max(found.scores, key=lambda name: found.scores[name])
    return (
        "robustness: changes of crop, compression and resolution move the score between "
        f"{low:.2f} and {high:.2f} ({lowest}: {found.scores[lowest]:.2f}; {highest}: "
        f"{found.scores[highest]:.2f})"
    )


def _control_sentences(found: Controls) -> list[str]:
    sentences = [_CONTROLS[found.outcome].format(score=found.forged_score)]
    known = found.outcome in (ControlOutcome.DETECTED, ControlOutcome.PARTIAL)
    if known and found.evidence_inside is not None:
        sentences[0] += (
            f"; {_percent(found.evidence_inside)} of the added evidence lies inside the forged "
            f"area, which covers {_percent(found.area_inside)} of the heatmap"
        )
    if found.parts_named is not None and found.parts_forged:
        sentences.append(
            f"the heatmap names the forged part in {found.parts_named} of {found.parts_forged} "
            f"synthetic forgeries of this face (by chance: about 1 in {len(PARTS)})"
        )
    if found.recompression_false_alarm:
        sentences.append(
            "false alarm when recompressed: the original frames, compressed again, score "
            f"{found.recompressed_score:.2f}"
        )
    return sentences
