"""The first screen of ``report.html``: the verdict strip, the video, and what to do next."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from fakelens.records.findings import Verdict
from fakelens.report.save import save_report
from support.browser import RecordedPage, accessibility_findings
from support.comparing import SEALED, with_records
from support.report_page import (
    hide_boxes,
    number_on,
    open_report,
    open_settings,
    screenshot,
    seek,
    wait_for_seek,
)
from support.toys import FAKE, RATE, REAL, WIDTH, Actor, analyzed, film

pytestmark = pytest.mark.slow

PALE = Actor((106, 90, 124), 65, side=50)
"""Scores between the thresholds."""

WORDS = r"""(fold) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const words = [];
  for (let node; (node = walker.nextNode()); ) {
    const parent = node.parentElement;
    if (parent.closest("script, style, noscript, .unseen, option")) continue;
    if (!parent.checkVisibility({ visibilityProperty: true })) continue;
    for (const found of node.textContent.matchAll(/\S*[\p{L}\p{N}]\S*/gu)) {
      const range = document.createRange();
      range.setStart(node, found.index);
      range.setEnd(node, found.index + found[0].length);
      const box = range.getBoundingClientRect();
      if (box.width && box.bottom + scrollY <= fold) words.push(found[0]);
    }
  }
  return words;
}"""
"""Words that are visible above a height."""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a clip of three people, one for each verdict."""
    parent = tmp_path_factory.mktemp("three")
    actors = (replace(REAL, x=0, side=50), PALE, replace(FAKE, x=130, side=50))
    clip = film(parent / "three.mp4", *actors, frames=60)
    report = with_records(analyzed(clip, *actors), SEALED)
    save_report(report, parent / "out")
    return parent / "out"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a wide clip with sound of one person who is likely fake."""
    parent = tmp_path_factory.mktemp("alone")
    clip = film(parent / "one.mp4", FAKE, frames=60)
    report = with_records(analyzed(clip, FAKE), SEALED)
    report = replace(report, video=replace(report.video, audio=("aac",)))
    save_report(report, parent / "out")
    return parent / "out"


@pytest.fixture
def wide(chromium: Browser, three: Path) -> Iterator[Page]:
    recorded = open_report(chromium, three, viewport={"width": 1440, "height": 900})
    yield recorded.page
    assert recorded.errors == []
    recorded.close()


def top(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return box["y"]


def test_the_strip_comes_first_and_is_low(wide: Page) -> None:
    places = [top(wide, name) for name in (".strip", "#screen", "#persons", "#limits")]
    assert places == sorted(places)
    box = wide.locator(".strip").bounding_box()
    assert box is not None
    assert box["height"] < 220
    people = wide.locator(".people > li")
    heads = [head.split(" person ") for head in people.locator(".verdict").all_inner_texts()]
    assert [head.lower() for head, _ in heads] == ["likely fake", "inconclusive", "likely real"]
    assert [people.nth(n).bounding_box()["y"] for n in range(3)] == [top(wide, ".people > li")] * 3  # type: ignore[index]
    words = people.first.inner_text()
    for part in ("Its stability was not checked", "Score 0.9", "called 1 of 15 genuine ones fake"):
        assert part in words
    shown = people.locator("img").evaluate_all("all => all.map((one) => one.naturalWidth)")
    assert len(shown) == 3
    assert min(shown) > 90


def test_the_video_stays_in_view_beside_the_lanes(wide: Page) -> None:
    screen, side = (wide.locator(name).bounding_box() for name in ("#screen", ".side"))
    assert screen is not None
    assert side is not None
    assert 0.55 < screen["width"] / (side["x"] + side["width"] - screen["x"]) < 0.62
    assert side["x"] >= screen["x"] + screen["width"]
    for lane in wide.locator(".lane-plot").all():
        assert lane.bounding_box()["height"] == pytest.approx(100, abs=3)  # type: ignore[index]
        assert lane.locator(".zone").count() == 2
        assert lane.locator(".levels text").all_text_contents() == ["fake 0.60", "real 0.40"]
    assert wide.locator(".stage").evaluate("one => getComputedStyle(one).position") == "sticky"


def test_one_person_takes_few_words(chromium: Browser, alone: Path) -> None:
    recorded = open_report(chromium, alone, viewport={"width": 1440, "height": 900})
    words = recorded.page.evaluate(WORDS, 900)
    assert len(words) < 120, " ".join(words)
    for part in ("fake", "Look", "earliest", "Reverse-search", "voice", "15"):
        assert part in words
    recorded.close()


def test_jargon_is_only_in_the_details_for_experts(chromium: Browser, three: Path) -> None:
    recorded = open_report(chromium, three)
    recorded.page.evaluate(
        "for (const one of document.querySelectorAll('details:not(.experts)')) one.open = true"
    )
    words = recorded.page.evaluate(WORDS, 1e6)
    assert len(words) > 200
    assert not {"logit", "logits", "log10", "p"} & {word.strip(".,;:()").lower() for word in words}
    assert recorded.page.locator("details.experts").count() == 4
    assert not recorded.page.locator("details.experts[open]").count()
    recorded.close()


def test_a_blind_review_does_not_show_the_strip_or_what_to_do(
    chromium: Browser, three: Path
) -> None:
    recorded = open_report(chromium, three, "#blind", viewport={"width": 1440, "height": 900})
    page = recorded.page
    for hidden in (".strip", ".side", ".next", ".colours", "#now"):
        assert not page.locator(hidden).is_visible(), hidden
    words = " ".join(page.evaluate(WORDS, 1e6))
    for word in ("likely", "inconclusive", "alarm", "Look at", "genuine ones", "stab"):
        assert word not in words
    page.get_by_role("button", name="Reveal the result").click()
    expect(page.locator(".strip")).to_be_visible()
    expect(page.locator(".next")).to_be_visible()
    recorded.close()


def drawn_label(page: Page) -> str:
    """Return what the labels of the boxes say, by recording what is drawn."""
    return str(
        page.evaluate(
            """() => {
              const context = document.getElementById("layer").getContext("2d");
              const texts = [], original = context.fillText;
              context.fillText = (text) => texts.push(text);
              window.dispatchEvent(new Event("resize"));
              context.fillText = original;
              window.dispatchEvent(new Event("resize"));
              return texts.join("; ");
            }"""
        )
    )


def test_boxes_carry_the_verdict_and_the_score_only_under_the_pointer(
    chromium: Browser, three: Path
) -> None:
    recorded = open_report(chromium, three, viewport={"width": 1440, "height": 900})
    page = recorded.page
    seek(page, 1.0)
    verdicts = "#1 likely real; #2 inconclusive; #3 likely fake"
    assert drawn_label(page) == verdicts
    assert page.inner_text("#now") == (
        "0:01.0: person 1 likely real, person 2 inconclusive, person 3 likely fake"
    )
    box = page.locator("#screen").bounding_box()
    assert box is not None
    actor = replace(FAKE, x=130, side=50).box(25)
    assert actor is not None
    scale = box["width"] / WIDTH
    page.mouse.move(box["x"] + (actor.x1 + 25) * scale, box["y"] + (actor.y1 + 25) * scale)
    first, *others = drawn_label(page).split("; ")  # which has the best place
    assert first.startswith("#3 likely fake, 0.9")
    assert first.endswith(" in this frame")
    assert others == ["#1 likely real", "#2 inconclusive"]
    assert "person 3 likely fake, 0.9" in page.inner_text("#now")
    page.mouse.move(5, 5)
    assert drawn_label(page) == verdicts
    page.locator("#unplayable").evaluate("one => one.ownerDocument.body.focus()")
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.id") != "screen":
        page.keyboard.press("Tab")
    assert drawn_label(page).count("in this frame") == 3
    recorded.close()


def test_the_heatmap_of_an_inconclusive_person_is_faded_by_default(
    chromium: Browser, tmp_path: Path
) -> None:
    clip = film(tmp_path / "one.mp4", FAKE, frames=60)
    report = analyzed(clip, FAKE)
    open_ = replace(report.findings[0], verdict=Verdict.INCONCLUSIVE)
    changes = []
    for name, found in (("fake", report), ("open", replace(report, findings=(open_,)))):
        save_report(found, tmp_path / name, video=False)
        recorded = open_report(chromium, tmp_path / name)
        hide_boxes(recorded.page)
        open_settings(recorded.page)
        seek(recorded.page, 1.0)
        choices = [True, False] if name == "open" else [True]
        for faded in choices:
            if name == "open":
                recorded.page.locator("#fade").set_checked(faded)
            shown = screenshot(recorded.page).astype(int)
            recorded.page.locator("#show").uncheck()
            difference = np.abs(shown - screenshot(recorded.page))[70:110, 45:85]
            changes.append(float(difference.mean()))
            recorded.page.locator("#show").check()
        assert (recorded.page.locator("#fade").count() == 1) == (name == "open")
        recorded.close()
    fake, faded, full = changes
    assert fake > 20
    assert faded == pytest.approx(0.4 * fake, rel=0.1)
    assert full == pytest.approx(fake, rel=0.05)


def test_a_link_in_what_to_do_next_goes_to_the_moment(chromium: Browser, alone: Path) -> None:
    recorded = open_report(chromium, alone, viewport={"width": 1440, "height": 900})
    page = recorded.page
    link = page.locator(".next a.jump")
    wanted = round(float(link.get_attribute("data-time") or "nan") * float(RATE))
    seek(page, 2.0 if wanted < 30 else 0.2)
    before = page.evaluate("scrollY")
    link.click()
    wait_for_seek(page)
    hide_boxes(page)
    assert number_on(page) == wanted
    assert page.evaluate("scrollY") == before, "the video is already in view"
    recorded.close()


def test_the_pictures_to_search_for_are_shown_and_no_link_opens_by_itself(
    chromium: Browser, alone: Path
) -> None:
    recorded = open_report(chromium, alone, viewport={"width": 1440, "height": 900})
    links = recorded.page.locator(".keyframes a")
    assert links.count() == 3
    for link in links.all():
        assert (alone / (link.get_attribute("href") or "")).is_file()
        assert link.locator("img").evaluate("one => one.naturalWidth") > 90
    assert recorded.hosts() == set()
    assert [url for url in recorded.requests if "keyframes" in url] == []
    foreign = "all => all.map((one) => one.href).filter((one) => !one.startsWith('file:'))"
    assert recorded.page.locator("a[href]").evaluate_all(foreign) == []
    recorded.close()


@pytest.mark.parametrize("width", [1440, 1024, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_and_axe_finds_nothing(
    width: int, scheme: str, chromium: Browser, three: Path
) -> None:
    recorded = open_report(
        chromium, three, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    page = recorded.page
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert accessibility_findings(page) == []
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    recorded.close()


PORTRAIT = """async () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 450, height: 800 });
  const scene = document.getElementById("scene");
  scene.src = canvas.toDataURL();
  await scene.decode();
  document.querySelector("h1").textContent = "a long name ".repeat(16);
}"""


def test_the_first_page_on_paper_is_complete(chromium: Browser, three: Path, crowd: Path) -> None:
    """On A4 and on the shorter Letter, within margins; the text is not shrunk to fit."""
    for folder, parts in (
        (three, ("likely fake", "inconclusive", "likely real")),
        (
            crowd,
            ("The 6 most suspicious of 9 people", "3 more", *(f"person {n}" for n in "456789")),
        ),
    ):
        recorded = open_report(chromium, folder)
        page = recorded.page
        page.fill("#reviewer", "Ada Example")
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        words = page.locator(".first-page").inner_text()
        for part in (*parts, "called 1 of 15", "evidence, not proof", "SHA-256", "Ada Example"):
            assert part in words
        assert page.locator("#scene").evaluate("one => one.naturalWidth") > 200
        page.evaluate(PORTRAIT)
        # 96 pixels per inch; the margins of the style sheet are 14 mm at the sides, 30 mm together.
        for paper, wide, tall in (("A4", 688, 1009), ("Letter", 710, 942)):
            page.set_viewport_size({"width": wide, "height": tall})
            bottom = page.locator(".first-page").evaluate(
                "one => one.getBoundingClientRect().bottom + scrollY"
            )
            assert bottom <= tall, paper
            scene, list_ = (
                page.locator(one).bounding_box() for one in ("#scene", ".first-page ul")
            )
            assert scene
            assert list_
            assert 150 < scene["height"] <= list_["y"] - scene["y"], paper
            assert page.evaluate("document.documentElement.scrollWidth") <= wide, paper
        after = page.locator(".first-page").evaluate("one => getComputedStyle(one).breakAfter")
        assert after == "page"
        assert not page.locator("#player").is_visible()
        page.set_viewport_size({"width": 1000, "height": 900})
        recorded.close()


def test_experts_details_are_open_on_paper(chromium: Browser, three: Path) -> None:
    recorded: RecordedPage = open_report(chromium, three)
    states = recorded.page.evaluate(
        """() => {
          const open = () => document.querySelectorAll("details.experts[open]").length;
          const states = [open()];
          for (const kind of ["beforeprint", "afterprint"]) {
            window.dispatchEvent(new Event(kind));
            states.push(open());
          }
          return states;
        }"""
    )
    assert states == [0, 4, 0]
    recorded.close()
