"""The form of the examiner's report in a browser, with and without scripts."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from fakelens.web.schemas import State
from support.browser import RecordedPage, accessibility_findings
from support.serving import Server, serving
from support.stored_jobs import add, opened

pytestmark = pytest.mark.slow
pytest.importorskip("reportlab")
EXAMPLE = Path(__file__).parents[2] / "examples" / "case.toml"


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one finished job."""
    results = tmp_path_factory.mktemp("server") / "results"
    with opened(results) as store:
        job = add(store, "two.mp4", State.DONE)
        shutil.copytree(folder, store.results(job), dirs_exist_ok=True)
    with serving(results) as running:
        yield running


def test_the_form_writes_the_report_and_loads_a_case_file(
    chromium: Browser, server: Server, tmp_path: Path
) -> None:
    recorded = RecordedPage(chromium)
    page = recorded.page
    page.goto(server.printed)
    page.get_by_role("link", name="Examiner's report two.mp4").click()
    assert accessibility_findings(page) == []
    page.get_by_label("Load a case file").set_input_files(EXAMPLE)
    page.get_by_role("button", name="Load", exact=True).click()
    expect(page.get_by_label("Case number")).to_have_value("2026-0417")
    page.get_by_label("Case number").fill("17")
    with page.expect_download() as started:
        page.get_by_role("button", name="PDF", exact=True).click()
    started.value.save_as(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    expect(page.get_by_role("status")).to_contain_text("examiner-report.pdf was written")
    page.get_by_role("link", name="Report page").click()
    page.get_by_role("link", name="Examiner's report").click()
    expect(page.get_by_label("Case number")).to_have_value("17")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[case]\nnumber = 7")
    page.get_by_label("Load a case file").set_input_files(wrong)
    page.get_by_role("button", name="Load", exact=True).click()
    alert = page.get_by_role("alert").filter(has_text="The file was not loaded")
    expect(alert).to_contain_text("case.number must be a text in quotes, not 7")
    # The browser itself logs the refused request.
    assert [error for error in recorded.errors if "status of 422" not in error] == []
    assert recorded.hosts() == {"127.0.0.1"}
    recorded.close()


def test_it_works_without_scripts_and_names_the_wrong_field(
    chromium: Browser, server: Server
) -> None:
    recorded = RecordedPage(chromium, java_script_enabled=False)
    page = recorded.page
    page.goto(server.printed)
    job = server.client.get("/api/jobs").json()["jobs"][0]["id"]
    page.goto(f"{server.url}/results/{job}/examiner")
    remark = page.get_by_label("Remark 2")
    remark.fill("no name")
    remark.press("Tab")
    page.get_by_role("button", name="Save").click()
    cause = page.get_by_label("Cause 2")
    expect(cause).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved")
    cause.fill("A screen")
    page.get_by_role("button", name="HTML").click()
    expect(page.get_by_role("status")).to_contain_text("examiner-report.html was written")
    with page.expect_download() as started:
        page.get_by_role("link", name="examiner-report.html").click()
    assert "A screen" in started.value.path().read_text(encoding="utf-8")
    recorded.close()
