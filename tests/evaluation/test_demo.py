"""The demo finds the forged face on either side."""

from pathlib import Path

import pytest

from fakelens import analyze
from fakelens.evaluation import demo
from fakelens.records.findings import Verdict


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_forged_face_is_found_on_either_side(tmp_path: Path, side: demo.Side) -> None:
    clip = tmp_path / "demo.mp4"
    demo.make_clip(clip, seconds=2, forged=side)
    report = analyze(clip)
    pointing = demo.pointing(report, side)
    assert pointing is not None
    assert pointing.pointed
    by_person = {finding.person: finding for finding in report.findings}
    assert len(by_person) == 2
    forged = by_person.pop(pointing.person)
    (genuine,) = by_person.values()
    assert forged.verdict is Verdict.FAKE
    assert genuine.verdict is not Verdict.FAKE
    assert report.decisive == forged
