"""Fixtures of the tests with a browser."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from fakelens.evaluation import demo
from fakelens.records.findings import Verdict
from fakelens.report.save import save_report
from support.browser import RecordedPage, running_browser
from support.comparing import SEALED, with_records
from support.media import make_clip
from support.report_page import FRAMES, open_report
from support.serving import Server, serving
from support.toys import FAKE, REAL, RED, Actor, analyzed, film

expect.set_options(timeout=30_000)  # milliseconds; the machine may be busy


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window.

    Of module scope, because no test can run an event loop of its own while the browser is open.
    """
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on a clip of two people, one red and one blue."""
    parent = tmp_path_factory.mktemp("clip")
    clip = film(parent / "two.mp4", FAKE, REAL, frames=FRAMES)
    save_report(analyzed(clip, FAKE, REAL), parent / "out")
    return parent / "out"


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on a clip of nine people, all likely fake, the last ones most suspicious."""
    parent = tmp_path_factory.mktemp("crowd")
    places = [(x, y) for y in (56, 104) for x in (4, 46, 88, 130, 172)][:9]
    actors = [Actor(RED, x, y, side=26) for x, y in places]
    report = analyzed(film(parent / "nine.mp4", *actors, frames=12), *actors)
    findings = tuple(
        replace(finding, verdict=Verdict.FAKE, score=0.8 + 0.02 * number, seen_well=True)
        for number, finding in enumerate(report.findings)
    )
    save_report(with_records(replace(report, findings=findings), SEALED), parent / "out")
    return parent / "out"


@pytest.fixture
def opened(chromium: Browser, folder: Path) -> Iterator[RecordedPage]:
    """The page of that report, which must cause no errors and send no requests."""
    recorded = open_report(chromium, folder)
    yield recorded
    assert recorded.errors == []
    assert recorded.hosts() == set()
    recorded.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "results", "--max-upload", 5) as running:
        yield running


@pytest.fixture(scope="session")
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
    """A page that must cause no errors and send no requests to other hosts."""
    opened = RecordedPage(chromium)
    opened.page.set_default_timeout(30_000)
    yield opened.page
    assert opened.errors == []
    assert opened.hosts() <= {"127.0.0.1"}
    opened.close()


@pytest.fixture(scope="session")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with enough frames for its worker to be frozen before it is done."""
    path = tmp_path_factory.mktemp("longer") / "longer.mp4"
    return make_clip(path, frames=1500, size=(320, 180), options={"preset": "ultrafast"})


@pytest.fixture
def busy(empty: Server, longer: Path) -> Server:
    """The server, running a job that never ends: its worker is frozen."""
    job = empty.upload(longer, longer.name, every=1)["id"]
    empty.wait_for_work(job)
    (worker,) = empty.workers()
    os.kill(worker, signal.SIGSTOP)
    return empty
