"""The store: lost and damaged databases, rows and folders, and the space on the disk."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fakelens.errors import OutputError
from fakelens.web import folders, recovery
from fakelens.web.listing import Listing, Sort
from fakelens.web.schemas import Job, State
from fakelens.web.store import Store
from support.stored_jobs import RATES, add, execute, listed, opened, outcome, write_results


def snapshot(folder: Path) -> dict[str, Any]:
    with opened(folder) as store:
        return listed(store)


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_server_does_not_start_without_the_files_of_its_jobs(full: Path, is_empty: bool) -> None:
    """As if the disk with them were not mounted."""
    before = snapshot(full)
    (full / "jobs").rename(full / "elsewhere")
    if is_empty:
        (full / "jobs").mkdir()
    with pytest.raises(OutputError, match=r"files of all 4 jobs are missing: mount or restore"):
        Store(full, max_crashes=3)
    shutil.rmtree(full / "jobs", ignore_errors=True)
    (full / "elsewhere").rename(full / "jobs")
    assert snapshot(full) == before


def test_jobs_whose_files_are_missing_are_kept(full: Path) -> None:
    before = snapshot(full)
    for name in ("done", "queued"):
        (full / "jobs" / before[name].id).rename(full / name)
    after = snapshot(full)
    assert after["done"].state is State.DAMAGED
    assert after["done"].error == "the results of this job are no longer on the server's disk"
    assert after["queued"].state is State.FAILED
    assert after["queued"].error == "the upload of this job is no longer on the server's disk"
    assert {name: after[name] for name in ("failed", "cancelled", "interrupted")} == {
        name: before[name] for name in ("failed", "cancelled", "interrupted")
    }
    for name in ("done", "queued"):
        (full / name).rename(full / "jobs" / before[name].id)
    restored = snapshot(full)
    assert restored["done"] == before["done"]
    with opened(full) as store:
        store.retry(before["queued"].id)
        assert listed(store)["queued"] == before["queued"]


def lose(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def damage_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:8192] = os.urandom(4096)
    path.write_bytes(data)


def damage_schema(path: Path) -> None:
    data = path.read_bytes()
    assert b"NOT NULL" in data
    path.write_bytes(data.replace(b"NOT NULL", b"NOT\xa0NULL"))


def drop_table(path: Path) -> None:
    execute(path.parent, "ALTER TABLE jobs RENAME TO others")


@pytest.mark.parametrize(
    "damage",
    [lose, truncate, cut, overwrite, damage_page, damage_schema, drop_table],
)
def test_a_lost_or_damaged_database_is_rebuilt_from_the_folders(
    full: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = snapshot(full)
    damage(full / "jobs.sqlite3")
    damaged = (full / "jobs.sqlite3").read_bytes() if damage not in (lose, truncate) else None
    after = snapshot(full)
    del before["cancelled"]  # has no files
    before["interrupted"] = before["interrupted"].model_copy(update={"attempts": 0})
    assert after == before
    assert after["done"].summary.error_rates == RATES
    kept = [path.read_bytes() for path in full.glob("jobs.sqlite3.damaged-*[0-9]")]
    assert kept == ([damaged] if damaged else [])
    assert ("was renamed to jobs.sqlite3.damaged-" in caplog.text) == bool(damaged)
    assert "jobs recovered from their folders: 4" in caplog.text
    with opened(full) as store:
        assert store.next_queued().name == "queued", "the queue keeps its order"


def test_a_damaged_lock_is_reported(full: Path) -> None:
    overwrite(full / "lock.sqlite3")
    with pytest.raises(OutputError, match=r"lock.sqlite3: is damaged: delete this file"):
        Store(full, max_crashes=3)


def test_folders_without_a_record_are_recovered(full: Path) -> None:
    """Those of an earlier version."""
    before = snapshot(full)
    (full / "jobs.sqlite3").unlink()
    for path in (full / "jobs").glob("*/job.json"):
        path.unlink()
    (full / "jobs" / ("0" * 32) / "results").mkdir(parents=True)  # nothing that can be read
    after = {job.id: job for job in snapshot_all(full)}
    done = after[before["done"].id]
    assert (done.name, done.state, done.every) == ("clip.mp4", State.DONE, 1)
    assert [person.person for person in done.summary.persons] == [1]
    assert done.summary.error_rates
    assert done.summary.links == before["done"].summary.links
    for name in ("failed", "queued", "interrupted"):
        found = after[before[name].id]
        assert (found.name, found.state, found.bytes) == ("recovered upload", State.QUEUED, 6)
    damaged = after["0" * 32]
    assert (damaged.name, damaged.state, damaged.bytes) == ("recovered results", State.DAMAGED, 0)
    assert len(after) == 5
    assert (full / "jobs" / ("0" * 32) / "results").is_dir()


def lose_records(folder: Path) -> None:
    """Lose the database and what it could be rebuilt from."""
    for path in (*folder.glob("jobs.sqlite3*"), *folder.glob("jobs/*/job.json")):
        path.unlink()


@pytest.mark.parametrize("function", ["read_job", "_has_upload", "_fail_without_upload"])
def test_an_interrupted_recovery_loses_no_uploads(
    full: Path, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_records(full)
    uploads = sorted((full / "jobs").glob("*/input"))
    calls = iter((False, True))

    def interrupt(*values: Any) -> Any:
        if next(calls) or function.startswith("_fail"):
            raise KeyboardInterrupt
        return original(*values)

    original = getattr(recovery, function)
    with monkeypatch.context() as patched:
        patched.setattr(recovery, function, interrupt)
        with pytest.raises(KeyboardInterrupt):
            Store(full, max_crashes=3)
    assert len(snapshot_all(full)) == len(uploads) == 4
    assert sorted((full / "jobs").glob("*/input")) == uploads


def test_results_with_a_damaged_report_are_kept(full: Path) -> None:
    job = snapshot(full)["done"].id
    results = full / "jobs" / job / "results"
    (results / "report.json").write_text("{")
    (results / "review.json").write_text("a review")
    lose_records(full)
    for _ in range(3):
        with opened(full) as store:
            found = store.find(job)
            assert found.state is State.DAMAGED
            assert "the report of this job is missing or damaged" in found.error
        assert (results / "review.json").read_text() == "a review"
    with opened(full) as store:
        store.retry(job)
        assert store.find(job).state is State.QUEUED
    with opened(full) as store:
        store.start(job)
        store.fail(job, "no video")
    with opened(full) as store:
        store.retry(job)
        store.start(job)
        write_results(store.unfinished(job))
        store.finish(job, outcome(0.5))
        assert store.find(job).state is State.DONE
    assert (results.with_name("results.earlier") / "review.json").read_text() == "a review"


@pytest.mark.parametrize("content", [b"", b"{", None])
def test_an_upload_whose_record_cannot_be_read_is_no_aborted_upload(
    full: Path, content: bytes | None
) -> None:
    job = snapshot(full)["queued"].id
    execute(full, "DELETE FROM jobs WHERE name = 'queued'")  # an older copy of the database
    record = full / "jobs" / job / "job.json"
    record.unlink()
    if content is None:
        record.mkdir()  # as good as a file that the disk cannot read
    else:
        record.write_bytes(content)
    found = next(each for each in snapshot_all(full) if each.id == job)
    assert (found.name, found.state) == ("recovered upload", State.QUEUED)
    assert (full / "jobs" / job / "input").read_bytes() == b"upload"


def snapshot_all(folder: Path) -> list[Job]:
    with opened(folder) as store:
        return store.page(Listing(limit=200))


def test_results_are_kept_if_the_database_is_an_older_copy(full: Path) -> None:
    with opened(full) as store:
        job = next(job for job in store.page(Listing(limit=200)) if job.name == "queued")
    shutil.copy(full / "jobs.sqlite3", full / "copy")
    with opened(full) as store:
        store.start(job.id)
        write_results(store.unfinished(job.id))
        store.finish(job.id, outcome(0.5))
        (store.results(job.id) / "review.json").write_text("{}")
        expected = store.find(job.id)
    shutil.copy(full / "copy", full / "jobs.sqlite3")
    with opened(full) as store:
        assert store.find(job.id).summary == expected.summary
    assert list((full / "jobs" / job.id / "results").glob("review.*"))


@pytest.mark.parametrize(
    "damage",
    [
        "state = 'paused'",
        "summary = '{'",
        "summary = '[1]'",
        'summary = \'{"persons": [{"score": 1e999}, 5]}\'',
        'summary = \'{"video_sha256": "\\ud800"}\'',
        "every = 'x'",
        "created = 'yesterday', state = 'paused'",
        "attempts = -1",
        "name = CAST(x'ff' AS TEXT), bytes = -5",
        "id = '../../../etc'",
    ],
)
def test_a_damaged_row_affects_no_other_job(
    full: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = snapshot(full)
    shutil.rmtree(full / "jobs" / before["failed"].id)  # so that the row cannot be recovered
    execute(full, f"UPDATE jobs SET {damage} WHERE name = 'failed'")
    rest = {name: job for name, job in before.items() if name != "failed"}
    with opened(full) as store:
        found = listed(store)
        for sort in Sort:
            assert listed(store, sort=sort) == found
            assert listed(store, sort=sort, query="DONE") == {"done": before["done"]}
        assert {name: found[name] for name in rest} == rest
        others = [job for name, job in found.items() if name not in rest]
        if damage.startswith("id"):
            assert others == []
        else:
            (job,) = others
            assert (job.id, job.state) == (before["failed"].id, State.DAMAGED)
            assert job.error == "the record of this job is damaged and cannot be read"
            folders.remove(store.delete(job.id))
            assert listed(store) == rest
        assert store.next_queued().name == "queued"
    assert "damaged records of jobs, which cannot be read: 1" in caplog.text


@pytest.mark.parametrize("is_running", [False, True])
def test_a_damaged_row_is_recovered_from_the_folder(full: Path, is_running: bool) -> None:
    """When the server starts, or when the job shall be run again."""
    before = snapshot(full)
    damage = "UPDATE jobs SET every = 'x' WHERE name IN ('done', 'failed')"
    if is_running:
        with opened(full) as store:
            execute(full, damage)
            store.retry(before["done"].id)
            store.retry(before["failed"].id)
        before["failed"] = before["failed"].model_copy(
            update={"state": State.QUEUED, "started": None, "finished": None, "error": None}
        )
    else:
        execute(full, damage)
    assert snapshot(full) == before


FIRST_VERSION = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    turn INTEGER NOT NULL,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    every TEXT NOT NULL,
    trust INTEGER NOT NULL,
    created TEXT NOT NULL,
    started TEXT,
    finished TEXT,
    error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    summary TEXT
) STRICT;
CREATE INDEX by_state ON jobs (state, turn);
PRAGMA user_version = 1;
"""


def write_first_version(folder: Path) -> None:
    """Replace the database by one of the first version, which had no records in the folders."""
    path = folder / "jobs.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT * FROM jobs").fetchall()
    lose_records(folder)
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(FIRST_VERSION)
        for *values, summary in rows:
            old = summary and json.loads(summary)
            if old:
                del old["suspect"], old["error_rates"], old["links"]["thumbnail"]
                old["persons"] = [
                    {key: one[key] for key in one if key not in ("answer", "sure")}
                    for one in old["persons"]
                ]
            marks = ", ".join("?" * (len(values) + 1))
            database.execute(
                f"INSERT INTO jobs VALUES ({marks})", (*values, old and json.dumps(old))
            )


def test_a_database_of_the_first_version_is_used_further(full: Path) -> None:
    before = snapshot(full)
    results = full / "jobs" / before["done"].id / "results"
    (results / "faces").mkdir()
    (results / "faces" / "person-1.png").write_bytes(b"a face")
    write_first_version(full)
    after = snapshot(full)
    done = after.pop("done")
    assert after == {name: before[name] for name in after}
    assert len(after) == 4
    assert (
        done.summary.error_rates == json.loads((results / "report.json").read_text())["error_rates"]
    )
    assert done.summary.suspect == 1
    (person,) = done.summary.persons  # of a report whose finding is not seen well
    assert (person.answer, person.sure) == ("not judged", "No answer: not seen well enough.")
    assert done.summary.links.thumbnail == f"/api/jobs/{done.id}/thumbnail"
    assert len(list((full / "jobs").glob("*/job.json"))) == 4
    (full / "jobs.sqlite3").unlink()
    assert snapshot(full)["done"] == done, "so says its record"
    with closing(sqlite3.connect(full / "jobs.sqlite3")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (3,)


def test_jobs_are_searched_and_sorted(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for name, score in (("Clip 10", 0.85), ("clip 9", 0.1), ("ÉTUDE", 0.95)):
            add(store, name, State.DONE, score=score)
        add(store, "broken", State.FAILED)

        def names(**options: Any) -> list[str]:
            return list(listed(store, **options))

        assert names() == ["broken", "ÉTUDE", "clip 9", "Clip 10"]
        assert names(sort=Sort.NAME) == ["broken", "clip 9", "Clip 10", "ÉTUDE"]
        assert names(sort=Sort.SUSPICIOUS) == ["ÉTUDE", "Clip 10", "clip 9", "broken"]
        assert names(query=" cLIP") == ["clip 9", "Clip 10"]
        assert names(query="e\u0301tude") == ["ÉTUDE"], "however it is written"
        assert names(query="likely fake") == ["ÉTUDE", "Clip 10"]
        assert names(query="likely fake", blind=True) == []
        assert names(query="95" * 32, blind=True) == ["ÉTUDE"]
        assert names(query="%") == names(query="_") == []
        assert [job.name for job in store.page(Listing(1, 1, "clip"))] == ["Clip 10"]
        assert names(query="none") == names(query="on") == [], "a job without a verdict"


@pytest.mark.parametrize("score", ["1" + "0" * 30, "-1", "2", "NaN", "1e999"])
def test_a_damaged_score_is_ignored_by_the_order(tmp_path: Path, score: str) -> None:
    with opened(tmp_path) as store:
        for name, good in (("low", 0.1), ("high", 0.9), ("wrong", 0.5)):
            add(store, name, State.DONE, score=good)
        summary = f'{{"persons": [{{"score": {score}}}]}}'
        execute(tmp_path, "UPDATE jobs SET summary = ? WHERE name = 'wrong'", summary)
        assert list(listed(store, sort=Sort.SUSPICIOUS)) == ["high", "low", "wrong"]
