"""The frame on the first page of paper, and the legend of heatmaps."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from fakelens.explain.cam import METHODS
from fakelens.media.images import decode_image
from fakelens.records.findings import Verdict
from fakelens.render.painter import VERDICT_COLOURS
from fakelens.render.style import Style
from fakelens.report.heatmap_layer import pack
from fakelens.report.legend import colour_ticks, make_legend
from fakelens.report.save import save_report
from support.builders import make_report, make_track
from support.media import read_number
from support.toys import FAKE, REAL, analyzed, film


def test_the_scene_is_a_frame_with_boxes_and_without_heatmaps(tmp_path: Path) -> None:
    """Of two people who are in the picture together for a moment only, it shows both."""
    actors = (replace(FAKE, side=50), replace(REAL, first=20, last=30, side=50))
    report = analyzed(film(tmp_path / "two.mp4", *actors, frames=40), *actors)
    verdicts = (Verdict.FAKE, Verdict.REAL)
    report = replace(
        report,
        findings=tuple(
            replace(finding, verdict=verdict, seen_well=True)
            for finding, verdict in zip(report.findings, verdicts, strict=True)
        ),
    )
    save_report(report, tmp_path / "out", video=False)
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    found = re.search(r'id="scene" src="data:image/jpeg;base64,([^"]+)"', html)
    assert found
    image = decode_image(base64.b64decode(found[1]))
    number = read_number(image)
    assert 20 <= number <= 30
    for actor, verdict in zip(actors, verdicts, strict=True):
        box = actor.box(number)
        assert box is not None
        lower_edge = image[int(box.y2) - 2, int(box.x1) + 5 : int(box.x2) - 5].mean(axis=0)
        assert np.abs(lower_edge - VERDICT_COLOURS[verdict]).max() < 40
        inner = image[int(box.y1) + 24 : int(box.y2) - 8, int(box.x1) + 8 : int(box.x2) - 8]
        assert np.abs(inner.mean(axis=(0, 1)) - actor.colour).max() < 12


def test_the_legend_says_the_unit_and_whether_heatmaps_are_fainter() -> None:
    for logit, fainter in ((3.0, False), (0.2, True)):
        report = make_report(make_track(np.full(30, logit)), maps=np.ones((30, 4, 4)))
        legend = make_legend(METHODS["hirescam"], Style(), pack(report, Style()), report)
        assert legend.unit == "100 % = strongest evidence in this video"
        assert ("The model is undecided, so heatmaps are fainter." in legend.rest) is fainter
    assert [(round(place, 3), name) for place, name, _ in colour_ticks(both=False)] == [
        (0, "0"),
        (0.333, "33"),
        (0.667, "67"),
        (1, "100 %"),
    ]
