"""The list of jobs on a running server, the storage limits, and a start with a damaged database."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from fakelens.errors import UsageError
from fakelens.web.folders import disk_usage
from fakelens.web.limits import Limits
from fakelens.web.schemas import Job, State
from fakelens.web.store import Store
from support.serving import Server, events, serving

GIGABYTE = 10**9


def prepare(folder: Path) -> None:
    """Create the folder of a server with two jobs that failed, one of them long ago."""
    store = Store(folder, max_crashes=3)
    options: Any = {"bytes": 1, "every": 1, "trust": True, "state": State.QUEUED}
    for name, year in (("old", 2001), ("kept", 2999)):
        job = store.make_folder()
        store.input(job).write_bytes(b"x")
        store.add(Job(id=job, name=name, created=f"{year}-01-01T00:00:00.000+00:00", **options))
        store.fail(job, f"{name}: no video")
        record = folder / "jobs" / job / "job.json"
        finished = json.loads(record.read_text()) | {"finished": f"{year}-02-01T00:00:00.000+00:00"}
        record.write_text(json.dumps(finished))
    store.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a quota, without jobs; each test deletes those that it adds."""
    folder = tmp_path_factory.mktemp("server") / "results"
    with serving(folder, "--quota", 1, "--keep", 30) as running:
        yield running


@pytest.fixture(scope="module")
def done(server: Server, clip: Path) -> Any:
    """A job that stays on that server, once a test has asked for it."""
    job = server.upload(clip, "Two people é.mp4", every="auto", trust=False)
    return server.wait(job["id"])


@pytest.fixture
def failed(server: Server) -> Iterator[Any]:
    """Another job on that server."""
    job = server.wait(server.upload(b"no video", "broken")["id"])
    yield job
    server.client.delete(f"/api/jobs/{job['id']}")


def names(server: Server, **parameters: object) -> list[str]:
    listed = server.client.get("/api/jobs", params=parameters).json()
    assert listed["total"] == len(listed["jobs"])
    return [job["name"] for job in listed["jobs"]]


def test_a_damaged_database_is_rebuilt_and_old_jobs_are_deleted_at_the_start(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "results"
    prepare(folder)
    (folder / "jobs.sqlite3").write_bytes(b"this is no database" * 1000)
    with serving(folder, "--keep", 30) as server:
        log = server.log.read_text()
        assert "jobs.sqlite3 is damaged (file is not a database) and was renamed to" in log
        assert "jobs recovered from their folders: 2" in log
        assert "Traceback" not in log
        assert names(server) == ["kept"]
        assert len(list((folder / "jobs").iterdir())) == 1


def test_the_storage_limits_are_shown(server: Server) -> None:
    limits = server.client.get("/api/health").json()["limits"]
    assert (limits["keep_days"], limits["quota_bytes"]) == (30, GIGABYTE)
    page = server.client.get("/", headers={"Accept": "text/html"}).text
    assert "deletes uploads and\nresults 30 days after their job has ended" in page


def test_a_server_without_the_files_of_its_jobs_does_not_start(tmp_path: Path) -> None:
    prepare(tmp_path / "results")
    (tmp_path / "results" / "jobs").rename(tmp_path / "elsewhere")
    command = [sys.executable, "-m", "fakelens", "serve", "--port", "0"]
    command += ["--folder", str(tmp_path / "results")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"fakelens: {tmp_path / 'results' / 'jobs'}: the files of all 2 jobs are missing: mount or "
        "restore this folder, or delete jobs.sqlite3 to start without these jobs\n"
    )


def test_jobs_can_be_searched_and_sorted(server: Server, done: Any, failed: Any) -> None:
    assert names(server) == [failed["name"], done["name"]], "the newest first"
    assert names(server, sort="suspicious") == [done["name"], failed["name"]]
    assert names(server, sort="name") == [failed["name"], done["name"]]
    assert names(server, query="PEOPLE É") == [done["name"]]
    assert names(server, query=done["summary"]["video_sha256"][5:30]) == [done["name"]]
    verdict = done["summary"]["persons"][0]["verdict"]
    assert names(server, query=verdict) == [done["name"]]
    assert names(server, query=verdict, blind=True) == []
    refused = server.client.get("/api/jobs", params={"sort": "oldest"})
    assert refused.status_code == 422


def test_the_list_shows_error_rates_and_the_most_suspicious_person(
    server: Server, done: Any
) -> None:
    summary = done["summary"]
    report = server.client.get(summary["links"]["report"]).json()
    assert summary["error_rates"] == report["error_rates"] != ""
    scores = {person["person"]: person["score"] for person in summary["persons"]}
    assert scores[summary["suspect"]] == max(scores.values())

    picture = server.client.get(summary["links"]["thumbnail"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert decode(picture).shape == (112, 224, 3)
    without_token = httpx.get(f"{server.url}{summary['links']['thumbnail']}")
    assert without_token.status_code == 401

    (server.folder / "jobs" / done["id"] / "thumbnail.jpg").unlink()  # as in older results
    portrait = server.client.get(summary["links"]["thumbnail"])
    assert portrait.headers["content-type"] == "image/png"
    name = f"faces/person-{summary['suspect']}.png"
    assert portrait.content == (server.folder / "jobs" / done["id"] / "results" / name).read_bytes()
    small = cv2.resize(decode(portrait), (224, 112), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - decode(picture)).mean() < 5


def decode(response: httpx.Response) -> Any:
    return cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_COLOR)


def test_a_job_without_a_face_has_no_thumbnail(server: Server, picture: Path) -> None:
    job = server.wait(server.upload(picture)["id"])
    assert job["summary"]["links"]["thumbnail"] is None
    assert server.client.get(f"/api/jobs/{job['id']}/thumbnail").status_code == 404
    server.client.delete(f"/api/jobs/{job['id']}")


def test_the_list_shows_the_review(server: Server, done: Any) -> None:
    assert done["reviews"] == []
    review = {
        "video_sha256": done["summary"]["video_sha256"],
        "reviewer": "Ada",
        "blind": True,
        "opinion": "manipulated",
        "saved": "2001-01-01T00:00:00Z",
    }
    with server.client.stream("GET", "/api/events") as stream:
        received = events(stream.iter_lines())
        saved = server.client.put(f"/api/jobs/{done['id']}/review", json=review).json()
        assert next(received) == ("job", server.job(done["id"]))
    assert server.job(done["id"])["reviews"] == [
        {
            "reviewer": "Ada",
            "opinion": "manipulated",
            "blind": True,
            "revealed": False,
            "saved": saved["saved"],
        }
    ]
    (server.folder / "jobs" / done["id"] / "results" / "review.json").write_text("{")
    assert server.job(done["id"])["reviews"] == []


def test_an_upload_is_stored_once(server: Server, done: Any) -> None:
    folder = server.folder / "jobs" / done["id"]
    upload, copy = folder / "input", folder / "results" / "untouched.mp4"
    assert upload.stat().st_ino == copy.stat().st_ino
    assert upload.stat().st_nlink == 2
    rest = sum(path.stat().st_size for path in folder.rglob("*.*") if path != copy)
    assert disk_usage(server.folder / "jobs", without=other_jobs(server, done)) == (
        rest + upload.stat().st_size
    )
    response = server.client.get(f"/api/jobs/{done['id']}/files/untouched.mp4")
    assert response.content == upload.read_bytes()


def other_jobs(server: Server, job: Any) -> list[str]:
    return [path.name for path in (server.folder / "jobs").iterdir() if path.name != job["id"]]


def test_uploads_beyond_the_quota_are_refused(server: Server) -> None:
    before = server.files()
    filler = server.folder / "jobs" / "filler"
    filler.mkdir()
    with (filler / "file").open("wb") as file:
        file.truncate(GIGABYTE - disk_usage(server.folder / "jobs") - 100_000)
    data = b"x" * 200_000
    for body in (data, io.BytesIO(data), iter([data[:1000], data[1000:]])):
        response = server.client.post("/api/jobs", content=body)
        assert response.status_code == 507
        assert response.json()["detail"] == (
            "the uploads and results would take up more than the 1 GB that this server keeps: "
            "delete old results, or start the server with a larger --quota"
        )
    assert server.files() - before == {"filler", "filler/file"}
    job = server.upload(b"no video")
    server.wait(job["id"])
    server.client.delete(f"/api/jobs/{job['id']}")
    (filler / "file").unlink()
    filler.rmdir()


def test_a_job_without_its_upload_cannot_be_run_again(server: Server, failed: Any) -> None:
    (server.folder / "jobs" / failed["id"] / "input").unlink()
    response = server.client.post(f"/api/jobs/{failed['id']}/retry")
    assert response.status_code == 409
    assert "upload the file again" in response.json()["detail"]


@pytest.mark.parametrize(("name", "option"), [("keep_days", "--keep"), ("quota_bytes", "--quota")])
def test_a_storage_limit_is_at_least_one(name: str, option: str) -> None:
    with pytest.raises(UsageError, match=f"{option} must be 1 or more"):
        Limits(**{name: 0})
