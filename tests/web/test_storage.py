"""Storage: how long jobs are kept, and how much space they take."""

import asyncio
import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakelens.errors import UsageError
from fakelens.web import folders, retention
from fakelens.web.limits import Limits
from fakelens.web.outcomes import share_upload
from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.quota import Quota
from fakelens.web.schemas import State
from fakelens.web.store import Store, now
from support.stored_jobs import add, execute, listed, opened


def test_old_jobs_are_deleted(full: Path) -> None:
    with opened(full) as store:
        for name in ("reviewed", "lost"):
            add(store, name, State.DONE)
        jobs = listed(store)
        folders.remove(store.results(jobs["lost"].id))
    execute(full, "UPDATE jobs SET finished = '2020-01-01T00:00:00.000+00:00'")
    with opened(full) as store:
        review = {"video_sha256": "9" * 64, "blind": True, "saved": "2021-01-01T00:00:00Z"}
        path = store.results(jobs["reviewed"].id) / "review.json"
        path.write_text(json.dumps(review))
        add(store, "new", State.DONE)

        async def delete(year: int) -> set[str]:
            queue = Queue(store, Limits(), "fakelens-patch")
            await retention.delete_older(queue, datetime(year, 6, 1, tzinfo=UTC))
            return set(listed(store))

        assert asyncio.run(delete(2019)) == {*jobs, "new"}
        kept = {"new", "lost", "queued", "interrupted"}
        assert asyncio.run(delete(2020)) == {*kept, "reviewed"}
        assert asyncio.run(delete(2021)) == kept
        remaining = {job.id for job in listed(store).values()}
        assert {path.name for path in store.jobs.iterdir()} == remaining


def make_old(folder: Path, *names: str, **review: str) -> list[str]:
    """Add jobs that ended in the year 2020, the first with a review, and return their ids."""
    with opened(folder) as store:
        jobs = [add(store, name, State.DONE) for name in names]
        document = {"video_sha256": "9" * 64, "blind": True, "saved": "2020-01-01T00:00:00Z"}
        (store.results(jobs[0]) / "review.json").write_text(json.dumps(document | review))
    execute(folder, "UPDATE jobs SET finished = '2020-01-01T00:00:00.000+00:00'")
    return jobs


def delete_all(store: Store) -> set[str]:
    """Delete the jobs that ended before the year 2021, and return the names of the others."""
    queue = Queue(store, Limits(), "fakelens-patch")
    asyncio.run(retention.delete_older(queue, datetime(2021, 1, 1, tzinfo=UTC)))
    return set(listed(store))


def test_a_job_that_is_run_again_while_others_are_deleted_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second, third = make_old(tmp_path, "first", "second", "third")
    with opened(tmp_path) as store:

        async def delete(queue: Queue, job: str) -> None:
            await original(queue, job)
            if store.find(second):
                store.retry(second)
            if store.find(third):
                store.retry(third)
                store.start(third)
                store.fail(third, "no video")

        original = Queue.delete
        monkeypatch.setattr(Queue, "delete", delete)
        assert delete_all(store) == {"second", "third"}


def test_a_job_whose_review_cannot_be_read_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_old(tmp_path, "reviewed", "other")
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "review.json" and path.exists():
            raise OSError(24, "Too many open files")
        return read(path)

    with opened(tmp_path) as store:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "read_bytes", fail)
            kept = delete_all(store)
        assert kept == {"reviewed"}
        assert "is old but cannot be deleted" in caplog.text
        assert delete_all(store) == set()


def test_a_job_whose_review_has_no_valid_date_stops_no_deletion(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_old(tmp_path, "reviewed", "other", saved="2020-02-31T00:00:00Z")
    with opened(tmp_path) as store:
        assert delete_all(store) == {"reviewed"}
    assert "is old but cannot be deleted" in caplog.text


def test_jobs_are_kept_for_a_hundred_years_at_most(full: Path) -> None:
    message = "--keep must be 36500 days or less; leave it out to keep everything"
    with pytest.raises(UsageError, match=message):
        Limits(keep_days=36_501)

    async def run(store: Store) -> None:
        async with retention.deleting_old_jobs(
            Queue(store, Limits(keep_days=36_500), "fakelens-patch")
        ):
            await asyncio.sleep(0.02)

    with opened(full) as store:
        asyncio.run(run(store))
        assert len(listed(store)) == 5


def test_old_jobs_are_searched_for_again_and_again(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_INTERVAL", 0.02)
    ended = {"done", "failed", "cancelled"}

    async def run(store: Store, days: int | None) -> set[str]:
        queue = Queue(store, Limits(keep_days=days), "fakelens-patch")
        async with retention.deleting_old_jobs(queue):
            await asyncio.sleep(0.1)
            assert set(listed(store)) >= ended
            execute(full, "UPDATE jobs SET finished = '2020-01-01T00:00:00.000+00:00'")
            await asyncio.sleep(0.2)
        return set(listed(store))

    with opened(full) as store:
        assert asyncio.run(run(store, None)) >= ended, "without a limit"
        execute(full, "UPDATE jobs SET finished = ?", now())
        assert asyncio.run(run(store, 1)) == {"queued", "interrupted"}


def test_the_quota_counts_what_is_stored_and_all_uploads_in_progress(tmp_path: Path) -> None:
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored" / "input").write_bytes(bytes(300))
    for name in "abc":
        (tmp_path / name).mkdir()

    async def work() -> list[int]:
        quota, room = Quota(tmp_path, 1000), []
        async with quota.reserve("a", 400, 800) as first:
            (tmp_path / "a" / "input").write_bytes(bytes(100))  # the rest is still to come
            async with (
                quota.reserve("b", 200, 800) as second,
                quota.reserve("c", None, 800) as third,
            ):
                room += [first, second, third]
            async with quota.reserve("b", 200, 800) as second:
                room.append(second)
        async with (
            quota.reserve("b", 5, 800) as last,
            Quota(tmp_path, None).reserve("b", 5, 800) as all_,
        ):
            room += [last, all_]
        return room

    assert asyncio.run(work()) == [700, 300, 100, 300, 600, 800]
    assert str(Quota(tmp_path, 2 * 10**9).error()).startswith(
        "the uploads and results would take up more than the 2 GB that this server keeps"
    )
    assert isinstance(Quota(tmp_path, 1).error(), ProblemError)


def test_an_exact_copy_of_the_upload_becomes_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "job"
    (job / "results").mkdir(parents=True)
    upload, copy = job / "input", job / "results" / "untouched.mp4"
    upload.write_bytes(b"v" * 5000)
    (job / "results" / "untouched.webm").write_bytes(b"w" * 5000)  # of the same size
    shutil.copy(upload, copy)
    assert folders.disk_usage(tmp_path) == 15_000
    sha256 = "6d0f9a3b"  # of another file
    share_upload(upload, job / "results", sha256)
    assert copy.stat().st_nlink == 1
    sha256 = hashlib.sha256(upload.read_bytes()).hexdigest()
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        with pytest.raises(OSError, match="no links"):
            share_upload(upload, job / "results", sha256)
    assert (copy.stat().st_nlink, copy.read_bytes()) == (1, upload.read_bytes())
    share_upload(upload, job / "results", sha256)
    assert copy.stat().st_ino == upload.stat().st_ino
    assert (job / "results" / "untouched.webm").read_bytes() == b"w" * 5000
    assert folders.disk_usage(tmp_path) == 10_000
    assert folders.disk_usage(tmp_path, without=["job"]) == 0
    assert not (job / "results" / ".link").exists()


def refuse(*_: object) -> None:
    raise PermissionError(1, "no links")


def test_a_write_to_a_full_disk_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    folders.write_durably(tmp_path / "review.json", "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        folders.write_durably(tmp_path / "review.json", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"review.json": "old"}
