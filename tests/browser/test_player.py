"""The player and the lanes of ``report.html``: by pointer and by keyboard."""

import dataclasses
import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from fakelens.records.trust import Assessment
from fakelens.report.save import save_report
from support.browser import RecordedPage
from support.media import make_clip
from support.report_page import FRAMES, number_on, open_report, seek, wait_for_seek
from support.toys import FAKE, HEIGHT, WIDTH, analyzed, film

pytestmark = pytest.mark.slow


def test_a_click_on_a_lane_goes_to_the_frame_under_the_pointer(opened: RecordedPage) -> None:
    page = opened.page
    lane = page.locator(".lane-plot[data-person='2']")
    box = lane.bounding_box()
    assert box is not None
    page.locator("#boxes").uncheck()
    for share in (0.1, 0.97, 0.33, 0.62):
        lane.click(position={"x": share * box["width"], "y": 10})
        wait_for_seek(page)
        found = re.search(r"frame (\d+)", lane.get_attribute("aria-valuetext") or "")
        assert found is not None
        assert int(found[1]) == pytest.approx(share * FRAMES, abs=1.1)
        assert number_on(page) == int(found[1])


def test_a_lane_shows_frame_and_score_under_the_pointer(opened: RecordedPage, folder: Path) -> None:
    page = opened.page
    lane = page.locator(".lane-plot[data-person='1']")
    box = lane.bounding_box()
    assert box is not None
    lane.hover(position={"x": 0.5 * box["width"], "y": 10})
    tip = lane.locator(".tip").inner_text()
    found = re.fullmatch(r"0:01\.\d, frame (\d+): (\d\.\d\d)", tip)
    assert found is not None, tip
    document = json.loads((folder / "report.json").read_text())
    track = document["persons"][0]["track"]
    logit = track["logits"][track["frames"].index(int(found[1]))]
    assert float(found[2]) == pytest.approx(1 / (1 + np.exp(-logit)), abs=0.008)


DRAG = """
async () => {
  const video = document.querySelector("video"), bar = document.getElementById("seek");
  const shown = [], offsets = [];
  const record = (_, frame) => {
    shown.push(frame.mediaTime);
    video.requestVideoFrameCallback(record);
  };
  video.requestVideoFrameCallback(record);
  for (let time = 0.3; time < 1.9; time += 0.05) {
    bar.value = time;
    bar.dispatchEvent(new Event("input"));
    await new Promise((later) => setTimeout(later, 40));
    offsets.push(bar.value - time);
  }
  return { shown, offsets };
}
"""


def test_dragging_shows_key_frames_and_then_the_exact_frame(
    chromium: Browser, tmp_path: Path
) -> None:
    clip = film(tmp_path / "one.mp4", FAKE, frames=60, keys_every=20)
    save_report(analyzed(clip, FAKE), tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    dragged = recorded.page.evaluate(DRAG)
    assert {20, 40} <= {round(25 * time) for time in dragged["shown"]} <= {0, 20, 40}
    assert max(map(abs, dragged["offsets"])) < 0.01, "the handle stays where it is dragged"
    wait_for_seek(recorded.page)
    recorded.page.locator("#boxes").uncheck()
    assert number_on(recorded.page) == 46
    recorded.close()


def test_a_drag_to_the_start_ends(opened: RecordedPage) -> None:
    page = opened.page
    for time in (1.5, 0.5, 0):
        page.locator("#seek").evaluate(
            "(bar, time) => { bar.value = time; bar.dispatchEvent(new Event('input')) }", time
        )
        page.wait_for_timeout(60)
    wait_for_seek(page)
    assert number_on(page) == 0
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(600)
    assert page.inner_text("#clock") > "0:00.2"


def test_the_speed_can_be_changed(opened: RecordedPage) -> None:
    opened.page.select_option("#speed", "0.25")
    assert opened.page.evaluate("document.querySelector('video').playbackRate") == 0.25


def test_unevenly_spaced_frames_are_stepped_through_one_by_one(
    chromium: Browser, tmp_path: Path
) -> None:
    ticks = [0, 1, 2, 10, 11, 25, 26, 27, 28, 50, 51, 52]
    clip = make_clip(
        tmp_path / "uneven.mp4",
        frames=len(ticks),
        size=(WIDTH, HEIGHT),
        rate=Fraction(25),
        pts=ticks,
        time_base=Fraction(1, 25),
    )
    save_report(analyzed(clip, FAKE), tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    recorded.page.locator("#boxes").uncheck()
    seen = [number_on(recorded.page)]
    for name in ["One frame forward"] * 8 + ["One frame back"] * 3:
        recorded.page.get_by_role("button", name=name).click()
        wait_for_seek(recorded.page)
        seen.append(number_on(recorded.page))
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5]
    recorded.close()


def test_frames_can_be_stepped_through(opened: RecordedPage) -> None:
    page = opened.page
    seek(page, 1.0)
    page.locator("#boxes").uncheck()
    for name, number in (
        ("One frame forward", 26),
        ("One frame forward", 27),
        ("One frame back", 26),
    ):
        page.get_by_role("button", name=name).click()
        wait_for_seek(page)
        assert number_on(page) == number


@pytest.mark.parametrize(("name", "codec"), [("late.mp4", "libx264"), ("late.webm", "libvpx-vp9")])
def test_times_count_from_the_first_frame(
    chromium: Browser, tmp_path: Path, name: str, codec: str
) -> None:
    path = make_clip(
        tmp_path / name,
        frames=50,
        size=(WIDTH, HEIGHT),
        rate=Fraction(25),
        pts=[3000 + 40 * frame for frame in range(50)],
        time_base=Fraction(1, 1000),
        codec=codec,
    )
    save_report(analyzed(path, FAKE), tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    seek(recorded.page, 1.0)
    recorded.page.locator("#boxes").uncheck()
    assert recorded.page.inner_text("#clock") == "0:01.0 / 0:02.0"
    assert number_on(recorded.page) == 25
    recorded.close()


def test_the_page_can_be_used_with_the_keyboard(opened: RecordedPage) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(e => e.id || e.dataset.person && 'lane' + e.dataset.person || e.textContent)"
                "(document.activeElement)"
            )
        )
    controls = {"play", "back", "forth", "seek", "speed", "full", "show", "opacity", "boxes"}
    assert controls | {"lane1", "lane2", "start-blind", "print", "add-mark", "save-page"} <= reached
    page.locator("#screen").focus()
    page.keyboard.press("End")
    wait_for_seek(page)
    page.keyboard.press("b")
    assert number_on(page) == FRAMES - 1
    page.keyboard.press("Home")
    wait_for_seek(page)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        wait_for_seek(page)
    assert number_on(page) == 3
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_text("Pause")
    page.keyboard.press("Space")
    expect(page.locator("#play")).to_have_text("Play")
    page.keyboard.press("h")
    assert not page.locator("#show").is_checked()
    lane = page.locator(".lane-plot[data-person='1']")
    lane.focus()
    before = number_on(page)
    page.keyboard.press("ArrowDown")
    wait_for_seek(page)
    assert number_on(page) == before - 1
    page.locator("#play").focus()
    page.keyboard.press("ArrowRight")
    wait_for_seek(page)
    assert number_on(page) == before


def test_a_link_in_the_film_strip_goes_to_its_frame(chromium: Browser, tmp_path: Path) -> None:
    clip = film(tmp_path / "one.mp4", FAKE, frames=60)
    report = analyzed(clip, FAKE)
    assessment = Assessment(None, None, None, None, None, (40, 10), ())
    findings = (dataclasses.replace(report.findings[0], assessment=assessment),)
    save_report(dataclasses.replace(report, findings=findings), tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    assert recorded.page.locator(".film li").count() == 2
    recorded.page.locator(".film a").last.click()
    wait_for_seek(recorded.page)
    recorded.page.locator("#boxes").uncheck()
    assert number_on(recorded.page) == 40
    recorded.close()
