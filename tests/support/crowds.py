"""Reports on many people, made up without a video."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from fakelens.media.images import encode_jpeg
from fakelens.records.report import Report
from fakelens.render.style import Style
from fakelens.report.page import write_page
from fakelens.report.page_files import PageFiles
from support.builders import make_report, make_track

UNSCORED = 2
"""People of whom no face is good enough, besides the others."""

FRAMES = 60  # of each person


def crowd_report(people: int) -> Report:
    """Return a report on people who are seen well, whose scores do not follow their numbers.

    They are seen one after the other. The last one is possibly the same as the first.
    """
    order = np.random.default_rng(7).permutation(people)
    tracks = [
        make_track(
            np.full(FRAMES, 3 - 6 * place / people),
            person=number,
            first=10 * number,
            box=(40, 20, 80, 60),
            heatmaps=np.arange(FRAMES),
        )
        for number, place in enumerate(order, 1)
    ]
    tracks += [
        make_track(np.zeros(9), person=people + n, quality_flags=1, box=(40, 20, 80, 60))
        for n in range(1, UNSCORED + 1)
    ]
    maps = np.random.default_rng(8).normal(0, 1, (FRAMES, 14, 14))
    report = make_report(*tracks, maps=maps)
    findings = list(report.findings)
    findings[people - 1] = replace(findings[people - 1], possibly_same_as=1)
    versions = {"fakelens": "0"}
    provenance = replace(report.provenance, versions=versions)
    return replace(report, findings=tuple(findings), provenance=provenance)


def write_crowd(report: Report, folder: Path) -> str:
    """Write the page of a report, with a picture of each person, and return it."""
    grain = np.random.default_rng(9).normal(128, 60, (320, 320, 3)).astype(np.float32)
    noise = encode_jpeg(cv2.GaussianBlur(grain, (0, 0), 4).clip(0, 255).astype(np.uint8))
    faces = {n: {one.key_frame: noise} for n, one in enumerate(report.findings)}
    write_page(report, folder, Style(), PageFiles(faces=faces))
    return (folder / "report.html").read_text(encoding="utf-8")
