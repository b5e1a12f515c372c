"""The page of many people: a table, and cards on demand."""

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

from fakelens.records.findings import Verdict
from fakelens.records.report import Report
from fakelens.report.document import read_report, write_document
from support.crowds import UNSCORED, crowd_report, write_crowd
from support.pages import Page


def rows(html: str) -> list[str]:
    """Return the text of the rows of the table of people."""
    found = re.findall(r'<tr class="row">(.*?)</tr>', html, re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in found]


def printed(html: str) -> set[int]:
    """Return the people whose cards are printed."""
    pattern = r'<details class="on-demand paper">.*?<article class="card \w+" id="person-(\d+)"'
    return {int(number) for number in re.findall(pattern, html, re.DOTALL)}


def most_suspicious(report: Report) -> list[int]:
    scored = [one for one in report.findings if one.score is not None]
    return [one.person for one in sorted(scored, key=lambda one: -(one.score or 0))]


def test_seven_people_are_in_a_table_the_most_suspicious_first(tmp_path: Path) -> None:
    report = crowd_report(7)
    html = write_crowd(report, tmp_path)
    expected = most_suspicious(report)
    assert [int(row.split()[1]) for row in rows(html)] == expected
    first = report.findings[expected[0] - 1]
    words = rows(html)[0]
    for part in ("likely fake", f"{first.score:.2f}", "Its stability was not checked"):
        assert part in words
    assert f"{first.first:04.1f} to 0:0" in words
    text = Page(html).text
    assert "7 people with a score" in text
    assert "The 3 most suspicious of 7 people judged. See the table" in text
    assert html.count('<details class="on-demand') == html.count("<article") == 7
    assert printed(html) == {f.person for f in report.findings if f.verdict is Verdict.FAKE}


def test_six_people_have_open_cards(tmp_path: Path) -> None:
    html = write_crowd(crowd_report(6), tmp_path)
    assert rows(html) == []
    assert "on-demand" not in re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.DOTALL)
    assert html.count("<article") == html.count('<div class="lane">') == 6


def test_the_least_suspicious_of_sixty_have_no_card(tmp_path: Path) -> None:
    report = crowd_report(60)
    html = write_crowd(report, tmp_path)
    expected = most_suspicious(report)
    assert [int(row.split()[1]) for row in rows(html)] == expected
    cards = [
        int(number) for number in re.findall(r'<article class="card \w+" id="person-(\d+)"', html)
    ]
    assert cards == expected[:50]
    links = {link for link in Page(html).links if link.startswith("#person-")}
    assert links == {f"#person-{number}" for number in expected[:50]}
    assert len(printed(html)) == 6
    fake = [n for n in expected if report.findings[n - 1].verdict is Verdict.FAKE]
    assert printed(html) == set(fake[:6])
    assert len(html.encode()) < 3_000_000


def test_who_is_possibly_the_same_is_said_everywhere(tmp_path: Path) -> None:
    report = crowd_report(7)
    html = write_crowd(report, tmp_path)
    table = {int(row.split()[1]): row for row in rows(html)}
    assert table[7].endswith("Possibly the same as person 1")
    assert table[1].endswith("Possibly the same as person 7")
    assert "same as" not in table[2]
    words = Page(html).text
    assert "1 of them is possibly an earlier person who came back." in words
    assert words.count("Possibly the same person as") >= 2  # on both cards
    assert "(possibly 7)" in words
    assert "(possibly 1)" in words


def test_the_strip_says_it_only_of_people_it_shows(tmp_path: Path) -> None:
    report = crowd_report(6)
    first, second, *_ = most_suspicious(report)
    for other, expected in ((second, True), (most_suspicious(report)[-1], False)):
        later, earlier = max(first, other), min(first, other)
        findings = tuple(
            replace(one, possibly_same_as=earlier if one.person == later else None)
            for one in report.findings
        )
        html = write_crowd(replace(report, findings=findings), tmp_path)
        strip = re.search(r'<section class="strip.*?</section>', html, re.DOTALL)
        assert strip is not None
        assert ("Possibly the same person as" in strip[0]) is expected


def test_the_mark_is_in_the_report_and_may_be_missing(tmp_path: Path) -> None:
    report = crowd_report(7)
    write_document(report, tmp_path, tmp_path)
    path = tmp_path / "report.json"
    marks = [one.possibly_same_as for one in read_report(path).findings]
    assert marks == [None] * 6 + [1] + [None] * UNSCORED
    older = re.sub(r',"possibly_same_as":(null|\d+)', "", path.read_text(encoding="utf-8"))
    assert "possibly_same_as" not in older.partition('"persons"')[2]
    path.write_text(older, encoding="utf-8")
    assert {one.possibly_same_as for one in read_report(path).findings} == {None}
