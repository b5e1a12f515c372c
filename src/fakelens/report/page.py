"""``report.html``: one page to read in a browser, from disk, without a network."""

from itertools import cycle
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from fakelens.assessments import Assessment, Regions
from fakelens.data import sigmoid
from fakelens.draw import Style
from fakelens.explain import METHODS, Method
from fakelens.report import pictures, table, video, words
from fakelens.results import Report, Track, Verdict

FILE_NAME = "report.html"
_POINTS = 400  # of a curve: more than a screen shows
# One for each of ``regions.NAMES``, after Okabe and Ito.
_PART_COLOURS = ("#0072b2", "#f0e442", "#d55e00", "#56b4e9", "#cc79a7", "#009e73", "#999999")
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
                "worth": words.worth(finding.log10_likelihood_ratio, report.network.calibration),
                "class": _COLOURS[finding.verdict],
                "picture": f"{pictures.FACES_FOLDER}/{picture}",
                "curve": _curve(track, start, max(duration, 1e-3)),
                "trust": words.trust(finding.assessment),
                "mean": _present(folder, f"{pictures.MEANS_FOLDER}/{picture}"),
                "layers": _layers(
                    finding.assessment.regions if finding.assessment else None,
                    start,
                    max(duration, 1e-3),
                ),
                "strongest": _strongest(track, finding.assessment, start),
            }
            for track, finding, picture in zip(
                report.tracks,
                report.findings,
                (pictures.face_name(finding.person) for finding in report.findings),
                strict=True,
            )
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


def _layers(regions: Regions | None, start: float, duration: float) -> list[tuple[str, str, str]]:
    """Name, colour and SVG polygon of each part: shares of the evidence of fake over time, stacked.

    Time lies on 0..1000, shares on 100..0; where nobody was seen, there is a gap down to 100.
    """
    if regions is None:
        return []
    course = np.maximum(np.array([part.course for part in regions.parts]), 0)
    edges = np.arange(course.shape[1] + 1) * regions.step + regions.start - start
    across = np.repeat(1000 * np.clip(edges / duration, 0, 1), 2)[1:-1]
    tops = 100 - 100 * np.repeat(np.cumsum(course, axis=0), 2, axis=1)
    bottoms = np.vstack([np.full_like(tops[:1], 100), tops[:-1]])
    layers = []
    for part, colour, top, bottom in zip(regions.parts, cycle(_PART_COLOURS), tops, bottoms):
        x, y = np.concatenate([across, across[::-1]]), np.concatenate([top, bottom[::-1]])
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        layers.append((part.name, colour, points))
    return layers


def _strongest(track: Track, assessment: Assessment | None, start: float) -> list[float]:
    """Seconds into the video of the frames with the most evidence, in order."""
    frames = np.array(assessment.strongest if assessment else (), np.int64)
    rows = np.searchsorted(track.frames, np.sort(frames))
    times: list[float] = (track.times[rows] - start).tolist()
    return times


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
