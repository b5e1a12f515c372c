"""Other causes of a score, and what the data of an item say about them."""

import dataclasses

import numpy as np

from fakelens.casework.case import Cause
from fakelens.casework.causes import STANDARD, ConsideredCause, consider
from fakelens.records.findings import DomainCheck
from fakelens.records.models import ConditionRange, Domain
from fakelens.records.report import Report
from fakelens.records.trust import Assessment, Robustness
from support.builders import CARD, make_report, make_track


def report_of(domain: DomainCheck | None = None, **scores: float) -> Report:
    """A report on a person with the score 0.73, between toy thresholds of 0.4 and 0.6."""
    report = make_report(make_track(np.ones(60)), maps=np.zeros((60, 2, 2)))
    names = {
        "jpeg": "JPEG quality 40",
        "half": "half resolution",
        "shift": "shifted 5 % up and left",
    }
    values = {names[name]: score for name, score in scores.items()}
    robustness = Robustness((0, 1), values, 3) if values else None
    assessment = Assessment(None, robustness, None, None, None, (), ())
    (finding,) = report.findings
    known = Domain((ConditionRange("brightness", 40, 200),), (), (), 9, "people")
    return dataclasses.replace(
        report,
        model=dataclasses.replace(CARD, domain=known, smallest_face=50),
        findings=(dataclasses.replace(finding, assessment=assessment, domain=domain),),
    )


def found(report: Report, *remarks: Cause) -> dict[str, ConsideredCause]:
    return {one.name: one for one in consider(report, range(len(report.tracks)), remarks)}


def test_a_change_across_a_threshold_speaks_for_its_cause() -> None:
    causes = found(report_of(jpeg=0.5, half=0.8))
    compression, scaling = causes["Compression and re-encoding"], causes["Change of resolution"]
    assert "0.73, changed to 0.50 (JPEG quality 40)" in compression.data
    assert "speaks for this cause" in compression.data
    assert "changed to 0.80 (half resolution)" in scaling.data
    assert "speaks against this cause" in scaling.data
    framing = "Framing of the face (crop, shift)"
    assert causes[framing].data == "Not measured for anyone."
    assert "0.90 (shifted 5 % up and left)" in found(report_of(shift=0.9))[framing].data


def test_conditions_are_compared_with_the_validation_data() -> None:
    dark = DomainCheck(False, ("its mean brightness is 20 of 255 (99 %: at least 40)",))
    assert "brightness is 20 of 255" in found(report_of(dark))["Lighting"].data
    assert "speaks for this cause" in found(report_of(dark))["Lighting"].data
    inside = found(report_of(DomainCheck(True, ())))
    assert "speaks against this cause" in inside["Lighting"].data
    assert inside["Pose"].data == "Not compared with the validation data."  # no range is known
    assert found(report_of())["Lighting"].data == "Not compared with the validation data."
    one, other = report_of(DomainCheck(True, ())), report_of()
    tracks = (one.tracks[0], dataclasses.replace(other.tracks[0], person=2))
    findings = (one.findings[0], dataclasses.replace(other.findings[0], person=2))
    both = dataclasses.replace(one, tracks=tracks, findings=findings)
    said = found(both)["Lighting"].data
    assert said.startswith("Person 1: within the range")
    assert said.endswith("The others were not compared.")


def test_small_faces_are_measured() -> None:
    assert "median width 40 pixels, below the model's limit of 50" in (
        found(report_of())["Small faces"].data
    )


def test_the_examiner_adds_remarks_and_causes() -> None:
    causes = found(report_of(), Cause("LIGHTING", "even"), Cause("A mask", "none seen"))
    assert list(causes) == [*STANDARD, "A mask"]
    assert causes["Lighting"].remark == "even"
    assert causes["A mask"].data == "The software measures nothing about this."
    assert causes["A mask"].remark == "none seen"
    assert causes["Pose"].remark == ""
    both = found(report_of(), Cause("Lighting", "even"), Cause("lighting", "but dark"))
    assert both["Lighting"].remark == "even\nbut dark"


def test_nothing_is_claimed_without_a_person() -> None:
    for cause in consider(make_report(maps=np.zeros((1, 2, 2))), (), ()):
        assert "speaks" not in cause.data or "does not speak" in cause.data
