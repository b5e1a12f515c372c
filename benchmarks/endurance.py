"""A long job on the server with the stall limit scaled down, and many restarts during work.

::

    python -m benchmarks.endurance --seconds 60 --restarts 30

*Long job*: a 1080p video that browsers cannot play, so that it is encoded twice. The stall limit is
scaled like its length, as if it were an hour long and the limit 15 minutes. *Restarts*: the server
is killed at random moments while it works on several uploads; in the end each must be done once.
Needs the extras demo and web; POSIX only.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import av

from fakelens.evaluation import demo
from fakelens.web.limits import Limits

_LIMIT = 1800  # seconds until a job must have ended
_TOKEN = "benchmark"  # noqa: S105 - of a server on this machine that lives for minutes
_HOUR = 3600
_SERVER = """
import sys
from pathlib import Path
from fakelens.web.limits import Limits
from fakelens.web.server import Options, serve

def listening(address):
    print("listening on", address.url, flush=True)

limits = Limits(stall_seconds=float(sys.argv[2]), max_crashes=1000)
options = Options(
    host="127.0.0.1",
    port=0,
    folder=Path(sys.argv[1]),
    model="fakelens-patch",
    token=sys.argv[3],
    tokenless=False,
    limits=limits,
)
serve(options, listening)
"""


class _Server:
    def __init__(self, folder: Path, stall_seconds: float) -> None:
        self.log = folder.with_suffix(".log")
        begin = self.log.stat().st_size if self.log.exists() else 0
        arguments = [str(folder), str(stall_seconds), _TOKEN]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", _SERVER, *arguments], stdout=log, stderr=log
            )
        while not (found := re.search(rb"listening on (\S+)/", self.log.read_bytes()[begin:])):
            if self.process.poll() is not None:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.02)
        self.url = found[1].decode()

    def request(self, path: str, data: bytes | None = None) -> Any:
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return json.load(response)

    def jobs(self) -> list[dict[str, Any]]:
        return list(self.request("/api/jobs?limit=200")["jobs"])

    def wait(self) -> list[dict[str, Any]]:
        deadline = time.monotonic() + _LIMIT
        while time.monotonic() < deadline:
            jobs = self.jobs()
            if all(job["state"] in ("done", "failed", "cancelled") for job in jobs):
                return jobs
            time.sleep(0.2)
        raise RuntimeError("a job does not end")

    def end(self, *, kill: bool) -> None:
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait()


def _long_video(path: Path, seconds: int) -> None:
    """Write the demo's clip enlarged to 1080p, in a format that browsers do not play."""
    clip = path.with_name("short.mp4")
    demo.make_clip(clip, seconds=seconds)
    with av.open(clip) as source, av.open(path, "w") as target:
        stream = target.add_stream("mpeg4", rate=source.streams.video[0].average_rate)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.bit_rate = 8_000_000
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(1920, 1080, "yuv420p")))
        target.mux(stream.encode())


def _long_job(folder: Path, seconds: int) -> str:
    stall = Limits().stall_seconds * seconds / _HOUR
    _long_video(folder / "long.mkv", seconds)
    server = _Server(folder / "long", stall)
    try:
        began = time.monotonic()
        server.request("/api/jobs?name=long.mkv", (folder / "long.mkv").read_bytes())
        (job,) = server.wait()
        passed = time.monotonic() - began
    finally:
        server.end(kill=False)
    print(f"long job: {job['state']} after {passed:.0f} s; stall limit {stall:.0f} s")
    return "" if job["state"] == "done" else str(job["error"])


def _restarts(folder: Path, restarts: int, seed: int) -> str:
    moments, uploads = random.Random(seed), 4  # noqa: S311 - not for security
    clip = folder / "clip.mp4"
    demo.make_clip(clip, seconds=2)
    server = _Server(folder / "restarts", Limits().stall_seconds)
    for number in range(uploads):
        server.request(f"/api/jobs?name={number}.mp4", clip.read_bytes())
    for _ in range(restarts):
        time.sleep(moments.uniform(0, 2))
        server.end(kill=True)
        server = _Server(folder / "restarts", Limits().stall_seconds)
        if all(job["state"] == "done" for job in server.jobs()):
            server.request(f"/api/jobs?name={uploads}.mp4", clip.read_bytes())
            uploads += 1
    try:
        jobs = server.wait()
    finally:
        server.end(kill=False)
    states = Counter(job["state"] for job in jobs)
    names = sorted(int(job["name"].removesuffix(".mp4")) for job in jobs)
    results = list((folder / "restarts" / "jobs").glob("*/results/report.json"))
    print(f"restarts: {restarts}; {uploads} uploads, {dict(states)}, {len(results)} results")
    whole = states == {"done": uploads} and names == list(range(uploads))
    return "" if whole and len(results) == uploads else "jobs were lost, doubled or failed"


def main() -> None:
    """Run both parts and print how they ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--restarts", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        problems = [
            _long_job(folder, options.seconds),
            _restarts(folder, options.restarts, options.seed),
        ]
    for problem in filter(None, problems):
        print(problem, file=sys.stderr)
    sys.exit(1 if any(problems) else 0)


if __name__ == "__main__":
    main()
