"""What the page says about its heatmaps: which one is shown, the colours, and what is left out."""

from dataclasses import dataclass, replace

import numpy as np

from fakelens.explain.cam import CamMethod
from fakelens.records.findings import Verdict
from fakelens.records.report import Report
from fakelens.records.trust import SpecificityMark, TrustMark
from fakelens.render.overlay import certainty, specificity_of
from fakelens.render.painter import ISOLINES, colour_tables
from fakelens.render.ranking import MOST_IN_FULL
from fakelens.render.style import Style
from fakelens.report.heatmap_layer import Layer

_STEPS = 50  # of the colour bar


@dataclass(frozen=True, slots=True)
class Legend:
    """The text below the video; the page shows either ``compared`` or ``whole``.

    Attributes:
        compared: for heatmaps minus the baseline; ``None`` if nobody has one.
        whole: for whole heatmaps.
        rest: holds for both.
        unit: of the colour bar.
    """

    compared: str | None
    whole: str
    rest: str
    unit: str


def make_legend(method: CamMethod, style: Style, layer: Layer, report: Report) -> Legend:
    """Explain the colours of the heatmap and what the layer omits."""
    found = [specificity_of(finding) for finding in report.findings]
    compared = None
    if any(found):
        compared = (
            "Shown: the heatmap compared with genuine faces, that is, without what this model "
            f"shows on them. {_colours_of_differences(method)} ({method.title})."
        )
        if not all(found):
            compared += " People who could not be compared are shown with the whole heatmap."
    whole = f"{_colours(method)} ({method.title})."
    if any(found):
        whole = f"Shown: the whole heatmap, with what this model shows on any face. {whole}"
    unit = f"100 % = strongest evidence in this {_medium(report)}"
    return Legend(compared, whole, " ".join(_rest(style, layer, report)), unit)


def colour_bar(style: Style, *, both: bool) -> list[tuple[str, float]]:
    """Return the colours of the heatmap at even steps: CSS colour and opacity 0..1.

    Args:
        style: of the heatmaps.
        both: from the strongest evidence for real to that for fake; otherwise from no evidence on.
    """
    colours, alpha = colour_tables(replace(style, evidence="both", opacity=1))
    first = 0 if both else len(alpha) // 2
    entries = np.linspace(first, len(alpha) - 1, _STEPS).round().astype(int)
    return [
        ("#{:02x}{:02x}{:02x}".format(*colours[entry].tolist()), round(alpha[entry] / 255, 2))
        for entry in entries.tolist()
    ]


def colour_ticks(*, both: bool) -> list[tuple[float, str, bool]]:
    """Return the ticks of the colour bar: place 0..1, label, and whether it is an isoline.

    Args:
        both: as for ``colour_bar``.
    """
    strengths = (0.0, *ISOLINES, 1.0)
    if both:
        strengths = (*(-one for one in reversed(strengths[1:])), *strengths)
    return [
        (
            (one + 1) / 2 if both else one,
            f"{100 * abs(one):.0f}{' %' if abs(one) == 1 else ''}",
            abs(one) in ISOLINES,
        )
        for one in strengths
    ]


def shows_both_sides(method: CamMethod) -> bool:
    """Return whether the heatmaps show evidence for fake and for real separately."""
    return method.signed and method.positive == "fake"


def _colours(method: CamMethod) -> str:
    if method.positive == "neither":
        return "The heatmap marks what the layer responds to most, for fake or for real"
    if shows_both_sides(method):
        return "Warm colours mark evidence for fake, blue ones evidence for real"
    return f"The heatmap marks evidence for {method.positive}"


def _colours_of_differences(method: CamMethod) -> str:
    if method.positive == "neither":
        return "It marks what the layer responds to more than on genuine faces"
    if shows_both_sides(method):
        return "Warm colours mark more evidence for fake than usual, blue ones more for real"
    return f"It marks more evidence for {method.positive} than usual"


def _rest(style: Style, layer: Layer, report: Report) -> list[str]:
    sentences = [
        "All faces are drawn on one scale: 100 % is the strongest evidence in this "
        f"{_medium(report)}. The thin lines are at 33 % and 67 %."
    ]
    if certainty(report) < 1:
        sentences.append("The model is undecided, so heatmaps are fainter.")
    if any(finding.trust_mark is TrustMark.CHANCE for finding in report.findings):
        sentences.append("Hatched: not better than chance.")
    marks = {found.mark for finding in report.findings if (found := specificity_of(finding))}
    if SpecificityMark.USUAL in marks:
        sentences.append("Faded: not specific to this face.")
    if any(finding.verdict is Verdict.INCONCLUSIVE for finding in report.findings):
        sentences.append("Also faded: inconclusive people.")
    if len(report.tracks) > MOST_IN_FULL:
        sentences.append(
            f"At most {MOST_IN_FULL} people at a time have a heatmap and a label: the most "
            "suspicious. Point at a box to see its label."
        )
    if style.smooth and not report.video.is_picture:
        sentences.append(
            "Heatmaps and scores on the video are smoothed over 0.1 s; the charts show the "
            "score of each frame."
        )
    rate = float(report.video.rate or 0) / report.settings.every
    if layer.maps_per_second and layer.maps_per_second < 0.9 * rate:
        sentences.append(
            f"This page contains {layer.maps_per_second:.1f} heatmaps per second and interpolates "
            "between them."
        )
    if layer.omitted:
        people = "1 person" if layer.omitted == 1 else f"{layer.omitted} people"
        sentences.append(f"The least suspicious {people} are not drawn on the video.")
    return sentences


def _medium(report: Report) -> str:
    return "picture" if report.video.is_picture else "video"
