"""Damages media, models, reports and databases, and checks how fakelens takes it.

::

    python -m benchmarks.fuzz --cases 500

Every case runs the command line in a process of its own (databases: the store of the server). It
fails if there is a traceback, a crash, more than one sentence for an error, no end within the time
limit, or a part of a result. The originals are made here; needs the extras demo and web.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE, _FRAMES = 160, 12
_TIME_LIMIT = 120  # seconds
_VIDEOS = {
    "clip.mp4": ("libx264", "yuv420p"),
    "clip.mkv": ("mpeg4", "yuv420p"),
    "clip.webm": ("libvpx", "yuv420p"),
    "clip.ts": ("mpeg2video", "yuv420p"),
    "clip.gif": ("gif", "rgb8"),
}
_PICTURES = ("face.jpg", "face.png", "face.webp", "face.tiff", "face.bmp", "face.avif", "face.jp2")
_EXTREMES: tuple[Any, ...] = (
    *(0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 1e308, 1e-308, 0.5),
    *(None, True, "", "x", "../../x", "0/0", "1/0", [], {}, [[]], "\ud800"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A damaged file and what is done with it.

    Attributes:
        kind: what was damaged.
        name: unique within the corpus.
        damaged: path of the file.
        arguments: of the command line; empty for a database.
        output: folder for the results.
    """

    kind: str
    name: str
    damaged: Path
    arguments: tuple[str, ...]
    output: Path


def damage(data: bytes, generator: np.random.Generator) -> bytes:
    """Return data with one kind of damage chosen at random."""
    size = len(data)
    first, second = sorted(generator.integers(0, size + 1, 2).tolist())
    piece = min(second, first + max(1, size // 4))
    noise = generator.integers(0, 256, piece - first, dtype=np.uint8).tobytes()
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: data[:first],
        lambda: _flip_bits(data, generator, size),
        lambda: _flip_bits(data, generator, min(size, 512)),
        lambda: data[:first] + data[piece:],
        lambda: data[:piece] + data[first:],
        lambda: data[:first] + bytes(piece - first) + data[piece:],
        lambda: data[:first] + noise + data[piece:],
        lambda: data[second:] + data[:second],
    )
    return kinds[int(generator.integers(len(kinds)))]()


def _flip_bits(data: bytes, generator: np.random.Generator, within: int) -> bytes:
    damaged = bytearray(data)
    for position in generator.integers(0, within, int(generator.integers(1, 30))):
        damaged[position] ^= 1 << int(generator.integers(8))
    return bytes(damaged)


def damage_json(data: bytes, generator: np.random.Generator) -> bytes:
    """Return a JSON document in which one to three values are replaced by extreme ones."""
    document = json.loads(data)
    for _ in range(int(generator.integers(1, 4))):
        holder = document
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = keys[int(generator.integers(len(keys)))]
            inner = holder[key]
            if not isinstance(inner, dict | list) or not inner or generator.random() < 0.05:
                break
            holder = inner
        if isinstance(holder, dict) and generator.random() < 0.1:
            del holder[key]
        else:
            holder[key] = _EXTREMES[int(generator.integers(len(_EXTREMES)))]
    return json.dumps(document).encode("utf-8", "surrogatepass")


def make_originals(folder: Path) -> None:
    """Make small media with a face, a report, a copy of the bundled model and a database."""
    from PIL import Image  # noqa: PLC0415 - only for the originals

    from fakelens.models.loading import find_weights  # noqa: PLC0415

    face = _face()
    for name, (codec, pixel_format) in _VIDEOS.items():
        _write_video(folder / name, face, codec, pixel_format)
    for name in _PICTURES:
        Image.fromarray(face).save(folder / name)
    bundled = find_weights("fakelens-patch")
    assert bundled is not None
    shutil.copyfile(bundled, folder / "model.onnx")
    run = [sys.executable, "-m", "fakelens", "analyze", "-q", str(folder / "clip.mp4")]
    subprocess.run([*run, "-o", str(folder / "results")], check=True)  # noqa: S603 - our own
    _write_database(folder / "server")


def _face() -> NDArray[np.uint8]:
    from skimage.data import astronaut  # noqa: PLC0415 - an extra

    picture: NDArray[np.uint8] = astronaut()
    face = cv2.resize(picture[:256, 96:352], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return face.astype(np.uint8)


def _write_video(path: Path, face: NDArray[np.uint8], codec: str, pixel_format: str) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = _SIDE, _SIDE, pixel_format
        for number in range(_FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(face, number, axis=1), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode())


def _write_database(folder: Path) -> None:
    from fakelens.web.schemas import Job, State  # noqa: PLC0415 - an extra
    from fakelens.web.store import Store, now  # noqa: PLC0415

    store = Store(folder, max_crashes=3)
    for number in range(6):
        job = store.make_folder()
        store.input(job).write_bytes(b"upload")
        store.add(
            Job(
                id=job,
                name=f"clip {number}.mp4",
                state=State.QUEUED,
                bytes=6,
                every=2,
                trust=True,
                created=now(),
            )
        )
    store.close()


def cases(originals: Path, folder: Path, count: int, seed: int = 0) -> Iterator[Case]:
    """Yield damaged files, with what is done with them.

    Args:
        originals: see ``make_originals``.
        folder: for the damaged files, one folder per case.
        count: number of cases.
        seed: of the random numbers; the same seed gives the same cases.
    """
    kinds = ["video", "picture", "report", "video", "picture", "report", "heatmaps", "database"]
    kinds += ["model"]
    for number in range(count):
        generator = np.random.default_rng((seed, number))
        kind = kinds[number % len(kinds)]
        place = folder / f"{number:04}-{kind}"
        yield _make_case(kind, originals, place, generator)


def _make_case(kind: str, originals: Path, place: Path, generator: np.random.Generator) -> Case:
    place.mkdir(parents=True)
    output = place / "out"

    def case(path: Path, *arguments: object) -> Case:
        return Case(kind, place.name, path, tuple(map(str, arguments)), output)

    if kind in ("video", "picture"):
        names = tuple(_VIDEOS) if kind == "video" else _PICTURES
        name = names[int(generator.integers(len(names)))]
        path = place / name
        path.write_bytes(damage((originals / name).read_bytes(), generator))
        return case(path, "analyze", "-q", path, "-o", output)
    if kind == "model":
        path = place / "model.onnx"
        path.write_bytes(damage((originals / "model.onnx").read_bytes(), generator))
        return case(path, "analyze", originals / "face.png", "--model", path, "-o", output)
    if kind == "database":
        shutil.copytree(originals / "server", place / "server")
        path = place / "server" / "jobs.sqlite3"
        path.write_bytes(damage(path.read_bytes(), generator))
        return case(path)
    shutil.copytree(originals / "results", place / "results")
    report = place / "results" / "report.json"
    path = report if kind == "report" else place / "results" / "heatmaps.f16"
    change = damage_json if kind == "report" and generator.random() < 0.8 else damage
    path.write_bytes(change(path.read_bytes(), generator))
    clip = originals / "clip.mp4"
    return case(path, "render", report, "--video", clip, "-o", output)


def check(case: Case, code: int, errors: str) -> str:
    """Return what is wrong with the outcome of a case, or an empty string.

    Args:
        case: that was run.
        code: exit code of the program.
        errors: what it wrote to standard error.
    """
    if "Traceback" in errors:
        return "traceback"
    if code not in (0, 1, 2, 4):
        return f"exit code {code}"
    if code in (1, 2) and len(errors.strip().splitlines()) != 1:
        return "not one sentence"
    if code in (1, 2) and case.output.exists():
        return "a part of a result"
    if any(path.name.startswith(".") for path in case.output.parent.iterdir()):
        return "a hidden folder is left"
    return ""


def check_database(case: Case) -> str:
    """Open a damaged database as a server does; return what is wrong, or an empty string."""
    from fakelens.errors import FakelensError  # noqa: PLC0415
    from fakelens.web.listing import Listing  # noqa: PLC0415 - an extra
    from fakelens.web.store import Store  # noqa: PLC0415

    folder = case.damaged.parent
    uploads = len(list(folder.glob("jobs/*/input")))
    try:
        store = Store(folder, max_crashes=3)
        try:
            store.page(Listing(limit=50))
        finally:
            store.close()
    except FakelensError:
        pass
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    left = len(list(folder.glob("jobs/*/input")))
    return "" if left == uploads else f"{uploads - left} uploads are lost"


def _run(case: Case) -> tuple[Case, str]:
    if not case.arguments:
        return case, check_database(case)
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "fakelens", *case.arguments],
            capture_output=True,
            timeout=_TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return case, "no end"
    return case, check(case, done.returncode, done.stderr.decode("utf-8", "replace"))


def main() -> None:
    """Run the cases and print how they ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    tried, wrong = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        originals = Path(temporary) / "originals"
        originals.mkdir()
        make_originals(originals)
        corpus = cases(originals, Path(temporary) / "cases", options.cases, options.seed)
        with ThreadPoolExecutor(options.jobs) as pool:
            for case, problem in pool.map(_run, corpus):
                tried[case.kind] += 1
                if problem:
                    wrong[case.kind] += 1
                    print(f"{case.name} (seed {options.seed}): {problem}", file=sys.stderr)
                shutil.rmtree(case.output.parent)
    for kind, number in tried.items():
        print(f"{kind:10} {number:5} cases, {wrong[kind]} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
