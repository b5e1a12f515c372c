"""Damaged, hostile or too large uploads: each gets a clear error and leaves no files behind."""

import asyncio
import contextlib
import struct
import time
import zlib
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fakelens.errors import UsageError
from fakelens.web.limits import Limits
from fakelens.web.messages import Task
from fakelens.web.uploads import clean_name
from fakelens.web.worker_process import run
from support.media import draw_frame, make_clip, make_sound, truncate
from support.serving import TIMEOUT, Server, connect, head, serving
from support.toys import photograph


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that accepts 1 MB and videos of one minute."""
    folder = tmp_path_factory.mktemp("server") / "results"
    with serving(folder, "--max-upload", 1, "--max-minutes", 1) as running:
        yield running


@pytest.fixture(scope="module")
def done(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a finished job."""
    picture = photograph(tmp_path_factory.mktemp("clip") / "p.png", draw_frame(1))
    return str(server.wait(server.upload(picture)["id"])["id"])


@pytest.fixture
def no_new_files(server: Server) -> Iterator[set[str]]:
    """After the test, the server must have the same files as before."""
    before = server.files()
    yield before
    deadline = time.monotonic() + 5
    while server.files() != before:
        assert time.monotonic() < deadline, server.files() - before
        time.sleep(0.02)


def png(width: int, height: int, rows: bytes) -> bytes:
    """Return a PNG whose header has the given size, whatever its data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("this is no video\n" * 100)
    return path


def _truncated(folder: Path) -> Path:
    return truncate(make_clip(folder / "cut.mp4"), 0.5)


def _sound(folder: Path) -> Path:
    return make_sound(folder / "sound.mp3")


def _bomb(folder: Path) -> Path:
    path = folder / "bomb.png"
    path.write_bytes(png(30000, 30000, b"\0" * 1000))
    return path


def _large_picture(folder: Path) -> Path:
    """350 kB that decode to 363 MB."""
    path = folder / "large.png"
    path.write_bytes(_large_png())
    return path


@cache
def _large_png() -> bytes:
    return png(11000, 11000, bytes((1 + 3 * 11000) * 11000))


def _playlist(folder: Path) -> Path:
    """A playlist of itself."""
    path = folder / "list.mp4"
    path.write_text("ffconcat version 1.0\n" + 1000 * "file input\n")
    return path


def _too_long(folder: Path) -> Path:
    """Three frames, ten hours apart."""
    return make_clip(
        folder / "long.mkv",
        frames=3,
        pts=[0, 36000, 72000],
        time_base=Fraction(1),
        rate=Fraction(1),
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_text, "not a video or picture that can be read"),
        (_truncated, "not a video or picture that can be read"),
        (_sound, "the file contains only sound, no video"),
        (_playlist, "a playlist, not a video"),
        (_bomb, "30000 x 30000 pixels, more than this server accepts (120 million)"),
        (_large_picture, "11000 x 11000 pixels, more than this server accepts (120 million)"),
        (_too_long, "is 1200 minutes long, longer than this server accepts (1 min)"),
    ],
)
@pytest.mark.usefixtures("no_new_files")
def test_a_bad_file_fails_with_a_sentence(
    make: Any, message: str, server: Server, tmp_path: Path
) -> None:
    path = make(tmp_path)
    job = server.wait(server.upload(path, "bad file.mp4")["id"])
    assert job["state"] == "failed"
    assert message in job["error"]
    assert job["error"].startswith("bad file.mp4: ")
    assert str(server.folder) not in job["error"]
    assert {name for name in server.files() if job["id"] in name} == {
        job["id"],
        f"{job['id']}/input",
        f"{job['id']}/job.json",
    }
    assert server.client.delete(f"/api/jobs/{job['id']}").status_code == 204


def run_worker(folder: Path, path: Path, **limits: int) -> Any:
    """Run a worker without a server, and return its last message."""
    task = Task(
        input=path,
        output=folder / "out",
        name="clip",
        model="fakelens-patch",
        threads=1,
        every=1,
        trust=True,
        **({"minutes": 1, "frames": 100, "pixels": 10**9, "memory_bytes": 2**33} | limits),
    )
    return asyncio.run(run(task, TIMEOUT, lambda progress: None))


def test_a_huge_picture_in_a_small_file_cannot_exhaust_the_memory(tmp_path: Path) -> None:
    """Also without the limit on its size, because the memory of the process is limited."""
    message = run_worker(tmp_path, _large_picture(tmp_path), memory_bytes=600 * 2**20)
    assert message.kind == "failure"
    assert not (tmp_path / "out").exists()


def test_a_video_with_too_many_frames_is_stopped(tmp_path: Path) -> None:
    """Its header does not contain the length."""
    path = make_clip(tmp_path / "endless.h264", frames=120)
    message = run_worker(tmp_path, path)
    assert message.kind == "failure"
    assert message.sentence.startswith("clip: has more than 100 frames")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_new_files")
def test_an_upload_that_announces_too_many_bytes_is_refused_at_once(server: Server) -> None:
    with connect(server) as connection:
        more = "Content-Length: 99999999999\r\nExpect: 100-continue\r\n"
        connection.sendall(head(server, "POST /api/jobs", more))
        response = connection.recv(65536).decode()
    assert response.startswith("HTTP/1.1 413 ")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.usefixtures("no_new_files")
def test_an_upload_that_is_too_large_is_refused(server: Server, announced: bool) -> None:
    data = b"x" * 3_000_000
    body = data if announced else (data[at : at + 65536] for at in range(0, len(data), 65536))
    response = server.client.post("/api/jobs", content=body)
    assert response.status_code == 413
    assert "larger than the 1 MB that this server accepts" in response.json()["detail"]


@pytest.mark.usefixtures("no_new_files")
def test_an_empty_upload_is_refused(server: Server) -> None:
    response = server.client.post("/api/jobs", params={"name": "empty.mp4"})
    assert response.status_code == 400
    assert "the request body is empty" in response.json()["detail"]


@pytest.mark.usefixtures("no_new_files")
def test_an_aborted_upload_leaves_no_files(server: Server) -> None:
    jobs = server.client.get("/api/jobs").json()["total"]
    connection = connect(server)
    connection.sendall(head(server, "POST /api/jobs", "Content-Length: 500000\r\n") + b"x" * 9999)
    before = len(list((server.folder / "jobs").iterdir()))
    deadline = time.monotonic() + TIMEOUT
    while len(list((server.folder / "jobs").iterdir())) == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    connection.close()
    deadline = time.monotonic() + TIMEOUT
    while len(list((server.folder / "jobs").iterdir())) != before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert server.client.get("/api/jobs").json()["total"] == jobs


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    with serving(tmp_path / "results") as server:
        # A limit on the size of files has nearly the same effect.
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (300_000, 300_000))
        response = server.client.post("/api/jobs", content=b"x" * 500_000)
        assert response.status_code == 507
        assert "the upload cannot be stored" in response.json()["detail"]
        assert server.files() == set()
        assert server.client.get("/api/health").json()["queued"] == 0


@pytest.mark.parametrize(
    "name",
    ["../../../../etc/passwd", "..\\..\\clip.mp4", "a\0b.mp4", "x" * 900],
)
@pytest.mark.usefixtures("no_new_files")
def test_a_file_name_never_becomes_a_path(name: str, server: Server) -> None:
    response = server.client.post("/api/jobs", content=b"no video", params={"name": name})
    job = response.json()
    assert "/" not in job["name"]
    assert "\\" not in job["name"]
    assert job["name"].isprintable()
    assert len(job["name"]) <= 120
    assert {path for path in server.files() if job["id"] in path} <= {
        job["id"],
        f"{job['id']}/input",
        f"{job['id']}/job.json",
        f"{job['id']}/unfinished",
    }
    server.client.delete(f"/api/jobs/{job['id']}")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("clip.mp4", "clip.mp4"),
        ("folder/clip.mp4", "clip.mp4"),
        ("C:\\videos\\clip.mp4", "clip.mp4"),
        ("two\nlines\t.mp4", "two lines .mp4"),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("e\u0301.mp4", "\u00e9.mp4"),
        ("видео 視頻.mp4", "видео 視頻.mp4"),
        ("x" * 500 + ".mp4", "x" * 115 + "….mp4"),
    ],
)
def test_file_names_are_cleaned(name: str, shown: str) -> None:
    assert clean_name(name) == shown


@pytest.mark.parametrize(
    "path",
    [
        "/api/jobs/..%2f..",
        "/api/jobs/%2e%2e",
        "/api/jobs/{id}/files/..%2finput",
        "/api/jobs/{id}/files/../input",
        "/api/jobs/{id}/files/review.json",
        "/api/jobs/{id}/files/faces/..%2f..%2f..%2finput",
        "/api/jobs/{id}/files/faces/person-0.png",
        "/api/jobs/{id}/files//etc/passwd",
        "/api/jobs/{id}/files/person-1.png%00.html",
        "/results/{id}/..%2finput",
        "/results/{id}/faces/..%2f..%2finput",
        "/results/..%2f..%2fetc/report.html",
        "/static/..%2fapp.py",
        "/static/app.py",
    ],
)
def test_no_url_leads_outside_the_results(path: str, server: Server, done: str) -> None:
    address = path.format(id=done)
    # Over a socket, because HTTP clients resolve the dots themselves.
    with connect(server) as connection:
        connection.sendall(head(server, f"GET {address}", "Connection: close\r\n"))
        response = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert response.split()[1] in ("404", "422"), response
    assert str(server.folder) not in response


def test_slow_uploads_do_not_block_others(server: Server, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(connect(server))
            connection.sendall(head(server, "POST /api/jobs", "Content-Length: 500000\r\n") + b"xx")
        job = server.upload(photograph(tmp_path / "p.png", draw_frame(1)))
        assert server.wait(job["id"])["state"] == "done"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/api/jobs?limit=0", "limit must be 1 or more"),
        ("/api/jobs?limit=201", "limit must be 200 or less"),
        ("/api/jobs?limit=x&offset=-1", "limit must be a whole number; offset must be 0 or more"),
        ("/api/jobs/x", "job_id must be 32 digits and letters from a to f"),
    ],
)
def test_a_malformed_parameter_is_named(server: Server, address: str, sentence: str) -> None:
    response = server.client.get(address)
    assert (response.status_code, response.json()) == (422, {"detail": sentence})


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"every": "x"}, "every must be a whole number, or 'auto'"),
        ({"every": 0}, "every must be 1 or more, or 'auto'"),
        ({"trust": "maybe"}, "trust must be true or false"),
        ({"name": "x" * 1001}, "name must have at most 1000 characters"),
    ],
)
def test_a_malformed_option_of_an_upload_is_named(
    server: Server, parameters: dict[str, object], sentence: str
) -> None:
    response = server.client.post("/api/jobs", content=b"x", params=parameters)
    assert (response.status_code, response.json()) == (422, {"detail": sentence})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 2}, "version must be 1"),
        ({"more": 1}, "more is not a known field"),
        ({"blind": None}, "blind must be true or false"),
        ({"opinion": "x"}, "opinion must be 'manipulated', 'genuine' or 'cannot tell'"),
        ({"suspicions": {}}, "suspicions must be a list"),
        ({"suspicions": [1]}, "suspicions[0] must be a JSON object"),
        (
            {"suspicions": [{"person": 0, "start": "x"}]},
            "suspicions[0].person must be 1 or more; suspicions[0].start must be a number; "
            "suspicions[0].end is missing",
        ),
        (
            {"suspicions": [{"person": 1, "start": 2, "end": 1}]},
            "suspicions[0] is refused: the span ends before it starts",
        ),
    ],
    ids=str,
)
def test_a_malformed_field_of_a_review_is_named(
    server: Server, done: str, change: dict[str, object], sentence: str
) -> None:
    review = {
        "version": 1,
        "video_sha256": "0" * 64,
        "blind": True,
        "saved": "2026-01-01T00:00:00Z",
    }
    response = server.client.put(f"/api/jobs/{done}/review", json=review | change)
    assert (response.status_code, response.json()) == (422, {"detail": sentence})


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the request body is missing"),
        (b"{", "the request body must be valid JSON"),
        (b"[]", "the request body must be a JSON object"),
    ],
)
def test_a_malformed_review_is_refused(
    server: Server, done: str, body: bytes, sentence: str
) -> None:
    given = {"Content-Type": "application/json"}
    response = server.client.put(f"/api/jobs/{done}/review", content=body, headers=given)
    assert (response.status_code, response.json()) == (422, {"detail": sentence})


@pytest.mark.parametrize("name", ["workers", "minutes", "queue", "upload_bytes"])
def test_a_limit_is_at_least_one(name: str) -> None:
    with pytest.raises(UsageError, match=r"--[a-z-]+ must be 1 or more"):
        Limits(**{name: 0})
