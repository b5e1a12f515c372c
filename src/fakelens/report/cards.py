"""The cards and lanes of the page, one per person."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fakelens.media.images import decode_image
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.records.trust import SpecificityMark, TrustMark
from fakelens.render.overlay import specificity_of
from fakelens.render.style import Style
from fakelens.report import portraits, wording
from fakelens.report.charts import Axis, part_areas, part_colours, score_curve
from fakelens.report.page_files import PageFiles
from fakelens.report.plain_words import answer, reliability
from fakelens.report.same_person import possibly_same
from fakelens.report.verdict_strip import SIDES

_KEY_SIDE, _SMALL_KEY_SIDE = 320, 120  # of the face at the key frame, pixels


def make_card(
    report: Report,
    number: int,
    folder: Path,
    axis: Axis,
    style: Style,
    files: PageFiles,
    *,
    detailed: bool,
) -> dict[str, Any]:
    """Return the values of the templates for the card and the lane of a person.

    Args:
        report: to show.
        number: track index.
        folder: contains the report's other files.
        axis: of the lanes.
        style: of the heatmaps.
        files: contains the face crops.
        detailed: include the mean face and the film strip.
    """
    track, finding = report.tracks[number], report.findings[number]
    assessment = finding.assessment
    curves = min(len(report.tracks), portraits.MAX_CARDS)
    regions = assessment.regions if assessment else None
    faces = files.faces.get(number, {})
    key = faces.get(finding.key_frame)
    mean = folder / portraits.MEANS_FOLDER / portraits.face_name(finding.person)
    has_film = detailed and not report.video.is_picture
    robustness = assessment.robustness if assessment else None
    specificity = specificity_of(finding)
    return {
        "finding": finding,
        "side": SIDES[finding.verdict],
        "answer": answer(finding),
        "same": possibly_same(report.findings)[finding.person],
        "hatched": finding.trust_mark is TrustMark.CHANCE,
        "faded": _why_faded(finding),
        "compared": specificity is not None and style.baseline == "subtract",
        "specificity": specificity,
        "domain": wording.domain_sentence(finding.domain),
        "likelihood_ratio": wording.likelihood_ratio_sentence(finding, report.model),
        "reliability": reliability(finding, report.thresholds),
        "expert": wording.trust_sentences(assessment),
        "score_range": robustness.score_range if robustness else finding.interval,
        "curve": score_curve(track, report.settings.every, axis, curves),
        "key_face": key and _picture(key, _KEY_SIDE if detailed else _SMALL_KEY_SIDE),
        "key_time": _seconds(track, finding.key_frame) - axis.start,
        "mean": _picture(mean.read_bytes(), 2 * _KEY_SIDE) if detailed and mean.exists() else None,
        "film": _film(track, finding, faces, axis) if has_film else [],
        "part_colours": part_colours(regions) if regions else [],
        "part_areas": part_areas(regions, axis) if regions else [],
    }


def _why_faded(finding: Finding) -> str:
    """Return why a person's heatmaps are fainter, in a few words; empty if they are not."""
    specificity = specificity_of(finding)
    if specificity is not None and specificity.mark is SpecificityMark.USUAL:
        return "not specific to this face"
    return "inconclusive" if finding.verdict is Verdict.INCONCLUSIVE else ""


def _film(
    track: Track, finding: Finding, faces: Mapping[int, bytes], axis: Axis
) -> list[tuple[float, int, float, str | None]]:
    """Return time, frame, score and picture of the frames with the most evidence, in order."""
    frames = sorted(finding.assessment.strongest) if finding.assessment else ()
    strip = []
    for frame in frames:
        observation = track[int(np.searchsorted(track.frames, frame))]
        face = faces.get(frame)
        picture = _picture(face, portraits.FILM_SIDE) if face else None
        strip.append((observation.time - axis.start, frame, observation.score, picture))
    return strip


def _seconds(track: Track, frame: int) -> float:
    return float(track.times[np.searchsorted(track.frames, frame)])


def _picture(encoded: bytes, width: int) -> str:
    """Return a JPEG or PNG as the data URL of a JPEG that is at most ``width`` pixels wide."""
    return portraits.data_url(decode_image(encoded), width)
