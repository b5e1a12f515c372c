"""Likelihood ratios in the words of the scale of ENFSI, or the reason why none is given.

The scale is that of the *ENFSI Guideline for Evaluative Reporting in Forensic Science* (2015).
"""

from collections.abc import Iterator

from fakelens.records.findings import Finding
from fakelens.records.models import ModelCard
from fakelens.report.wording import likelihood_ratio_sentence, ratio_limit_sentence

_STRENGTHS = (
    (1_000_000, "extremely strong"),
    (10_000, "very strong"),
    (1_000, "strong"),
    (100, "moderately strong"),
    (10, "moderate"),
    (2, "weak"),
)
"""Strength of the support from a likelihood ratio on."""


def verbal_scale(log10_ratio: float) -> str:
    """Return what a likelihood ratio supports, in words.

    Args:
        log10_ratio: base-10 logarithm of the ratio, fake over real.
    """
    favoured, other = ("forged", "genuine") if log10_ratio > 0 else ("genuine", "forged")
    times = 10 ** abs(log10_ratio)
    for limit, strength in _STRENGTHS:
        if times >= limit:
            return f"{strength} support for a {favoured} face rather than a {other} one"
    return "supports neither a forged nor a genuine face over the other"


def ratio_statement(finding: Finding, card: ModelCard) -> str:
    """Say what a person's likelihood ratio is in numbers and words, or why none is given."""
    sentence = likelihood_ratio_sentence(finding, card)
    if sentence is None or finding.log10_likelihood_ratio is None:
        return f"none given: {'; '.join(_reasons(finding, card))}"
    return f"{verbal_scale(finding.log10_likelihood_ratio)}: {sentence}"


def _reasons(finding: Finding, card: ModelCard) -> Iterator[str]:
    if card.calibration is None:
        yield "the model is not calibrated"
        return
    if not finding.seen_well:
        yield "the person is not seen well enough"
    elif finding.domain is not None and not finding.domain.inside:
        yield "the person is outside the range of the validation data"
    elif finding.domain is None and card.domain is not None:
        yield "the conditions were not compared with those of the validation data"
    limit = ratio_limit_sentence(card).rstrip(".")
    if "not shown" in limit:
        yield limit[0].lower() + limit[1:]
