"""Kills, terminates and interrupts fakelens at random moments, and checks what is left.

::

    python -m benchmarks.interrupt --moments 60

``analyze`` (two inputs), ``render`` and ``serve`` (two uploads) are ended at moments from the start
of the process to some time after its usual end. Finished results must be complete, an interruption
(Ctrl-C) must be one line on standard error, and after the next run there must be nothing hidden
left and no upload lost. Needs the extras demo and web; POSIX only.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np

from fakelens.evaluation import demo

_COMMAND = [sys.executable, "-m", "fakelens"]
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_LIMIT = 120  # seconds
_RESULT = {"report.html", "report.json", "heatmaps.f16", "scores.csv"}
_TOKEN = "benchmark"  # noqa: S105 - of a server on this machine that lives for seconds


def _end(arguments: list[str], sent: signal.Signals, delay: float) -> tuple[int, list[str]]:
    """Run the program, send a signal after a delay, and return its exit code and errors."""
    process = subprocess.Popen(  # noqa: S603 - our own program
        [*_COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    time.sleep(delay)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=_LIMIT)
    return process.returncode, errors.decode("utf-8", "replace").splitlines()


def _check_end(sent: signal.Signals, code: int, errors: list[str]) -> str:
    if any("Traceback" in line for line in errors):
        return "traceback: " + " | ".join(errors[-3:])
    if sent is signal.SIGINT and code not in (0, 130, -signal.SIGINT):
        return f"exit code {code} after Ctrl-C"
    if sent is signal.SIGINT and code == 130 and len(errors) != 1:
        return f"{len(errors)} lines after Ctrl-C"
    return ""


def _hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.name.startswith(".fakelens")]


def _check_results(folder: Path) -> str:
    """Return what is wrong with the results in a folder: each is complete, or not there."""
    for path in folder.glob("*_analyzed"):
        names = {each.name for each in path.iterdir()}
        if not names >= _RESULT:
            return f"{path.name} has only {', '.join(sorted(names))}"
        json.loads((path / "report.json").read_text(encoding="utf-8"))
    return ""


def _try_analyze(folder: Path, clip: Path, sent: signal.Signals, delay: float) -> str:
    inputs = [folder / "one.mp4", folder / "two.mp4"]
    for path in inputs:
        shutil.copyfile(clip, path)
    arguments = ["analyze", "-q", *map(str, inputs)]
    code, errors = _end(arguments, sent, delay)
    problem = _check_end(sent, code, errors) or _check_results(folder)
    if problem:
        return problem
    again = subprocess.run([*_COMMAND, *arguments], capture_output=True, check=False)  # noqa: S603
    if again.returncode != 0:
        return f"the next run fails: {again.stderr.decode()}"
    if len(list(folder.glob("*_analyzed"))) != len(inputs):
        return "a result is missing after the next run"
    return f"left: {_hidden(folder)}" if _hidden(folder) else _check_results(folder)


def _try_render(folder: Path, results: Path, sent: signal.Signals, delay: float) -> str:
    arguments = ["render", "-q", str(results / "report.json"), "-o", str(folder / "drawn")]
    code, errors = _end(arguments, sent, delay)
    problem = _check_end(sent, code, errors)
    if problem:
        return problem
    again = subprocess.run(  # noqa: S603 - our own program
        [*_COMMAND, *arguments, "--force"], capture_output=True, check=False
    )
    if again.returncode != 0 or not (folder / "drawn" / "annotated.mp4").exists():
        return f"the next run fails: {again.stderr.decode()}"
    return f"left: {_hidden(folder)}" if _hidden(folder) else ""


def _serve(folder: Path) -> tuple["subprocess.Popen[bytes]", Path]:
    log = folder / "log"
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*_COMMAND, "serve", "--port", "0", "--token", _TOKEN, "--folder", folder / "jobs"],
            stdout=file,
            stderr=file,
        )
    return process, log


def _wait_for_url(process: "subprocess.Popen[bytes]", log: Path, begin: int) -> str | None:
    deadline = time.monotonic() + _LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(rb"listening on (http://[^/]+)/", log.read_bytes()[begin:]):
            return found[1].decode()
        time.sleep(0.02)
    return None


def _request(url: str, data: bytes | None = None) -> object:
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=_LIMIT) as response:  # noqa: S310
        return json.load(response)


def _try_serve(folder: Path, clip: Path, sent: signal.Signals, delay: float) -> str:
    """Upload two clips, end the server, and let the next one finish them."""
    accepted = 0
    process, log = _serve(folder)
    try:
        began = time.monotonic()
        if delay > 1:  # else end it while it starts
            url = _wait_for_url(process, log, 0)
            for _ in range(2):
                _request(f"{url}/api/jobs?name=clip.mp4", clip.read_bytes())
                accepted += 1
        time.sleep(max(0.0, delay - (time.monotonic() - began)))
        process.send_signal(sent)
        process.wait(_LIMIT)
    finally:
        process.kill()
        process.wait()
    begin = log.stat().st_size
    process, _ = _serve(folder)
    try:
        url = _wait_for_url(process, log, begin)
        if url is None:
            return "the next server does not start"
        deadline = time.monotonic() + _LIMIT
        states: list[str] = []
        while time.monotonic() < deadline:
            jobs = _request(f"{url}/api/jobs")["jobs"]  # type: ignore[index]
            states = [job["state"] for job in jobs]
            if all(state in ("done", "failed") for state in states):
                break
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait()
    if states != ["done"] * accepted:
        return f"{accepted} uploads were accepted, then: {states}"
    if b"Traceback" in log.read_bytes():
        return "traceback in the server's log"
    return f"left: {_hidden(folder)}" if _hidden(folder) else ""


def main() -> None:
    """Run the trials and print how they ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    wrong = Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        clip = base / "clip.mp4"
        demo.make_clip(clip, seconds=1)
        began = time.monotonic()
        results = base / "results"
        subprocess.run([*_COMMAND, "analyze", "-q", clip, "-o", results], check=True)  # noqa: S603
        usual = time.monotonic() - began
        for number in range(options.moments):
            command = ("analyze", "render", "serve")[number % 3]
            sent = _SIGNALS[number // 3 % 3]
            delay = float(generator.uniform(0, 1.6 * usual))
            folder = base / f"{number}"
            folder.mkdir()
            attempt = {"analyze": _try_analyze, "serve": _try_serve, "render": _try_render}[command]
            problem = attempt(folder, results if command == "render" else clip, sent, delay)
            if problem:
                wrong[command] += 1
                print(f"{command}, {sent.name} after {delay:.2f} s: {problem}", file=sys.stderr)
            shutil.rmtree(folder)
    total = sum(wrong.values())
    print(f"{options.moments} moments, {total} wrong {dict(wrong) or ''}")
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
