"""The life of a job on a running server: uploaded, followed, finished, downloaded, deleted."""

import io
import json
import re
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.serving import TIMEOUT, Server, events, is_alive, serving

linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")


@pytest.fixture(scope="module")
def job_events(server: Server, clip: Path) -> list[tuple[str, Any]]:
    """All events of a job, from its upload to its end."""
    job = server.upload(clip, "Two people é.mp4")
    with server.client.stream("GET", f"/api/jobs/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        return list(events(stream.iter_lines()))


@pytest.fixture(scope="module")
def done(job_events: list[tuple[str, Any]]) -> Any:
    """That job when it is done."""
    return job_events[-1][1]


def test_events_report_the_progress_of_a_job(job_events: list[tuple[str, Any]]) -> None:
    assert {name for name, _ in job_events} == {"job"}
    jobs = [job for _, job in job_events]
    states = [job["state"] for job in jobs]
    assert states == sorted(states, key=["queued", "running", "done"].index)
    assert states[-1] == "done"
    stages = [job["stage"] for job in jobs if job["stage"]]
    assert stages == sorted(stages, key=["examining", "drawing"].index)
    assert set(stages) == {"examining", "drawing"}
    frames = [job["frames_done"] for job in jobs if job["stage"] == "examining"]
    assert frames == sorted(frames)
    assert {job["frames_total"] for job in jobs if job["stage"]} == {25}
    assert all(job["eta"] is None or 0 <= job["eta"] < TIMEOUT for job in jobs)


def test_a_finished_job_has_a_summary(server: Server, done: Any) -> None:
    assert done["name"] == "Two people é.mp4"
    assert done["attempts"] == 1
    assert done["error"] is None
    assert done["created"] <= done["started"] <= done["finished"]
    report = server.client.get(done["summary"]["links"]["report"]).json()
    findings = [person["finding"] for person in report["persons"]]
    assert done["summary"]["faces_found"]
    persons = done["summary"]["persons"]
    keys = ("person", "verdict", "score", "first", "last")
    assert sorted(([one[key] for key in keys] for one in persons), key=itemgetter(0)) == [
        [finding[key] for key in keys] for finding in findings
    ]
    assert len(persons) == 2
    assert done["summary"]["video_sha256"] == report["provenance"]["input_sha256"]


def test_results_contain_no_path_of_the_server(server: Server, done: Any) -> None:
    folder = server.folder / "jobs" / done["id"] / "results"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["provenance"]["input_name"] == "Two people é.mp4"
    assert report["input_path"] == "../input"
    assert (folder / report["input_path"]).is_file()
    private = str(server.folder.parent)
    assert private not in json.dumps(done)
    for path in folder.rglob("*.*"):
        if path.suffix in (".json", ".html", ".csv"):
            assert private not in path.read_text(encoding="utf-8"), path.name


def test_every_file_is_delivered_unchanged(server: Server, done: Any) -> None:
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
        response = server.client.get(link)
        assert response.content == (results / link.partition("/files/")[2]).read_bytes(), link
        assert response.headers["x-content-type-options"] == "nosniff"
    kinds = {Path(link).suffix: server.client.get(link).headers["content-type"] for link in links}
    assert kinds[".mp4"] == "video/mp4"
    assert kinds[".png"] == "image/png"
    assert kinds[".json"] == "application/json"
    assert kinds[".csv"].startswith("text/csv")


def test_parts_of_a_video_can_be_requested(server: Server, done: Any) -> None:
    whole = server.client.get(f"/api/jobs/{done['id']}/files/annotated.mp4").content
    for base in ("/api/jobs/{}/files/annotated.mp4", "/results/{}/annotated.mp4"):
        address = base.format(done["id"])
        part = server.client.get(address, headers={"Range": "bytes=100-199"})
        assert part.status_code == 206
        assert part.content == whole[100:200]
        assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
        beyond = server.client.get(address, headers={"Range": f"bytes={len(whole)}-"})
        assert beyond.status_code == 416


def test_the_archive_contains_all_results(server: Server, done: Any) -> None:
    response = server.client.get(done["summary"]["links"]["bundle"])
    assert response.headers["content-type"] == "application/zip"
    header = response.headers["content-disposition"]
    assert header == (
        "attachment; filename=\"Two people _.zip\"; filename*=UTF-8''Two%20people%20%C3%A9.zip"
    )
    results = server.folder / "jobs" / done["id"] / "results"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        archived = {name: archive.read(name) for name in archive.namelist()}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    on_disk = {
        f"Two people é/{path.relative_to(results).as_posix()}": path.read_bytes()
        for path in results.rglob("*")
        if path.is_file()
    }
    assert archived == on_disk


def test_a_job_without_faces_succeeds(server: Server, picture: Path) -> None:
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
    for job in ids:
        server.client.delete(f"/api/jobs/{job}")  # without waiting for its end


def test_a_deleted_job_leaves_no_files(server: Server, picture: Path) -> None:
    job = server.wait(server.upload(picture)["id"])["id"]
    assert any(job in name for name in server.files())
    with server.client.stream("GET", "/api/events") as stream:
        received = events(stream.iter_lines())
        assert server.client.delete(f"/api/jobs/{job}").status_code == 204
        assert next(received) == ("deleted", {"id": job})
    assert not any(job in name for name in server.files())
    assert server.client.get(f"/api/jobs/{job}").status_code == 404
    assert server.client.delete(f"/api/jobs/{job}").status_code == 404


def test_a_running_job_has_no_results(server: Server, long_clip: Path) -> None:
    job = server.upload(long_clip)["id"]
    for path in ("report", "bundle", "review", "files/report.json"):
        response = server.client.get(f"/api/jobs/{job}/{path}")
        assert response.status_code == 409, path
        assert "no results" in response.json()["detail"]
    assert server.client.get(f"/results/{job}/report.html").status_code == 409
    assert server.client.delete(f"/api/jobs/{job}").status_code == 204


@linux
@pytest.mark.parametrize("state", ["running", "queued"])
def test_a_cancelled_job_ends_and_loses_its_files_at_once(
    server: Server, long_clip: Path, state: str
) -> None:
    first, second = (server.upload(long_clip)["id"] for _ in range(2))
    server.wait_for_work(first)
    job, other = (first, second) if state == "running" else (second, first)
    assert server.job(job)["state"] == state
    workers = server.workers()
    began = time.monotonic()
    response = server.client.post(f"/api/jobs/{job}/cancel")
    assert time.monotonic() - began < 2
    assert response.json()["state"] == "cancelled"
    assert not any(job in name for name in server.files())
    if state == "running":
        assert not any(map(is_alive, workers))
    again = server.client.post(f"/api/jobs/{job}/cancel")
    assert (again.status_code, again.json()["detail"]) == (
        409,
        "only queued or running jobs can be cancelled; this one is cancelled",
    )
    retried = server.client.post(f"/api/jobs/{job}/retry")
    assert retried.status_code == 409
    assert "upload the file again" in retried.json()["detail"]
    server.client.delete(f"/api/jobs/{other}")


@pytest.mark.slow
def test_many_uploads_at_once_all_finish(picture: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "results", "--workers", 2) as server:
        data = picture.read_bytes()

        def upload(number: int) -> str:
            response = httpx.post(
                f"{server.url}/api/jobs",
                content=data,
                params={"name": f"{number}.png"},
                headers=server.headers,
            )
            assert response.status_code == 201
            return str(response.json()["id"])

        with ThreadPoolExecutor(4) as threads:
            ids = list(threads.map(upload, range(4)))
        assert len(set(ids)) == 4
        jobs = [server.wait(job) for job in ids]
        assert [job["name"] for job in jobs] == [f"{number}.png" for number in range(4)]
        assert {job["state"] for job in jobs} == {"done"}
        assert {job["attempts"] for job in jobs} == {1}


def test_a_full_queue_refuses_uploads(long_clip: Path, picture: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "results", "--max-queue", 1) as server:
        first = server.upload(long_clip)["id"]
        server.wait(first, "running")
        server.upload(picture)
        before = server.files()
        response = server.client.post("/api/jobs", content=picture.read_bytes())
        assert response.status_code == 429
        assert (
            "the queue is full (limit 1, including uploads in progress)"
            in response.json()["detail"]
        )
        assert server.files() == before
        server.client.post(f"/api/jobs/{first}/cancel")


def test_health_reports_the_model_and_limits(server: Server) -> None:
    health = server.client.get("/api/health").json()
    assert health["status"] == "ok"
    assert health["model"] == "fakelens-patch"
    assert health["limits"]["upload_bytes"] == 2_000_000_000
    assert re.fullmatch(r"\d+\.\d+\.\d+", health["version"])
