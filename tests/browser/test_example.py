"""The example on the page of the server, and what its pages share with the report page."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import RecordedPage, accessibility_findings
from support.serving import Server

pytestmark = pytest.mark.slow

WIDTHS = (1440, 1024, 390)
# Selector and property of what both pages have.
SHARED = {
    "body": ("background-color", "color", "font-family", "font-size"),
    "h1": ("font-size", "font-weight", "color"),
    "h2:not(.unseen, .lead)": ("font-size", "font-weight"),
    ".brand": ("font-size", "font-weight", "color"),
    ".brand img": ("width", "height"),
    ".people > li.fake": ("border-left-color", "border-left-width", "border-radius"),
    ".people > li.fake .verdict": ("color", "font-weight"),
    ".sure": ("font-weight", "font-size"),
    "button:not(.primary, footer button)": ("border-radius", "background-color", "min-height"),
    "a:not(.brand, .button, .skip)": ("color",),
}
STYLES = """shared => Object.entries(shared).map(([selector, names]) => {
  const style = getComputedStyle(document.querySelector(selector));
  return [selector, ...names.map((name) => style.getPropertyValue(name))];
})"""


def people(page: Page) -> list[tuple[str, str]]:
    """Return verdict with person, and what weakens it, of each person as the page shows them."""
    verdicts = page.locator(".people .verdict").all_inner_texts()
    weaknesses = page.locator(".people .sure").all_inner_texts()
    shown = [re.match(r"(.*person \d+)", text)[1].lower() for text in verdicts]  # type: ignore[index]
    return list(zip(shown, weaknesses, strict=True))


def test_the_example_shows_the_forgery_and_one_look(empty: Server, chromium: Browser) -> None:
    """From the empty page to the report, with the keyboard, in light and dark, on any screen."""
    recorded = RecordedPage(chromium)
    page = recorded.page
    page.goto(empty.printed)
    first = page.get_by_role("button", name="Try the example")
    expect(first).to_have_count(1)
    assert accessibility_findings(page) == []
    first.press("Enter")
    expect(page.locator("#work h3")).to_be_visible()
    expect(page.locator("#work-title")).to_be_focused()
    expect(page.locator("#offer")).to_be_hidden()
    row = page.locator("#results > li")
    expect(row.locator("h3")).to_have_text(
        "example (planted forgery in person 2).mp4", timeout=120_000
    )
    listed = people(page)
    assert listed[0][0] == "likely fake person 2"
    assert "can be wrong" in listed[0][1].lower()
    assert "person 1" in listed[1][0]
    assert "likely fake" not in listed[1][0]
    expect(page.locator("footer").get_by_role("button", name="Try the example")).to_be_visible()

    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        left = {round(box["x"]) for part in (".thumbnail", ".people", ".rates")
                if (box := row.locator(part).bounding_box())}  # fmt: skip
        assert len(left) == 1, "thumbnail, verdicts and error rates start at one edge"
    looks = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert accessibility_findings(page) == []
        looks[scheme] = page.evaluate(STYLES, SHARED)
    assert looks["light"] != looks["dark"]
    row.get_by_role("link", name="Open report").click()
    page.wait_for_url("**/report.html")
    assert people(page) == listed
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(STYLES, SHARED) == looks[scheme]
    assert recorded.errors == []
    assert recorded.hosts() == {"127.0.0.1"}
    recorded.close()
