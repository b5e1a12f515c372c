"""Recovery: workers and servers that are killed or interrupted, and storage that fails."""

import asyncio
import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakelens.web import folders, queue
from fakelens.web.limits import Limits
from fakelens.web.messages import OutcomeMessage
from fakelens.web.schemas import Job, State
from fakelens.web.store import Store, now
from support.serving import TIMEOUT, Server, children, is_alive, serving
from support.stored_jobs import add, listed, opened, outcome, write_results

linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")


@linux
def test_a_frozen_worker_is_stopped(server: Server, long_clip: Path) -> None:
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
def test_a_job_fails_when_its_worker_is_killed_and_can_be_run_again(
    server: Server, long_clip: Path
) -> None:
    job = server.upload(long_clip, "long.mp4")["id"]
    server.wait_for_work(job)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    failed = server.wait(job)
    assert failed["state"] == "failed"
    assert failed["error"] == (
        "long.mp4: the worker process was killed by signal 9 (SIGKILL), perhaps because memory ran "
        "out; the job can be run again"
    )
    assert {name for name in server.files() if job in name} == {
        job,
        f"{job}/input",
        f"{job}/job.json",
    }
    assert server.client.post(f"/api/jobs/{job}/retry").json()["state"] in ("queued", "running")
    again = server.wait(job, "running")
    assert (again["attempts"], again["error"]) == (2, None)
    assert server.client.post(f"/api/jobs/{job}/retry").status_code == 409
    server.client.delete(f"/api/jobs/{job}")


@linux
@pytest.mark.slow
def test_a_killed_server_leaves_a_consistent_state(
    long_clip: Path, picture: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "results") as server:
        done = server.wait(server.upload(picture, "done.png")["id"])
        files = server.files()
        running = server.upload(long_clip, "running.mp4", every=10)["id"]
        queued = server.upload(picture, "queued.png")["id"]
        server.wait_for_work(running)
        (worker,) = children(server.process.pid)
        arriving = threading.Thread(target=_upload_slowly, args=(server,), daemon=True)
        arriving.start()
        deadline = time.monotonic() + TIMEOUT
        while len(list((server.folder / "jobs").iterdir())) < 4:  # the upload has begun
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.stop(signal.SIGKILL)
    deadline = time.monotonic() + 2
    while is_alive(worker):
        assert time.monotonic() < deadline, "the worker must exit with its server"
        time.sleep(0.01)
    with serving(tmp_path / "results") as server:
        names = {path.name for path in (server.folder / "jobs").iterdir()}
        assert names == {done["id"], running, queued}, "the partial upload is deleted"
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


def _upload_slowly(server: Server) -> None:
    def body() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000
            time.sleep(0.01)

    with pytest.raises(httpx.TransportError):
        httpx.post(f"{server.url}/api/jobs", content=body(), headers=server.headers)


def test_a_job_fails_after_three_crashes_of_the_server(tmp_path: Path) -> None:
    """As if the server had been killed three times while running it."""
    store = Store(tmp_path, max_crashes=3)
    job = store.make_folder()
    store.input(job).write_bytes(b"x")
    store.add(
        Job(id=job, name="x", state=State.QUEUED, bytes=1, every=1, trust=True, created=now())
    )
    for attempt in range(1, 4):
        store.start(job)
        store.unfinished(job).mkdir()
        store.close()
        store = Store(tmp_path, max_crashes=3)
        found = store.find(job)
        assert found
        assert (found.state, found.attempts) == ("queued" if attempt < 3 else "failed", attempt)
        assert sorted(path.name for path in store.folder(job).iterdir()) == ["input", "job.json"]
    assert "the server stopped unexpectedly 3 times" in (found.error or "")
    store.retry(job)
    store.start(job)
    store.close()
    store = Store(tmp_path, max_crashes=3)
    assert store.count(State.QUEUED) == 1, "running it again resets the count"
    store.close()


def test_results_without_a_row_are_kept(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "mine").mkdir(parents=True)
    (tmp_path / "jobs" / ("0" * 32) / "results").mkdir(parents=True)
    (tmp_path / "jobs" / ("1" * 32)).mkdir()  # an aborted upload
    (tmp_path / "jobs" / ("2" * 32 + ".gone") / "results").mkdir(
        parents=True
    )  # an unfinished deletion
    Store(tmp_path, max_crashes=3).close()
    assert {path.name for path in (tmp_path / "jobs").iterdir()} == {"mine", "0" * 32}


def snapshot(folder: Path) -> dict[str, Any]:
    with opened(folder) as store:
        return listed(store)


@pytest.mark.parametrize("end", ["finish", "fail", "cancel"])
def test_results_that_come_back_while_the_job_is_run_again_are_kept(full: Path, end: str) -> None:
    before = snapshot(full)["done"]
    results = full / "jobs" / before.id / "results"
    results.rename(full / "away")
    with opened(full) as store:
        store.retry(before.id)
        store.start(before.id)
        write_results(store.unfinished(before.id))
        (full / "away").rename(results)
        (results / "review.json").write_text("the earlier review")
        if end == "finish":
            store.finish(before.id, outcome(0.5))
            assert store.find(before.id).summary.persons[0].score == 0.5
            assert not (results / "review.json").exists()
            results = results.with_name("results.earlier")
        elif end == "fail":
            store.fail(before.id, "no video")
        else:
            store.cancel(before.id)
        assert not store.unfinished(before.id).exists()
    assert (results / "review.json").read_text() == "the earlier review"
    with opened(full) as store:
        assert store.find(before.id).state is State.DONE
    assert (results / "report.json").exists()


@pytest.mark.parametrize("names", [("done",), ("done", "failed", "queued", "interrupted")])
def test_an_interrupted_deletion_is_finished(full: Path, names: tuple[str, ...]) -> None:
    """The server was killed after it had renamed the folder."""
    before = snapshot(full)
    for name in names:
        folders.mark_deleted(full / "jobs" / before[name].id)
    assert set(snapshot(full)) == set(before) - set(names)
    assert not list((full / "jobs").glob("*.gone"))


def test_a_job_that_failed_after_crashes_stays_failed_without_the_database(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        job = add(store, "bomb")
    for _ in range(3):
        with opened(tmp_path) as store:
            store.start(job)
    failed = snapshot(tmp_path)["bomb"]
    assert failed.state is State.FAILED
    (tmp_path / "jobs.sqlite3").unlink()
    assert snapshot(tmp_path)["bomb"] == failed.model_copy(update={"attempts": 3})


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_the_server_shuts_down_in_order(long_clip: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "results") as server:
        job = server.upload(long_clip)["id"]
        server.wait_for_work(job)
        stream = partial(httpx.stream, headers=server.headers)
        with (
            stream("GET", f"{server.url}/api/events", timeout=TIMEOUT) as all_events,
            stream("GET", f"{server.url}/api/jobs/{job}/events") as its_events,
        ):
            assert server.stop(signal.SIGINT) < 3
            list(all_events.iter_lines())  # both must end without an error
            list(its_events.iter_lines())
        assert server.process.returncode == 0
        assert "Traceback" not in server.log.read_text()
    assert {path.name for path in (server.folder / "jobs" / job).iterdir()} == {
        "input",
        "job.json",
    }
    with serving(tmp_path / "results") as server:
        server.wait_for_work(job)
        assert server.job(job)["attempts"] == 1, "an orderly shutdown is no attempt"
        assert server.stop(signal.SIGTERM) < 3
        assert server.process.returncode == 0


def test_ctrl_c_stops_the_server_and_keeps_its_job_in_the_queue(
    long_clip: Path, tmp_path: Path
) -> None:
    """The signal reaches the whole process group, including a worker that has just started."""
    for delay in (0.0, 0.4):
        folder = tmp_path / f"results{delay}"
        with serving(folder) as server:
            job = server.upload(long_clip)["id"]
            time.sleep(delay)
            os.killpg(server.process.pid, signal.SIGINT)
            assert server.process.wait(TIMEOUT) == 0
            assert "Traceback" not in server.log.read_text()
        with sqlite3.connect(folder / "jobs.sqlite3") as database:
            (state,) = database.execute("SELECT state FROM jobs WHERE id = ?", (job,)).fetchone()
        database.close()
        assert state == "queued"


@linux
def test_an_interrupted_worker_is_started_again(long_clip: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "results") as server:
        job = server.upload(long_clip)["id"]
        server.wait_for_work(job)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGINT)
        deadline = time.monotonic() + TIMEOUT
        while (again := server.workers()) in ([], [worker]):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert len(again) == 1
        assert server.job(job)["state"] == "running"


class TemporarilyFullStore(Store):
    """A store on a disk that is full at first."""

    failures_left = 2

    def finish(self, job: str, outcome: OutcomeMessage) -> None:
        if self.failures_left:
            self.failures_left -= 1
            raise OSError(28, "No space left on device")
        super().finish(job, outcome)


def test_a_result_is_stored_once_the_disk_has_space_again(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_RETRY_SECONDS", 0.1)

    async def work() -> list[str]:
        store = TemporarilyFullStore(tmp_path / "results", max_crashes=3)
        jobs = queue.Queue(store, Limits(), "fakelens-patch")
        ids = []
        for _ in range(2):
            ids.append(store.make_folder())
            shutil.copy(picture, store.input(ids[-1]))
            size = picture.stat().st_size
            fields = {"name": "p.png", "bytes": size, "every": 1, "trust": True, "created": now()}
            jobs.add(Job(id=ids[-1], state=State.QUEUED, **fields))
        with jobs.subscribe() as changes:
            while any(not (found := jobs.find(job)) or not found.state.is_over for job in ids):
                async with asyncio.timeout(TIMEOUT):
                    await changes.wait()
        states = [str(found.state) for job in ids if (found := jobs.find(job))]
        await jobs.stop()
        store.close()
        return states

    assert asyncio.run(work()) == ["done", "done"]
