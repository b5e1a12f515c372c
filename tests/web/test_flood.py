"""Floods: connections and bodies that arrive slowly, or never, must not keep other clients out."""

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakelens.web.schemas import State
from support.serving import TIMEOUT, Server, connect, head, serving
from support.stored_jobs import add, opened

resource = pytest.importorskip("resource", reason="no limit on open files")

OPEN_FILES, PLACES = 256, 32  # of the server; places for connections
SECONDS = 1  # for headers, and for bodies before the slowest rate counts
FLOOD = 600  # connections
UPLOAD = "POST /api/jobs"
SMALL_LIMITS = f"""
import resource, sys
from fakelens.cli.app import app
from fakelens.web.limits import Limits

def shrink(limits, check=Limits.__post_init__):
    object.__setattr__(limits, "header_seconds", {SECONDS})
    object.__setattr__(limits, "body_grace_seconds", {SECONDS})
    check(limits)

Limits.__post_init__ = shrink
resource.setrlimit(resource.RLIMIT_NOFILE, ({OPEN_FILES}, {OPEN_FILES}))
sys.argv = ["fakelens", *sys.argv[4:]]
app()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits, and a queue for one job."""
    folder = tmp_path_factory.mktemp("server") / "results"
    running = Server(folder, "--max-queue", 1, launcher=[sys.executable, "-c", SMALL_LIMITS])
    yield running
    running.stop()


@contextlib.contextmanager
def held(connections: list[socket.socket]) -> Iterator[None]:
    """Close these connections in the end."""
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


def is_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def answer(connection: socket.socket) -> tuple[int, Any]:
    """Return the status and content of the response."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def seconds_to_get_health(server: Server) -> float:
    began = time.monotonic()
    with httpx.Client(base_url=server.url, headers=server.headers, verify=False) as client:
        assert client.get("/api/health").status_code == 200
    return time.monotonic() - began


STARTS = {
    "nothing": b"",
    "half": b"GET /api/health HTTP/1.1\r\nHost: ",
    "static": b"GET /static/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_flood_without_a_token_keeps_nobody_out(server: Server, start: bytes) -> None:
    """It has more connections than the server may open files."""
    log = server.log.stat().st_size
    with server.client.stream("GET", "/api/events") as events, held(flood := []):
        lines = events.iter_lines()
        assert next(lines) == ": listening"
        for number in range(FLOOD):
            flood.append(connect(server))
            flood[-1].sendall(start)
            if number % 100 == 99:
                assert seconds_to_get_health(server) < 2
        assert all(map(is_closed, flood[: FLOOD // 2])), "those that came first lost their places"
        job = httpx.post(f"{server.url}/api/jobs", content=b"no video", headers=server.headers)
        assert job.status_code == 201
        assert job.json()["id"] in next(line for line in lines if line.startswith("data:"))
    server.client.delete(f"/api/jobs/{job.json()['id']}")
    assert server.log.stat().st_size - log < 1000


def test_requests_in_progress_keep_their_places(server: Server) -> None:
    """With a token, the places can all be taken; the next client gets an answer nevertheless."""
    with held(streams := []):
        for _ in range(PLACES):
            streams.append(connect(server))
            streams[-1].sendall(head(server, "GET /api/events"))
            assert b"200 OK" in streams[-1].recv(100)
        with held([late := connect(server)]):
            assert answer(late) == (
                503,
                b'{"detail":"the server has too many open connections: close some, or try again '
                b'later"}',
            )
    deadline = time.monotonic() + TIMEOUT
    while server.client.get("/api/health").status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_headers_that_arrive_slowly_end_the_connection(server: Server) -> None:
    with held([connection := connect(server)]):
        began = time.monotonic()
        try:
            for byte in head(server, "GET /api/health", "X: x\r\n" * 100):
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        except ConnectionError:
            pass
        assert SECONDS < time.monotonic() - began < SECONDS + 2


def test_a_response_is_complete_however_late_it_is_read(tmp_path: Path) -> None:
    """Also after the time for the headers of the next request, and for keeping idle connections."""
    folder, size = tmp_path / "results", 20_000_000  # more than the system buffers
    with opened(folder) as store:
        job = add(store, "big", State.DONE)
        page = store.results(job) / "report.html"
    parts = (
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">',
        '<script type="application/json" id="review">null</script>',
        "x" * size,
    )
    page.write_text("".join(parts))
    server = Server(folder, launcher=[sys.executable, "-c", SMALL_LIMITS])
    try:
        with held([connection := connect(server)]):
            connection.sendall(head(server, f"GET /results/{job}/report.html"))
            time.sleep(SECONDS + 6)
            status, content = answer(connection)
        assert status == 200
        assert content.endswith(b"x" * size)
    finally:
        server.stop()


def test_a_body_that_arrives_slowly_loses_its_place_in_the_queue(server: Server) -> None:
    files = server.files()
    with held([slow := connect(server)]):
        began = time.monotonic()
        slow.sendall(head(server, UPLOAD, "Content-Length: 500000\r\n"))
        while server.files() == files:
            assert time.monotonic() - began < TIMEOUT
        assert server.client.post("/api/jobs", content=b"x").status_code == 429, "it has a place"
        slow.setblocking(False)
        for _ in range(200):
            slow.sendall(b"x")
            time.sleep(0.05)
            with contextlib.suppress(BlockingIOError):
                if slow.recv(1, socket.MSG_PEEK):
                    break
        assert SECONDS < time.monotonic() - began < SECONDS + 2
        slow.setblocking(True)
        status, content = answer(slow)
        assert status == 408
        assert b"arrived too slowly, with less than 1 kB per second" in content
    assert server.files() == files
    job = server.upload(b"no video")["id"]
    server.client.delete(f"/api/jobs/{job}")


def test_an_upload_of_unknown_size_makes_others_wait(tmp_path: Path) -> None:
    """It may take up all that is left of the quota; a false size cannot hide that."""
    with serving(tmp_path / "results", "--quota", 1) as server:
        with held([both := connect(server)]):
            both.sendall(
                head(server, UPLOAD, "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")
            )
            status, content = answer(both)
            assert status == 400
            assert b"both Content-Length and Transfer-Encoding" in content
            both.sendall(b"1\r\nx\r\n")
            assert is_closed(both)
        assert server.files() == set()
        with held([unsized := connect(server)]):
            unsized.sendall(head(server, UPLOAD, "Transfer-Encoding: chunked\r\n") + b"1\r\nx\r\n")
            deadline = time.monotonic() + TIMEOUT
            while not any(name.endswith("/input") for name in server.files()):
                assert time.monotonic() < deadline
            for body in (b"x", iter([b"x"])):
                refused = server.client.post("/api/jobs", content=body)
                assert refused.status_code == 507
                assert refused.json()["detail"] == (
                    "another upload is in progress, of unknown size: it may take up what is left "
                    "of the 1 GB that this server keeps; try again later"
                )
            size = "Content-Length: 1500000000\r\nExpect: 100-continue\r\n"
            with held([large := connect(server)]):
                large.sendall(head(server, UPLOAD, size))
                status, content = answer(large)
            assert (status, json.loads(content)["detail"][-54:]) == (
                507,
                "old results, or start the server with a larger --quota",
            )
        while server.files():
            assert time.monotonic() < deadline
        server.upload(b"no video")


def test_the_token_is_checked_before_the_body(server: Server) -> None:
    files = server.files()
    with held([connection := connect(server)]):
        connection.sendall(f"{UPLOAD} HTTP/1.1\r\nHost: localhost\r\n".encode())
        connection.sendall(b"Content-Length: 500000\r\n\r\n")
        assert answer(connection)[0] == 401
        assert server.files() == files
        connection.sendall(b"x")
        assert is_closed(connection), "nor can it go on sending"


def test_too_many_open_files_are_logged_once(server: Server) -> None:
    """As if other parts of the server had opened them; the system keeps the next connections."""
    size = server.log.stat().st_size
    used = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 2, OPEN_FILES))
    try:
        with held([connect(server) for _ in range(20)]):
            time.sleep(1.5)  # asyncio tries again every second
            logged = server.log.read_bytes()[size:].decode()
            assert logged.endswith("new connections have to wait: Too many open files\n")
            assert logged.count("\n") == 1
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
    assert seconds_to_get_health(server) < 3
