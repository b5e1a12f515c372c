"""The lists of jobs and results on the page of the server, in a browser."""

import re
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from fakelens.web.schemas import State
from support.browser import RecordedPage
from support.serving import Server, serving
from support.stored_jobs import add, opened

pytestmark = pytest.mark.slow


def test_the_page_lists_all_jobs_however_many(busy: Server, page: Page) -> None:
    (at_work,) = busy.client.get("/api/jobs").json()["jobs"]
    jobs = [busy.upload(b"this is no video\n", f"{number}.mp4")["id"] for number in range(55)]
    page.goto(busy.printed)
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


def test_results_can_be_searched_and_sorted(busy: Server, page: Page) -> None:
    """While another job is at work."""
    upload = partial(busy.upload, b"this is no video\n")
    for name in ("clip 10", "Clip 9", "other"):
        busy.client.post(f"/api/jobs/{upload(name)['id']}/cancel")
    page.goto(busy.printed)
    names = page.locator("#results h3")
    expect(names).to_have_text(["other", "Clip 9", "clip 10"])
    page.get_by_label("Sort by").select_option("name")
    expect(names).to_have_text(["Clip 9", "clip 10", "other"])
    page.get_by_label("Search").fill("CLIP")
    expect(names).to_have_text(["Clip 9", "clip 10"])
    expect(page.locator("#announcement")).to_have_text("2 results")
    page.reload()
    expect(names).to_have_text(["Clip 9", "clip 10"])
    expect(page.locator("#work h3")).to_have_text(["longer.mp4"])

    job = upload("clip 1")["id"]
    expect(page.locator("#work h3")).to_have_text(["longer.mp4", "clip 1"])
    busy.client.post(f"/api/jobs/{job}/cancel")
    expect(names).to_have_text(["clip 1", "Clip 9", "clip 10"])
    busy.client.delete(f"/api/jobs/{job}")
    expect(names).to_have_text(["Clip 9", "clip 10"])
    page.get_by_label("Search").fill("nothing")
    expect(page.get_by_text("No result matches this search.")).to_be_visible()
    page.get_by_label("Search").fill("")
    page.get_by_label("Sort by").select_option("suspicious")
    expect(names).to_have_text(["other", "Clip 9", "clip 10"])
    page.get_by_text("Blind review").click()
    expect(page.get_by_label("Sort by")).to_have_value("newest")
    expect(page.get_by_label("Sort by").locator("option[value=suspicious]")).to_be_disabled()
    expect(names).to_have_text(["other", "Clip 9", "clip 10"])


def test_a_search_keeps_showing_what_it_showed(page: Page, tmp_path: Path) -> None:
    """More results than the server returns at once, when another job ends."""
    with opened(tmp_path / "results") as store:
        for number in range(260):
            add(store, f"clip {number}", State.CANCELLED)
    with serving(tmp_path / "results") as server:
        page.goto(server.printed)
        page.get_by_label("Search").fill("clip")
        expect(page.locator("#announcement")).to_have_text("260 results")
        for shown in (100, 150, 200, 250):
            page.get_by_role("button", name="Show more results").click()
            expect(page.locator("#results > li")).to_have_count(shown)
        with page.expect_response(re.compile("query=clip.*offset=200")):
            server.upload(b"this is no video\n", "clip new")
        expect(page.locator("#results h3").first).to_have_text("clip new")
        expect(page.locator("#results > li")).to_have_count(250)


def test_changes_missed_while_disconnected_are_shown(empty: Server, chromium: Browser) -> None:
    """A job is deleted without an event; then the stream of events ends for good."""
    recorded = RecordedPage(chromium)
    answers = iter([
        {"content_type": "text/event-stream", "body": "retry: 400\n\n"},
        {"content_type": "text/event-stream", "body": "retry: 400\n\n"},
    ])  # fmt: skip
    recorded.page.route(
        "**/api/events", lambda route: route.fulfill(**next(answers, {"status": 401}))
    )
    kept, deleted = (empty.upload(b"this is no video\n", name)["id"] for name in ("kept", "gone"))
    empty.wait(kept), empty.wait(deleted)
    recorded.page.goto(empty.printed)
    expect(recorded.page.locator("#results > li")).to_have_count(2)
    empty.client.delete(f"/api/jobs/{deleted}")
    expect(recorded.page.locator("#results > li")).to_have_count(1)
    expect(recorded.page.locator("#results h3")).to_have_text("kept")
    expect(recorded.page.get_by_role("alert")).to_contain_text("no longer receives updates")
    assert all("401" in error for error in recorded.errors), recorded.errors
    recorded.close()
