"""The life of a job, through a real server: uploaded, followed, done, fetched, gone."""

import asyncio
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakelens.evaluation import demo
from fakelens.web import queue
from fakelens.web.limits import Limits
from fakelens.web.messages import OutcomeMessage
from fakelens.web.schemas import Job, State
from fakelens.web.store import Store, now
from support.media import draw_frame, make_clip
from support.serving import PATIENCE, Server, children, events, is_alive, serving
from support.toys import photograph

linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of two people."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    demo.make_clip(path, seconds=1)
    return path


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without a face, and with enough frames to be interrupted."""
    path = tmp_path_factory.mktemp("clip") / "long.mp4"
    return make_clip(path, frames=1500, size=(640, 360), options={"preset": "ultrafast"})


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photograph(tmp_path_factory.mktemp("clip") / "small.png", draw_frame(1))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server") / "results") as running:
        yield running


@pytest.fixture(scope="module")
def told(server: Server, clip: Path) -> list[tuple[str, Any]]:
    """All events of one job, from its upload to its end."""
    job = server.upload(clip, "Two people é.mp4")
    with server.client.stream("GET", f"/api/jobs/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        return list(events(stream.iter_lines()))


@pytest.fixture(scope="module")
def done(told: list[tuple[str, Any]]) -> Any:
    """The job at its end."""
    return told[-1][1]


def test_the_events_of_a_job_tell_how_far_it_is(told: list[tuple[str, Any]]) -> None:
    assert {name for name, _ in told} == {"job"}
    jobs = [job for _, job in told]
    states = [job["state"] for job in jobs]
    assert states == sorted(states, key=["queued", "running", "done"].index)
    assert states[-1] == "done"
    stages = [job["stage"] for job in jobs if job["stage"]]
    assert stages == sorted(stages, key=["examining", "drawing"].index)
    assert set(stages) == {"examining", "drawing"}
    frames = [job["frames_done"] for job in jobs if job["stage"] == "examining"]
    assert frames == sorted(frames)
    assert {job["frames_total"] for job in jobs if job["stage"]} == {25}
    assert all(job["eta"] is None or 0 <= job["eta"] < PATIENCE for job in jobs)


def test_a_job_that_is_done_says_what_came_out(server: Server, done: Any) -> None:
    assert done["name"] == "Two people é.mp4"
    assert done["attempts"] == 1
    assert done["error"] is None
    assert done["created"] <= done["started"] <= done["finished"]
    report = server.client.get(done["summary"]["links"]["report"]).json()
    findings = [person["finding"] for person in report["persons"]]
    assert done["summary"]["faces_found"]
    assert done["summary"]["persons"] == [
        {key: finding[key] for key in ("person", "verdict", "score", "first", "last")}
        for finding in findings
        if finding["score"] is not None
    ]
    assert done["summary"]["persons"]
    assert done["summary"]["video_sha256"] == report["provenance"]["input_sha256"]


def test_no_path_of_the_server_gets_out(server: Server, done: Any) -> None:
    folder = server.folder / "jobs" / done["id"] / "results"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["provenance"]["input_name"] == "Two people é.mp4"
    assert report["input_path"] == "../input"
    assert (folder / report["input_path"]).is_file()
    secret = str(server.folder.parent)
    assert secret not in json.dumps(done)
    for path in folder.rglob("*.*"):
        if path.suffix in (".json", ".html", ".csv"):
            assert secret not in path.read_text(encoding="utf-8"), path.name


def test_every_file_is_served_as_it_is(server: Server, done: Any) -> None:
    results = server.folder / "jobs" / done["id"] / "results"
    links = done["summary"]["links"]["files"]
    names = {link.partition("/files/")[2] for link in links}
    assert names >= {
        "report.html",
        "report.json",
        "scores.csv",
        "heatmaps.f16",
        "annotated.mp4",
        "faces/person-1.png",
    }
    assert names == {
        path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()
    }
    for link in links:
        answer = server.client.get(link)
        assert answer.content == (results / link.partition("/files/")[2]).read_bytes(), link
        assert answer.headers["x-content-type-options"] == "nosniff"
    kinds = {Path(link).suffix: server.client.get(link).headers["content-type"] for link in links}
    assert kinds[".mp4"] == "video/mp4"
    assert kinds[".png"] == "image/png"
    assert kinds[".json"] == "application/json"
    assert kinds[".csv"].startswith("text/csv")


def test_a_player_can_ask_for_parts_of_a_video(server: Server, done: Any) -> None:
    whole = server.client.get(f"/api/jobs/{done['id']}/files/annotated.mp4").content
    for base in ("/api/jobs/{}/files/annotated.mp4", "/results/{}/annotated.mp4"):
        address = base.format(done["id"])
        part = server.client.get(address, headers={"Range": "bytes=100-199"})
        assert part.status_code == 206
        assert part.content == whole[100:200]
        assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
        beyond = server.client.get(address, headers={"Range": f"bytes={len(whole)}-"})
        assert beyond.status_code == 416


def test_the_bundle_holds_all_results(server: Server, done: Any) -> None:
    answer = server.client.get(done["summary"]["links"]["bundle"])
    assert answer.headers["content-type"] == "application/zip"
    header = answer.headers["content-disposition"]
    assert header == (
        "attachment; filename=\"Two people _.zip\"; filename*=UTF-8''Two%20people%20%C3%A9.zip"
    )
    results = server.folder / "jobs" / done["id"] / "results"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        held = {name: archive.read(name) for name in archive.namelist()}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    lying = {
        f"Two people é/{path.relative_to(results).as_posix()}": path.read_bytes()
        for path in results.rglob("*")
        if path.is_file()
    }
    assert held == lying


def test_no_face_is_an_answer(server: Server, picture: Path) -> None:
    job = server.wait(server.upload(picture, "small.png")["id"])
    assert job["state"] == "done"
    assert job["summary"]["faces_found"] is False
    assert job["summary"]["persons"] == []
    assert server.client.get(job["summary"]["links"]["report"]).json()["persons"] == []


def test_the_options_of_a_job_reach_the_analysis(server: Server, clip: Path) -> None:
    job = server.wait(server.upload(clip, every="auto", trust=False)["id"])
    assert (job["every"], job["trust"]) == ("auto", False)
    report = server.client.get(job["summary"]["links"]["report"]).json()
    assert report["settings"]["every"] == 5
    assert report["persons"][0]["finding"]["assessment"] is None
    wrong = server.client.post("/api/jobs", content=b"x", params={"every": 0})
    assert wrong.status_code == 422
    assert "every" in wrong.json()["detail"]


def test_jobs_are_listed_newest_first(server: Server, picture: Path) -> None:
    ids = [server.upload(picture)["id"] for _ in range(3)]
    listed = server.client.get("/api/jobs", params={"limit": 3}).json()
    assert [job["id"] for job in listed["jobs"]] == ids[::-1]
    assert listed["total"] >= 3
    second = server.client.get("/api/jobs", params={"limit": 1, "offset": 1}).json()
    assert [job["id"] for job in second["jobs"]] == [ids[1]]


def test_a_deleted_job_leaves_nothing(server: Server, picture: Path) -> None:
    job = server.wait(server.upload(picture)["id"])["id"]
    assert any(job in name for name in server.files())
    with server.client.stream("GET", "/api/events") as stream:
        told = events(stream.iter_lines())
        assert server.client.delete(f"/api/jobs/{job}").status_code == 204
        assert next(told) == ("deleted", {"id": job})
    assert not any(job in name for name in server.files())
    assert server.client.get(f"/api/jobs/{job}").status_code == 404
    assert server.client.delete(f"/api/jobs/{job}").status_code == 404


def test_results_are_not_asked_for_too_soon(server: Server, long_clip: Path) -> None:
    job = server.upload(long_clip)["id"]
    for what in ("report", "bundle", "review", "files/report.json"):
        answer = server.client.get(f"/api/jobs/{job}/{what}")
        assert answer.status_code == 409, what
        assert "no results" in answer.json()["detail"]
    assert server.client.get(f"/results/{job}/report.html").status_code == 409
    assert server.client.delete(f"/api/jobs/{job}").status_code == 204


@linux
@pytest.mark.parametrize("state", ["running", "queued"])
def test_a_cancelled_job_is_gone_at_once(server: Server, long_clip: Path, state: str) -> None:
    first, second = (server.upload(long_clip)["id"] for _ in range(2))
    server.wait_for_work(first)
    job, other = (first, second) if state == "running" else (second, first)
    assert server.job(job)["state"] == state
    workers = server.workers()
    began = time.monotonic()
    answer = server.client.post(f"/api/jobs/{job}/cancel")
    assert time.monotonic() - began < 2
    assert answer.json()["state"] == "cancelled"
    assert not any(job in name for name in server.files())
    if state == "running":
        assert not any(map(is_alive, workers))
    again = server.client.post(f"/api/jobs/{job}/cancel")
    assert (again.status_code, again.json()["detail"]) == (
        409,
        "there is nothing to cancel: this job is cancelled",
    )
    retried = server.client.post(f"/api/jobs/{job}/retry")
    assert retried.status_code == 409
    assert "upload the file again" in retried.json()["detail"]
    server.client.delete(f"/api/jobs/{other}")


@linux
def test_a_worker_that_does_not_listen_is_ended_all_the_same(
    server: Server, long_clip: Path
) -> None:
    job = server.upload(long_clip)["id"]
    server.wait_for_work(job)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    began = time.monotonic()
    assert server.client.delete(f"/api/jobs/{job}").status_code == 204
    assert time.monotonic() - began < 2
    assert not is_alive(worker)
    assert not any(job in name for name in server.files())


@linux
def test_a_killed_worker_is_told_and_the_job_can_be_run_again(
    server: Server, long_clip: Path
) -> None:
    job = server.upload(long_clip, "long.mp4")["id"]
    server.wait_for_work(job)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    failed = server.wait(job)
    assert failed["state"] == "failed"
    assert failed["error"] == (
        "long.mp4: the worker was ended by signal 9 (SIGKILL), perhaps because memory ran out; "
        "the job can be run again"
    )
    assert {name for name in server.files() if job in name} == {job, f"{job}/input"}
    assert server.client.post(f"/api/jobs/{job}/retry").json()["state"] in ("queued", "running")
    again = server.wait(job, "running")
    assert (again["attempts"], again["error"]) == (2, None)
    assert server.client.post(f"/api/jobs/{job}/retry").status_code == 409
    server.client.delete(f"/api/jobs/{job}")


@pytest.mark.slow
def test_many_uploads_at_once_all_finish(picture: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "results", "--workers", 2) as server:
        data = picture.read_bytes()

        def upload(number: int) -> str:
            answer = httpx.post(
                f"{server.url}/api/jobs", content=data, params={"name": f"{number}.png"}
            )
            assert answer.status_code == 201
            return str(answer.json()["id"])

        with ThreadPoolExecutor(20) as threads:
            ids = list(threads.map(upload, range(20)))
        assert len(set(ids)) == 20
        jobs = [server.wait(job) for job in ids]
        assert [job["name"] for job in jobs] == [f"{number}.png" for number in range(20)]
        assert {job["state"] for job in jobs} == {"done"}
        assert {job["attempts"] for job in jobs} == {1}


def test_a_full_queue_says_so(long_clip: Path, picture: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "results", "--max-queue", 1) as server:
        first = server.upload(long_clip)["id"]
        server.wait(first, "running")
        server.upload(picture)
        before = server.files()
        answer = server.client.post("/api/jobs", content=picture.read_bytes())
        assert answer.status_code == 429
        assert "the queue is full (1 wait or arrive)" in answer.json()["detail"]
        assert server.files() == before
        server.client.post(f"/api/jobs/{first}/cancel")


@linux
@pytest.mark.slow
def test_after_the_server_was_killed_everything_is_in_order(
    long_clip: Path, picture: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "results") as server:
        done = server.wait(server.upload(picture, "done.png")["id"])
        files = server.files()
        running = server.upload(long_clip, "running.mp4", every=10)["id"]
        queued = server.upload(picture, "queued.png")["id"]
        server.wait_for_work(running)
        (worker,) = children(server.process.pid)
        arriving = threading.Thread(target=_upload_slowly, args=(server.url,), daemon=True)
        arriving.start()
        deadline = time.monotonic() + PATIENCE
        while len(list((server.folder / "jobs").iterdir())) < 4:  # the upload has begun
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.stop(signal.SIGKILL)
    deadline = time.monotonic() + 2
    while is_alive(worker):
        assert time.monotonic() < deadline, "a worker outlives its server"
        time.sleep(0.01)
    with serving(tmp_path / "results") as server:
        names = {path.name for path in (server.folder / "jobs").iterdir()}
        assert names == {done["id"], running, queued}, "what arrived in part is gone"
        assert server.job(done["id"]) == done
        assert server.wait(running)["state"] == "done"
        assert server.job(running)["attempts"] == 2
        last = server.wait(queued)
        assert last["state"] == "done"
        assert last["started"] >= server.job(running)["finished"], "the queue keeps its order"
        assert files <= server.files()
        assert not any("unfinished" in name for name in server.files())
        assert server.stop() < 5
        assert server.process.returncode == 0


def _upload_slowly(url: str) -> None:
    def body() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000
            time.sleep(0.01)

    with pytest.raises(httpx.TransportError):
        httpx.post(f"{url}/api/jobs", content=body())


def test_a_job_that_brings_the_server_down_is_given_up(tmp_path: Path) -> None:
    """As its folder is found when the server was killed with it at work, three times."""
    store = Store(tmp_path, lost=3)
    job = store.make_folder()
    store.input(job).write_bytes(b"x")
    store.add(
        Job(id=job, name="x", state=State.QUEUED, bytes=1, every=1, trust=True, created=now())
    )
    for attempt in range(1, 4):
        store.start(job)
        store.unfinished(job).mkdir()
        store.close()
        store = Store(tmp_path, lost=3)
        found = store.find(job)
        assert found
        assert (found.state, found.attempts) == ("queued" if attempt < 3 else "failed", attempt)
        assert [path.name for path in store.folder(job).iterdir()] == ["input"]
    assert "the server ended 3 times" in (found.error or "")
    store.retry(job)
    store.start(job)
    store.close()
    store = Store(tmp_path, lost=3)
    assert store.count(State.QUEUED) == 1, "to be run again is a new beginning"
    store.close()


def test_results_that_no_table_knows_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "mine").mkdir(parents=True)
    (tmp_path / "jobs" / ("0" * 32) / "results").mkdir(parents=True)
    (tmp_path / "jobs" / ("1" * 32)).mkdir()  # an upload that was broken off
    (tmp_path / "jobs" / ("2" * 32 + ".gone") / "results").mkdir(parents=True)  # was deleted
    Store(tmp_path, lost=3).close()
    assert {path.name for path in (tmp_path / "jobs").iterdir()} == {"mine", "0" * 32}


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_the_server_ends_in_order(long_clip: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "results") as server:
        job = server.upload(long_clip)["id"]
        server.wait_for_work(job)
        with (
            httpx.stream("GET", f"{server.url}/api/events", timeout=PATIENCE) as all_events,
            httpx.stream("GET", f"{server.url}/api/jobs/{job}/events") as its_events,
        ):
            assert server.stop(signal.SIGINT) < 3
            list(all_events.iter_lines())  # they ended, and were not broken off
            list(its_events.iter_lines())
        assert server.process.returncode == 0
        assert "Traceback" not in server.log.read_text()
    assert {path.name for path in (server.folder / "jobs" / job).iterdir()} == {"input"}
    with serving(tmp_path / "results") as server:
        server.wait_for_work(job)
        assert server.job(job)["attempts"] == 1, "an end in order is no attempt"
        assert server.stop(signal.SIGTERM) < 3
        assert server.process.returncode == 0


def test_ctrl_c_in_a_terminal_ends_the_server_and_leaves_its_job_in_the_queue(
    long_clip: Path, tmp_path: Path
) -> None:
    """It reaches the whole group of processes, also a worker that begins."""
    for moment in (0.0, 0.4):
        folder = tmp_path / f"results{moment}"
        with serving(folder) as server:
            job = server.upload(long_clip)["id"]
            time.sleep(moment)
            os.killpg(server.process.pid, signal.SIGINT)
            assert server.process.wait(PATIENCE) == 0
            said = server.log.read_text()
            assert "Traceback" not in said
        with sqlite3.connect(folder / "jobs.sqlite3") as database:
            (state,) = database.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
        database.close()
        assert state == "queued"


@linux
def test_a_worker_that_is_interrupted_by_mistake_is_begun_again(
    long_clip: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "results") as server:
        job = server.upload(long_clip)["id"]
        server.wait_for_work(job)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGINT)
        deadline = time.monotonic() + PATIENCE
        while (again := server.workers()) in ([], [worker]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert len(again) == 1
        assert server.job(job)["state"] == "running"


class Reluctant(Store):
    """A store on a disk that is full for a while."""

    refusals = 2

    def finish(self, job: str, outcome: OutcomeMessage) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError(28, "No space left on device")
        super().finish(job, outcome)


def test_a_result_that_cannot_be_stored_for_a_while_is_stored_later(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_AGAIN_SECONDS", 0.1)

    async def work() -> list[str]:
        store = Reluctant(tmp_path / "results", lost=3)
        jobs = queue.Queue(store, Limits(), "fakelens-patch")
        ids = []
        for _ in range(2):
            ids.append(store.make_folder())
            shutil.copy(picture, store.input(ids[-1]))
            size = picture.stat().st_size
            told = {"name": "p.png", "bytes": size, "every": 1, "trust": True, "created": now()}
            jobs.add(Job(id=ids[-1], state=State.QUEUED, **told))
        with jobs.subscribed() as changes:
            while any(not (found := jobs.find(job)) or not found.state.is_over for job in ids):
                async with asyncio.timeout(PATIENCE):
                    await changes.news()
        states = [str(found.state) for job in ids if (found := jobs.find(job))]
        await jobs.stop()
        store.close()
        return states

    assert asyncio.run(work()) == ["done", "done"]


def test_the_health_of_a_server(server: Server) -> None:
    health = server.client.get("/api/health").json()
    assert health["status"] == "ok"
    assert health["model"] == "fakelens-patch"
    assert health["limits"]["upload_bytes"] == 2_000_000_000
    assert re.fullmatch(r"\d+\.\d+\.\d+", health["version"])
