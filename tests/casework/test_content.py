"""What the report says, and what it does not invent."""

import dataclasses
import errno
import os
import shutil
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from fakelens.casework import blocks
from fakelens.casework.case import Case, CaseFacts, Cause, Conclusion, Propositions, read_case
from fakelens.casework.content import compose
from fakelens.casework.examination import Examination, ItemState, Unread, gather
from fakelens.records.findings import DomainCheck
from fakelens.records.models import ConditionRange, Domain
from fakelens.records.report import SecondOpinion
from fakelens.report.save import save_report
from support.toys import FAKE, analyzed, draw_scene, photograph

EXAMPLE = Path(__file__).parents[2] / "examples" / "case.toml"


def fields(document: blocks.Document) -> dict[str, str]:
    """The fields of all sections but those of single people; the first of equal names."""
    found: dict[str, str] = {}
    for section in document.sections:
        for block in section.blocks:
            if section.level == 1 and isinstance(block, blocks.Fields):
                for name, value in block.rows:
                    found.setdefault(name, value)
    return found


def texts(document: blocks.Document, title: str) -> str:
    """The running text of the section with this title."""
    (section,) = [one for one in document.sections if one.title.split(" ", 1)[1] == title]
    return " ".join(
        part
        for block in section.blocks
        for part in (
            [block.text]
            if isinstance(block, blocks.Paragraph | blocks.Command)
            else block.items
            if isinstance(block, blocks.Bullets)
            else [cell for row in block.rows for cell in row]
            if isinstance(block, blocks.Fields | blocks.Table)
            else []
        )
    )


def test_what_the_case_does_not_state_is_not_invented(examination: Examination) -> None:
    document = compose(examination)
    found = fields(document)
    for name in ("Case number", "Item received", "Report issued", "Examiner", "Laboratory"):
        assert found[name] == "not stated"
    for name in ("Commissioned by", "Question", "Exhibit", "Received how", "Reviewer"):
        assert found[name] == "not stated"
    assert found["Proposition 1"].endswith("(default wording)")
    assert texts(document, "Conclusion of the examiner").endswith("not stated")


def test_the_case_is_copied_word_by_word(examination: Examination) -> None:
    case = read_case(EXAMPLE)
    document = compose(replace(examination, case=case))
    found = fields(document)
    assert found["Case number"] == document.case_number == case.case.number
    assert found["Report issued"] == document.dated == "2026-04-20"
    assert found["Proposition 1"] == case.propositions.first
    assert "default wording" not in texts(document, "Question and propositions")
    conclusion = texts(document, "Conclusion of the examiner")
    assert "stated by the examiner, not by the software" in conclusion
    assert "support proposition 1 for person 2. For person 1" in conclusion
    assert "No sign of one" in texts(document, "Other causes considered")


def test_the_numbers_are_those_of_the_analysis(examination: Examination, clip: Path) -> None:
    report = examination.report
    document = compose(examination)
    found = fields(document)
    assert found["SHA-256"] == report.provenance.input_sha256
    assert found["Size"] == f"{clip.stat().st_size:,} bytes"
    assert found["Same file now"].startswith("yes")
    assert found["Frames decoded"] == "60"
    assert found["Frames examined"] == "30"
    assert found["Timestamps"].startswith("constant: 60 timestamps, 0.0400 s apart")
    people = [section for section in document.sections if section.level == 2]
    for section, finding in zip(people, report.findings, strict=True):
        rows = dict(section.blocks[0].rows)  # type: ignore[union-attr]
        assert rows["Output of the software"] == finding.verdict
        assert rows["Score"].startswith(f"{finding.score:.2f}")
        assert rows["Likelihood ratio"] == "none given: the model is not calibrated"
        assert "about 2.4 s counted" in rows["Seconds"]  # 30 faces, 0.08 s each
        (series,) = [block for block in section.blocks if isinstance(block, blocks.Table)]
        assert sum(int(row[1]) for row in series.rows) == 30
        low, high = (min(row[2] for row in series.rows), max(row[4] for row in series.rows))
        assert float(low) <= float(f"{finding.score:.2f}") <= float(high)
    assert "not what was edited" in str(document.sections)
    assert "They do not show which part of the picture was edited" in texts(document, "Heatmaps")


def test_a_file_that_changed_or_is_gone_is_not_described(
    results: Path, clip: Path, tmp_path: Path
) -> None:
    other = tmp_path / clip.name
    shutil.copy(clip, other)
    with other.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    for source, state, words in (
        (other, ItemState.DIFFERENT, "NO: the file found is not the one"),
        (tmp_path / "none.mp4", ItemState.MISSING, "not checked: the file was not found"),
    ):
        examination = gather(results, Case(), source=source)
        assert examination.state is state
        assert examination.facts == examination.credentials == examination.first_frame
        document = compose(examination)
        assert fields(document)["Same file now"].startswith(words)
        assert "not checked" in texts(document, "Structure and metadata of the file")


@pytest.mark.skipif(os.name == "nt", reason="needs a link that leads to itself")
def test_a_file_that_is_there_is_not_called_missing(results: Path, tmp_path: Path) -> None:
    closed = tmp_path / "two.mp4"
    closed.symlink_to(closed)
    examination = gather(results, Case(), source=closed)
    assert examination.state is ItemState.UNREADABLE
    document = compose(examination)
    said = f"the file is there, but cannot be read: {os.strerror(errno.ELOOP)}"
    assert fields(document)["Same file now"] == f"not checked: {said}"
    assert said in texts(document, "Structure and metadata of the file")


def test_a_file_that_cannot_be_decoded_is_said_to_be(examination: Examination) -> None:
    unread = Unread("not a video")
    document = compose(replace(examination, facts=unread, first_frame=unread))
    assert fields(document)["Timestamps"] == "not read: not a video"
    assert "First frame of the item: not shown: not a video." in str(document.sections)
    assert "C2PA manifest" in texts(document, "Structure and metadata of the file")


def test_the_report_id_changes_with_content_and_issue(examination: Examination) -> None:
    def identifier(case: Case) -> str:
        document = compose(replace(examination, case=case))
        assert fields(document)["Report id"] == document.report_id
        return document.report_id

    first = identifier(Case())
    assert first == identifier(Case())
    assert first.endswith("-1")
    assert identifier(Case(case=CaseFacts(issue=2))).endswith("-2")
    changes = [
        Case(case=CaseFacts(number="2")),
        Case(case=CaseFacts(issued=date(2026, 1, 2))),
        Case(propositions=Propositions(first="a")),
        Case(causes=(Cause("Lighting", "dark"),)),
        Case(conclusion=Conclusion("b")),
    ]
    assert len({first, *map(identifier, changes)}) == len(changes) + 1


def test_missing_and_damaged_pictures_are_said_to_be_missing(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shutil.copytree(results, folder)
    (folder / "faces" / "person-1.png").unlink()
    (folder / "faces" / "person-2.png").write_bytes(b"damaged")
    content = str(compose(gather(folder, Case())).sections)
    assert "No picture of this person: the results contain no file faces/person-1.png." in content
    assert "No picture of this person: faces/person-2.png is damaged." in content


def test_other_models_have_a_section_of_their_own(examination: Examination) -> None:
    report = examination.report
    titles = [section.title for section in compose(examination).sections]
    assert not any("Second opinions" in title for title in titles)
    other = replace(report, model=replace(report.model, name="another"))
    opinion = SecondOpinion(other.model, "3" * 64, report.thresholds, report.cam, report.findings)
    both = replace(examination, report=replace(report, second_opinions=(opinion,)))
    document = compose(both)
    text = texts(document, "Second opinions of other models")
    assert "Both models give the same verdict on 2 of 2 people" in text
    assert "3" * 64 in text
    assert "not independent confirmation" in text
    assert "--model toy --model another" in texts(document, "How to reproduce the analysis")


def test_people_outside_the_validated_conditions_are_named(examination: Examination) -> None:
    report = examination.report
    domain = Domain((ConditionRange("width", 80, 400),), (), (), 9, "people of some clips")
    checks = (DomainCheck(True, ()), DomainCheck(False, ("the face is 20 pixels wide",)))
    findings = tuple(
        replace(finding, domain=check)
        for finding, check in zip(report.findings, checks, strict=True)
    )
    changed = replace(report, model=replace(report.model, domain=domain), findings=findings)
    text = texts(compose(replace(examination, report=changed)), "Validation")
    assert "1 of 2 people checked in this item lie inside them; 0 were not checked." in text
    assert text.endswith("The error rates above do not apply to those outside: person 2.")


def test_the_summary_says_how_stable_a_verdict_is(examination: Examination) -> None:
    report = examination.report
    first = replace(report.findings[0], reasons=("not robust",))
    changed = replace(report, findings=(first, *report.findings[1:]))
    text = texts(compose(replace(examination, report=changed)), "Summary of the software's output")
    assert f"score {first.score:.2f}" in text
    assert "Reasons: not robust Person 2" in text


def test_people_who_may_be_the_same_are_named(examination: Examination) -> None:
    report = examination.report
    assert "possibly" not in str(compose(examination).sections)
    again = replace(report.findings[1], possibly_same_as=1)
    changed = replace(report, findings=(report.findings[0], again))
    for case in (
        replace(examination, report=changed),
        replace(examination, report=changed, detailed=(0,), others=(1,)),
    ):
        document = compose(case)
        parts = [section for section in document.sections if section.level == 2]
        for part, other in zip(parts, (2, 1), strict=True):
            assert f"possibly the same person as person {other}:" in str(part.blocks)
        summary = texts(document, "Summary of the software's output")
        assert "1 of them is possibly an earlier person who came back." in summary


def test_times_can_be_found_in_a_file_that_does_not_begin_at_zero(examination: Examination) -> None:
    report = examination.report
    late = replace(report, video=replace(report.video, start=Fraction(5107, 5994)))
    found = fields(compose(replace(examination, report=late)))
    assert found["First frame"].startswith("at 0.852 s by the timestamps of the file")


def test_what_holds_for_the_whole_item_is_listed_before_single_people(
    examination: Examination,
) -> None:
    report = examination.report
    unseen = replace(report.findings[0], score=None, interval=None, seen_well=False)
    findings = tuple(replace(unseen, person=n, reasons=(f"reason {n}",)) for n in range(1, 21))
    tracks = tuple(replace(report.tracks[0], person=n) for n in range(1, 21))
    video = replace(report.video, audio=("aac",))
    crowd = replace(report, findings=findings, tracks=tracks, video=video)
    numbers = tuple(range(20))
    text = texts(
        compose(
            replace(
                examination, report=crowd, faces={1: Unread("x")}, detailed=(0,), others=numbers[1:]
            )
        ),
        "Coverage",
    )
    assert text.index("the sound") < text.index("person 1,")
    assert text.endswith("10 more, see report.json")


def test_days_that_contradict_each_other_are_said_to(examination: Examination) -> None:
    made = replace(examination.report.provenance, created="2026-04-19T23:30:00+00:00")
    dated = replace(examination, report=replace(examination.report, provenance=made))
    for received, issued, words in (
        (date(2026, 4, 20), date(2026, 4, 20), None),  # the analysis may be on the next day
        (date(2026, 4, 17), date(2026, 4, 18), None),
        (
            date(2026, 4, 17),
            date(2026, 4, 17),
            "the report was issued before the item was analysed",
        ),
        (date(2026, 4, 21), None, "the item was analysed before the item was received"),
    ):
        case = Case(case=CaseFacts(received=received, issued=issued))
        text = texts(compose(replace(dated, case=case)), "Case and report")
        assert (f"By the days above, {words}." in text) if words else "By the days" not in text


def test_a_line_of_blanks_begins_a_paragraph(examination: Examination) -> None:
    document = compose(replace(examination, case=Case(conclusion=Conclusion("one\n \n\ttwo"))))
    (section,) = [one for one in document.sections if "Conclusion" in one.title]
    assert [block.text for block in section.blocks[1:]] == ["one", "two"]  # type: ignore[union-attr]


def test_a_picture_has_no_times(tmp_path: Path) -> None:
    picture = photograph(tmp_path / "one.png", draw_scene(0, [FAKE]))
    save_report(analyzed(picture, FAKE), tmp_path / "out")
    document = compose(gather(tmp_path / "out", Case()))
    found = fields(document)
    assert found["Kind"] == "still picture"
    assert "Frame rate" not in found
    assert "Timestamps" not in found
    (person,) = [section for section in document.sections if section.level == 2]
    rows = dict(person.blocks[0].rows)  # type: ignore[union-attr]
    assert rows["Seen"] == "in the picture"
    assert "Seconds" not in rows
    assert not any(isinstance(b, blocks.Beside | blocks.ScoreChart) for b in person.blocks)


def test_a_crowd_has_six_parts_and_a_table(examination: Examination) -> None:
    report = examination.report
    tracks, findings = [], []
    for number in range(40):
        person = number + 1
        tracks.append(dataclasses.replace(report.tracks[number % 2], person=person))
        findings.append(dataclasses.replace(report.findings[number % 2], person=person))
    crowd = replace(report, tracks=tuple(tracks), findings=tuple(findings))
    numbers = tuple(range(40))
    faces = {number + 1: examination.faces[number % 2 + 1] for number in numbers[:6]}
    document = compose(
        replace(examination, report=crowd, faces=faces, detailed=numbers[:6], others=numbers[6:])
    )
    parts = [section for section in document.sections if section.level == 2]
    assert [part.title.split(" ", 1)[1] for part in parts] == [
        *(f"Person {number}" for number in range(1, 7)),
        "Other people",
    ]
    (table,) = [block for block in parts[-1].blocks if isinstance(block, blocks.Table)]
    assert [row[0] for row in table.rows] == [str(number) for number in range(7, 41)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\u202egpj.exe", "[U+202E]gpj.exe"),
        ("a\0b\x1b", "a[U+0000]b[U+001B]"),
        ("e\u0301", "é"),
        ("a\ud800", "a[U+D800]"),
        ("漢字 שלום", "漢字 שלום"),
    ],
)
def test_characters_that_hide_others_are_shown(text: str, shown: str) -> None:
    assert blocks.visible(text) == shown
