"""The table of persons in terminals of any width, in files and in pipes."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fakelens.analysis.pipeline import analyze_models
from fakelens.cli.console import progress_bar
from fakelens.cli.model_tables import model_table
from fakelens.cli.summary_table import sentences_below, summary
from fakelens.models.registry import KNOWN
from fakelens.records.findings import Finding, Verdict
from fakelens.records.media import VideoInfo
from fakelens.records.report import Report
from fakelens.records.trust import (
    Assessment,
    Faithfulness,
    Robustness,
    Specificity,
    SpecificityMark,
    TrustMark,
)
from support.builders import CARD, INFO, make_report, make_track
from support.toys import FAKE, REAL, RedModel, ScriptedDetector, film

WIDTHS = [60, 80, 100, 140, 160, 200]
LONG_NAME = "an-interview-with-a-name-that-fills-more-than-a-line-" * 4 + ".mp4"
ASSESSMENT = Assessment(
    faithfulness=Faithfulness(
        TrustMark.CHANCE, "features", 1, 1, 0.4, 0.1, None, None, faces=4, completeness=None
    ),
    robustness=Robustness((0.1, 0.9), {"mirrored": 0.1, "JPEG quality 40": 0.9}, faces=4),
    controls=None,
    regions=None,
    agreement=None,
    strongest=(),
    notes=(),
    specificity=Specificity(SpecificityMark.USUAL, 0.9, 0.1, 0.2, None, (), ((0.0,),), faces=4),
)


def crowd(people: int, *, info: VideoInfo = INFO) -> Report:
    """Return a report whose people have a verdict of every kind and all measures."""
    logits = np.random.default_rng(3).permutation(np.linspace(-3, 3, people))
    tracks = [make_track([logit] * 60, person=n) for n, logit in enumerate(logits, 1)]
    report = make_report(*tracks, maps=np.zeros((60, 4, 4)), info=info)
    findings = tuple(replace(finding, assessment=ASSESSMENT) for finding in report.findings)
    return replace(report, findings=findings)


def with_opinions(report: Report, names: Sequence[str]) -> tuple[Report, ...]:
    """Return the reports of several models that agree, with the names of the others."""
    reports = [replace(report, model=replace(CARD, name=name)) for name in names]
    return tuple(
        replace(one, second_opinions=tuple(two.opinion for two in reports if two is not one))
        for one in reports
    )


def shown(*reports: Report, width: int) -> list[str]:
    """Return the lines of the table on a screen."""
    screen = Console(file=io.StringIO(), width=width)
    screen.print(summary(*reports, width=width))
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    return list(lines)


def rows(lines: Sequence[str]) -> list[list[str]]:
    """Return the rows with a verdict, with the folded lines of each cell put together."""
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("\N{BOX DRAWINGS LIGHT VERTICAL}"):
            cells = [cell.strip() for cell in re.split("\N{BOX DRAWINGS LIGHT VERTICAL}", line)]
            if re.fullmatch(r"-|\d\.\d\d", cells[headings(lines).index("score")]):
                found.append(cells)
            else:
                found[-1] = [" ".join(pair).strip() for pair in zip(found[-1], cells, strict=True)]
    return found


def headings(lines: Sequence[str]) -> list[str]:
    (line,) = [line for line in lines if "verdict" in line and "score" in line]
    return [cell.strip() for cell in re.split("\N{BOX DRAWINGS HEAVY VERTICAL}", line)]


def column(lines: Sequence[str], name: str) -> list[str]:
    return [row[headings(lines).index(name)] for row in rows(lines)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("names", [["toy"], ["fakelens-patch", "mesoinception4-df"]], ids=len)
def test_verdicts_scores_and_reasons_are_whole(names: list[str], width: int) -> None:
    reports = with_opinions(crowd(5), names)
    lines = shown(*reports, width=width)
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in lines)
    people = {finding.person: finding for finding in reports[0].findings}
    expected = [people[person] for person in order(reports[0]) for _ in names]
    assert column(lines, "verdict") == [finding.verdict for finding in expected]
    assert column(lines, "score") == [f"{finding.score:.2f}" for finding in expected]
    assert column(lines, "why") == [finding.reasons[0] for finding in expected]
    assert {finding.verdict for finding in expected} == set(Verdict)
    if len(names) > 1 and width >= 80:
        assert column(lines, "model") == names * 5


def order(report: Report) -> list[int]:
    """Return the numbers of people, the most suspicious first."""

    def suspicion(finding: Finding) -> tuple[bool, float]:
        return finding.verdict == "likely fake", finding.score or 0

    return [one.person for one in sorted(report.findings, key=suspicion, reverse=True)]


def test_columns_are_added_as_far_as_reasons_keep_their_room() -> None:
    report = crowd(3)
    found = [len(headings(shown(report, width=width))) for width in WIDTHS]
    assert found == sorted(found)
    assert "95 % interval" not in headings(shown(report, width=80))
    assert "95 % interval" in headings(shown(report, width=100))
    wide = headings(shown(report, width=200))
    for name in ("95 % interval", "robustness", "heatmap", "seen", "high"):
        assert name in wide
    for width in (80, 100, 140, 200):
        text = "\n".join(shown(report, width=width))
        assert all(finding.reasons[0] in text for finding in report.findings), "none is folded"
    picture = crowd(1, info=replace(INFO, is_picture=True))
    assert not {"seen", "high"} & set(headings(shown(picture, width=200)))


@pytest.mark.parametrize("width", [80, 140])
def test_the_name_of_a_file_is_printed_whole(width: int) -> None:
    report = crowd(1)
    named = replace(report.provenance, input_name=LONG_NAME)
    lines = shown(replace(report, provenance=named), width=width)
    title = "".join(line.strip() for line in lines[: lines.index(next(filter(is_top, lines)))])
    assert title == LONG_NAME
    assert column(lines, "verdict") == [report.findings[0].verdict]


def is_top(line: str) -> bool:
    return line.startswith("\N{BOX DRAWINGS HEAVY DOWN AND RIGHT}")


@pytest.mark.parametrize("names", [["toy"], ["one", "other"]], ids=len)
def test_of_a_crowd_the_most_suspicious_are_shown_and_all_are_counted(names: list[str]) -> None:
    reports = with_opinions(crowd(30), names)
    lines = shown(*reports, width=80)
    people = [number for number in column(lines, "person") if number]
    assert people == [str(person) for person in order(reports[0])[:10]]
    assert lines[-1].strip() == "and 20 more, see report.html"
    below = sentences_below(reports[0])
    assert below[0].startswith("30 people judged: ")
    if len(names) > 1:
        assert below[1:8] == [
            *(f"Both models call person {person} likely fake." for person in people[:6]),
            "24 more people are compared in the report.",
        ]


def test_people_without_a_usable_face_are_counted() -> None:
    tracks = [make_track([3.0] * 60), make_track([3.0] * 60, person=2, quality_flags=1)]
    report = make_report(*tracks, maps=np.zeros((60, 4, 4)))
    lines = shown(report, width=80)
    assert column(lines, "person") == ["1"]
    assert lines[-1].strip() == "1 more without a usable face, see report.html"


def test_whoever_is_suspicious_to_any_model_comes_first() -> None:
    one = make_report(make_track([0.3] * 60), make_track([0] * 60, person=2), maps=[[[0]]] * 60)
    other = make_report(make_track([0] * 60), make_track([2] * 60, person=2), maps=[[[0]]] * 60)
    report = replace(one, second_opinions=(other.opinion,))
    assert column(shown(report, width=80), "person") == ["1", "2"]
    lines = shown(report, replace(other, second_opinions=(one.opinion,)), width=80)
    assert column(lines, "person") == ["2", "", "1", ""]


def test_long_names_of_models_leave_room_for_reasons() -> None:
    reports = with_opinions(make_report(make_track([0] * 60), maps=[[[0]]] * 60), ["a" * 30, "b"])
    lines = shown(*reports, width=80)
    reason = "the score 0.50 lies between 0.40 and 0.60"
    assert column(lines, "why") == [reason] * 2
    assert sum("\N{BOX DRAWINGS LIGHT VERTICAL}" in line for line in lines) == 4, "two lines each"


def test_two_models_analyze_a_clip_for_one_table(tmp_path: Path) -> None:
    long_name = "a-model-with-a-rather-long-name"
    models = [RedModel(), RedModel(replace(CARD, name=long_name))]
    clip = film(tmp_path / "two.mp4", FAKE, REAL)
    reports = analyze_models(clip, models=models, detector=ScriptedDetector(FAKE, REAL))
    lines = shown(*reports, width=80)
    assert column(lines, "verdict") == ["likely fake"] * 2 + ["likely real"] * 2
    assert [name.replace(" ", "") for name in column(lines, "model")] == ["toy", long_name] * 2


def in_terminal(code: str, width: int, **environment: str) -> str:
    """Return what a program prints in a terminal of a width."""
    ours, theirs = os.openpty()
    os.set_inheritable(theirs, True)
    known = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=known | {"TERM": "xterm-256color", "COLUMNS": str(width)} | environment,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    printed = b""
    try:
        while chunk := os.read(ours, 4096):
            printed += chunk
    except OSError:  # the other side is closed
        os.close(ours)
    assert process.wait(timeout=60) == 0, printed
    return printed.decode()


TABLE = """
from rich.table import Table
from rich.text import Text
from fakelens.cli.console import print_sentences, print_table
table = Table("verdict")
table.add_row(Text("likely fake", style="bold red"))
print_table(table)
print_sentences(["this sentence has more than thirty letters in several words"])
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-9]|9[0-7]|38|48)[0-9;]*m")


@pytest.mark.skipif(os.name == "nt", reason="there is no such terminal")
def test_colours_are_for_terminals_without_no_color() -> None:
    assert COLOUR.search(in_terminal(TABLE, 80))
    assert not COLOUR.search(in_terminal(TABLE, 80, NO_COLOR="1"))
    piped = subprocess.run(
        [sys.executable, "-c", TABLE], capture_output=True, check=True, text=True
    ).stdout
    assert "\x1b" not in piped
    assert "likely fake" in piped


@pytest.mark.skipif(os.name == "nt", reason="there is no such terminal")
def test_sentences_are_broken_between_words_in_a_terminal_only() -> None:
    lines = in_terminal(TABLE, 30, NO_COLOR="1").splitlines()
    assert lines[-3:] == ["this sentence has more than", "thirty letters in several", "words"]
    piped = subprocess.run(
        [sys.executable, "-c", TABLE], capture_output=True, check=True, text=True
    ).stdout
    assert piped.splitlines()[-1].endswith("letters in several words")


@pytest.mark.skipif(os.name == "nt", reason="there is no such terminal")
def test_a_long_name_leaves_room_for_the_progress() -> None:
    code = f"""
from fakelens.cli.console import progress_bar
with progress_bar("examining {LONG_NAME}", quiet=False) as progress:
    progress(3, 9)
"""
    printed = in_terminal(code, 80)
    assert "examining an-in" in printed
    assert "3/9" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed)


def test_nothing_is_shown_of_a_quiet_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(LONG_NAME, quiet=True) as progress:
        progress(1, 2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("width", [80, 160])
def test_models_are_listed_with_whole_names_and_words(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKELENS_CACHE", str(tmp_path))
    screen = Console(file=io.StringIO(), width=width)
    screen.print(model_table())
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    names = [line.split()[1] for line in lines if line.startswith("model ")]
    assert names == list(KNOWN)
    assert any(line.split() == ["licence", "Apache-2.0"] for line in lines)
    pulls = [line.split()[-1] for line in lines if "fakelens models pull" in line]
    assert pulls == list(KNOWN)[1:]
