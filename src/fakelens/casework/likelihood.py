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


def scale_sentence() -> str:
    """Return the ranges of the words."""
    limits = [limit for limit, _ in reversed(_STRENGTHS)]
    words = [word for _, word in reversed(_STRENGTHS)]
    ranges = [
        f"{word} {low:,} to {high:,}"
        for word, low, high in zip(words, limits, limits[1:], strict=False)
    ]
    return (
        "Words for a likelihood ratio, or for its reciprocal if it is below 1, after the verbal "
        "scale in the ENFSI guideline of 2015: neither proposition below "
        f"{limits[0]}; {'; '.join(ranges)}; {words[-1]} from {limits[-1]:,}. Other scales are in "
        "use; the number is what was computed."
    )


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


def has_ratio(finding: Finding, card: ModelCard) -> bool:
    """Return whether a person has a likelihood ratio."""
    return likelihood_ratio_sentence(finding, card) is not None


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
