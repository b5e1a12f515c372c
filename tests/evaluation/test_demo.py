"""The demo's answer does not depend on which of the two people is tampered with."""

from pathlib import Path

import pytest

from fakelens import analyze
from fakelens.evaluation import demo
from fakelens.records.findings import Verdict


@pytest.mark.parametrize("tampered", ["left", "right"])
def test_the_tampered_person_is_found_on_either_side(tmp_path: Path, tampered: demo.Side) -> None:
    clip = tmp_path / "demo.mp4"
    demo.make_clip(clip, seconds=3, tampered=tampered)
    report = analyze(clip)
    pointing = demo.pointing(report, tampered)
    assert pointing is not None
    assert pointing.pointed
    by_person = {finding.person: finding for finding in report.findings}
    assert len(by_person) == 2
    forged = by_person.pop(pointing.person)
    (untouched,) = by_person.values()
    assert forged.verdict is Verdict.FAKE
    assert untouched.verdict is not Verdict.FAKE
    assert report.decisive == forged
