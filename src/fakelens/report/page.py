"""``report.html``: one page to read in a browser, from disk, without a network."""

from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from fakelens.data import Calibration, sigmoid
from fakelens.draw import Style
from fakelens.explain import METHODS, Method
from fakelens.report import pictures, table, video
from fakelens.results import Report, Track, Verdict

FILE_NAME = "report.html"
_POINTS = 400  # of a curve: more than a screen shows
_COLOURS = {Verdict.FAKE: "fake", Verdict.REAL: "real", Verdict.INCONCLUSIVE: "unsure"}


def write_page(report: Report, folder: Path, style: Style, notes: tuple[str, ...]) -> None:
    """Write the page.

    Args:
        report: what to show.
        style: what was drawn.
        folder: that holds the report's other files; the page links to those that are there.
        notes: on how the annotated video differs from its source; sentences.
    """
    environment = Environment(
        loader=PackageLoader("fakelens", "report"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    method = METHODS[report.cam]
    start = float(report.video.start)
    duration = float(report.video.duration or 0) or max(
        (finding.last - start for finding in report.findings), default=0.0
    )
    html = environment.get_template("page.html.jinja").render(
        report=report,
        method=method,
        shown=_shown(method, style),
        duration=max(duration, 1e-3),
        start=start,
        persons=[
            {
                "finding": finding,
                "worth": _worth(finding.log10_likelihood_ratio, report.network.calibration),
                "class": _COLOURS[finding.verdict],
                "picture": f"{pictures.FACES_FOLDER}/{pictures.face_name(finding.person)}",
                "curve": _curve(track, start, max(duration, 1e-3)),
            }
            for track, finding in zip(report.tracks, report.findings, strict=True)
        ],
        unjudged=[finding for finding in report.findings if finding.score is None],
        video=_present(folder, video.FILE_NAME),
        still=_present(folder, pictures.STILL_NAME),
        table=table.FILE_NAME,
        notes=notes,
    )
    (folder / FILE_NAME).write_text(html, encoding="utf-8")


def _present(folder: Path, name: str) -> str | None:
    return name if (folder / name).exists() else None


def _shown(method: Method, style: Style) -> str:
    """What the drawn cells speak for."""
    if style.evidence == "both" and method.signed:
        return "fake, and blue for real"
    if method.positive == "neither" or style.evidence == "fake":
        return method.positive
    return {"fake": "real", "real": "fake"}[method.positive]


def _worth(ratio: float | None, calibration: Calibration | None) -> str | None:
    """What a base-10 logarithm of the likelihood ratio, fake over real, means, in words."""
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


def _curve(track: Track, start: float, duration: float) -> str:
    """Points of an SVG polyline: time on 0..1000, score on 100..0 (1 = fake on top)."""
    times = track.times - start
    bins = np.clip((times / duration * _POINTS).astype(int), 0, _POINTS - 1)
    points = []
    for column in np.unique(bins):
        here = bins == column
        x = 1000 * float(times[here].mean()) / duration
        points.append(f"{x:.1f},{100 - 100 * float(sigmoid(np.median(track.logits[here]))):.1f}")
    return " ".join(points)
