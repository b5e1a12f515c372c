"""The pages of two models: they compare the models, lead to each other and play one video."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from fakelens.analysis.pipeline import analyze_models
from fakelens.records.faces import CropGeometry
from fakelens.records.models import Thresholds
from fakelens.records.settings import Settings
from fakelens.report.save import save_report
from support.browser import accessibility_findings
from support.builders import CARD
from support.report_page import open_report
from support.toys import FAKE, REAL, RedModel, ScriptedDetector, film

OTHER = replace(
    CARD,
    name="a-rather-long-name-of-another-model",
    crop=CropGeometry("box", 1.6),
    thresholds=Thresholds(0.01, 0.005, "made up"),
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("clip")
    clip = film(parent / "two.mp4", FAKE, REAL, frames=60)
    first, *others = analyze_models(
        clip,
        models=[RedModel(), RedModel(OTHER)],
        detector=ScriptedDetector(FAKE, REAL),
        settings=Settings(trust=False, every=1),
    )
    save_report(first, parent / "out", others=others)
    return parent / "out"


def test_the_pages_lead_to_each_other_and_play_the_same_video(
    chromium: Browser, compared: Path
) -> None:
    recorded = open_report(chromium, compared)
    page = recorded.page
    expect(page.get_by_role("heading", name="Second opinion")).to_be_visible()
    for place, link in (
        ("second_opinions/a-rather-long-name-of-another-model", OTHER.name),
        (".", "toy"),
    ):
        page.get_by_role("link", name=f"Report of {link}").click()
        page.wait_for_selector("html[data-ready=yes]")
        assert page.url == (compared / place / "report.html").resolve().as_uri()
        page.wait_for_function("() => document.querySelector('video').readyState >= 2")
        expect(page.locator("#unplayable")).to_be_hidden()
    assert recorded.errors == []
    recorded.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_the_section_fits_into_the_window_and_shows_each_heatmap(
    width: int, chromium: Browser, compared: Path
) -> None:
    recorded = open_report(chromium, compared, viewport={"width": width, "height": 900})
    page = recorded.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    pictures = page.locator(".opinion img")
    assert pictures.count() == 4
    assert page.evaluate(
        "[...document.querySelectorAll('.opinion img')].every(i => i.naturalWidth)"
    )
    first, second = pictures.nth(0).bounding_box(), pictures.nth(1).bounding_box()
    assert first is not None
    assert second is not None
    beside = first["y"] == second["y"] and first["x"] < second["x"]
    assert beside == (width == 1440)
    assert accessibility_findings(page) == []
    recorded.close()


def test_a_blind_review_does_not_show_second_opinions(chromium: Browser, compared: Path) -> None:
    recorded = open_report(chromium, compared, "#blind", viewport={"width": 900, "height": 900})
    expect(recorded.page.locator(".opinions")).to_be_hidden()
    shown = recorded.page.locator("body").inner_text()
    assert "Both models" not in shown
    assert "likely fake" not in shown.partition("Your review")[0]
    recorded.close()
