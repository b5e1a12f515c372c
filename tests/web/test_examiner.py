"""The examiner's report on the server: the form, the case file, and the files made from them."""

import asyncio
import io
import os
import re
import shutil
import tomllib
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fakelens.report.save import save_report
from fakelens.web.limits import Limits
from fakelens.web.queue import Queue
from fakelens.web.retention import delete_older
from fakelens.web.schemas import State
from support.serving import Server, serving
from support.stored_jobs import add, listed, opened
from support.toys import FAKE, analyzed, film

EXAMPLE = Path(__file__).parents[2] / "examples" / "case.toml"


class Form(HTMLParser):
    """The fields of a form as a browser would send them, by name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.labels: set[str] = set()
        self._area: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        name = found.get("name")
        if tag == "label" and "for" in found:
            self.labels.add(found["for"] or "")
        if tag == "input" and name:
            self.values[name] = found.get("value") or ""
        if tag == "textarea" and name:
            self._area, self.values[name] = name, ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.values[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area:
            # A browser ignores the first line break.
            self.values[self._area] = self.values[self._area].removeprefix("\n")
            self._area = None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server with finished jobs named a to e."""
    parent = tmp_path_factory.mktemp("server")
    clip = film(parent / "clip.mp4", FAKE, frames=12)
    save_report(analyzed(clip, FAKE), parent / "out", video=False)
    with opened(parent / "results") as store:
        for name in "abcde":
            job = add(store, f"{name}.mp4", State.DONE)
            shutil.copytree(parent / "out", store.results(job), dirs_exist_ok=True)
            shutil.copy(clip, store.input(job))
        add(store, "failed.mp4", State.FAILED)
    return parent / "results"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder) as running:
        yield running


def named(server: Server, name: str) -> str:
    """Return the id of the job with this name."""
    jobs = server.client.get("/api/jobs").json()["jobs"]
    return next(job["id"] for job in jobs if job["name"] == f"{name}.mp4")


def get_form(server: Server, job: str) -> Form:
    response = server.client.get(f"/results/{job}/examiner")
    assert response.status_code == 200, response.text
    return Form(response.text)


def send(server: Server, job: str, values: dict[str, str], then: str = "save", **more: Any) -> Any:
    return server.client.post(
        f"/results/{job}/examiner", data=values | {"then": then}, follow_redirects=True, **more
    )


def test_the_form_states_what_is_written(server: Server) -> None:
    job = named(server, "a")
    form = get_form(server, job)
    assert {f"f-{name}" for name in form.values} - form.labels == {"f-revision"}
    assert form.values["case.issue"] == "1"
    conclusion = 'First "part"\\.\r\n\r\nSecond: é 漢字 </textarea><b>'
    stated = form.values | {
        "case.number": "2026-7",
        "case.received": "2026-04-17",
        "limits.deviations": "one\r\n\r\n  two  ",
        "conclusion.text": conclusion,
        "known.5": "Even light.",
        "further.1.name": "A screen",
        "further.1.remark": "filmed",
    }
    saved = send(server, job, stated)
    assert saved.status_code == 200
    assert "Saved." in saved.text
    content = tomllib.loads(server.client.get(f"/api/jobs/{job}/case-file").text)
    assert content["case"]["number"] == "2026-7"
    assert str(content["case"]["received"]) == "2026-04-17"
    assert content["limits"] == {"deviations": ["one", "two"]}
    assert content["conclusion"]["text"] == conclusion.replace("\r\n", "\n")
    assert content["causes"] == [
        {"name": "Lighting", "remark": "Even light."},
        {"name": "A screen", "remark": "filmed"},
    ]
    shown = Form(saved.text).values
    assert shown["conclusion.text"] == conclusion.replace("\r\n", "\n")
    assert shown["further.0.name"] == "A screen"
    assert tomllib.loads((server.folder / "jobs" / job / "results/CASE.toml").read_text("utf-8"))


def test_the_files_are_made_from_the_form_and_belong_to_the_results(server: Server) -> None:
    pytest.importorskip("reportlab")
    job = named(server, "b")
    bundle = f"/api/jobs/{job}/bundle"
    before = zipfile.ZipFile(io.BytesIO(server.client.get(bundle).content)).namelist()
    assert not any("examiner" in name or "CASE" in name for name in before)
    assert server.client.get(f"/results/{job}/examiner/examiner-report.pdf").status_code == 404
    page = send(server, job, get_form(server, job).values | {"case.examiner": "Ada <b>"}, "pdf")
    assert "examiner-report.pdf was written" in page.text
    for name, kind, words in (
        ("examiner-report.pdf", "application/pdf", b"%PDF-"),
        ("examiner-report.html", "text/html; charset=utf-8", b"Ada &lt;b&gt;"),
        ("CASE.toml", "application/toml", b'examiner = "Ada <b>"'),
    ):
        assert f'href="examiner/{name}"' in page.text
        answer = server.client.get(f"/results/{job}/examiner/{name}")
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert words in answer.content
    after = zipfile.ZipFile(io.BytesIO(server.client.get(bundle).content)).namelist()
    assert {Path(name).name for name in set(after) - set(before)} == {
        "CASE.toml",
        "examiner-report.pdf",
        "examiner-report.html",
    }


def test_a_mistake_is_said_beside_its_field_and_nothing_is_lost(server: Server) -> None:
    job = named(server, "c")
    wrong = {"case.issued": "soon", "case.issue": "0", "further.0.remark": "x", "case.role": "kept"}
    answer = send(server, job, get_form(server, job).values | wrong)
    assert answer.status_code == 422
    shown = Form(answer.text).values
    assert {name: shown[name] for name in wrong} == wrong
    for name, words in (
        ("case.issued", "This value must be a date such as 2026-04-17"),
        ("case.issue", "This value must be 1 or more"),
        ("further.0.name", "This value must be a text that is not empty"),
    ):
        assert re.search(rf'id="f-{name}-problem">{words}', answer.text)
        assert (
            f'aria-describedby="f-{name}-hint f-{name}-problem" aria-invalid="true"' in answer.text
        )
    assert server.client.get(f"/api/jobs/{job}/case-file").status_code == 404


def test_a_form_that_is_out_of_date_overwrites_only_on_purpose(server: Server) -> None:
    job = named(server, "d")
    first = get_form(server, job).values
    send(server, job, first | {"case.number": "newer"})
    refused = send(server, job, first | {"case.number": "older"})
    assert refused.status_code == 409
    assert "saved elsewhere since this form was opened" in refused.text
    assert 'number = "newer"' in server.client.get(f"/api/jobs/{job}/case-file").text
    again = Form(refused.text).values
    assert again["case.number"] == "older"
    assert send(server, job, again).status_code == 200
    assert 'number = "older"' in server.client.get(f"/api/jobs/{job}/case-file").text


def test_a_second_click_on_the_button_is_no_conflict(server: Server) -> None:
    job = named(server, "d")
    sent = get_form(server, job).values | {"case.number": "twice"}
    for _ in range(2):
        assert send(server, job, sent).status_code == 200


def test_a_report_that_is_older_than_the_case_file_is_marked(server: Server) -> None:
    job = named(server, "d")
    mark = "written before the case file was last saved"
    assert mark not in send(server, job, get_form(server, job).values, "html").text
    assert mark in send(server, job, get_form(server, job).values).text


def test_hundreds_of_causes_are_kept(server: Server) -> None:
    job = named(server, "a")
    causes = "".join(f'[[causes]]\nname = "{number}"\n' for number in range(1100))
    assert server.client.put(f"/api/jobs/{job}/case-file", content=causes).status_code == 204
    assert send(server, job, get_form(server, job).values).status_code == 200
    saved = server.client.get(f"/api/jobs/{job}/case-file").text
    assert len(tomllib.loads(saved)["causes"]) == 1100


def test_a_form_that_cannot_be_saved_is_shown_again(server: Server) -> None:
    job = named(server, "c")
    long = {"conclusion.text": "long " * 50_000, "case.number": "kept", "paper": "letter"}
    refused = send(server, job, get_form(server, job).values | long)
    assert refused.status_code == 413
    assert "The form was not saved: the case file is larger than" in refused.text
    assert Form(refused.text).values["case.number"] == "kept"
    assert '<option value="letter" selected>' in refused.text
    blocked = server.folder / "jobs" / job / "results" / ".CASE.toml.partial"
    blocked.mkdir()
    refused = send(server, job, get_form(server, job).values | {"case.number": "kept"})
    blocked.rmdir()
    assert refused.status_code == 507
    assert "The form was not saved: CASE.toml cannot be stored" in refused.text
    assert Form(refused.text).values["case.number"] == "kept"
    missing = server.client.post(f"/api/jobs/{job}/examiner-report")
    assert (missing.status_code, "nobody has saved a case file" in missing.text) == (409, True)


def test_the_api_takes_a_case_file_and_makes_the_report(server: Server) -> None:
    address = f"/api/jobs/{named(server, 'e')}"
    missing = server.client.get(f"{address}/case-file")
    assert (missing.status_code, "nobody has saved" in missing.text) == (404, True)
    for content, status, words in (
        (b"[case]\nnumber = 7", 422, "the value case.number must be a text in quotes, not 7"),
        (b"\xff", 422, "not text in UTF-8"),
        (b"#" * 200_001, 413, "larger than the limit of 0.2 MB"),
    ):
        refused = server.client.put(f"{address}/case-file", content=content)
        assert refused.status_code == status
        assert words in refused.json()["detail"]
    content = EXAMPLE.read_bytes()
    assert server.client.put(f"{address}/case-file", content=content).status_code == 204
    assert server.client.get(f"{address}/case-file").content == content
    report = server.client.post(f"{address}/examiner-report", params={"format": "html"})
    assert report.headers["content-type"].startswith("text/html")
    assert "Ada Example" in report.text
    form = get_form(server, named(server, "e")).values
    assert form["further.0.name"] == "Video call with virtual background"
    assert form["known.5"] == "Even light on both faces."


def test_jobs_without_results_and_other_sites_are_refused(server: Server) -> None:
    page = f"/results/{named(server, 'failed')}/examiner"
    assert server.client.get(page).status_code == 409
    job = named(server, "a")
    saved = server.client.get(f"/api/jobs/{job}/case-file").text
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert send(server, job, {}, headers=headers).status_code == 403
    assert server.client.get(f"/api/jobs/{job}/case-file").text == saved
    headers = {"Authorization": "Bearer wrong"}
    assert server.client.get(f"/results/{job}/examiner", headers=headers).status_code == 401
    # With "no-referrer", browsers send a form without its origin.
    shown = server.client.get(f"/results/{job}/examiner")
    assert shown.headers["referrer-policy"] == "same-origin"
    assert "form-action 'self'" in shown.headers["content-security-policy"]


@pytest.mark.parametrize("body", [b"\xff", b"a=%FF", b"&a=1" * 30_000])
def test_what_is_no_form_is_refused(server: Server, body: bytes) -> None:
    page = f"/results/{named(server, 'c')}/examiner"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.client.post(page, content=body, headers=headers).status_code == 422
    assert server.client.post(page, files={"case.number": b"1"}).status_code == 422


def test_a_damaged_case_file_is_kept(server: Server) -> None:
    job = named(server, "a")
    path = server.folder / "jobs" / job / "results" / "CASE.toml"
    kept = path.read_bytes()
    path.write_bytes(b"[case")
    answer = server.client.get(f"/results/{job}/examiner")
    assert answer.status_code == 409
    assert "the saved case file is damaged" in answer.json()["detail"]
    assert path.read_bytes() == b"[case"
    path.write_bytes(kept)


@pytest.mark.slow
def test_another_server_finds_the_case_file_and_says_which_extras_are_missing(
    folder: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = named(server, "c")
    send(server, job, {"case.number": "kept"})
    shutil.copytree(folder, tmp_path / "results", ignore=shutil.ignore_patterns("lock*"))
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.modules['reportlab'] = sys.modules['c2pa'] = None"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with serving(tmp_path / "results") as server:
        values = get_form(server, job).values
        assert values["case.number"] == "kept"
        refused = send(server, job, values, "pdf")
        assert refused.status_code == 501
        assert "The form was saved, but no report was written" in refused.text
        assert "extra &#39;casework&#39; (reportlab) is not installed" in refused.text
        assert "extra &#39;c2pa&#39; (c2pa-python) is not installed" in refused.text
        written = send(server, job, Form(refused.text).values, "html")
        assert "examiner-report.html was written" in written.text


def test_a_case_file_that_was_saved_lately_keeps_its_job(tmp_path: Path) -> None:
    with opened(tmp_path / "results") as store:
        add(store, "old", State.DONE)
        job = add(store, "lately", State.DONE)
        limit = datetime.now(UTC) + timedelta(days=1)
        case = store.results(job) / "CASE.toml"
        case.write_text("")
        os.utime(case, times=(limit.timestamp() + 60,) * 2)
        queue = Queue(store, Limits(), "fakelens-patch")
        asyncio.run(delete_older(queue, limit))
        assert set(listed(store)) == {"lately"}
        os.utime(case, times=(limit.timestamp() - 60,) * 2)
        asyncio.run(delete_older(queue, limit))
        assert not listed(store)
