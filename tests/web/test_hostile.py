"""Uploads that are damaged, hostile or too large: a clear answer each, and nothing left behind."""

import asyncio
import contextlib
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakelens.errors import UsageError
from fakelens.web.limits import Limits
from fakelens.web.messages import Task
from fakelens.web.uploads import clean_name
from fakelens.web.worker_process import run
from support.media import draw_frame, make_clip, make_sound, truncate
from support.serving import PATIENCE, Server, serving
from support.toys import photograph


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Takes a megabyte, and a video of a minute."""
    folder = tmp_path_factory.mktemp("server") / "results"
    with serving(folder, "--max-upload", 1, "--max-minutes", 1) as running:
        yield running


@pytest.fixture(scope="module")
def done(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a job with results."""
    picture = photograph(tmp_path_factory.mktemp("clip") / "p.png", draw_frame(1))
    return str(server.wait(server.upload(picture)["id"])["id"])


@pytest.fixture
def settled(server: Server) -> Iterator[set[str]]:
    """What the server keeps; afterwards it must be the same."""
    before = server.files()
    yield before
    deadline = time.monotonic() + 5
    while server.files() != before:
        assert time.monotonic() < deadline, server.files() - before
        time.sleep(0.02)


def png(width: int, height: int, rows: bytes) -> bytes:
    """A picture that says how large it is, whatever it holds."""

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
    path.write_bytes(png(11000, 11000, bytes((1 + 3 * 11000) * 11000)))
    return path


def _playlist(folder: Path) -> Path:
    """Of itself, again and again."""
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
    ("make", "said"),
    [
        (_text, "not a video or picture that can be read"),
        (_truncated, "not a video or picture that can be read"),
        (_sound, "there is only sound in this file"),
        (_playlist, "not a video, but a list of other files"),
        (_bomb, "30000 x 30000 pixels, and this server takes 120 million"),
        (_large_picture, "11000 x 11000 pixels, and this server takes 120 million"),
        (_too_long, "is 1200 minutes long, and this server takes 1"),
    ],
)
@pytest.mark.usefixtures("settled")
def test_a_bad_file_fails_with_a_sentence(
    make: Any, said: str, server: Server, tmp_path: Path
) -> None:
    path = make(tmp_path)
    job = server.wait(server.upload(path, "bad file.mp4")["id"])
    assert job["state"] == "failed"
    assert said in job["error"]
    assert job["error"].startswith("bad file.mp4: ")
    assert str(server.folder) not in job["error"]
    assert {name for name in server.files() if job["id"] in name} == {
        job["id"],
        f"{job['id']}/input",
    }
    assert server.client.delete(f"/api/jobs/{job['id']}").status_code == 204


def worked(folder: Path, path: Path, stall_seconds: float = PATIENCE, **limits: int) -> Any:
    """What a worker says in the end, without a server."""
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
    return asyncio.run(run(task, stall_seconds, lambda progress: None))


def test_a_huge_picture_in_a_small_file_cannot_take_the_machine_down(tmp_path: Path) -> None:
    """Were it not refused by its size, the limit of the process's memory would hold it."""
    said = worked(tmp_path, _large_picture(tmp_path), memory_bytes=600 * 2**20)
    assert said.kind == "failure"
    assert not (tmp_path / "out").exists()


def test_a_worker_that_says_nothing_for_too_long_is_ended(tmp_path: Path) -> None:
    said = worked(tmp_path, make_clip(tmp_path / "clip.mp4"), stall_seconds=0.001)
    assert said.kind == "failure"
    assert "clip: nothing moved for " in said.sentence
    assert "can be run again" in said.sentence


def test_a_video_without_an_end_is_stopped(tmp_path: Path) -> None:
    """Its header does not tell how long it is."""
    path = make_clip(tmp_path / "endless.h264", frames=120)
    said = worked(tmp_path, path)
    assert said.kind == "failure"
    assert said.sentence.startswith("clip: has more than 100 frames")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("settled")
def test_an_upload_that_announces_too_much_is_refused_before_it_comes(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port)) as connection:
        request = (
            "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        connection.sendall(request.encode())
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413 ")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.usefixtures("settled")
def test_an_upload_that_is_too_large_is_refused(server: Server, announced: bool) -> None:
    data = b"x" * 3_000_000
    body = data if announced else (data[at : at + 65536] for at in range(0, len(data), 65536))
    answer = server.client.post("/api/jobs", content=body)
    assert answer.status_code == 413
    assert "larger than the 1 MB that this server takes" in answer.json()["detail"]


@pytest.mark.usefixtures("settled")
def test_an_empty_upload_is_refused(server: Server) -> None:
    answer = server.client.post("/api/jobs", params={"name": "empty.mp4"})
    assert answer.status_code == 400
    assert "the body is empty" in answer.json()["detail"]


@pytest.mark.usefixtures("settled")
def test_an_upload_that_is_broken_off_leaves_nothing(server: Server) -> None:
    jobs = server.client.get("/api/jobs").json()["total"]
    connection = socket.create_connection(("127.0.0.1", httpx.URL(server.url).port))
    connection.sendall(
        b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n"
        + b"x" * 9999
    )
    before = len(list((server.folder / "jobs").iterdir()))
    deadline = time.monotonic() + PATIENCE
    while len(list((server.folder / "jobs").iterdir())) == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    connection.close()
    deadline = time.monotonic() + PATIENCE
    while len(list((server.folder / "jobs").iterdir())) != before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert server.client.get("/api/jobs").json()["total"] == jobs


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    with serving(tmp_path / "results") as server:
        # No file may grow any larger: nearly the same.
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (300_000, 300_000))
        answer = server.client.post("/api/jobs", content=b"x" * 500_000)
        assert answer.status_code == 507
        assert "the upload cannot be stored" in answer.json()["detail"]
        assert server.files() == set()
        assert server.client.get("/api/health").json()["queued"] == 0


@pytest.mark.parametrize(
    "name",
    ["../../../../etc/passwd", "..\\..\\clip.mp4", "/etc/passwd", "a\0b.mp4", "..", "x" * 900],
)
@pytest.mark.usefixtures("settled")
def test_a_name_is_for_reading_only(name: str, server: Server) -> None:
    answer = server.client.post("/api/jobs", content=b"no video", params={"name": name})
    job = answer.json()
    assert "/" not in job["name"]
    assert "\\" not in job["name"]
    assert job["name"].isprintable()
    assert len(job["name"]) <= 120
    assert {place for place in server.files() if job["id"] in place} <= {
        job["id"],
        f"{job['id']}/input",
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
def test_names_are_cleaned(name: str, shown: str) -> None:
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
def test_no_address_leads_out_of_the_results(path: str, server: Server, done: str) -> None:
    address = path.format(id=done)
    # As it is: a client of good manners would resolve the dots itself.
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port)) as connection:
        connection.sendall(
            f"GET {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert answer.split()[1] in ("404", "422"), answer
    assert str(server.folder) not in answer


def test_many_slow_uploads_do_not_stop_others(server: Server, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", httpx.URL(server.url).port))
            )
            connection.sendall(
                b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\nxx"
            )
        job = server.upload(photograph(tmp_path / "p.png", draw_frame(1)))
        assert server.wait(job["id"])["state"] == "done"


@pytest.mark.parametrize("name", ["workers", "minutes", "queue", "upload_bytes"])
def test_a_limit_is_at_least_one(name: str) -> None:
    with pytest.raises(UsageError, match=r"--[a-z-]+ must be 1 or more"):
        Limits(**{name: 0})
