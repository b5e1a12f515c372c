"""Marking in a review of ``report.html``: by dragging and by keys, undo, and the comparison."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import accessibility_findings
from support.report_page import FRAMES, number_on, open_report, seek, wait_for_seek
from support.reviews import mark, reveal
from support.toys import RATE

pytestmark = pytest.mark.slow

LENGTH = float(FRAMES / RATE)  # seconds


def lane(page: Page, person: int) -> tuple[float, float, float]:
    """Return left, width and vertical middle of a person's marking lane, in pixels."""
    place = page.get_by_role("slider", name=f"Mark person {person}:")
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    return box["x"], box["width"], box["y"] + box["height"] / 2


def drag(page: Page, person: int, start: float, end: float) -> None:
    """Drag on a marking lane from one time to another, in seconds."""
    left, width, middle = lane(page, person)
    places = [left + width * time / LENGTH for time in (start, end)]
    page.mouse.move(places[0], middle)
    page.mouse.down()
    page.mouse.move(places[1], middle, steps=5)
    page.mouse.up()


def marks(page: Page) -> list[str]:
    """Return the marks in the list of the form."""
    texts = page.locator("#suspicions li").all_inner_texts()
    return [text.replace("Remove", "").strip() for text in texts]


def test_spans_are_marked_by_dragging_and_by_keys_and_undone(
    chromium: Browser, folder: Path
) -> None:
    recorded = open_report(chromium, folder, "#blind")
    page = recorded.page
    drag(page, 1, 0.61, 1.61)
    assert marks(page) == ["person 1, 0:00.6 to 0:01.6"]
    assert [page.input_value(f"#mark-{end}") for end in ("start", "end")] == ["0.6", "1.6"]
    drag(page, 1, 1.6, 1.21)  # the end of the mark
    assert marks(page) == ["person 1, 0:00.6 to 0:01.2"]
    page.get_by_label("Why: person 1").fill("the mouth")

    seek(page, 0.4)
    page.get_by_role("slider", name="Mark person 2:").focus()
    page.keyboard.press("i")
    page.keyboard.press("Shift+ArrowRight")
    wait_for_seek(page)
    page.keyboard.press("]")
    page.keyboard.press("Enter")
    assert marks(page)[1:] == ["person 2, 0:00.4 to 0:01.4"]
    assert accessibility_findings(page) == []

    page.locator("#mark-note").press_sequentially("imou")
    page.keyboard.press("Control+z")
    assert len(marks(page)) == 2, "keys in a text field are for the text"
    page.locator("#undo").focus()
    page.keyboard.press("Control+z")
    assert marks(page) == ["person 1, 0:00.6 to 0:01.2"]
    page.keyboard.press("u")
    expect(page.get_by_label("Why: person 1")).to_have_value("")
    page.keyboard.press("u")
    assert marks(page) == ["person 1, 0:00.6 to 0:01.6"]
    page.keyboard.press("Control+y")
    page.get_by_role("button", name="Redo").click()
    expect(page.get_by_label("Why: person 1")).to_have_value("the mouth")
    page.get_by_role("button", name=re.compile("^Remove")).click()
    assert marks(page) == []
    page.keyboard.press("Control+z")
    assert marks(page) == ["person 1, 0:00.6 to 0:01.2"]

    reveal(page)
    page.keyboard.press("Control+z")
    expect(page.locator("#undo")).to_be_disabled()
    assert marks(page) == ["person 1, 0:00.6 to 0:01.2: the mouth"]
    shown = page.locator(".lane-plot[data-person='1'] .mark").evaluate(
        "one => [one.offsetLeft, one.offsetWidth].map((side) => side / one.parentNode.clientWidth)"
    )
    assert shown == pytest.approx([0.6 / LENGTH, 0.6 / LENGTH], abs=0.01)
    assert recorded.errors == []
    recorded.close()


def test_a_shift_drag_on_a_chart_marks_and_a_drag_seeks(chromium: Browser, folder: Path) -> None:
    recorded = open_report(chromium, folder)
    page = recorded.page
    box = page.locator(".lane-plot[data-person='1']").bounding_box()
    assert box is not None
    for keys, expected in (([], []), (["Shift"], ["person 1, 0:00.6 to 0:01.0"])):
        for key in keys:
            page.keyboard.down(key)
        page.mouse.move(box["x"] + box["width"] * 0.61 / LENGTH, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 1.01 / LENGTH, box["y"] + 50, steps=4)
        page.mouse.up()
        for key in keys:
            page.keyboard.up(key)
        wait_for_seek(page)
        assert number_on(page) == 25
        assert marks(page) == expected
    recorded.close()


def test_after_the_result_is_revealed_the_comparison_is_in_view_and_its_links_work(
    chromium: Browser, folder: Path
) -> None:
    recorded = open_report(chromium, folder, "#blind")
    page = recorded.page
    mark(page, 1, 0.6, 1.2)
    page.check("input[name=opinion][value=manipulated]")
    reveal(page)
    title = page.get_by_role("heading", name="Your review and the result")
    expect(title).to_be_in_viewport()
    expect(title).to_be_focused()
    for link in page.locator("#comparison a[href^='#person']").all():
        link.click()
        expect(page.locator(str(link.get_attribute("href")))).to_be_in_viewport()
    page.go_back()
    page.go_back()
    assert page.url.endswith("/report.html"), "an address that hides nothing again"
    expect(page.locator("html")).not_to_have_class("blind")
    page.locator("#comparison").get_by_text("0:00.6 to 0:01.2").click()
    wait_for_seek(page)
    expect(page.locator("#screen")).to_be_in_viewport()
    assert number_on(page) == 15
    top = page.get_by_label("Verdicts of reviewers")
    expect(top).to_contain_text("manipulated. Agrees with fakelens: likely fake (person 1).")
    page.emulate_media(media="print")
    expect(top).to_be_visible()
    assert recorded.errors == []
    recorded.close()
