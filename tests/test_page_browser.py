"""``report.html`` in a real browser: what a person sees, clicks and types.

The clips carry their frame's number in their pixels, so that what is shown can be told from the
picture alone.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, expect

from browser import Watched, accessibility_findings
from fakelens.assessments import Assessment, Faithfulness, TrustMark
from fakelens.data import Box, Face, RGBImage
from fakelens.pipeline import analyze
from fakelens.report.review import Review, embed
from fakelens.report.save import save_report
from fakelens.results import Report, Settings
from media import make_clip, read_number
from toys import FAKE, HEIGHT, REAL, WIDTH, Actor, RedNetwork, ScriptedDetector, draw_scene, film

pytestmark = pytest.mark.slow

FRAMES = 55
Area = tuple[int, int, int, int]


def analyzed(path: Path, *actors: Actor) -> Report:
    return analyze(
        path,
        network=RedNetwork(),
        faces=ScriptedDetector(*actors),
        settings=Settings(trust=False),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two people, one red and one blue."""
    place = tmp_path_factory.mktemp("clip")
    clip = film(place / "two.mp4", FAKE, REAL, frames=FRAMES)
    save_report(analyzed(clip, FAKE, REAL), place / "out")
    return place / "out"


@pytest.fixture
def opened(chromium: Browser, folder: Path) -> Iterator[Watched]:
    with_page = show(chromium, folder)
    yield with_page
    assert with_page.complaints == []
    assert with_page.hosts() == set()
    with_page.close()


def show(browser: Browser, folder: Path, ending: str = "", **context: Any) -> Watched:
    """Open a report from disk and wait until it is ready."""
    context.setdefault("viewport", {"width": 1000, "height": 900})
    watched = Watched(browser, **context)
    watched.page.goto((folder / "report.html").as_uri() + ending)
    watched.page.wait_for_selector("html[data-ready=yes]", timeout=10_000)
    if watched.page.query_selector("video"):
        watched.page.wait_for_function(
            "() => document.querySelector('video').readyState >= 2 ||"
            " document.querySelector('video').error"
        )
    return watched


def screen(page: Page, width: int = WIDTH, height: int = HEIGHT) -> RGBImage:
    """What is seen of the video, (height, width, 3), at the video's own size."""
    page.wait_for_timeout(120)  # for the picture to be drawn
    data = np.frombuffer(page.locator("#screen").screenshot(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.resize(image[:, :, ::-1], (width, height), interpolation=cv2.INTER_AREA)


def number_on(page: Page) -> int:
    """The number of the frame that is seen."""
    return read_number(screen(page))


def settle(page: Page) -> None:
    """Wait until a seek is over."""
    page.wait_for_timeout(20)
    page.wait_for_selector("#seek[aria-busy=false]")
    page.wait_for_timeout(60)


def seek(page: Page, seconds: float) -> None:
    page.locator("#seek").evaluate(
        "(bar, time) => { bar.value = time; bar.dispatchEvent(new Event('input')) }", seconds
    )
    settle(page)


def bare(page: Page) -> None:
    """No boxes, so that nothing but heatmaps lies over the video."""
    page.locator("#boxes").uncheck()


def changed(before: RGBImage, after: RGBImage) -> NDArray[np.bool_]:
    return (np.abs(before.astype(int) - after.astype(int)) > 12).any(axis=2)


def inside(area: Box | Area, shape: Sequence[int], margin: int = 0) -> NDArray[np.bool_]:
    mask = np.zeros(shape[:2], bool)
    x1, y1, x2, y2 = (area.x1, area.y1, area.x2, area.y2) if isinstance(area, Box) else area
    rows = slice(max(0, int(y1) - margin), int(y2) + margin)
    mask[rows, max(0, int(x1) - margin) : int(x2) + margin] = True
    return mask


def area_of(actor: Actor, number: int) -> Box:
    """What the network saw of an actor: 1.2 times the face, see ``builders.CARD``."""
    box = actor.box(number)
    assert box is not None
    reach = 0.1 * box.width
    return Box(box.x1 - reach, box.y1 - reach, box.x2 + reach, box.y2 + reach)


def seen_by_the_network(number: int) -> NDArray[np.bool_]:
    """Where anything may be drawn."""
    areas = [inside(area_of(actor, number), (HEIGHT, WIDTH), margin=3) for actor in (FAKE, REAL)]
    return np.logical_or(*areas)


# --- the layer -----------------------------------------------------------------------------------


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
    assert not different[~seen_by_the_network(number)].any()


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
    assert not different[~seen_by_the_network(number)].any()


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
    settings = Settings(trust=False, every=20)
    report = analyze(clip, network=RedNetwork(), faces=ScriptedDetector(FAKE), settings=settings)
    save_report(report, tmp_path / "out")
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
        clip, network=RedNetwork(), faces=Fixed(), settings=Settings(trust=False, threshold=0.5)
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


# --- the player and the lanes --------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.33, 0.62, 0.97])
def test_a_click_on_a_lane_goes_to_the_frame_under_the_pointer(
    opened: Watched, share: float
) -> None:
    page = opened.page
    lane = page.locator(".lane-plot[data-person='2']")
    box = lane.bounding_box()
    assert box is not None
    lane.click(position={"x": share * box["width"], "y": 10})
    settle(page)
    told = re.search(r"frame (\d+)", lane.get_attribute("aria-valuetext") or "")
    assert told is not None
    assert int(told[1]) == pytest.approx(share * FRAMES, abs=1.1)
    page.locator("#boxes").uncheck()
    assert number_on(page) == int(told[1])


def test_a_lane_tells_frame_and_score_under_the_pointer(opened: Watched, folder: Path) -> None:
    page = opened.page
    lane = page.locator(".lane-plot[data-person='1']")
    box = lane.bounding_box()
    assert box is not None
    lane.hover(position={"x": 0.5 * box["width"], "y": 10})
    said = lane.locator(".tip").inner_text()
    found = re.fullmatch(r"0:01\.\d, frame (\d+): (\d\.\d\d)", said)
    assert found is not None, said
    document = json.loads((folder / "report.json").read_text())
    track = document["persons"][0]["track"]
    logit = track["logits"][track["frames"].index(int(found[1]))]
    assert float(found[2]) == pytest.approx(1 / (1 + np.exp(-logit)), abs=0.008)


DRAG = """
async () => {
  const video = document.querySelector("video"), bar = document.getElementById("seek");
  const shown = [], places = [];
  const note = (_, frame) => {
    shown.push(frame.mediaTime);
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
  for (let time = 0.3; time < 1.9; time += 0.05) {
    bar.value = time;
    bar.dispatchEvent(new Event("input"));
    await new Promise((later) => setTimeout(later, 40));
    places.push(bar.value - time);
  }
  return { shown, places };
}
"""


def test_while_dragged_the_video_shows_what_is_quick_and_at_rest_what_is_exact(
    chromium: Browser, tmp_path: Path
) -> None:
    clip = film(tmp_path / "one.mp4", FAKE, frames=60, keys_every=20)
    save_report(analyzed(clip, FAKE), tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    dragged = watched.page.evaluate(DRAG)
    assert {20, 40} <= {round(25 * time) for time in dragged["shown"]} <= {0, 20, 40}
    assert max(map(abs, dragged["places"])) < 0.01, "the handle stays where it is dragged"
    settle(watched.page)
    watched.page.locator("#boxes").uncheck()
    assert number_on(watched.page) == 46
    watched.close()


def test_a_drag_back_to_the_beginning_is_over_when_it_is(opened: Watched) -> None:
    page = opened.page
    for time in (1.5, 0.5, 0):
        page.locator("#seek").evaluate(
            "(bar, time) => { bar.value = time; bar.dispatchEvent(new Event('input')) }", time
        )
        page.wait_for_timeout(60)
    settle(page)
    assert number_on(page) == 0
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(600)
    assert page.inner_text("#clock") > "0:00.2"


def test_the_speed_can_be_chosen(opened: Watched) -> None:
    opened.page.select_option("#speed", "0.25")
    assert opened.page.evaluate("document.querySelector('video').playbackRate") == 0.25


def test_uneven_frames_are_stepped_through_one_by_one(chromium: Browser, tmp_path: Path) -> None:
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
    watched = show(chromium, tmp_path / "out")
    watched.page.locator("#boxes").uncheck()
    seen = [number_on(watched.page)]
    for name in ["One frame on"] * 8 + ["One frame back"] * 3:
        watched.page.get_by_role("button", name=name).click()
        settle(watched.page)
        seen.append(number_on(watched.page))
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5]
    watched.close()


def test_frames_can_be_stepped_through(opened: Watched) -> None:
    page = opened.page
    seek(page, 1.0)
    page.locator("#boxes").uncheck()
    for name, number in (("One frame on", 26), ("One frame on", 27), ("One frame back", 26)):
        page.get_by_role("button", name=name).click()
        settle(page)
        assert number_on(page) == number


@pytest.mark.parametrize(("name", "codec"), [("late.mp4", "libx264"), ("late.webm", "libvpx-vp9")])
def test_times_are_told_from_the_first_frame_of_a_video_that_begins_later(
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
    watched = show(chromium, tmp_path / "out")
    seek(watched.page, 1.0)
    watched.page.locator("#boxes").uncheck()
    assert watched.page.inner_text("#clock") == "0:01.0 / 0:02.0"
    assert number_on(watched.page) == 25
    watched.close()


def test_everything_can_be_done_with_the_keyboard_alone(opened: Watched) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
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
    settle(page)
    page.keyboard.press("b")
    assert number_on(page) == FRAMES - 1
    page.keyboard.press("Home")
    settle(page)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        settle(page)
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
    settle(page)
    assert number_on(page) == before - 1
    page.locator("#play").focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    assert number_on(page) == before


def test_a_strongest_frame_can_be_jumped_to(chromium: Browser, tmp_path: Path) -> None:
    clip = film(tmp_path / "one.mp4", FAKE, frames=60)
    report = analyzed(clip, FAKE)
    assessment = Assessment(None, None, None, None, None, (40, 10), ())
    findings = (dataclasses.replace(report.findings[0], assessment=assessment),)
    save_report(dataclasses.replace(report, findings=findings), tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    assert watched.page.locator(".film li").count() == 2
    watched.page.locator(".film a").last.click()
    settle(watched.page)
    watched.page.locator("#boxes").uncheck()
    assert number_on(watched.page) == 40
    watched.close()


# --- kinds of reports and readers ----------------------------------------------------------------


def test_two_people_have_a_lane_and_a_card_each(opened: Watched) -> None:
    page = opened.page
    assert page.locator(".lane").count() == page.locator("article").count() == 2
    for person in (1, 2):
        drawn = page.locator(f"#person-{person} .face img").first
        assert drawn.evaluate("picture => picture.naturalWidth") == 320


def test_a_report_without_a_face_says_so_and_still_plays(chromium: Browser, tmp_path: Path) -> None:
    save_report(analyzed(film(tmp_path / "none.mp4", frames=30)), tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    assert "No face was found" in watched.page.inner_text("body")
    seek(watched.page, 0.6)
    assert number_on(watched.page) == 15
    assert watched.complaints == []
    assert accessibility_findings(watched.page) == []
    watched.close()


def test_a_picture_has_the_layer_too(chromium: Browser, tmp_path: Path) -> None:
    image = draw_scene(0, (FAKE, REAL))
    assert cv2.imwrite(str(tmp_path / "in.png"), image[:, :, ::-1])
    save_report(analyzed(tmp_path / "in.png", FAKE, REAL), tmp_path / "out")
    watched = show(chromium, tmp_path / "out")
    bare(watched.page)
    heated = screen(watched.page)
    watched.page.locator("#show").uncheck()
    different = changed(screen(watched.page), heated)
    assert different[inside((14, 64, 66, 116), different.shape)].mean() > 0.9
    assert not different[~seen_by_the_network(0)].any()
    assert watched.complaints == []
    watched.close()


def test_the_page_fits_a_phone(chromium: Browser, folder: Path) -> None:
    watched = show(chromium, folder, viewport={"width": 360, "height": 700})
    page = watched.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    bare(page)
    heated = screen(page)
    page.locator("#show").uncheck()
    different = changed(screen(page), heated)
    assert different.any()
    assert not different[~seen_by_the_network(0)].any()
    for name in ("Play", "One frame on", "Full screen"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["height"] >= 32
    assert watched.complaints == []
    watched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ending", ["", "#blind"])
def test_axe_finds_nothing_serious(
    chromium: Browser, folder: Path, scheme: str, ending: str
) -> None:
    watched = show(chromium, folder, ending, color_scheme=scheme)
    assert accessibility_findings(watched.page) == []
    watched.close()


def test_it_prints_the_findings_and_no_controls(opened: Watched) -> None:
    page = opened.page
    page.emulate_media(media="print")
    for hidden in ("#player", "#tools", "#start-blind", "#your-review"):
        assert not page.locator(hidden).is_visible(), hidden
    for shown in ("#person-1", "#person-2", "#limits", ".lane >> nth=0", "#provenance"):
        assert page.locator(shown).is_visible(), shown
    document = page.pdf(format="A4")
    assert document.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type /Page\b", document)) <= 8


def test_all_of_a_review_is_printed(opened: Watched) -> None:
    page = opened.page
    notes = [f"line {number}" for number in range(40)]
    page.fill("#review-notes", "\n".join(notes))
    page.emulate_media(media="print")
    assert not page.locator("#review-notes").is_visible()
    printed = page.locator("#review-print")
    assert printed.inner_text().splitlines()[-40:] == ["Notes: line 0", *notes[1:]]
    box = printed.bounding_box()
    assert box is not None
    assert box["height"] > 40 * 14


def test_without_scripts_the_findings_can_be_read(chromium: Browser, folder: Path) -> None:
    watched = Watched(chromium, java_script_enabled=False)
    watched.page.goto((folder / "report.html").as_uri())
    words = watched.page.inner_text("body")
    assert "Without scripts" in words
    assert "Person 2" in words
    assert watched.page.locator(".lane svg path.curve").count() == 2
    assert not watched.page.locator("#tools").is_visible()
    watched.close()


def test_a_page_whose_video_is_gone_says_so(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "report.html", tmp_path)
    watched = show(chromium, tmp_path)
    expect(watched.page.locator("#unplayable")).to_contain_text("untouched.mp4")
    assert not watched.page.locator("#screen").is_visible()
    assert watched.page.locator("article").count() == 2
    watched.close()


# --- the review ----------------------------------------------------------------------------------

ANSWERS = ("likely", "inconclusive", "0.9", "high from")


def test_a_blind_reviewer_sees_no_answer_before_uncovering_it(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    watched = show(chromium, folder, "#blind", accept_downloads=True)
    page = watched.page
    words = page.inner_text("body")
    assert not [word for word in ANSWERS if word in words]
    seek(page, 1.0)
    seen = screen(page)
    untouched = draw_scene(25, (FAKE, REAL))
    for actor in (FAKE, REAL):
        face = actor.box(25)
        assert face is not None
        within = inside(face, seen.shape, margin=-4)
        assert np.abs(seen[within].astype(int) - untouched[within].astype(int)).mean() < 12
        # The label has a number alone, and the box is white whatever the verdict.
        dark = (seen[44:56, int(face.x1) : int(face.x1) + 90] < 70).all(axis=2)
        assert np.flatnonzero(dark.any(axis=0)).max() < 12
        edge = screen(page, 4 * WIDTH, 4 * HEIGHT)[240:480, 4 * int(face.x1) - 3 :][:, :6]
        assert edge.min(axis=2).max() > 210
    for key in "12hb":
        page.locator("#screen").focus()
        page.keyboard.press(key)
    settle(page)
    assert not changed(screen(page), seen).any(), "keys lead to no answer"
    page.fill("#reviewer", "Ada </script><b>")
    page.select_option("#mark-person", "1")
    page.locator("#start-now").click()
    page.fill("#mark-end", "2.5")
    page.fill("#mark-note", "the mouth flickers")
    page.get_by_role("button", name="Mark", exact=True).click()
    page.check("input[name=opinion][value=manipulated]")
    page.get_by_role("button", name="Uncover").click()
    assert page.locator("#person-1").is_visible()
    compared = page.inner_text("#comparison")
    assert "person 1, 0:01.0 to 0:02.5: the mouth flickers" in compared
    page.fill("#review-notes", "compared afterwards")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a copy of this page").click()
    copy = tmp_path / "out"
    shutil.copytree(folder, copy)
    download.value.save_as(copy / "report.html")
    watched.close()

    later = show(chromium, copy, accept_downloads=True)
    assert later.page.input_value("#reviewer") == "Ada </script><b>"
    assert later.page.input_value("#review-notes") == "compared afterwards"
    assert "Reviewed blind" in later.page.inner_text("#blind-done")
    assert later.page.locator("#add-mark").is_disabled()
    assert later.complaints == []
    with later.page.expect_download() as download:
        later.page.get_by_role("button", name="Save the review as JSON").click()
    review = Review.model_validate_json(Path(download.value.path()).read_text(encoding="utf-8"))
    assert review.blind
    assert review.uncovered
    (suspicion,) = review.suspicions
    assert (suspicion.person, suspicion.start, suspicion.end) == (1, 1.0, 2.5)
    later.close()


def test_marks_made_with_the_answer_in_sight_are_not_called_blind(
    opened: Watched,
) -> None:
    page = opened.page
    page.get_by_role("button", name="Mark", exact=True).click()
    page.get_by_role("button", name="Review blind first").click()
    page.wait_for_selector("html.blind[data-ready=yes]")
    page.get_by_role("button", name="Uncover").click()
    assert "after this page had shown" in page.inner_text("#blind-done")


def test_a_blind_review_stays_covered_until_it_is_uncovered(
    chromium: Browser, folder: Path
) -> None:
    watched = show(chromium, folder, "#blind")
    page = watched.page
    page.get_by_role("button", name="Mark", exact=True).click()
    page.keyboard.press("Home")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    for address in (page.url, (folder / "report.html").as_uri()):
        page.goto("about:blank")
        page.goto(address)
        page.wait_for_selector("html.blind[data-ready=yes]")
        assert page.locator("#suspicions li").count() == 1
    page.get_by_role("button", name="Uncover").click()
    assert "Reviewed blind" in page.inner_text("#blind-done")
    page.reload()
    page.wait_for_selector("html:not(.blind)[data-ready=yes]")
    assert "Reviewed blind" in page.inner_text("#blind-done")
    page.get_by_role("button", name="New blind review").click()
    page.wait_for_selector("html.blind[data-ready=yes]")
    assert page.locator("#suspicions li").count() == 0
    assert watched.complaints == []
    watched.close()


def test_a_page_that_has_shown_its_answer_calls_no_later_review_blind(
    chromium: Browser, folder: Path
) -> None:
    watched = show(chromium, folder)
    page = watched.page
    page.evaluate("location.hash = 'blind'")
    page.wait_for_selector("html.blind[data-ready=yes]")
    page.get_by_role("button", name="Mark", exact=True).click()
    page.get_by_role("button", name="Uncover").click()
    assert "after this page had shown" in page.inner_text("#blind-done")
    watched.close()


def test_a_draft_that_makes_no_sense_is_passed_over(chromium: Browser, folder: Path) -> None:
    watched = show(chromium, folder)
    watched.page.evaluate(
        "localStorage.setItem('fakelens-review-' + document.documentElement.dataset.report,"
        ' \'{"version": 1, "blind": 3}\')'
    )
    watched.page.reload()
    watched.page.wait_for_selector("html[data-ready=yes]")
    assert watched.complaints == []
    watched.close()


def test_a_stretch_that_ends_before_it_starts_is_refused_in_words(opened: Watched) -> None:
    page = opened.page
    page.fill("#mark-start", "2")
    page.fill("#mark-end", "1")
    page.get_by_role("button", name="Mark", exact=True).click()
    assert "must end after it starts" in page.inner_text("#mark-problem")
    assert page.locator("#suspicions li").count() == 0


def test_a_review_that_a_server_put_in_is_shown(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "out"))
    page = (copy / "report.html").read_text(encoding="utf-8")
    sha256 = json.loads((copy / "report.json").read_text())["provenance"]["input_sha256"]
    notes, moment = "<b>&\u2028", "2026-11-23T12:00:00Z"
    review = Review(video_sha256=sha256, blind=False, notes=notes, saved=moment)
    (copy / "report.html").write_text(embed(page, review), encoding="utf-8")
    watched = show(chromium, copy)
    assert watched.page.input_value("#review-notes") == "<b>&\u2028"
    assert watched.complaints == []
    watched.close()
