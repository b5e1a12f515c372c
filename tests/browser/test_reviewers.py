"""Several reviews of one video, each blind for its reviewer, and how far they agree."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from support.browser import RecordedPage
from support.report_page import open_report
from support.reviews import input_sha256, make_review, mark, reveal
from support.serving import Server

pytestmark = pytest.mark.slow

AGREED = "2 of 3 reviewers say manipulated, 1 of 3 reviewers cannot tell; fakelens: likely fake"


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def review_as(page: Page, name: str, opinion: str, start: float, end: float) -> None:
    page.fill("#reviewer", name)
    mark(page, 1, start, end)
    page.check(f"input[name=opinion][value={opinion}]")
    reveal(page)


def test_several_people_review_one_page(chromium: Browser, folder: Path, tmp_path: Path) -> None:
    recorded = open_report(chromium, folder, "#blind", accept_downloads=True)
    page = recorded.page
    review_as(page, "Ada", "manipulated", 0.5, 1.5)
    expect(page.locator("#agreement")).to_be_hidden()
    page.get_by_role("button", name="New blind review by another person").click()
    expect(page.locator("html")).to_have_class("blind")
    words = page.inner_text("body")
    assert "Ada" not in words
    assert "likely" not in words
    assert page.input_value("#reviewer") == ""
    review_as(page, "Ben", "manipulated", 1.0, 2.0)

    sha256 = input_sha256(folder)
    cleo = write(tmp_path / "cleo.json", make_review(sha256, "Cleo", "cannot tell", (2, 0, 1)))
    other = write(tmp_path / "other.json", make_review("0" * 64, "Dan", "genuine"))
    no_review = write(tmp_path / "list.json", [1])
    page.set_input_files("#load-reviews", [cleo, other, no_review])
    status = page.locator("#review-status")
    expect(status).to_contain_text("1 review was added.")
    expect(status).to_contain_text("other.json: this review is of another video")
    expect(status).to_contain_text("list.json: this is not a review.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a copy of this page").click()
    copy = tmp_path / "out"
    shutil.copytree(folder, copy)
    download.value.save_as(copy / "report.html")
    assert recorded.errors == []
    recorded.close()

    later = open_report(chromium, copy)
    for part in (AGREED, "Person 1: marked by 2 of 3 reviewers; 0.50 of 1.50 s", "(33 %)"):
        expect(later.page.locator("#agreement")).to_contain_text(part)
    expect(later.page.locator("#agreement tbody tr")).to_have_count(3)
    expect(later.page.locator("#agreement")).to_contain_text(
        "Person 2: marked by 1 of 3 reviewers."
    )
    top = later.page.get_by_label("Verdicts of reviewers")
    for name in ("Ada (blind)", "Ben (blind)", "Cleo (blind), 2026-01-01: cannot tell."):
        expect(top).to_contain_text(f"Reviewed by {name}")
    assert later.errors == []
    later.close()


def test_leaving_a_page_from_disk_with_an_unsaved_review_needs_confirmation(
    chromium: Browser, folder: Path
) -> None:
    recorded = open_report(chromium, folder, accept_downloads=True)
    page = recorded.page
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    expect(page.locator("#unsaved")).to_be_hidden()
    page.get_by_label("Notes").press_sequentially("mine")
    expect(page.locator("#unsaved")).to_contain_text("This review is not saved yet")
    page.reload()
    page.wait_for_selector("html[data-ready=yes]")
    assert asked == ["beforeunload"]
    page.get_by_label("Notes").press_sequentially("mine")
    with page.expect_download():
        page.get_by_role("button", name="Save review as JSON").click()
    expect(page.locator("#unsaved")).to_be_hidden()
    page.reload()
    assert asked == ["beforeunload"]
    recorded.close()


def test_a_server_keeps_a_review_of_each_reviewer(
    empty: Server, chromium: Browser, clip: Path
) -> None:
    job = empty.wait(empty.upload(clip, clip.name, every="auto", trust=False)["id"])
    address = f"/api/jobs/{job['id']}/review"
    ada = make_review(job["summary"]["video_sha256"], "Ada", "genuine", (1, 0, 0.5))
    cleo = make_review(ada["video_sha256"], "Cleo", "genuine", uncovered=None)
    for review in (ada, cleo):
        assert empty.client.put(address, json=review).status_code == 200
    recorded = RecordedPage(chromium)
    page = recorded.page
    page.goto(empty.printed)
    page.get_by_text("Blind review").click()
    row = page.locator("#results > li")
    expect(row.locator(".chips")).to_have_text("results hidden2 reviews")
    row.get_by_role("link", name="Open report").click()
    page.wait_for_selector("html.blind[data-ready=yes]")
    assert "Ada" not in page.inner_text("body")
    expect(page.get_by_role("button", name="Continue the review of Cleo")).to_be_visible()
    with page.expect_response("**/reviews"):
        review_as(page, "Ben", "manipulated", 0, 1)
    expect(page.locator("#agreement")).to_contain_text(
        "1 of 2 reviewers says manipulated, 1 of 2 reviewers says genuine"
    )
    expect(page.locator("#agreement")).to_contain_text(
        "0.50 of 1.00 s marked by all of these (50 %)"
    )
    expect(page.locator("#agreement tr", has_text="Cleo")).to_contain_text("in progress")
    found = empty.client.get(f"{address}s").json()
    assert {one["reviewer"]: one["opinion"] for one in found} == {
        "Ada": "genuine",
        "Ben": "manipulated",
        "Cleo": "genuine",
    }
    page.reload()
    expect(page.get_by_label("Verdicts of reviewers").locator("p")).to_have_count(2)
    expect(page.get_by_role("textbox", name="Reviewer")).to_have_value("Ben")

    page.get_by_role("button", name="Continue the review of Cleo").click()
    page.wait_for_selector("html.blind[data-ready=yes]")
    expect(page.get_by_role("textbox", name="Reviewer")).to_have_value("Cleo")
    page.get_by_role("link", name="All results").click()
    page.get_by_text("Blind review").click()
    for text in ("Review by Ada: genuine, blind", "Review by Ben: manipulated, blind"):
        expect(row.locator(".review", has_text=re.compile(f"^{text}$"))).to_be_visible()
    expect(row.locator(".review", has_text="Cleo")).to_have_text("Review by Cleo: in progress")
    assert recorded.errors == []
    recorded.close()
