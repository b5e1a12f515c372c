"""Nothing leaves the machine and nothing is left outside the results: system calls are watched."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakelens.evaluation import demo
from support.serving import Server, children

pytestmark = pytest.mark.slow

OFF = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK")
DNS_PORT = "53"

# Calls that create, change or remove a file; with openat only if the flags allow writing.
_CHANGES = (
    "creat,mkdir,mkdirat,mknod,mknodat,link,linkat,symlink,symlinkat,"
    "rename,renameat,renameat2,unlink,unlinkat,rmdir,truncate"
)
_CALLS = f"%network,open,openat,openat2,{_CHANGES}"
_CHANGE = re.compile(rf"({_CHANGES.replace(',', '|')}|open|openat|openat2)\(")
_WRITES = re.compile(r"O_(CREAT|WRONLY|RDWR)")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"')
_SOCKET = re.compile(r"socket\((AF_\w+)")
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
_LOOKUP_SERVICE = re.compile(r'sun_path="([^"]*(?:nscd|systemd/resolve)[^"]*)"')
_FAMILIES = {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}  # the last asks the kernel


def network_findings(line: str) -> Iterator[str]:
    """Yield what a line of the trace shows of other hosts and of look-ups of names."""
    for family in _SOCKET.findall(line):
        if family not in _FAMILIES:
            yield f"socket of {family}"
    for address in ("".join(found) for found in _ADDRESS.findall(line)):
        if not (address.startswith("127.") or address == "::1"):
            yield f"address {address}"
    if DNS_PORT in _PORT.findall(line):
        yield "look-up of a name"
    for service in _LOOKUP_SERVICE.findall(line):
        yield f"look-up by {service}"


def changed_paths(line: str, cwd: Path) -> Iterator[Path]:
    """Yield the paths that a line of the trace creates, changes or removes, or tries to."""
    call = _CHANGE.search(line)
    if call is None or (call[1].startswith("open") and not _WRITES.search(line)):
        return
    for folder, path in _PATH.findall(line):
        yield Path(os.path.normpath(cwd / folder / path))


@dataclass(frozen=True)
class Watch:
    """Runs a program in an empty home folder and records its system calls.

    Attributes:
        folder: holds the home folder, the folder of temporary files, and what tests put there.
    """

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def results(self) -> Path:
        """Where it may write."""
        return self.folder / "results"

    @property
    def launcher(self) -> list[str]:
        """The start of a command line that is watched."""
        trace = str(self.folder / "trace")
        return ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-o", trace, "-e", f"trace={_CALLS}"]

    @property
    def environment(self) -> dict[str, str]:
        """Without any variable that could switch telemetry off or move a cache folder."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.folder / "temporary"),
            "PYTHONDONTWRITEBYTECODE": "1",
            # The server must not export traces, even if other programs of the user do.
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://192.0.2.1:4318",
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        }

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run Python with these arguments."""
        return subprocess.run(
            [*self.launcher, sys.executable, *map(str, arguments)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def findings(self) -> set[str]:
        """Return what the program did that it must not do."""
        allowed = (self.folder / "temporary", self.results, Path("/dev"), Path("/proc"))
        found = set()
        for line in (self.folder / "trace").read_text(errors="replace").splitlines():
            found |= set(network_findings(line))
            found |= {
                f"change of {path}"
                for path in changed_paths(line, self.folder)
                if not any(path.is_relative_to(place) for place in allowed)
            }
        return found | {f"left {path}" for path in self.home.rglob("*")}


@pytest.fixture(scope="session")
def tracer() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-o", os.devnull, "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"strace cannot watch a process here: {tried.stderr.strip()}")


@pytest.fixture
def watch(tracer: None, tmp_path: Path) -> Watch:
    for name in ("home", "temporary", "results"):
        (tmp_path / name).mkdir()
    return Watch(tmp_path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    demo.make_clip(path, seconds=1)
    return path


def test_the_list_of_models(watch: Watch) -> None:
    shown = watch.run("-m", "fakelens", "models")
    assert shown.returncode == 0, shown.stderr
    assert watch.findings() == set()


def test_an_analysis(watch: Watch, clip: Path) -> None:
    results = watch.results / "clip"
    done = watch.run("-m", "fakelens", "analyze", clip, "-o", results, "--every", "5", "--quiet")
    assert done.returncode == 0, done.stderr
    assert (results / "report.html").is_file()
    assert watch.findings() == set()


def test_the_server_and_its_worker(watch: Watch, clip: Path) -> None:
    server = Server(watch.results / "jobs", launcher=watch.launcher, environment=watch.environment)
    (program,) = children(server.process.pid)
    try:
        job = server.wait(server.upload(clip, trust="false", every="5")["id"])
        server.client.close()
    finally:
        os.kill(program, signal.SIGTERM)
    assert server.process.wait(timeout=30) == 0
    assert job["state"] == "done"
    assert job["summary"]["faces_found"]
    assert watch.findings() == set()
    assert len(server.log.read_text().splitlines()) == 2  # what it says when it starts


def test_the_watcher_sees_the_telemetry_of_onnxruntime(watch: Watch) -> None:
    assert watch.run("-c", "import onnxruntime").returncode == 0
    assert f"left {watch.home / '.cache' / 'Microsoft'}" in watch.findings()


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        # Connecting a datagram socket sends nothing.
        ("socket(AF_INET, SOCK_DGRAM).connect(('192.0.2.1', 9))", "address 192.0.2.1"),
        ("socket(AF_INET6, SOCK_DGRAM).connect(('2001:db8::1', 9))", "address 2001:db8::1"),
        ("socket(AF_INET, SOCK_DGRAM).connect(('127.0.0.1', 53))", "look-up of a name"),
        ("socket(AF_INET).bind(('0.0.0.0', 0))", "address 0.0.0.0"),
        ("os.open('a', os.O_WRONLY | os.O_CREAT)", "change of {folder}/a"),
        ("os.mkdir('b')", "change of {folder}/b"),
        ("os.unlink('/nowhere/c')", "change of /nowhere/c"),
        ("os.rename('temporary/d', os.path.expanduser('~/e'))", "change of {folder}/home/e"),
    ],
)
def test_the_watcher_sees(watch: Watch, code: str, finding: str) -> None:
    code = f"import contextlib, os\nfrom socket import *\nwith contextlib.suppress(OSError): {code}"
    assert watch.run("-S", "-c", code).returncode == 0
    assert finding.format(folder=watch.folder) in watch.findings()


def printed(code: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"], **environment},
    ).stdout


@pytest.mark.parametrize("package", ["fakelens", "training", "benchmarks"])
def test_telemetry_is_off_after_the_import_of(package: str) -> None:
    code = f"import os, {package}; print(*[os.environ[name] for name in {OFF}])"
    assert printed(code, **dict.fromkeys(OFF, "0")) == "1 1 1\n"


def test_telemetry_is_reduced_if_onnxruntime_was_imported_first() -> None:
    stand_in = "SimpleNamespace(disable_telemetry_events=lambda: print('reduced'))"
    code = f"import sys; from types import SimpleNamespace; sys.modules['onnxruntime'] = {stand_in}"
    assert printed(f"{code}; import fakelens") == "reduced\n"
