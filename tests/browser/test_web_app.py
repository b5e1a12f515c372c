"""The page of the server, in a browser."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from support.browser import RecordedPage, accessibility_findings
from support.media import draw_frame
from support.serving import TIMEOUT, Server, serving
from support.toys import photograph

pytestmark = pytest.mark.slow


def result(page: Page, name: str) -> Any:
    return page.locator("#results > li").filter(has_text=name)


def test_a_video_is_uploaded_analysed_downloaded_and_deleted(
    empty: Server, page: Page, clip: Path
) -> None:
    page.goto(empty.printed)
    expect(page.get_by_text("No results yet.")).to_be_visible()
    seen = page.evaluate(_WATCH_PROGRESS)
    page.set_input_files("#files", clip)
    row = result(page, clip.name)
    expect(row).to_be_visible()
    expect(page.get_by_text("No results yet.")).to_be_hidden()
    expect(page.locator("#work-section")).to_be_hidden()
    seen = page.evaluate("window.seen")
    assert any(re.match(r"Analysing: \d+ of 25 frames", text) for text in seen), seen
    assert any(text.startswith("Drawing") for text in seen), seen
    assert row.locator("h3").inner_text() == clip.name, "as text, not as HTML"
    job = empty.client.get("/api/jobs").json()["jobs"][0]
    persons = job["summary"]["persons"]
    assert row.locator(".verdict").all_text_contents() == [
        f"{one['answer']} person {one['person']}, score {one['score']:.2f}" for one in persons
    ]
    assert row.locator(".sure").all_text_contents() == [one["sure"] for one in persons]
    said = f"person {persons[0]['person']}: {persons[0]['answer']}"
    assert said in page.locator("#announcement").inner_text()
    assert row.locator(".rates").inner_text() == job["summary"]["error_rates"]
    expect(row.get_by_role("img")).to_have_js_property("naturalWidth", 224)

    with page.expect_download() as download:
        row.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "Two _b_people é.zip"

    row.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep").click()
    expect(row).to_be_visible()
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(row).to_have_count(0)
    expect(page.get_by_text("No results yet.")).to_be_visible()
    deadline = time.monotonic() + TIMEOUT
    while empty.files():  # the files are deleted after the answer
        assert time.monotonic() < deadline, empty.files()
        time.sleep(0.02)


_WATCH_PROGRESS = """() => {
    window.seen = [];
    new MutationObserver(() => {
        for (const meta of document.querySelectorAll("#work .meta")) seen.push(meta.textContent);
    }).observe(document.getElementById("work"), { subtree: true, childList: true });
}"""


def test_a_blind_review_is_saved_on_the_server(
    empty: Server, chromium: Browser, clip: Path
) -> None:
    """Also by a browser whose clock is wrong."""
    recorded = RecordedPage(chromium)
    page = recorded.page
    page.clock.set_fixed_time("2035-01-01")
    job = empty.wait(empty.upload(clip, clip.name, every="auto", trust=False)["id"])
    page.goto(empty.printed)
    page.get_by_text("Blind review").click()
    row = result(page, clip.name)
    expect(row.locator(".chips")).to_have_text("results hidden")
    expect(row.locator(".thumbnail")).to_be_hidden()
    expect(row.locator(".people")).to_be_hidden()
    assert "likely" not in page.locator("main").inner_text()
    page.reload()
    expect(row.locator(".chips")).to_have_text("results hidden")
    row.get_by_role("link", name="Open report").click()
    page.wait_for_url("**/report.html#blind")
    expect(page.locator("html")).to_have_class(re.compile("blind"))
    page.get_by_label("manipulated").check()
    with page.expect_response("**/review") as answer:
        page.get_by_role("button", name="Reveal the result").click()
    assert answer.value.status == 200
    kept = empty.client.get(f"/api/jobs/{job['id']}/review").json()
    assert (kept["opinion"], kept["blind"]) == ("manipulated", True)
    assert kept["uncovered"]
    assert kept["uncovered"] == kept["saved"] < "2035"
    expect(page.locator("#blind-done")).to_contain_text(kept["uncovered"])
    page.get_by_label("Notes").fill("written afterwards")
    page.get_by_role("button", name="Save review", exact=True).click()
    expect(page.locator("#review-status")).to_have_text("Saved.")
    page.get_by_label("Notes").fill("a draft")
    page.reload()
    expect(page.get_by_label("Notes")).to_have_value("a draft")
    page.get_by_role("button", name="Save review", exact=True).click()
    expect(page.locator("#review-status")).to_have_text("Saved.")
    kept = empty.client.get(f"/api/jobs/{job['id']}/review").json()
    assert (kept["notes"], kept["revision"]) == ("a draft", 3)

    later = {**kept, "notes": "by another browser"}
    assert empty.client.put(f"/api/jobs/{job['id']}/review", json=later).status_code == 200
    page.get_by_label("Notes").fill("in conflict")
    page.get_by_role("button", name="Save review", exact=True).click()
    expect(page.locator("#review-status")).to_contain_text("a newer review has been saved")
    page.reload()
    expect(page.get_by_label("Notes")).to_have_value("by another browser")
    expect(page.get_by_text(re.compile("^Blind review: "))).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a copy of this page").click()
    assert "All results" not in Path(download.value.path()).read_text(encoding="utf-8")

    page.get_by_role("link", name="All results").click()
    expect(row.locator(".chips")).to_have_text("results hiddenreviewed")
    page.get_by_text("Blind review").click()
    expect(row.locator(".review")).to_have_text("Review: manipulated, blind")
    assert all("409" in error for error in recorded.errors), recorded.errors
    recorded.close()


def test_a_failed_job_shows_its_error_and_can_be_run_again(
    empty: Server, page: Page, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n")
    (tmp_path / "large.mp4").write_bytes(bytes(6_000_000))
    (tmp_path / "empty.mp4").touch()
    page.goto(empty.printed)
    expect(page.locator("#empty")).to_be_visible()
    page.set_input_files("#files", [tmp_path / "text.mp4", tmp_path / "large.mp4"])
    row = result(page, "text.mp4")
    expect(row.locator(".problem")).to_contain_text("not a video or picture that can be read")
    problem = page.locator("#work > li").filter(has_text="large.mp4")
    expect(problem).to_contain_text("the file is larger than the 5.0 MB that this server accepts")
    problem.get_by_role("button", name="Dismiss").click()
    expect(problem).to_have_count(0)
    (job,) = empty.client.get("/api/jobs").json()["jobs"]
    with page.expect_response("**/retry"):
        row.get_by_role("button", name="Run again").click()
    assert empty.wait(job["id"])["attempts"] == 2
    expect(row.locator(".problem")).to_contain_text("not a video or picture")


def test_a_second_click_does_not_cancel_the_next_job(busy: Server, page: Page) -> None:
    for name in ("next.mp4", "last.mp4"):
        busy.upload(b"this is no video\n", name)
    page.goto(busy.printed)
    rows = page.locator("#work > li")
    expect(rows).to_have_count(3)
    place = rows.first.get_by_role("button", name="Cancel").bounding_box()
    assert place is not None
    middle = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.click(*middle)
    expect(page.get_by_role("heading", name="Cancel this job?")).to_be_visible()
    page.get_by_role("button", name="Keep").click()
    expect(rows).to_have_count(3)
    page.mouse.dblclick(*middle)
    with page.expect_request("**/cancel"):
        page.get_by_role("button", name="Cancel job").click()
    page.mouse.dblclick(*middle)  # while the next rows move up
    expect(result(page, "longer.mp4")).to_contain_text("cancelled")
    for name in ("next.mp4", "last.mp4"):
        expect(result(page, name)).to_contain_text("failed")


def test_a_dialog_that_is_opened_again_at_once_asks_again(busy: Server, page: Page) -> None:
    """The dialog's "close" event comes late, when the next question is already open."""
    page.goto(busy.printed)
    expect(page.get_by_role("button", name="Cancel longer.mp4")).to_be_visible()
    page.evaluate("""() => {
        const cancel = document.querySelector("#work .cancel");
        cancel.click();
        document.getElementById("confirm-no").click();
        cancel.click();
    }""")
    page.wait_for_timeout(100)  # until that event has come
    with page.expect_request("**/cancel"):
        page.get_by_role("button", name="Cancel job").click()
    expect(result(page, "longer.mp4")).to_contain_text("cancelled")


def test_a_button_is_disabled_until_its_request_is_answered(busy: Server, page: Page) -> None:
    held: list[Route] = []
    page.route("**/cancel", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it
    page.goto(busy.printed)
    button = page.get_by_role("button", name="Cancel longer.mp4")
    button.click()
    with page.expect_request("**/cancel"):
        page.get_by_role("button", name="Cancel job").click()
    expect(button).to_be_disabled()
    held.pop().continue_()
    expect(result(page, "longer.mp4")).to_contain_text("cancelled")
    page.get_by_role("button", name="Delete longer.mp4").click()
    expect(page.get_by_role("heading", name="Delete this result?")).to_be_visible()


def test_the_page_works_where_storage_is_blocked(empty: Server, page: Page) -> None:
    empty.wait(empty.upload(b"this is no video\n")["id"])
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage',"
        " { get() { throw new DOMException('blocked', 'SecurityError'); } })"
    )
    page.goto(empty.printed)
    expect(result(page, "clip.mp4")).to_be_visible()
    page.get_by_text("Blind review").click()
    expect(page.get_by_role("switch")).to_be_checked()


def test_the_switch_is_synchronised_between_tabs(empty: Server, page: Page) -> None:
    page.goto(empty.printed)
    other = page.context.new_page()
    other.goto(empty.printed)
    other.get_by_text("Blind review").click()
    expect(page.get_by_role("switch")).to_be_checked()
    other.get_by_text("Blind review").click()
    expect(page.get_by_role("switch")).not_to_be_checked()


def test_an_error_page_of_a_proxy_does_not_block_later_uploads(
    empty: Server, chromium: Browser, tmp_path: Path
) -> None:
    recorded = RecordedPage(chromium)
    page = recorded.page
    html = {"status": 413, "content_type": "text/html", "body": "<h1>Too large</h1>"}
    page.route("**/api/jobs?name=*", lambda route: route.fulfill(**html), times=1)
    for name in ("first.mp4", "second.mp4"):
        (tmp_path / name).write_text("this is no video\n")
    page.goto(empty.printed)
    page.set_input_files("#files", [tmp_path / "first.mp4", tmp_path / "second.mp4"])
    expect(result(page, "second.mp4")).to_contain_text("failed")
    expect(page.locator("#work > li")).to_contain_text("first.mp4: the server returned status 413")
    assert all("413" in error for error in recorded.errors), recorded.errors
    recorded.close()


def test_leaving_the_page_during_an_upload_needs_confirmation(
    empty: Server, page: Page, tmp_path: Path
) -> None:
    held: list[Route] = []
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.route("**/api/jobs?name=*", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it
    for name in ("first.mp4", "second.mp4"):
        (tmp_path / name).write_text("this is no video\n")
    page.goto(empty.printed)
    page.get_by_role("heading", level=1).click()  # browsers ask only after a user gesture
    with page.expect_request("**/api/jobs?name=*"):
        page.set_input_files("#files", [tmp_path / "first.mp4", tmp_path / "second.mp4"])
    with page.expect_event("dialog"):
        page.close(run_before_unload=True)
    assert asked == ["beforeunload"]

    page.get_by_role("button", name="Cancel second.mp4").click()
    page.get_by_role("button", name="Stop upload").click()
    expect(page.locator("#work > li")).to_have_count(1)
    held.pop().continue_()
    expect(result(page, "first.mp4")).to_be_visible()
    page.reload()
    assert asked == ["beforeunload"], "no upload is in progress"
    assert empty.client.get("/api/jobs").json()["total"] == 1


def test_the_page_can_be_used_with_the_keyboard(empty: Server, page: Page, tmp_path: Path) -> None:
    empty.wait(empty.upload(photograph(tmp_path / "p.png", draw_frame(1)), "p.png")["id"])
    page.goto(empty.printed)
    expect(result(page, "p.png")).to_be_visible()
    names = []
    for _ in range(13):  # three of them links that have neither
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
    assert [name for name in names if name] == [
        *("files", "every", "trust", "blind", "query", "sort"),
        *("Open report p.png", "Download p.png", "Examiner's report p.png", "Delete p.png"),
    ]
    page.get_by_role("button", name="Delete p.png").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Delete p.png")).to_be_focused()


def test_the_pages_are_accessible_on_phone_and_desktop(
    empty: Server, chromium: Browser, clip: Path
) -> None:
    """In light and dark, without horizontal scrolling or serious findings of axe-core."""
    (clip.parent / "text.mp4").write_text("this is no video\n")
    name = "a_very_long_name_" * 6 + ".mp4"
    empty.wait(empty.upload(clip, name, every="auto", trust=False)["id"])
    empty.wait(empty.upload(clip.parent / "text.mp4", "text.mp4")["id"])
    for width, scheme in ((320, "light"), (1100, "dark")):
        size = {"width": width, "height": 800}
        recorded = RecordedPage(chromium, viewport=size, color_scheme=scheme)
        recorded.page.goto(empty.printed)
        for path in ("/", "/docs"):
            recorded.page.goto(empty.url + path)
            if path == "/":
                expect(recorded.page.locator("#results > li")).to_have_count(2)
            assert recorded.page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert accessibility_findings(recorded.page) == []
        assert recorded.errors == []
        recorded.close()


def test_the_page_asks_for_the_token(chromium: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "results", "--token", "let me in") as server:
        recorded = RecordedPage(chromium)
        recorded.page.goto(server.url)
        assert accessibility_findings(recorded.page) == []
        recorded.page.get_by_label("Token").fill("wrong")
        recorded.page.get_by_role("button", name="Continue").click()
        expect(recorded.page.get_by_role("heading", name="Token required")).to_be_visible()
        recorded.page.get_by_label("Token").fill("let me in")
        recorded.page.get_by_role("button", name="Continue").click()
        expect(recorded.page.get_by_text("No results yet.")).to_be_visible()
        assert recorded.page.url == f"{server.url}/"
        recorded.page.goto(f"{server.url}/docs")
        expect(recorded.page.get_by_role("heading", name="API", exact=True)).to_be_visible()
        recorded.close()
