"""How often the model was wrong: in words, in numbers, and in every file of a report."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from fakelens.records.findings import Verdict
from fakelens.records.models import ErrorRecord, ModelCard, Thresholds
from fakelens.records.report import Report
from fakelens.render.style import Style
from fakelens.report.document import read_report, write_document
from fakelens.report.error_rates import (
    NOT_MEASURED,
    error_rate_caption,
    error_rate_for,
    error_rate_sentence,
    error_rows,
    wilson_interval,
)
from fakelens.report.page import write_page
from fakelens.report.page_files import PageFiles
from support.builders import CARD, THRESHOLDS, make_report, make_track
from support.comparing import SEALED, counts, record, with_records
from support.pages import Page

LINE = (
    "On 15 genuine clips that were not used to train or choose it, this model called 1 fake; of 8 "
    "fakes it called 2 fake and none real."
)


def card(*records: ErrorRecord) -> ModelCard:
    return replace(CARD, error_records=records)


def test_the_line_adds_up_the_datasets_and_names_both_errors() -> None:
    split = record(
        counts("real", fake=1, real=4, dataset="one"),
        counts("fake", fake=2, inconclusive=1, dataset="one"),
        counts("real", real=2, inconclusive=8, dataset="two"),
        counts("fake", inconclusive=5, dataset="two"),
    )
    assert error_rate_sentence(card(split)) == LINE
    assert error_rate_sentence(card(SEALED)) == LINE


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [counts("real", real=5), counts("fake", fake=4)],
            "On 5 genuine clips {}, this model called none fake; of 4 fakes it called all fake and "
            "none real.",
        ),
        (
            [counts("real", fake=5), counts("fake", real=3, fake=1)],
            "On 5 genuine clips {}, this model called all fake; of 4 fakes it called 1 fake and 3 "
            "real.",
        ),
        (
            [counts("real", fake=1), counts("fake", real=1)],
            "On 1 genuine clip {}, this model called it fake; on 1 fake it gave the verdict real.",
        ),
        (
            [counts("real", inconclusive=1), counts("fake", inconclusive=1)],
            "On 1 genuine clip {}, this model did not call it fake; on 1 fake it gave the verdict "
            "inconclusive.",
        ),
        (
            [counts("real", not_judged=1), counts("fake", not_judged=1)],
            "On 1 genuine clip {}, this model could not judge it; on 1 fake it reached no verdict.",
        ),
        (
            [counts("real", fake=1, real=5, not_judged=2), counts("fake", fake=3, not_judged=1)],
            "On 8 genuine clips {}, this model called 1 fake and could not judge 2; of 4 fakes it "
            "called 3 fake and none real, and could not judge 1.",
        ),
        (
            [counts("real", fake=1, real=5)],
            "On 6 genuine clips {}, this model called 1 fake. How often it calls fakes real was "
            "not measured.",
        ),
        (
            [counts("fake", fake=1, real=5)],
            "Of 6 fakes {}, this model called 1 fake and 5 real. How often it calls genuine clips "
            "fake was not measured.",
        ),
        (
            [counts("fake", fake=1)],
            "On 1 fake {}, this model gave the verdict fake. How often it calls genuine clips fake "
            "was not measured.",
        ),
    ],
)
@pytest.mark.parametrize("independent", [True, False])
def test_the_line_is_good_english_for_every_number(
    rows: list, words: str, independent: bool
) -> None:
    was = "was" if words.startswith(("On 1 ", "Of 1 ")) else "were"
    origin = (
        f"that {was} not used to train or choose it"
        if independent
        else "that its thresholds were chosen with"
    )
    line = error_rate_sentence(card(record(*rows, independent=independent)))
    assert line == words.format(origin)


@pytest.mark.parametrize("records", [(), (record(),), (record(counts("real")),)])
def test_a_model_without_counts_says_so(records: tuple[ErrorRecord, ...]) -> None:
    assert error_rate_sentence(card(*records)) == NOT_MEASURED
    assert error_rate_caption(card(*records)) == "evidence, not proof - error rate not measured"


def test_the_first_record_is_used() -> None:
    tuned = record(counts("real", fake=9, real=1), independent=False)
    assert error_rate_sentence(card(SEALED, tuned)) == LINE


def test_with_other_thresholds_the_line_says_that_the_counts_do_not_hold_for_them() -> None:
    same = replace(THRESHOLDS, source="the same numbers from elsewhere")
    assert error_rate_sentence(card(SEALED), same) == LINE
    assert "own thresholds" not in error_rate_caption(card(SEALED), same)
    for other in (Thresholds(0.61, 0.4, "mine"), Thresholds(0.6, 0.39, "mine")):
        assert error_rate_sentence(card(SEALED), other) == (
            f"{LINE} These counts hold for the model's own thresholds, not for the ones used here."
        )
        assert error_rate_caption(card(SEALED), other).endswith("(at its own thresholds)")
        assert error_rate_sentence(card(), other) == NOT_MEASURED


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (SEALED, "called 1 of 15 genuine clips and 2 of 8 fakes fake"),
        (record(counts("real", fake=1)), "called 1 of 1 genuine clip fake"),
        # Of all clips, like the sentence on the page.
        (
            record(counts("real", fake=2, real=3, not_judged=10)),
            "called 2 of 15 genuine clips fake",
        ),
        (record(counts("real", not_judged=3), counts("fake", real=1)), "called 0 of 1 fake fake"),
        (record(counts("real", not_judged=3)), "error rate not measured"),
        (record(counts("fake", fake=5, real=2)), "called 5 of 7 fakes fake"),
        (
            replace(SEALED, independent=False),
            "called 1 of 15 genuine clips and 2 of 8 fakes fake, tuned on these clips",
        ),
    ],
)
def test_the_caption_is_short(found: ErrorRecord, words: str) -> None:
    caption = error_rate_caption(card(found))
    assert caption == f"evidence, not proof - {words}"
    assert caption.isascii()  # the font of the drawn text has nothing else


@pytest.mark.parametrize(
    ("hits", "trials"), [(0, 8), (1, 15), (3, 27), (8, 8), (1, 1), (500, 1000), (0, 100_000)]
)
def test_the_interval_is_wilsons(hits: int, trials: int) -> None:
    expected = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_without_trials_the_share_may_be_anything() -> None:
    assert wilson_interval(0, 0) == (0, 1)


def test_the_table_has_the_wrong_verdicts_among_those_given_and_the_sums() -> None:
    found = record(
        counts("real", fake=1, real=4, not_judged=5, dataset="one"),
        counts("real", fake=0, inconclusive=5, dataset="two"),
        counts("fake", fake=2, real=3, dataset="one"),
    )
    rows = [(r.counts.dataset, r.counts.label, r.wrong, r.judged) for r in error_rows(found)]
    assert rows == [
        ("one", "real", 1, 5),
        ("two", "real", 0, 5),
        ("one", "fake", 3, 5),
        ("all datasets", "real", 1, 10),
    ]
    shares = [row.share for row in error_rows(found)]
    assert shares == pytest.approx([0.2, 0, 0.6, 0.1])
    (none,) = error_rows(record(counts("real", not_judged=2)))
    assert (none.share, none.interval) == (None, (0, 1))


def page_of(report: Report, folder: Path) -> Page:
    write_page(report, folder, Style(), PageFiles())
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("verdict", "records", "words"),
    [
        (Verdict.FAKE, [SEALED], "On new clips the model called 1 of 15 genuine ones fake."),
        (Verdict.REAL, [SEALED], "On new clips the model called 0 of 8 fakes real."),
        (
            Verdict.INCONCLUSIVE,
            [SEALED],
            "On new clips the model called 1 of 15 genuine ones fake and 0 of 8 fakes real.",
        ),
        (
            Verdict.REAL,
            [record(counts("fake", real=3, not_judged=1), independent=False)],
            "On clips it was tuned on the model called 3 of 4 fakes real.",
        ),
        (
            Verdict.FAKE,
            [record(counts("fake", real=3))],
            "How often this model is wrong with this verdict was not measured.",
        ),
        (Verdict.FAKE, [], NOT_MEASURED),
    ],
)
def test_a_verdict_stands_beside_the_error_that_matters_for_it(
    verdict: Verdict, records: list[ErrorRecord], words: str
) -> None:
    assert error_rate_for(card(*records), verdict) == words
    assert error_rate_for(card(*records), verdict, THRESHOLDS) == words


def test_counts_of_other_thresholds_are_said_to_be_so() -> None:
    other = Thresholds(0.9, 0.1, "chosen")
    assert error_rate_for(card(SEALED), Verdict.FAKE, other).endswith(
        "fake (at its own thresholds)."
    )


def judged_report() -> Report:
    """Return a report on two people who are seen well."""
    undecided = [make_track(np.zeros(100), person=n, heatmaps=[0] * 100) for n in (1, 2)]
    return make_report(*undecided, maps=np.ones((1, 4, 4)))


def test_the_page_shows_the_error_at_the_top_and_the_line_under_every_verdict(
    tmp_path: Path,
) -> None:
    report = judged_report()
    text = page_of(with_records(report, SEALED), tmp_path).text
    assert text.count(LINE) == len(report.findings) + 1  # also above the counts
    short = error_rate_for(card(SEALED), Verdict.INCONCLUSIVE)
    assert text.count(short) == 4  # on the screen and on the first page of paper
    assert text.index(short) < text.index("A score is evidence, not proof") < text.index(LINE)
    for finding in report.findings:
        heading = f"Person {finding.person}: {finding.verdict.value} {finding.score:.2f} "
        assert text.partition(heading)[2].startswith(LINE)


def test_the_page_says_no_error_rate_of_people_without_a_verdict(
    report: Report, tmp_path: Path
) -> None:
    text = page_of(with_records(report, SEALED), tmp_path).text
    assert not any(finding.seen_well for finding in report.findings)
    assert "On new clips" not in text


def test_the_page_of_an_unmeasured_model_says_so(tmp_path: Path) -> None:
    text = page_of(judged_report(), tmp_path).text
    assert text.count(NOT_MEASURED) == 7  # also on paper, and in place of the table
    assert "Wrong (95" not in text


def test_the_page_shows_the_table_of_every_record(report: Report, tmp_path: Path) -> None:
    tuned = record(counts("real", fake=0, real=27), independent=False, name="the chosen clips")
    words = page_of(with_records(report, SEALED, tuned), tmp_path).text.replace("\u00a0", " ")
    details = words.partition("How often the model was wrong")[2]
    first, second = details.split("Verdicts on the chosen clips")
    assert "one real 15 1 6 8 0 1 of 15: 7 % (1 to 30 %)" in first
    assert "one fake 8 2 0 6 0 0 of 8: 0 % (0 to 32 %)" in first
    assert (
        "Clips of two origins. These clips were not used to train or choose the model. Cost"
        in first
    )
    assert "rules for verdicts" not in words
    assert "With few clips the interval is wide." in words
    assert "(Cllr): 0.87" in first
    assert "make errors" in first
    assert "one real 27 0 27 0 0 0 of 27: 0 % (0 to 12 %)" in second
    assert "The thresholds were chosen with these clips" in first  # before the second table
    assert "Cllr" not in second


def test_the_document_has_the_line_and_can_be_read_without_it(
    random_report: Report, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    chosen = Thresholds(0.7, 0.4, "chosen by the user")
    report = replace(with_records(random_report, SEALED), thresholds=chosen)
    write_document(report, tmp_path, tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["error_rates"] == error_rate_sentence(report.model, chosen)
    assert content["error_rates"].startswith(LINE)
    assert read_report(path).model.error_records == (SEALED,)
    del content["error_rates"]
    del content["model"]["error_records"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_report(path).model.error_records == ()
