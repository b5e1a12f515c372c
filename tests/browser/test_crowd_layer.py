"""What the page draws over a crowd, and the isolines of its heatmaps."""

import dataclasses
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page

from fakelens.explain.heatmaps import HeatmapStore
from fakelens.render.overlay import Overlay
from fakelens.report.save import save_report
from support.isolines import crossings, farthest
from support.report_page import hide_boxes, open_report, seek
from support.toys import FAKE, WIDTH, analyzed, film

pytestmark = pytest.mark.slow

RECORD = """() => {
  const drawn = (window.drawn = { grounds: [], words: [], maps: 0 });
  const brush = CanvasRenderingContext2D.prototype;
  const { fillRect, fillText, drawImage } = brush;
  brush.fillRect = function (...place) {
    if (this.fillStyle === "rgba(0, 0, 0, 0.78)") drawn.grounds.push(place);
    fillRect.apply(this, place);
  };
  brush.fillText = function (text, ...place) {
    drawn.words.push([text, ...place, parseFloat(this.font.match(/([\\d.]+)px/)[1])]);
    fillText.call(this, text, ...place);
  };
  brush.drawImage = function (...rest) {
    drawn.maps++;
    drawImage.apply(this, rest);
  };
}"""


def draw(page: Page) -> dict[str, Any]:
    """Draw again, and return the grounds of labels, the words and the number of heatmaps."""
    drawn: dict[str, Any] = page.evaluate(
        """() => {
          Object.assign(window.drawn, { grounds: [], words: [], maps: 0 });
          window.dispatchEvent(new Event("resize"));
          return window.drawn;
        }"""
    )
    return drawn


@pytest.mark.parametrize("width", [1000, 390])
def test_six_people_have_heatmaps_and_legible_labels_and_the_others_a_number(
    width: int, chromium: Browser, crowd: Path
) -> None:
    recorded = open_report(chromium, crowd, viewport={"width": width, "height": 900})
    page = recorded.page
    page.evaluate(RECORD)
    drawn = draw(page)
    assert drawn["maps"] == 6
    words = {text: size for text, *_, size in drawn["words"]}
    for person in range(4, 10):
        assert words.get(f"#{person} likely fake", words.get(f"#{person}", 0)) >= 13
    assert not any(f"#{person} likely fake" in words for person in (1, 2, 3))
    for (x, y, w, h), (x2, y2, w2, h2) in combinations(drawn["grounds"], 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "and 3 more" in page.inner_text("#now")
    place = page.locator("#screen").bounding_box()
    assert place is not None
    scale = place["width"] / WIDTH
    page.mouse.move(place["x"] + scale * 17, place["y"] + scale * 69)  # in the box of person 1
    pointed = [text for text, *_ in draw(page)["words"]]
    assert any(text.startswith("#1 likely fake, ") for text in pointed)
    assert recorded.errors == []
    recorded.close()


def test_a_blind_review_does_not_show_who_is_suspicious(chromium: Browser, crowd: Path) -> None:
    recorded = open_report(chromium, crowd, "#blind")
    recorded.page.evaluate(RECORD)
    drawn = draw(recorded.page)
    assert drawn["maps"] == 0
    # Also their order is no hint: a label that comes later gives way to those before it.
    assert [text for text, *_ in drawn["words"]] == [f"#{person}" for person in range(1, 10)]
    assert len({size for *_, size in drawn["words"]}) == 1
    recorded.close()


def pixels_of_layer(page: Page) -> NDArray[np.uint8]:
    """Return the pixels of the canvas over the video, (height, width, 4) RGBA."""
    pixels, wide, tall = page.evaluate(
        """() => {
          const { width, height } = document.getElementById("layer");
          const brush = document.getElementById("layer").getContext("2d");
          return [[...brush.getImageData(0, 0, width, height).data], width, height];
        }"""
    )
    return np.uint8(pixels).reshape(tall, wide, 4)


def test_isolines_on_the_page_are_where_the_strength_crosses_a_third_and_two_thirds(
    chromium: Browser, tmp_path: Path
) -> None:
    report = analyzed(film(tmp_path / "one.mp4", FAKE, frames=60), FAKE)
    (track,) = report.tracks
    rows, columns = np.indices((8, 8)) - 3.2
    cone = np.clip(8 - 2 * np.hypot(rows, columns), 0, None).astype(np.float32)
    store = HeatmapStore()
    store.append(np.broadcast_to(cone, (len(report.heatmaps), 8, 8)))
    tracks = (dataclasses.replace(track, peaks=np.full_like(track.peaks, cone.max())),)
    report = dataclasses.replace(report, heatmaps=store, tracks=tracks)
    save_report(report, tmp_path / "out")
    mark = Overlay(report).mark(0, 25)
    assert mark is not None
    recorded = open_report(chromium, tmp_path / "out")
    page = recorded.page
    hide_boxes(page)
    seek(page, 1.0)
    page.locator("#opacity").fill("100")
    page.wait_for_timeout(120)
    drawn = pixels_of_layer(page)
    page.evaluate(
        """() => {
          CanvasRenderingContext2D.prototype.stroke = () => {};
          window.dispatchEvent(new Event("resize"));
        }"""
    )
    change = np.abs(drawn.astype(int) - pixels_of_layer(page)).max(axis=2)
    lines, wide = np.argwhere(change > 40), drawn.shape[1]
    scale, side = wide / WIDTH, 400
    expected = crossings(mark.strength, side) + 0.5  # in pixels of the interpolated heatmap
    expected = expected * mark.area.width / side + (mark.area.y1, mark.area.x1)
    expected = expected * scale - 0.5
    assert farthest(lines, expected) < 2
    assert farthest(expected, lines) < 2
    recorded.close()
