"""A server in a process of its own, started from the command line, and helpers to use it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

TIMEOUT = 60  # seconds before a test fails, also on a busy machine
_END_STATES = {"done", "failed", "cancelled", "damaged"}


class Server:
    """A running ``fakelens serve`` and a client for it, which sends the token.

    Attributes:
        printed: the address that the server printed, with the token, to open in a browser.
        url: the same without the token.
        headers: to send with other clients; they contain the token.

    Args:
        folder: for uploads and results.
        options: of the command line.
        launcher: command that runs the server, with its options.
        environment: of the server; that of this process by default.
    """

    def __init__(
        self,
        folder: Path,
        *options: object,
        launcher: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        command = [*launcher, sys.executable, "-m", "fakelens", "serve"]
        command += ["--port", "0", "--folder", str(folder)]
        with self.log.open("ab") as log:
            log_start = self.log.stat().st_size
            self.process = subprocess.Popen(
                [*command, *map(str, options)],
                stdout=log,
                stderr=log,
                process_group=0,
                env=environment,
            )
        self.printed = self._wait_for_address(log_start)
        self.url = self.printed.split("?")[0].rstrip("/")
        token = httpx.URL(self.printed).params.get("token")
        self.headers = httpx.Headers(
            {b"Authorization": f"Bearer {token}".encode()} if token else {}
        )
        self.client = httpx.Client(base_url=self.url, headers=self.headers, timeout=TIMEOUT)

    def _wait_for_address(self, log_start: int) -> str:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            output = self.log.read_bytes()[log_start:].decode()
            if found := re.search(r"listening on (\S+)\n", output):
                return found[1]
            assert self.process.poll() is None, output
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        raise AssertionError("the server did not start to listen")

    def stop(self, signal_number: int = signal.SIGTERM) -> float:
        """Stop the server and return the seconds until it has exited."""
        began = time.monotonic()
        self.client.close()
        self.process.send_signal(signal_number)
        self.process.wait(TIMEOUT)
        return time.monotonic() - began

    def upload(self, data: Path | bytes, name: str = "clip.mp4", **options: object) -> Any:
        """Upload a file and return the job."""
        body = data.read_bytes() if isinstance(data, Path) else data
        response = self.client.post("/api/jobs", content=body, params={"name": name, **options})
        assert response.status_code == 201, response.text
        return response.json()

    def job(self, job: str) -> Any:
        """Return a job by its id."""
        response = self.client.get(f"/api/jobs/{job}")
        assert response.status_code == 200, response.text
        return response.json()

    def wait(self, job: str, *states: str) -> Any:
        """Wait until a job is in one of the given states, or has ended if none is given."""
        deadline = time.monotonic() + TIMEOUT
        while (now := self.job(job))["state"] not in (states or _END_STATES):
            assert time.monotonic() < deadline, now
            time.sleep(0.02)
        return now

    def wait_for_work(self, job: str) -> None:
        """Wait until the worker has examined frames of a job."""
        deadline = time.monotonic() + TIMEOUT
        while not (now := self.job(job))["frames_done"]:
            assert now["state"] in ("queued", "running"), now
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def workers(self) -> list[int]:
        """Return the process ids of the workers (Linux)."""
        return children(self.process.pid)

    def files(self) -> set[str]:
        """Return the paths of all files and folders of the jobs."""
        jobs = self.folder / "jobs"
        while True:
            try:
                return {path.relative_to(jobs).as_posix() for path in jobs.rglob("*")}
            except FileNotFoundError:  # a folder was deleted meanwhile
                continue


@contextmanager
def serving(folder: Path, *options: object) -> Iterator[Server]:
    """Run a server, and kill it in the end if it is still running."""
    server = Server(folder, *options)
    try:
        yield server
    finally:
        server.client.close()
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def connect(server: Server) -> socket.socket:
    """Open a connection to a server, for requests that HTTP clients do not send."""
    return socket.create_connection(("127.0.0.1", httpx.URL(server.url).port), timeout=TIMEOUT)


def head(server: Server, request: str, more: str = "") -> bytes:
    """Return the request line and the headers of a request, with the token."""
    token = f"Authorization: {server.headers['Authorization']}\r\n"
    return f"{request} HTTP/1.1\r\nHost: localhost\r\n{token}{more}\r\n".encode()


def children(parent: int) -> list[int]:
    """Return the process ids of the children of a process (Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def is_alive(process: int) -> bool:
    """Return whether a process with this id exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Yield the name and data of each event in a stream."""
    name = "message"
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
