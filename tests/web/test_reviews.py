"""Reviews on the server: saved, closed once the result was revealed, and delivered."""

import io
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support.media import draw_frame, make_clip
from support.serving import Server, serving
from support.toys import photograph


@pytest.fixture(scope="module")
def done(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    picture = photograph(tmp_path_factory.mktemp("clip") / "p.png", draw_frame(1))
    return server.wait(server.upload(picture)["id"])


@pytest.fixture
def job(server: Server, done: Any) -> Any:
    """That job, without a review."""
    (server.folder / "jobs" / done["id"] / "results" / "review.json").unlink(missing_ok=True)
    return done


def review(job: Any, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "video_sha256": job["summary"]["video_sha256"],
        "reviewer": "Ada </script><b>",
        "blind": True,
        "opinion": None,
        "suspicions": [],
        "uncovered": None,
        "notes": "",
        "saved": "2026-01-01T00:00:00Z",
    } | more


def put(server: Server, job: Any, body: Any, *, base: str = "/api/jobs") -> Any:
    return server.client.put(f"{base}/{job['id']}/review", json=body)


def review_element(page: str) -> Any:
    """Return the content of the review element of a page."""
    found = re.search(r'<script type="application/json" id="review">([^<]*)</script>', page)
    assert found
    return json.loads(found[1])


def test_a_review_is_saved(server: Server, job: Any) -> None:
    address = f"/api/jobs/{job['id']}/review"
    missing = server.client.get(address)
    assert missing.status_code == 404
    assert "nobody has reviewed" in missing.json()["detail"]
    first = review(job, suspicions=[{"person": 1, "start": 0, "end": 1, "note": "the mouth"}])
    assert put(server, job, first).json() == first
    second = first | {"opinion": "genuine"}
    assert put(server, job, second, base="/results").status_code == 200, (
        "the URL that the page uses"
    )
    assert server.client.get(address).json() == second
    saved = server.folder / "jobs" / job["id"] / "results" / "review.json"
    assert json.loads(saved.read_text(encoding="utf-8")) == second
    assert [path.name for path in saved.parent.glob(".*")] == []


def test_a_blind_review_cannot_be_changed_after_the_result_was_revealed(
    server: Server, job: Any
) -> None:
    mark = {"person": None, "start": 0.0, "end": 0.0, "note": ""}
    blind = review(job, opinion="manipulated", suspicions=[mark], uncovered="2026-01-01T00:00:01Z")
    assert put(server, job, blind).status_code == 200
    for change in (
        {"opinion": "genuine"},
        {"suspicions": []},
        {"blind": False},
        {"uncovered": None},
        {"uncovered": "2026-01-02T00:00:00Z"},
        {"reviewer": "Bob"},
    ):
        response = put(server, job, blind | change)
        assert response.status_code == 409
        assert f"({next(iter(change))})" in response.json()["detail"]
    noted = blind | {"notes": "I was wrong.", "saved": "2026-01-03T00:00:00Z"}
    assert put(server, job, noted).status_code == 200
    assert server.client.get(f"/api/jobs/{job['id']}/review").json() == noted


def test_an_older_review_does_not_replace_a_newer_one(server: Server, job: Any) -> None:
    newer = review(job, notes="newer", saved="2026-01-02T00:00:00Z")
    assert put(server, job, newer).status_code == 200
    response = put(server, job, review(job, notes="older"))
    assert response.status_code == 409
    assert "a newer review has been saved" in response.json()["detail"]
    assert server.client.get(f"/api/jobs/{job['id']}/review").json()["notes"] == "newer"


def test_a_damaged_review_is_renamed(server: Server, job: Any) -> None:
    path = server.folder / "jobs" / job["id"] / "results" / "review.json"
    path.write_text("{")
    assert server.client.get(f"/results/{job['id']}/report.html").status_code == 200
    assert server.client.get(f"/api/jobs/{job['id']}/review").status_code == 404
    assert path.with_suffix(".damaged").read_text() == "{"
    path.with_suffix(".damaged").unlink()


def test_missing_results_are_reported(server: Server, tmp_path: Path) -> None:
    picture = photograph(tmp_path / "p.png", draw_frame(2))
    lost = server.wait(server.upload(picture)["id"])["id"]
    shutil.rmtree(server.folder / "jobs" / lost / "results")
    for path in (f"/results/{lost}/report.html", f"/api/jobs/{lost}/bundle"):
        response = server.client.get(path)
        assert response.status_code == 404
        assert "no longer on the server's disk" in response.json()["detail"]
    assert server.client.delete(f"/api/jobs/{lost}").status_code == 204


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"video_sha256": "0" * 64}, 409, "this review is of another video"),
        ({"video_sha256": "x"}, 422, "video_sha256"),
        ({"version": 2}, 422, "version"),
        ({"more": 1}, 422, "more"),
        ({"uncovered": ""}, 422, "uncovered"),
        ({"notes": "x" * 20_001}, 422, "notes"),
        ({"suspicions": [{"person": 1, "start": 2, "end": 1}]}, 422, "ends before it starts"),
        ({"notes": "x" * 4_000_000}, 413, "larger than the limit of 4 MB"),
    ],
)
def test_an_invalid_review_is_refused(
    server: Server, job: Any, change: dict[str, Any], status: int, message: str
) -> None:
    response = put(server, job, review(job) | change)
    assert response.status_code == status, response.text
    assert message in response.json()["detail"]
    assert server.client.get(f"/api/jobs/{job['id']}/review").status_code == 404


def test_the_page_contains_the_review_and_its_url(server: Server, job: Any) -> None:
    page = server.client.get(f"/results/{job['id']}/report.html")
    assert review_element(page.text) == {"save_to": "review", "review": None}
    put(server, job, review(job))
    page = server.client.get(f"/results/{job['id']}/report.html")
    assert review_element(page.text)["review"] == review(job)
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    own = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page.text)
    assert own
    assert policy.startswith(own[1].replace("&#39;", "'"))
    plain = server.client.get(f"/api/jobs/{job['id']}/files/report.html").text
    assert review_element(plain) == {"save_to": None, "review": None}


def test_the_archive_has_the_review_in_the_page_and_as_a_file(server: Server, job: Any) -> None:
    put(server, job, review(job, notes="kept"))
    bundle = server.client.get(job["summary"]["links"]["bundle"])
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("clip/review.json")) == review(job, notes="kept")
        page = archive.read("clip/report.html").decode()
    assert review_element(page) == {"save_to": None, "review": review(job, notes="kept")}


@pytest.mark.slow
def test_a_review_is_kept_when_the_server_restarts_and_deleted_with_its_job(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    with serving(tmp_path / "results") as server:
        job = server.wait(server.upload(clip)["id"])
        assert put(server, job, review(job)).status_code == 200
        server.stop(9)
    with serving(tmp_path / "results") as server:
        assert server.client.get(f"/api/jobs/{job['id']}/review").json() == review(job)
        server.client.delete(f"/api/jobs/{job['id']}")
        assert server.files() == set()
