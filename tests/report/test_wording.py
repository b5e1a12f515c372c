"""What a report says about likelihood ratios, conditions, and what is specific to a face."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fakelens.explain.baseline import GRID
from fakelens.records.findings import DomainCheck, Finding
from fakelens.records.media import Damage
from fakelens.records.models import Baseline, Calibration, Domain, ErrorRecord, ModelCard
from fakelens.records.report import Report
from fakelens.records.trust import ControlOutcome, Controls, SpecificityMark, TrustMark
from fakelens.render.style import Style
from fakelens.report.page import write_page
from fakelens.report.page_files import PageFiles
from fakelens.report.wording import (
    damage_sentences,
    domain_sentence,
    likelihood_ratio_sentence,
    overall,
    ratio_limit_sentence,
    trust_sentences,
)
from support.builders import CARD, make_report, make_track
from support.comparing import SEALED, assessed, compared, in_domain, record, specificity
from support.pages import Page

CALIBRATION = Calibration("by hand", "none", 2.0, ())
OUTSIDE = DomainCheck(False, ("the face is 300 pixels wide (90 to 140).", "it is dark"))


@pytest.fixture
def report() -> Report:
    return make_report(make_track(np.ones(30)), maps=np.ones((30, 4, 4)))


def test_the_summary_counts_only_people_who_are_seen_well_enough() -> None:
    tracks = (
        make_track(np.full(100, 3.0)),
        make_track(np.full(100, -3.0), person=2, heatmaps=np.arange(100)),
        make_track([3.0], person=3, heatmaps=[0]),  # on one frame
    )
    report = make_report(*tracks, maps=np.zeros((100, 4, 4)))
    assert report.findings[2].score is not None
    assert overall(report) == (
        "2 people judged: 1 likely fake, 1 likely real. Most suspicious of those with enough good "
        "faces: person 1 (likely fake, 0.95). 1 person could not be judged: not seen well enough."
    )
    alone = make_report(make_track([3.0]), maps=np.zeros((1, 4, 4)))
    assert overall(alone) == "Nobody in this video is seen well enough to be judged."


def test_damage_is_named_first_of_all_and_with_its_time_in_a_video(report: Report) -> None:
    damage = (Damage(Fraction(3, 2), "a damaged frame"),)
    damaged = dataclasses.replace(report, damage=damage)
    assert overall(damaged).endswith("Parts of the video could not be read, see Not examined.")
    assert damage_sentences(damaged) == ["at 0:01.5: a damaged frame"]
    still = dataclasses.replace(report.video, is_picture=True)
    assert damage_sentences(dataclasses.replace(damaged, video=still)) == ["a damaged frame"]


def page_of(report: Report, folder: Path, style: Style | None = None) -> Page:
    write_page(report, folder, style or Style(), PageFiles())
    html = (folder / "report.html").read_text(encoding="utf-8")
    return Page(html.replace("\u00a0", " "))


def card(*records: ErrorRecord, calibration: Calibration | None = CALIBRATION) -> ModelCard:
    return dataclasses.replace(CARD, error_records=records, calibration=calibration)


def in_checked_domain(model: ModelCard) -> ModelCard:
    return dataclasses.replace(model, domain=Domain((), (), (), 55, "faces"))


def finding(report: Report, ratio: float | None, domain: DomainCheck | None = None) -> Finding:
    (found,) = report.findings
    return dataclasses.replace(found, log10_likelihood_ratio=ratio, domain=domain)


# Likelihood ratio


@pytest.mark.parametrize(
    ("ratio", "sentence"),
    [
        (1.0, "10 times as frequent among fake faces as among real ones"),
        (2.0, "100 times as frequent among fake faces as among real ones"),
        (-2.0, "100 times as frequent among real faces as among fake ones"),
        (-0.5, "3.2 times as frequent among real faces as among fake ones"),
        (0.1, "about as frequent among fake faces as among real ones"),
    ],
)
def test_the_page_explains_the_likelihood_ratio_and_what_it_is_worth(
    report: Report, tmp_path: Path, ratio: float, sentence: str
) -> None:
    found = dataclasses.replace(report, findings=(finding(report, ratio),), model=card(SEALED))
    shown = page_of(found, tmp_path).text
    assert sentence in shown
    capped = "capped at the largest ratio the calibration data support" in shown
    assert capped == (abs(ratio) == 2)
    assert f"likelihood ratio: {ratio:+.1f}" in shown
    assert (
        "such ratios carry 13 % of the information of perfect ones (Cllr 0.87; 1 would be no "
        "information)" in shown
    )


@pytest.mark.parametrize(
    ("ratio", "model", "domain", "shown"),
    [
        (1.0, card(SEALED), None, True),
        (1.0, card(SEALED), DomainCheck(True, ()), True),
        (1.0, card(SEALED), OUTSIDE, False),
        (None, card(SEALED), None, False),
        (1.0, card(SEALED, calibration=None), None, False),
        (1.0, card(), None, False),
        (1.0, card(dataclasses.replace(SEALED, cllr=None)), None, False),
        (1.0, card(dataclasses.replace(SEALED, cllr=1.0)), None, False),
        (1.0, card(dataclasses.replace(SEALED, cllr=1.3)), None, False),
        # Only the first record counts: it is the most independent one.
        (1.0, card(dataclasses.replace(SEALED, cllr=1.3), SEALED), None, False),
        (1.0, card(record(), SEALED), None, True),
        # The model could check the conditions, but they were not checked.
        (1.0, in_checked_domain(card(SEALED)), None, False),
        (1.0, in_checked_domain(card(SEALED)), DomainCheck(True, ()), True),
    ],
)
def test_a_likelihood_ratio_is_shown_only_where_it_carries_information(
    report: Report, ratio: float | None, model: ModelCard, domain: DomainCheck | None, shown: bool
) -> None:
    sentence = likelihood_ratio_sentence(finding(report, ratio, domain), model)
    assert (sentence is not None) == shown


def test_almost_no_information_is_not_rounded_to_none(report: Report) -> None:
    model = card(dataclasses.replace(SEALED, cllr=0.997))
    sentence = likelihood_ratio_sentence(finding(report, 1.0), model)
    assert sentence is not None
    assert "carry less than 1 % of the information" in sentence


def test_the_page_says_why_no_likelihood_ratio_is_shown(report: Report, tmp_path: Path) -> None:
    worthless = card(dataclasses.replace(SEALED, cllr=1.3))
    assert "carry no information on the clips counted below (Cllr 1.30)" in ratio_limit_sentence(
        worthless
    )
    assert "was not measured" in ratio_limit_sentence(card())
    assert "up to 100," in ratio_limit_sentence(card(SEALED))
    text = page_of(dataclasses.replace(report, model=worthless), tmp_path).text
    assert ratio_limit_sentence(worthless) in text


# Conditions


def test_the_card_says_whether_the_conditions_are_those_of_the_validation_data(
    report: Report, tmp_path: Path
) -> None:
    outside = (
        "outside the range of the validation data: the face is 300 pixels wide (90 to 140); it is "
        "dark"
    )
    inside = "seen under conditions like those the model was validated on"
    for domain, words in ((DomainCheck(True, ()), inside), (OUTSIDE, outside), (None, None)):
        assert domain_sentence(domain) == words
        text = page_of(in_domain(report, domain), tmp_path).text
        assert [sentence in text for sentence in (inside, outside)] == [
            sentence == words for sentence in (inside, outside)
        ]
    assert domain_sentence(DomainCheck(False, ())) == "outside the range of the validation data"


# What is specific to a face

FLAT = np.zeros((4, 4))


@pytest.mark.parametrize(
    ("mark", "similarity", "parts", "words"),
    [
        (
            SpecificityMark.SPECIFIC,
            0.12,
            ("mouth", "nose"),
            "heatmap specific to this face: it shows more than this model shows on genuine faces. "
            "Correlation with what this model shows on genuine faces: 0.12. Stands out: mouth, "
            "nose. Test:",
        ),
        (
            SpecificityMark.USUAL,
            0.96,
            (),
            "heatmap not specific to this face: it shows more than this model shows on genuine "
            "faces, but not clearly more than random heatmaps or the reference heatmap. "
            "Correlation with what this model shows on genuine faces: 0.96. Test:",
        ),
        (
            SpecificityMark.SPECIFIC,
            -0.4,
            (),
            "heatmap specific to this face: it shows more than this model shows on genuine faces. "
            "Correlation with what this model shows on genuine faces: -0.40. Test:",
        ),
    ],
)
def test_the_two_answers_on_a_heatmap_are_separate(
    report: Report,
    tmp_path: Path,
    mark: SpecificityMark,
    similarity: float,
    parts: tuple[str, ...],
    words: str,
) -> None:
    found = specificity(FLAT, mark, similarity=similarity, parts=parts)
    faithful, specific, warning = trust_sentences(assessed(found, TrustMark.WEAK))
    assert faithful.startswith("heatmap faithful to the model: weak")
    assert specific.startswith(words)
    assert "falls by 1.9 more than expected of a genuine face" in specific
    assert "by less than 0.8 more; 6 faces" in specific
    assert warning == "neither answer means that the marked area was edited"
    text = page_of(compared(report, found, mark=TrustMark.WEAK), tmp_path).text
    plain = text.partition("Reliability")[2].partition("Details for experts")[0]
    assert "only weakly faithful to the model (says nothing about the video)" in plain
    assert f"the heatmap is {mark}:" in plain
    assert faithful in text.partition("Details for experts")[2]
    assert words in text
    assert warning in text


@pytest.mark.parametrize(
    ("excess", "mark", "reason"),
    [
        (0.8, TrustMark.SUPPORTED, "it does not show more than this model shows on genuine faces"),
        (-0.5, TrustMark.CHANCE, "it does not show more than this model shows on genuine faces"),
        (0.9, TrustMark.CHANCE, "but it is not faithful to the model"),
        (0.9, None, "but whether it is faithful to the model was not measured"),
        (0.9, TrustMark.WEAK, "but not clearly more than random heatmaps or the reference heatmap"),
    ],
)
def test_a_heatmap_that_is_not_specific_fails_the_condition_that_is_named(
    excess: float, mark: TrustMark | None, reason: str
) -> None:
    usual = dataclasses.replace(specificity(FLAT, SpecificityMark.USUAL), excess=excess)
    sentence = next(
        one for one in trust_sentences(assessed(usual, mark)) if one.startswith("heatmap not spec")
    )
    assert f"{reason}. Correlation" in sentence
    more = "0.5 less" if excess < 0 else f"{excess:.1f} more"
    assert f"the logit falls by {more} than expected" in sentence


def test_one_answer_does_not_speak_of_two() -> None:
    (only, warning) = trust_sentences(assessed(specificity(FLAT)))
    assert only.startswith("heatmap specific")
    assert warning == "this does not mean that the marked area was edited"
    assert trust_sentences(assessed()) == []


@pytest.mark.parametrize("named", [None, 0, 7])
def test_the_page_says_how_often_the_heatmap_names_the_forged_part(named: int | None) -> None:
    controls = Controls(ControlOutcome.DETECTED, 0.9, None, 0.2, 0.1, False, 3, 9, named)
    sentences = trust_sentences(dataclasses.replace(assessed(), controls=controls))
    words = (
        f"the heatmap names the forged part in {named} of 9 synthetic forgeries of this face (by "
        "chance: about 1 in 5)"
    )
    assert (words in sentences) == (named is not None)
    assert len(sentences) == 1 + (named is not None)


def test_the_page_names_the_data_that_heatmaps_and_conditions_are_compared_with(
    report: Report, tmp_path: Path
) -> None:
    grid = ((0.0,) * GRID,) * GRID
    baseline = Baseline(
        "hirescam", grid, ("nose",), (grid,), ((1.0,),), 2, 1, 77, "genuine faces of mine"
    )
    domain = Domain((), (), (), 2557, "faces and tracks of theirs")
    model = dataclasses.replace(CARD, baseline=baseline, domain=domain)
    plain = dataclasses.replace(report, model=model)
    heatmaps = "Heatmaps are compared with those of 77 genuine faces of mine"
    conditions = "Conditions are compared with those of 2,557 faces and tracks of theirs"
    for found, expected in (
        (plain, (False, False)),  # nothing was compared
        (compared(plain, specificity(FLAT)), (True, False)),
        (in_domain(plain, OUTSIDE), (False, True)),
    ):
        text = page_of(found, tmp_path).text
        assert (heatmaps in text, conditions in text) == expected
        assert ("Heatmaps are compared" in text, "Conditions are" in text) == expected


def test_the_page_says_which_heatmap_it_shows(report: Report, tmp_path: Path) -> None:
    """Without a comparison there is nothing to choose and nothing to explain."""
    both = ("Shown: the heatmap compared with genuine faces", "Shown: the whole heatmap")

    def shown(found: Report, style: Style) -> list[object]:
        write_page(found, tmp_path, style, PageFiles(video="untouched.mp4"))
        html = (tmp_path / "report.html").read_text(encoding="utf-8")
        hidden = [id_ for id_ in ("compared", "whole") if f'id="legend-{id_}" hidden' in html]
        controls = [id_ for id_ in ("compare",) if f'id="{id_}"' in html]
        checked = 'id="compare" checked' in html
        return [*(words for words in both if words in html), *hidden, *controls, checked]

    faces = compared(report, specificity(FLAT))
    assert shown(report, Style()) == [False]
    assert shown(faces, Style()) == [*both, "whole", "compare", True]
    assert shown(faces, Style(baseline="keep")) == [*both, "compared", "compare", False]


def test_the_page_says_that_some_people_could_not_be_compared(tmp_path: Path) -> None:
    tracks = [make_track(np.ones(30), person=person) for person in (1, 2)]
    report = make_report(*tracks, maps=np.ones((30, 4, 4)))
    write_page(
        compared(report, specificity(FLAT), None), tmp_path, Style(), PageFiles(video="v.mp4")
    )
    words = "People who could not be compared are shown with the whole heatmap."
    assert words in (tmp_path / "report.html").read_text(encoding="utf-8")
    write_page(
        compared(report, specificity(FLAT), specificity(FLAT)),
        tmp_path,
        Style(),
        PageFiles(video="v.mp4"),
    )
    assert words not in (tmp_path / "report.html").read_text(encoding="utf-8")
