"""A server in a process of its own, as its users start it, and ways to ask it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 30  # seconds that anything may take before a test fails
_OVER = {"done", "failed", "cancelled"}


class Server:
    """A running ``fakelens serve`` and a client for it.

    Args:
        folder: for uploads and results.
        options: of the command line.
    """

    def __init__(self, folder: Path, *options: object) -> None:
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        command = [sys.executable, "-m", "fakelens", "serve", "--port", "0", "--folder", folder]
        with self.log.open("ab") as log:
            began = self.log.stat().st_size
            self.process = subprocess.Popen(
                list(map(str, [*command, *options])), stdout=log, stderr=log, process_group=0
            )
        self.printed = self._wait_for_address(began)
        self.url = self.printed.split("?")[0].rstrip("/")
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def _wait_for_address(self, began: int) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            said = self.log.read_bytes()[began:].decode()
            if found := re.search(r"listening on (\S+)\n", said):
                return found[1]
            assert self.process.poll() is None, said
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        raise AssertionError("the server does not listen")

    def stop(self, how: int = signal.SIGTERM) -> float:
        """End it; returns how many seconds that took."""
        began = time.monotonic()
        self.client.close()
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        return time.monotonic() - began

    def upload(self, data: Path | bytes, name: str = "clip.mp4", **options: object) -> Any:
        body = data.read_bytes() if isinstance(data, Path) else data
        answer = self.client.post("/api/jobs", content=body, params={"name": name, **options})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def job(self, job: str) -> Any:
        answer = self.client.get(f"/api/jobs/{job}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, job: str, *states: str) -> Any:
        """Until it is in one of some states, over if none is given."""
        deadline = time.monotonic() + PATIENCE
        while (now := self.job(job))["state"] not in (states or _OVER):
            assert time.monotonic() < deadline, now
            time.sleep(0.02)
        return now

    def wait_for_work(self, job: str) -> None:
        """Until frames are being examined."""
        deadline = time.monotonic() + PATIENCE
        while not (now := self.job(job))["frames_done"]:
            assert now["state"] in ("queued", "running"), now
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def workers(self) -> list[int]:
        """Process ids of its workers (Linux)."""
        return children(self.process.pid)

    def files(self) -> set[str]:
        """What lies in the folders of the jobs."""
        jobs = self.folder / "jobs"
        return {path.relative_to(jobs).as_posix() for path in jobs.rglob("*")}


@contextmanager
def serving(folder: Path, *options: object) -> Iterator[Server]:
    server = Server(folder, *options)
    try:
        yield server
    finally:
        server.client.close()
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def children(parent: int) -> list[int]:
    """Process ids of the children of a process (Linux)."""
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
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Name and data of the events of a stream."""
    name = "message"
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
