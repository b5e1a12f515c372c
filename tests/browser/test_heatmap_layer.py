"""The heatmap layer of ``report.html``: drawn at the right place, at the right time, as chosen."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page

from fakelens.analysis.pipeline import analyze
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face
from fakelens.records.settings import Settings
from fakelens.records.trust import Assessment, Faithfulness, TrustMark
from fakelens.report.save import save_report
from support.browser import RecordedPage
from support.media import make_clip, read_number
from support.report_page import (
    changed,
    crop_area_of,
    face_crop_areas,
    hide_boxes,
    inside,
    number_on,
    open_report,
    open_settings,
    screenshot,
    seek,
)
from support.toys import (
    FAKE,
    HEIGHT,
    REAL,
    WIDTH,
    Actor,
    RedModel,
    analyzed,
    draw_scene,
    film,
)

pytestmark = pytest.mark.slow


def test_the_layer_changes_only_the_faces_with_the_chosen_evidence(opened: RecordedPage) -> None:
    page = opened.page
    hide_boxes(page)
    seek(page, 1.0)
    page.locator("#show").uncheck()
    untouched = screenshot(page)
    number = read_number(untouched)
    assert number == 25
    page.locator("#show").check()
    open_settings(page)
    for evidence, heated in (("fake", (FAKE,)), ("real", (REAL,)), ("both", (FAKE, REAL))):
        page.check(f"input[name=evidence][value={evidence}]")
        different = changed(untouched, screenshot(page))
        for actor in (FAKE, REAL):
            face = actor.box(number)
            assert face is not None
            share = different[inside(face, different.shape, margin=-4)].mean()
            assert share > 0.9 if actor in heated else share == 0, evidence
        assert not different[~face_crop_areas(number)].any(), evidence


def test_the_opacity_of_the_layer_can_be_changed(opened: RecordedPage) -> None:
    page = opened.page
    hide_boxes(page)
    seek(page, 1.0)
    shades = []
    for strength in (0, 30, 90):
        page.locator("#opacity").fill(str(strength))
        box = FAKE.box(25)
        assert box is not None
        shades.append(screenshot(page)[inside(box, (HEIGHT, WIDTH), margin=-4)].astype(int))
    page.locator("#show").uncheck()
    untouched = screenshot(page)[inside(box, (HEIGHT, WIDTH), margin=-4)].astype(int)
    away = [float(np.abs(shade - untouched).mean()) for shade in shades]
    assert away[0] < 1
    assert 10 < 2 * away[1] < away[2]


def test_the_layer_shows_what_the_annotated_video_shows(opened: RecordedPage, folder: Path) -> None:
    page = opened.page
    hide_boxes(page)
    seek(page, 1.0)
    shown = screenshot(page)
    with av.open(str(folder / "annotated.mp4")) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    box = FAKE.box(25)
    assert box is not None
    # Not under the label and lines of the box, which only the video shows.
    within = inside(
        (int(box.x1) + 6, int(box.y1) + 20, int(box.x2) - 6, int(box.y2) - 6), shown.shape
    )
    in_video, in_page = frames[25][within].astype(int), shown[within].astype(int)
    original = draw_scene(25, (FAKE, REAL))[within].astype(int)
    assert np.abs(in_video - in_page).mean() < 0.25 * np.abs(in_video - original).mean()


def test_the_layer_follows_a_moving_face_during_playback(opened: RecordedPage) -> None:
    page = opened.page
    hide_boxes(page)
    page.select_option("#speed", "0.5")
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(900)
    page.get_by_role("button", name="Pause").click()
    with_layer = screenshot(page)
    number = read_number(with_layer)
    assert number > 3
    page.locator("#show").uncheck()
    different = changed(screenshot(page), with_layer)
    assert number_on(page) == number
    columns = np.flatnonzero(different.any(axis=0))
    assert columns[0] == pytest.approx(crop_area_of(FAKE, number).x1, abs=3)
    assert not different[~face_crop_areas(number)].any()


def test_a_heatmap_that_is_not_better_than_chance_is_hatched_in_grey(
    chromium: Browser, tmp_path: Path
) -> None:
    clip = film(tmp_path / "one.mp4", FAKE, frames=20)
    report = analyzed(clip, FAKE)
    poor = Faithfulness(TrustMark.CHANCE, "features", 0, 0, 1, 0, None, None, 3, None)
    assessment = Assessment(poor, None, None, None, None, (), ())
    findings = (dataclasses.replace(report.findings[0], assessment=assessment),)
    save_report(dataclasses.replace(report, findings=findings), tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    hide_boxes(recorded.page)
    recorded.page.locator("#opacity").fill("100")
    drawn = screenshot(recorded.page)[inside((20, 70, 60, 110), (HEIGHT, WIDTH))].astype(int)
    spread = drawn.max(axis=1) - drawn.min(axis=1)
    assert (spread < 60).mean() > 0.15, "grey stripes"
    assert (spread > 90).mean() > 0.4, "with the red face between them"
    assert "not better than chance" in recorded.page.inner_text("#person-1")
    recorded.close()


def left_edge(page: Page) -> int:
    """Return the first column that the layer changes."""
    page.locator("#show").check()
    heated = screenshot(page)
    page.locator("#show").uncheck()
    different = changed(screenshot(page), heated)
    assert different.any()
    return int(np.flatnonzero(different.any(axis=0))[0])


def test_between_examined_frames_the_layer_moves_with_the_face(
    chromium: Browser, tmp_path: Path
) -> None:
    clip = film(tmp_path / "one.mp4", FAKE, frames=55)
    save_report(analyzed(clip, FAKE, every=20), tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    hide_boxes(recorded.page)
    for number in (20, 30, 37):
        seek(recorded.page, number / 25)
        assert left_edge(recorded.page) == pytest.approx(crop_area_of(FAKE, number).x1, abs=3)
    recorded.close()


def test_nothing_is_drawn_while_nobody_is_in_the_picture(chromium: Browser, tmp_path: Path) -> None:
    actors = (dataclasses.replace(FAKE, last=15), dataclasses.replace(FAKE, first=35))
    clip = film(tmp_path / "gap.mp4", *actors, frames=55)
    save_report(analyzed(clip, *actors), tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    seek(recorded.page, 1.0)
    assert "nobody" in recorded.page.inner_text("#now")
    shown = screenshot(recorded.page)
    hide_boxes(recorded.page)
    recorded.page.locator("#show").uncheck()
    assert not changed(shown, screenshot(recorded.page)).any()
    seek(recorded.page, 1.6)
    assert left_edge(recorded.page) == pytest.approx(crop_area_of(FAKE, 40).x1, abs=3)
    recorded.close()


def test_the_layer_is_in_place_on_a_high_density_screen(chromium: Browser, folder: Path) -> None:
    recorded = open_report(chromium, folder, device_scale_factor=2)
    hide_boxes(recorded.page)
    assert left_edge(recorded.page) == pytest.approx(crop_area_of(FAKE, 0).x1, abs=3)
    recorded.close()


def test_a_person_who_cannot_be_judged_has_no_score(chromium: Browser, tmp_path: Path) -> None:
    tiny = Actor(FAKE.colour, 40, side=12)
    clip = film(tmp_path / "tiny.mp4", tiny, frames=20)
    report = analyzed(clip, tiny)
    assert report.findings[0].score is None
    save_report(report, tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    assert "person 1 not judged" in recorded.page.inner_text("#now")
    assert not recorded.page.locator(".lane, article").count()
    recorded.close()


def test_a_card_shows_the_face_without_and_with_its_heatmap(
    opened: RecordedPage,
) -> None:
    def mean_of(selector: str) -> NDArray[np.float64]:
        data = opened.page.locator(selector).first.screenshot()
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        middle = image[len(image) // 3 : -len(image) // 3, len(image[0]) // 3 : -len(image[0]) // 3]
        return np.asarray(middle.reshape(-1, 3).mean(axis=0))

    untouched, heated = mean_of("#person-1 .pair > img"), mean_of("#person-1 .pair .face")
    assert np.abs(untouched[::-1] - FAKE.colour).max() < 15
    assert np.abs(heated - untouched).max() > 30


def rotated_clip(path: Path) -> Path:
    return make_clip(path, frames=12, size=(240, 144), rotation=90)


def test_the_layer_is_drawn_on_the_face_in_a_rotated_video(
    chromium: Browser, tmp_path: Path
) -> None:
    face = Box(40, 120, 100, 180)

    class Fixed:
        name = "fixed"
        sure_confidence = 0.5

        def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
            return [[Face(face, None, 0.9)] for _ in images]

    clip = rotated_clip(tmp_path / "rotated.mp4")
    report = analyze(
        clip, model=RedModel(), detector=Fixed(), settings=Settings(trust=False, threshold=0.5)
    )
    assert (report.video.width, report.video.height) == (144, 240)
    save_report(report, tmp_path / "out")
    recorded = open_report(chromium, tmp_path / "out")
    hide_boxes(recorded.page)
    open_settings(recorded.page)
    recorded.page.check("input[name=evidence][value=both]")
    recorded.page.locator("#opacity").fill("100")
    # The picture is in the middle, with bars on both sides.
    wide, tall = recorded.page.evaluate(
        "(v => [v.clientWidth, v.clientHeight])(document.querySelector('video'))"
    )
    width = tall * 144 / 240
    assert width < wide - 100

    def picture_area() -> RGBImage:
        whole = screenshot(recorded.page, wide, tall)
        x = round((wide - width) / 2)
        return cv2.resize(whole[:, x : x + round(width)], (144, 240))

    heated = picture_area()
    recorded.page.locator("#show").uncheck()
    different = changed(picture_area(), heated)
    assert different.sum() > 500
    allowed = inside((34, 114, 106, 186), different.shape, margin=4)
    assert not different[~allowed].any()
    recorded.close()
