"""Reviews on the server: saved, closed once the result was revealed, and delivered."""

import io
import json
import re
import shutil
import zipfile
from datetime import UTC, datetime
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
    results = server.folder / "jobs" / done["id"] / "results"
    (results / "review.json").unlink(missing_ok=True)
    shutil.rmtree(results / "reviews", ignore_errors=True)
    return done


def review(job: Any, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "id": None,
        "revision": 0,
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


def saved_as(answer: Any, sent: Any, revision: int) -> Any:
    """Return the answer to a saved review, which must differ only in what the server sets."""
    assert answer.status_code == 200, answer.text
    kept = answer.json()
    for name in ("saved", "uncovered"):
        moment = kept[name]
        assert (moment is None) == (sent[name] is None)
        assert moment is None or abs(age(moment)) < 60, "stamped by the server's clock"
    times = {name: kept[name] for name in ("saved", "uncovered")}
    assert kept == sent | times | {"revision": revision}
    return kept


def age(moment: str) -> float:
    """Return the number of seconds since a moment."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


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
    kept = saved_as(put(server, job, first), first, 1)
    second = kept | {"opinion": "genuine"}
    answer = put(server, job, second, base="/results")  # the URL that the page uses
    second = saved_as(answer, second, 2)
    assert server.client.get(address).json() == second
    saved = server.folder / "jobs" / job["id"] / "results" / "review.json"
    assert json.loads(saved.read_text(encoding="utf-8")) == second
    assert [path.name for path in saved.parent.glob(".*")] == []


def test_a_review_that_is_not_blind_cannot_become_blind(
    server: Server, job: dict[str, Any]
) -> None:
    seen = review(job, blind=False)
    seen = saved_as(put(server, job, seen), seen, 1)
    response = put(server, job, seen | {"blind": True})
    assert response.status_code == 409
    assert "cannot become blind" in response.json()["detail"]


def test_a_blind_review_cannot_be_changed_after_the_result_was_revealed(
    server: Server, job: Any
) -> None:
    mark = {"person": None, "start": 0.0, "end": 0.0, "note": ""}
    blind = review(job, opinion="manipulated", suspicions=[mark], uncovered="2026-01-01T00:00:01Z")
    blind = saved_as(put(server, job, blind), blind, 1)
    for change in (
        {"opinion": "genuine"},
        {"suspicions": []},
        {"blind": False},
        {"uncovered": None},
        {"reviewer": "Bob"},
    ):
        response = put(server, job, blind | change)
        assert response.status_code == 409
        assert f"({next(iter(change))})" in response.json()["detail"]
    noted = blind | {"notes": "I was wrong.", "uncovered": "2026-01-02T00:00:00Z"}
    kept = put(server, job, noted).json()
    assert kept["uncovered"] == blind["uncovered"], "stamped once"
    assert server.client.get(f"/api/jobs/{job['id']}/review").json() == kept


def test_only_a_review_of_the_saved_revision_replaces_it(server: Server, job: Any) -> None:
    """Whatever the clocks of the clients say."""
    newer = put(server, job, review(job, notes="newer", saved="2999-01-01T00:00:00Z")).json()
    for revision in (0, 2, 99):
        response = put(server, job, review(job, notes="older", revision=revision))
        assert response.status_code == 409
        assert "a newer review has been saved" in response.json()["detail"]
    assert server.client.get(f"/api/jobs/{job['id']}/review").json()["notes"] == "newer"
    later = newer | {"notes": "by a clock that is slow", "saved": "1999-01-01T00:00:00Z"}
    saved_as(put(server, job, later), later, 2)


def test_the_pages_of_earlier_versions_can_save_again_and_again(server: Server, job: Any) -> None:
    """They send no revision."""
    old = review(job, saved="1999-01-01T00:00:00Z")
    del old["revision"]
    saved_as(put(server, job, old), old, 1)
    marked = old | {"opinion": "genuine", "uncovered": "1999-01-01T00:00:00Z"}
    saved_as(put(server, job, marked), marked, 2)
    noted = marked | {"notes": "after the result was revealed"}
    kept = saved_as(put(server, job, noted), noted, 3)
    response = put(server, job, noted | {"opinion": "manipulated", "saved": "2999-01-01T00:00:00Z"})
    assert response.status_code == 409
    assert "(opinion)" in response.json()["detail"]
    assert server.client.get(f"/api/jobs/{job['id']}/review").json() == kept


def test_a_review_that_an_older_version_saved_in_the_future_can_be_replaced(
    server: Server, job: Any
) -> None:
    path = server.folder / "jobs" / job["id"] / "results" / "review.json"
    old = review(job, saved="2999-01-01T00:00:00Z")
    path.write_text(json.dumps({name: old[name] for name in old if name != "revision"}))
    page = server.client.get(f"/results/{job['id']}/report.html").text
    sent = review_element(page)["review"] | {"notes": "mine"}
    saved_as(put(server, job, sent), sent, 1)


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
    damaged = server.job(lost)
    assert damaged["state"] == "damaged"
    assert "no longer on the server's disk" in damaged["error"]
    again = server.client.post(f"/api/jobs/{lost}/retry").json()
    assert (again["error"], again["summary"]) == (None, None)
    assert server.wait(lost)["state"] == "done"
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
    assert review_element(page.text) == {"save_to": "review", "review": None, "others": []}
    kept = put(server, job, review(job)).json()
    page = server.client.get(f"/results/{job['id']}/report.html")
    assert review_element(page.text)["review"] == kept
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    own = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page.text)
    assert own
    assert policy.startswith(own[1].replace("&#39;", "'"))
    assert '<a href="/">All results</a>' in page.text
    plain = server.client.get(f"/api/jobs/{job['id']}/files/report.html").text
    assert review_element(plain) == {"save_to": None, "review": None, "others": []}
    assert "All results" not in plain


def test_the_archive_has_the_review_in_the_page_and_as_a_file(server: Server, job: Any) -> None:
    kept = put(server, job, review(job, notes="kept")).json()
    bundle = server.client.get(job["summary"]["links"]["bundle"])
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("clip/review.json")) == kept
        page = archive.read("clip/report.html").decode()
    assert review_element(page) == {"save_to": None, "review": kept, "others": []}
    assert "All results" not in page


@pytest.mark.slow
def test_a_review_is_kept_when_the_server_restarts_and_deleted_with_its_job(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    with serving(tmp_path / "results") as server:
        job = server.wait(server.upload(clip)["id"])
        kept = put(server, job, review(job)).json()
        server.stop(9)
    with serving(tmp_path / "results") as server:
        assert server.client.get(f"/api/jobs/{job['id']}/review").json() == kept
        server.client.delete(f"/api/jobs/{job['id']}")
        assert server.files() == set()


ADA, BEN = "a" * 32, "b" * 32


def reviews_of(server: Server, job: Any) -> dict[str, Any]:
    """Return the saved reviews by their ids."""
    found = server.client.get(f"/api/jobs/{job['id']}/reviews").json()
    return {review["id"]: review for review in found}


def test_each_reviewer_has_a_review(server: Server, job: Any) -> None:
    revealed = "2026-01-01T00:00:01Z"
    assert reviews_of(server, job) == {}
    first = review(job, id=ADA, reviewer="Ada", opinion="manipulated", uncovered=revealed)
    first = saved_as(put(server, job, first), first, 1)
    second = review(job, id=BEN, reviewer="Ben", opinion="genuine")
    second = saved_as(put(server, job, second, base="/results"), second, 1)
    shared = review(job, reviewer="Cleo")  # by a page of an earlier version
    shared = saved_as(put(server, job, shared), shared, 1)
    saved = {ADA: first, BEN: second, None: shared}
    assert reviews_of(server, job) == saved
    assert server.client.get(f"/results/{job['id']}/reviews").json() == [
        *reviews_of(server, job).values()
    ]
    assert {note["reviewer"]: note["opinion"] for note in server.job(job["id"])["reviews"]} == {
        "Ada": "manipulated",
        "Ben": "genuine",
        "Cleo": None,
    }

    # Each has a revision of its own, and is closed by its own reviewer.
    assert put(server, job, second | {"revision": 0}).status_code == 409
    assert "(opinion)" in put(server, job, first | {"opinion": "genuine"}).json()["detail"]
    changed = second | {"opinion": "cannot tell"}
    saved[BEN] = saved_as(put(server, job, changed), changed, 2)
    assert reviews_of(server, job) == saved

    with zipfile.ZipFile(
        io.BytesIO(server.client.get(job["summary"]["links"]["bundle"]).content)
    ) as archive:
        for name, kept in {"review": shared, f"reviews/{ADA}": first}.items():
            assert json.loads(archive.read(f"clip/{name}.json")) == kept
        page = review_element(archive.read("clip/report.html").decode())
    assert page["review"] == shared
    assert {one["id"]: one for one in page["others"]} == {ADA: first, BEN: saved[BEN]}


def test_a_result_has_a_limited_number_of_reviews(server: Server, job: Any) -> None:
    """And a damaged one does not hide the others."""
    folder = server.folder / "jobs" / job["id"] / "results" / "reviews"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number:032x}.json").write_text(json.dumps(review(job)))
    response = put(server, job, review(job, id=ADA))
    assert response.status_code == 409
    assert "already has 100 reviews" in response.json()["detail"]
    (folder / f"{7:032x}.json").write_text("{")
    assert put(server, job, review(job, id=ADA)).status_code == 200
    found = reviews_of(server, job)
    assert len(found) == 100
    assert f"{7:032x}" not in found
    assert (folder / f"{7:032x}.damaged").read_text() == "{"
