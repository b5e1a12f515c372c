"""The layer over the video of ``report.html``: in place, in time, and of the kind asked for."""

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
from support.browser import Watched
from support.looking import (
    area_of,
    bare,
    changed,
    inside,
    number_on,
    screen,
    seek,
    seen_by_the_model,
    show,
)
from support.media import make_clip, read_number
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


@pytest.mark.parametrize(
    ("evidence", "heated"), [("fake", (FAKE,)), ("real", (REAL,)), ("both", (FAKE, REAL))]
)
def test_the_layer_changes_pixels_inside_the_faces_it_speaks_of_and_nowhere_else(
    opened: Watched, evidence: str, heated: tuple[Actor, ...]
) -> None:
    page = opened.page
    bare(page)
    seek(page, 1.0)
    page.locator("#show").uncheck()
    untouched = screen(page)
    number = read_number(untouched)
    assert number == 25
    page.locator("#show").check()
    page.check(f"input[name=evidence][value={evidence}]")
    different = changed(untouched, screen(page))
    for actor in (FAKE, REAL):
        face = actor.box(number)
        assert face is not None
        share = different[inside(face, different.shape, margin=-4)].mean()
        assert share > 0.9 if actor in heated else share == 0
    assert not different[~seen_by_the_model(number)].any()


def test_the_layer_can_be_faded(opened: Watched) -> None:
    page = opened.page
    bare(page)
    seek(page, 1.0)
    shades = []
    for strength in (0, 30, 90):
        page.locator("#opacity").fill(str(strength))
        box = FAKE.box(25)
        assert box is not None
        shades.append(screen(page)[inside(box, (HEIGHT, WIDTH), margin=-4)].astype(int))
    page.locator("#show").uncheck()
    untouched = screen(page)[inside(box, (HEIGHT, WIDTH), margin=-4)].astype(int)
    away = [float(np.abs(shade - untouched).mean()) for shade in shades]
    assert away[0] < 1
    assert 10 < 2 * away[1] < away[2]


def test_the_layer_shows_what_the_annotated_video_shows(opened: Watched, folder: Path) -> None:
    page = opened.page
    bare(page)
    seek(page, 1.0)
    shown = screen(page)
    with av.open(str(folder / "annotated.mp4")) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    box = FAKE.box(25)
    assert box is not None
    # Under the box's label and lines nothing can be compared.
    within = inside(
        (int(box.x1) + 6, int(box.y1) + 20, int(box.x2) - 6, int(box.y2) - 6), shown.shape
    )
    drawn, page_drawn = frames[25][within].astype(int), shown[within].astype(int)
    untouched = draw_scene(25, (FAKE, REAL))[within].astype(int)
    assert np.abs(drawn - page_drawn).mean() < 0.25 * np.abs(drawn - untouched).mean()


def test_the_layer_follows_a_face_that_moves_while_the_video_plays(opened: Watched) -> None:
    page = opened.page
    bare(page)
    page.select_option("#speed", "0.5")
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(900)
    page.get_by_role("button", name="Pause").click()
    with_layer = screen(page)
    number = read_number(with_layer)
    assert number > 3
    page.locator("#show").uncheck()
    different = changed(screen(page), with_layer)
    assert number_on(page) == number
    columns = np.flatnonzero(different.any(axis=0))
    assert columns[0] == pytest.approx(area_of(FAKE, number).x1, abs=3)
    assert not different[~seen_by_the_model(number)].any()


def test_a_heatmap_that_is_not_better_than_chance_is_hatched_in_grey(
    chromium: Browser, tmp_path: Path
) -> None:
    clip = film(tmp_path / "one.mp4", FAKE, frames=20)
    report = analyzed(clip, FAKE)
    poor = Faithfulness(TrustMark.CHANCE, "features", 0, 0, 1, 0, None, None, 3, None)
    assessment = Assessment(poor, None, None, None, None, (), ())
    findings = (dataclasses.replace(report.findings[0], assessment=assessment),)
    save_report(dataclasses.replace(report, findings=findings), tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    bare(watched.page)
    watched.page.locator("#opacity").fill("100")
    drawn = screen(watched.page)[inside((20, 70, 60, 110), (HEIGHT, WIDTH))].astype(int)
    spread = drawn.max(axis=1) - drawn.min(axis=1)
    assert (spread < 60).mean() > 0.15, "grey stripes"
    assert (spread > 90).mean() > 0.4, "and the untouched red face between them"
    assert "not better than chance" in watched.page.inner_text("#person-1")
    watched.close()


def left_edge(page: Page) -> int:
    """The first column that the layer changes."""
    page.locator("#show").check()
    heated = screen(page)
    page.locator("#show").uncheck()
    different = changed(screen(page), heated)
    assert different.any()
    return int(np.flatnonzero(different.any(axis=0))[0])


def test_between_examined_frames_the_layer_moves_with_the_face(
    chromium: Browser, tmp_path: Path
) -> None:
    clip = film(tmp_path / "one.mp4", FAKE, frames=55)
    save_report(analyzed(clip, FAKE, every=20), tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    bare(watched.page)
    for number in (20, 30, 37):
        seek(watched.page, number / 25)
        assert left_edge(watched.page) == pytest.approx(area_of(FAKE, number).x1, abs=3)
    watched.close()


def test_nothing_is_drawn_while_nobody_is_there(chromium: Browser, tmp_path: Path) -> None:
    actors = (dataclasses.replace(FAKE, last=15), dataclasses.replace(FAKE, first=35))
    clip = film(tmp_path / "gap.mp4", *actors, frames=55)
    save_report(analyzed(clip, *actors), tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    seek(watched.page, 1.0)
    assert "nobody" in watched.page.inner_text("#now")
    shown = screen(watched.page)
    bare(watched.page)
    watched.page.locator("#show").uncheck()
    assert not changed(shown, screen(watched.page)).any()
    seek(watched.page, 1.6)
    assert left_edge(watched.page) == pytest.approx(area_of(FAKE, 40).x1, abs=3)
    watched.close()


def test_the_layer_lies_right_on_a_fine_screen(chromium: Browser, folder: Path) -> None:
    watched = show(chromium, folder, device_scale_factor=2)
    bare(watched.page)
    assert left_edge(watched.page) == pytest.approx(area_of(FAKE, 0).x1, abs=3)
    watched.close()


def test_somebody_who_cannot_be_judged_gets_no_score(chromium: Browser, tmp_path: Path) -> None:
    tiny = Actor(FAKE.colour, 40, side=12)
    clip = film(tmp_path / "tiny.mp4", tiny, frames=20)
    report = analyzed(clip, tiny)
    assert report.findings[0].score is None
    save_report(report, tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    assert "person 1 not judged" in watched.page.inner_text("#now")
    assert not watched.page.locator(".lane, article").count()
    watched.close()


def test_the_pictures_of_a_card_show_the_face_with_and_without_its_heatmap(
    opened: Watched,
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


def turned_clip(path: Path) -> Path:
    return make_clip(path, frames=12, size=(240, 144), rotation=90)


def test_the_layer_lies_on_the_face_of_a_video_that_is_turned(
    chromium: Browser, tmp_path: Path
) -> None:
    where = Box(40, 120, 100, 180)

    class Fixed:
        name = "fixed"
        sure_confidence = 0.5

        def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
            return [[Face(where, None, 0.9)] for _ in images]

    clip = turned_clip(tmp_path / "turned.mp4")
    report = analyze(
        clip, model=RedModel(), detector=Fixed(), settings=Settings(trust=False, threshold=0.5)
    )
    assert (report.video.width, report.video.height) == (144, 240)
    save_report(report, tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    bare(watched.page)
    watched.page.check("input[name=evidence][value=both]")
    watched.page.locator("#opacity").fill("100")
    # The picture stands in the middle, with bars beside it.
    wide, tall = watched.page.evaluate(
        "(v => [v.clientWidth, v.clientHeight])(document.querySelector('video'))"
    )
    width = tall * 144 / 240
    assert width < wide - 100

    def look() -> RGBImage:
        whole = screen(watched.page, wide, tall)
        x = round((wide - width) / 2)
        return cv2.resize(whole[:, x : x + round(width)], (144, 240))

    heated = look()
    watched.page.locator("#show").uncheck()
    different = changed(look(), heated)
    assert different.sum() > 500
    allowed = inside((34, 114, 106, 186), different.shape, margin=4)
    assert not different[~allowed].any()
    watched.close()
