"""The page of the server, in a real browser."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from fakelens.evaluation import demo
from support.browser import Watched, accessibility_findings
from support.media import draw_frame, make_clip
from support.serving import Server, serving
from support.toys import photograph

pytestmark = pytest.mark.slow
expect.set_options(timeout=30_000)  # milliseconds; the machine may be busy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "results", "--max-upload", 5) as running:
        yield running


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "Two <b>people é.mp4"
    demo.make_clip(path, seconds=1)
    return path


@pytest.fixture
def empty(server: Server) -> Server:
    """The server, without jobs."""
    for job in server.client.get("/api/jobs?limit=200").json()["jobs"]:
        server.client.delete(f"/api/jobs/{job['id']}")
    return server


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """One that must not complain, nor ask anybody else."""
    opened = Watched(chromium)
    opened.page.set_default_timeout(30_000)
    yield opened.page
    assert opened.complaints == []
    assert opened.hosts() <= {"127.0.0.1"}
    opened.close()


def result(page: Page, name: str) -> Any:
    return page.locator("#results > li").filter(has_text=name)


def test_a_video_goes_through_the_page(empty: Server, page: Page, clip: Path) -> None:
    page.goto(empty.url)
    expect(page.get_by_text("No results yet.")).to_be_visible()
    seen = page.evaluate(_WATCH_PROGRESS)
    page.set_input_files("#files", clip)
    row = result(page, clip.name)
    expect(row).to_be_visible()
    expect(page.get_by_text("No results yet.")).to_be_hidden()
    expect(page.locator("#work-section")).to_be_hidden()
    seen = page.evaluate("window.seen")
    assert any(re.match(r"Now examining: \d+ of 25 frames", text) for text in seen), seen
    assert any(text.startswith("Now drawing") for text in seen), seen
    assert row.locator("h3").inner_text() == clip.name, "as it is, and not as HTML"
    job = empty.client.get("/api/jobs").json()["jobs"][0]
    chips = [
        f"Person {person['person']}: {person['verdict']} {person['score']:.2f}"
        for person in job["summary"]["persons"]
    ]
    assert row.locator(".chips li").all_inner_texts() == chips
    assert chips[0] in page.locator("#said").inner_text()

    with page.expect_download() as download:
        row.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "Two _b_people é.zip"

    row.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep it").click()
    expect(row).to_be_visible()
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(row).to_have_count(0)
    expect(page.get_by_text("No results yet.")).to_be_visible()
    assert empty.files() == set()


_WATCH_PROGRESS = """() => {
    window.seen = [];
    new MutationObserver(() => {
        for (const meta of document.querySelectorAll("#work .meta")) seen.push(meta.textContent);
    }).observe(document.getElementById("work"), { subtree: true, childList: true });
}"""


def test_the_review_page_opens_and_keeps_the_review(empty: Server, page: Page, clip: Path) -> None:
    job = empty.wait(empty.upload(clip, clip.name)["id"])
    page.goto(empty.url)
    page.get_by_text("Blind first").click()
    row = result(page, clip.name)
    expect(row.locator(".chips")).to_have_text("answers hidden")
    assert "likely" not in page.locator("main").inner_text()
    page.reload()
    expect(row.locator(".chips")).to_have_text("answers hidden")
    row.get_by_role("link", name="Review").click()
    page.wait_for_url("**/report.html#blind")
    expect(page.locator("html")).to_have_class(re.compile("blind"))
    page.get_by_label("manipulated").check()
    with page.expect_response("**/review") as answer:
        page.get_by_role("button", name="Uncover").click()
    assert answer.value.status == 200
    kept = empty.client.get(f"/api/jobs/{job['id']}/review").json()
    assert (kept["opinion"], kept["blind"]) == ("manipulated", True)
    assert kept["uncovered"]
    page.goto(f"{empty.url}/results/{job['id']}/report.html")
    expect(page.get_by_text("Reviewed blind")).to_be_visible()


def test_what_fails_says_why_and_can_be_tried_again(
    empty: Server, page: Page, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n")
    (tmp_path / "large.mp4").write_bytes(bytes(6_000_000))
    (tmp_path / "empty.mp4").touch()
    page.goto(empty.url)
    expect(page.locator("#empty")).to_be_visible()
    page.set_input_files("#files", [tmp_path / "text.mp4", tmp_path / "large.mp4"])
    row = result(page, "text.mp4")
    expect(row.locator(".problem")).to_contain_text("not a video or picture that can be read")
    problem = page.locator("#work > li").filter(has_text="large.mp4")
    expect(problem).to_contain_text("is larger than the 5.0 MB that this server takes")
    problem.get_by_role("button", name="Dismiss").click()
    expect(problem).to_have_count(0)
    row.get_by_role("button", name="Run again").click()
    expect(row.locator(".problem")).to_contain_text("not a video or picture")
    (job,) = empty.client.get("/api/jobs").json()["jobs"]
    assert job["attempts"] == 2


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("longer") / "longer.mp4"
    return make_clip(path, frames=100, size=(320, 180))


@pytest.fixture
def busy(empty: Server, longer: Path) -> Server:
    """The server at work on a video that never ends: its worker is frozen."""
    empty.wait(empty.upload(longer, longer.name)["id"], "running")
    (worker,) = empty.workers()
    os.kill(worker, signal.SIGSTOP)
    return empty


def test_a_second_click_does_not_cancel_the_next_job(busy: Server, page: Page) -> None:
    for name in ("next.mp4", "last.mp4"):
        busy.upload(b"this is no video\n", name)
    page.goto(busy.url)
    rows = page.locator("#work > li")
    expect(rows).to_have_count(3)
    place = rows.first.get_by_role("button", name="Cancel").bounding_box()
    assert place is not None
    middle = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.click(*middle)
    expect(page.get_by_role("heading", name="Cancel this job?")).to_be_visible()
    page.get_by_role("button", name="Keep it").click()
    expect(rows).to_have_count(3)
    page.mouse.dblclick(*middle)
    with page.expect_request("**/cancel"):
        page.get_by_role("button", name="Cancel it").click()
    page.mouse.dblclick(*middle)  # the list moves up
    expect(result(page, "longer.mp4")).to_contain_text("cancelled")
    for name in ("next.mp4", "last.mp4"):
        expect(result(page, name)).to_contain_text("failed")


def test_a_button_waits_for_its_request(busy: Server, page: Page) -> None:
    held: list[Route] = []
    page.route("**/cancel", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it
    page.goto(busy.url)
    button = page.get_by_role("button", name="Cancel longer.mp4")
    button.click()
    with page.expect_request("**/cancel"):
        page.get_by_role("button", name="Cancel it").click()
    expect(button).to_be_disabled()
    held.pop().continue_()
    expect(result(page, "longer.mp4")).to_contain_text("cancelled")
    page.get_by_role("button", name="Delete longer.mp4").click()
    expect(page.get_by_role("heading", name="Delete this result?")).to_be_visible()


def test_however_many_jobs_there_are_the_page_finds_them(busy: Server, page: Page) -> None:
    (at_work,) = busy.client.get("/api/jobs").json()["jobs"]
    jobs = [busy.upload(b"this is no video\n", f"{number}.mp4")["id"] for number in range(55)]
    page.goto(busy.url)
    expect(page.locator("#work > li")).to_have_count(56)  # the oldest, at work, included
    for job in jobs:
        busy.client.post(f"/api/jobs/{job}/cancel")
    expect(page.locator("#results > li")).to_have_count(55)
    busy.client.delete(f"/api/jobs/{at_work['id']}")

    page.reload()
    expect(page.locator("#results > li")).to_have_count(50)
    for job in jobs[-6:]:
        busy.client.delete(f"/api/jobs/{job}")
    expect(page.locator("#results > li")).to_have_count(44)
    page.get_by_role("button", name="Show older results").click()
    expect(page.locator("#results > li")).to_have_count(49)
    expect(page.get_by_role("button", name="Show older results")).to_be_hidden()
    names = page.locator("#results h3").all_inner_texts()
    assert names == [f"{number}.mp4" for number in reversed(range(49))]


def test_what_was_missed_is_made_up_for(empty: Server, chromium: Browser) -> None:
    """Jobs deleted while the page was told of nothing; the end of all telling."""
    watched = Watched(chromium)
    answers = iter([
        {"content_type": "text/event-stream", "body": "retry: 400\n\n"},
        {"content_type": "text/event-stream", "body": "retry: 400\n\n"},
    ])  # fmt: skip
    watched.page.route(
        "**/api/events", lambda route: route.fulfill(**next(answers, {"status": 401}))
    )
    kept, deleted = (empty.upload(b"this is no video\n", name)["id"] for name in ("kept", "gone"))
    empty.wait(kept), empty.wait(deleted)
    watched.page.goto(empty.url)
    expect(watched.page.locator("#results > li")).to_have_count(2)
    empty.client.delete(f"/api/jobs/{deleted}")
    expect(watched.page.locator("#results > li")).to_have_count(1)
    expect(result(watched.page, "kept")).to_be_visible()
    expect(watched.page.get_by_role("alert")).to_contain_text("Reload the page")
    assert all("401" in complaint for complaint in watched.complaints), watched.complaints
    watched.close()


def test_the_page_works_where_storage_is_blocked(empty: Server, page: Page) -> None:
    empty.wait(empty.upload(b"this is no video\n")["id"])
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage',"
        " { get() { throw new DOMException('blocked', 'SecurityError'); } })"
    )
    page.goto(empty.url)
    expect(result(page, "clip.mp4")).to_be_visible()
    page.get_by_text("Blind first").click()
    expect(page.get_by_role("switch")).to_be_checked()


def test_the_switch_follows_other_tabs(empty: Server, page: Page) -> None:
    page.goto(empty.url)
    other = page.context.new_page()
    other.goto(empty.url)
    other.get_by_text("Blind first").click()
    expect(page.get_by_role("switch")).to_be_checked()
    other.get_by_text("Blind first").click()
    expect(page.get_by_role("switch")).not_to_be_checked()


def test_an_answer_of_a_proxy_does_not_block_what_follows(
    empty: Server, chromium: Browser, tmp_path: Path
) -> None:
    watched = Watched(chromium)
    page = watched.page
    html = {"status": 413, "content_type": "text/html", "body": "<h1>Too large</h1>"}
    page.route("**/api/jobs?name=*", lambda route: route.fulfill(**html), times=1)
    for name in ("first.mp4", "second.mp4"):
        (tmp_path / name).write_text("this is no video\n")
    page.goto(empty.url)
    page.set_input_files("#files", [tmp_path / "first.mp4", tmp_path / "second.mp4"])
    expect(result(page, "second.mp4")).to_contain_text("failed")
    expect(page.locator("#work > li")).to_contain_text("first.mp4: the server answered 413")
    assert all("413" in complaint for complaint in watched.complaints), watched.complaints
    watched.close()


def test_leaving_breaks_no_upload_off_unasked(empty: Server, page: Page, tmp_path: Path) -> None:
    held: list[Route] = []
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.route("**/api/jobs?name=*", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it
    for name in ("first.mp4", "second.mp4"):
        (tmp_path / name).write_text("this is no video\n")
    page.goto(empty.url)
    page.get_by_role("heading", level=1).click()  # without a touch no page may ask
    with page.expect_request("**/api/jobs?name=*"):
        page.set_input_files("#files", [tmp_path / "first.mp4", tmp_path / "second.mp4"])
    with page.expect_event("dialog"):
        page.close(run_before_unload=True)
    assert asked == ["beforeunload"]

    page.get_by_role("button", name="Cancel second.mp4").click()
    page.get_by_role("button", name="Stop it").click()
    expect(page.locator("#work > li")).to_have_count(1)
    held.pop().continue_()
    expect(result(page, "first.mp4")).to_be_visible()
    page.reload()
    assert asked == ["beforeunload"], "nothing is lost"
    assert empty.client.get("/api/jobs").json()["total"] == 1


def test_the_page_can_be_used_with_the_keyboard_alone(
    empty: Server, page: Page, tmp_path: Path
) -> None:
    empty.wait(empty.upload(photograph(tmp_path / "p.png", draw_frame(1)), "p.png")["id"])
    page.goto(empty.url)
    expect(result(page, "p.png")).to_be_visible()
    names = []
    for _ in range(10):  # three of them links that have neither
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
    assert [name for name in names if name] == [
        *("files", "every", "trust", "blind"),
        *("Review p.png", "Download p.png", "Delete p.png"),
    ]
    page.get_by_role("button", name="Delete p.png").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Delete p.png")).to_be_focused()


def test_the_pages_suit_everybody(empty: Server, chromium: Browser, clip: Path) -> None:
    """On a phone and a desk, by day and by night, without serious findings of axe-core."""
    (clip.parent / "text.mp4").write_text("this is no video\n")
    empty.wait(empty.upload(clip, "a_very_long_name_" * 6 + ".mp4")["id"])
    empty.wait(empty.upload(clip.parent / "text.mp4", "text.mp4")["id"])
    for width, scheme in ((320, "light"), (1100, "dark")):
        size = {"width": width, "height": 800}
        watched = Watched(chromium, viewport=size, color_scheme=scheme)
        for path in ("/", "/docs"):
            watched.page.goto(empty.url + path)
            if path == "/":
                expect(watched.page.locator("#results > li")).to_have_count(2)
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert accessibility_findings(watched.page) == []
        assert watched.complaints == []
        watched.close()


def test_the_page_that_asks_for_the_token(chromium: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "results", "--token", "let me in") as server:
        watched = Watched(chromium)
        watched.page.goto(server.url)
        assert accessibility_findings(watched.page) == []
        watched.page.get_by_label("Token").fill("wrong")
        watched.page.get_by_role("button", name="Go on").click()
        expect(watched.page.get_by_role("heading", name="Which token?")).to_be_visible()
        watched.page.get_by_label("Token").fill("let me in")
        watched.page.get_by_role("button", name="Go on").click()
        expect(watched.page.get_by_text("No results yet.")).to_be_visible()
        assert watched.page.url == f"{server.url}/"
        watched.page.goto(f"{server.url}/docs")
        expect(watched.page.get_by_role("heading", name="API", exact=True)).to_be_visible()
        watched.close()
