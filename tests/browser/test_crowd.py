"""``report.html`` of a crowd: cards on demand, with and without scripts, and on paper."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import RecordedPage, accessibility_findings
from support.crowds import crowd_report, write_crowd
from support.report_page import open_report

pytestmark = pytest.mark.slow

PEOPLE = 52
PAINTED = """(one) => {
  const blank = Object.assign(document.createElement("canvas"), { width: 320, height: 320 });
  return one.width === 320 && one.toDataURL() !== blank.toDataURL();
}"""
OPEN = "details.on-demand[open]"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a crowd; two of the people have no card."""
    folder = tmp_path_factory.mktemp("crowd")
    write_crowd(crowd_report(PEOPLE), folder)
    return folder


@pytest.fixture
def page(chromium: Browser, crowd: Path) -> Iterator[Page]:
    recorded = open_report(chromium, crowd)
    yield recorded.page
    assert recorded.errors == []
    recorded.close()


def open_cards(page: Page) -> list[str]:
    """Return the people whose cards are open, as the addresses of the cards."""
    ids: list[str] = page.locator(f"{OPEN} article").evaluate_all("all => all.map((one) => one.id)")
    return ids


def test_a_link_to_a_person_opens_the_card(page: Page) -> None:
    assert open_cards(page) == []
    wanted = []
    for place in (".strip a", ".crowd .same a", ".crowd .row th a", ".lane-name"):
        link = page.locator(f"{place}[href^='#person-']").nth(1)
        wanted.append((link.get_attribute("href") or "")[1:])
        link.click()
        card = page.locator(f"#{wanted[-1]}")
        expect(card).to_be_in_viewport()
        canvas = card.locator(".face canvas")
        assert canvas.evaluate(PAINTED)
    assert set(open_cards(page)) == set(wanted)


def test_an_address_opens_a_card_and_the_keyboard_another(chromium: Browser, crowd: Path) -> None:
    recorded = open_report(chromium, crowd, "#person-8")
    page = recorded.page
    assert open_cards(page) == ["person-8"]
    expect(page.locator("#person-8")).to_be_in_viewport()
    page.get_by_text("Card of person 20", exact=True).focus()
    page.keyboard.press("Enter")
    assert set(open_cards(page)) == {"person-8", "person-20"}
    recorded.close()


def test_a_search_of_the_browser_opens_the_card(chromium: Browser, crowd: Path) -> None:
    """Tested with a text fragment, which reveals a match as the search of the browser does."""
    html = (crowd / "report.html").read_text(encoding="utf-8")
    names = re.findall(r'id="(person-\d+)-name">(Person \d+: [a-z ]+) <', html)
    card, name = names[30]
    recorded = RecordedPage(chromium)
    recorded.page.goto(f"{(crowd / 'report.html').as_uri()}#:~:text={quote(name)}")
    expect(recorded.page.locator(f"#{card}")).to_be_visible()
    assert open_cards(recorded.page) == [card]
    recorded.close()


def test_only_six_charts_are_shown_at_first(page: Page) -> None:
    shown = [lane.is_visible() for lane in page.locator(".lane").all()]
    assert shown == [True] * 6 + [False] * 44
    page.get_by_text("Show all 50 charts").click()
    assert page.locator(".lane >> nth=49").is_visible()


def test_without_scripts_every_card_can_be_opened(chromium: Browser, crowd: Path) -> None:
    recorded = RecordedPage(chromium, java_script_enabled=False)
    page = recorded.page
    page.goto((crowd / "report.html").as_uri())
    page.locator(".crowd .row a >> nth=3").click()
    page.locator(".on-demand > summary >> nth=9").click()
    assert page.locator("article:visible").count() == 2
    assert page.locator(".crowd .row:visible").count() == PEOPLE
    recorded.close()


def test_the_table_and_the_cards_of_six_are_printed(page: Page) -> None:
    page.locator(".on-demand > summary >> nth=-1").click()  # not fake: it is not printed
    page.emulate_media(media="print")
    assert page.locator(".crowd .row:visible").count() == PEOPLE
    document = page.pdf(format="A4")
    assert 4 <= len(re.findall(rb"/Type /Page\b", document)) <= 14
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("article:visible").count() == 6
    shown = page.locator("article:visible .chip.fake")
    assert shown.count() == 6


def test_axe_finds_no_serious_problems(chromium: Browser, tmp_path: Path) -> None:
    write_crowd(crowd_report(7), tmp_path)
    recorded = open_report(chromium, tmp_path, "#person-7")
    assert accessibility_findings(recorded.page) == []
    recorded.close()


def test_the_table_fits_a_phone(chromium: Browser, crowd: Path) -> None:
    recorded = open_report(chromium, crowd, viewport={"width": 360, "height": 700})
    page = recorded.page
    page.locator(".on-demand > summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".on-demand > summary").first.bounding_box()["height"] >= 32  # type: ignore[index]
    recorded.close()
