"""Compare the detection of shot changes with that of PySceneDetect, on films with known cuts.

The films are joined from parts of real clips, so the true cuts are known: cuts of several kinds,
and other changes that are no cuts (flashes, fades, fast pans and zooms, changes of brightness).
PySceneDetect is optional. Install it without its dependencies, since it requires an OpenCV package
that overwrites the one of fakelens:

    pip install --no-deps scenedetect==0.7.2
    pip install click tqdm
"""

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from benchmarks.shot_films import KINDS, Film, FilmMaker, read_clips, read_pictures
from fakelens.media.shots import with_shot_changes
from fakelens.records.arrays import RGBImage
from fakelens.records.media import Frame

_RATE = Fraction(25)
_SCENEDETECT_WIDTH = 256  # of the pictures that PySceneDetect compares, by default

Detect = Callable[[Sequence[RGBImage]], set[int]]
"""Returns the frames at which a shot begins, without the first one."""


def ours(pictures: Sequence[RGBImage]) -> set[int]:
    """Detect shot changes as fakelens does."""
    frames = (Frame(at, at / _RATE, picture) for at, picture in enumerate(pictures))
    return {frame.index for frame, begins in with_shot_changes(frames) if begins} - {0}


def load_detectors() -> dict[str, Detect]:
    """Return the detectors to compare, by name."""
    known: dict[str, Detect] = {"fakelens": ours}
    try:
        library = importlib.import_module("scenedetect")
    except ImportError:
        print("PySceneDetect is not installed: only fakelens is measured", file=sys.stderr)
        return known
    for name in ("AdaptiveDetector", "ContentDetector"):
        make = getattr(library, name)
        known[name] = partial(scenedetect, library, make)
        # By default, cuts within 15 frames of another cut are dropped.
        known[f"{name}, min_scene_len=1"] = partial(
            scenedetect, library, partial(make, min_scene_len=1)
        )
    return known


def scenedetect(
    library: ModuleType, make_detector: Callable[[], Any], pictures: Sequence[RGBImage]
) -> set[int]:
    """Run a detector of PySceneDetect as its SceneManager does, on a smaller picture."""
    detector = make_detector()
    found = []
    for at, picture in enumerate(pictures):
        height = round(picture.shape[0] * _SCENEDETECT_WIDTH / picture.shape[1])
        small = cv2.resize(picture, (_SCENEDETECT_WIDTH, height))
        blue_green_red = np.ascontiguousarray(small[:, :, ::-1])
        found += detector.process_frame(library.FrameTimecode(at, fps=_RATE), blue_green_red)
    return {cut.frame_num for cut in found} - {0}


@dataclass(slots=True)
class Count:
    """Cuts of some films, and what a detector found."""

    cuts: int = 0
    found: int = 0
    false: int = 0
    frames: int = 0
    seconds: float = 0

    def add(self, film: Film, detect: Detect) -> None:
        """Run a detector on a film."""
        began = time.process_time()
        found = detect(film.pictures)
        self.seconds += time.process_time() - began
        matches = [found & set(range(cut, cut + film.late + 1)) for cut in film.cuts]
        self.cuts += len(film.cuts)
        self.found += sum(map(bool, matches))
        self.false += len(found.difference(*matches))
        self.frames += len(film.pictures)

    def __iadd__(self, other: "Count") -> "Count":
        for name in ("cuts", "found", "false", "frames", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    @property
    def cell(self) -> str:
        """Cuts found and false alarms, for a table."""
        return f"{self.found}, {self.false}" if self.cuts else f"{self.false}"


def main() -> None:
    """Make the films, run every detector on each and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("manifest", type=Path, help="manifest.csv of a folder of clips")
    parser.add_argument("--use", default="test", help="use only clips with this in column use")
    parser.add_argument("--films", type=int, default=10, help="films of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--whole",
        action="append",
        default=[],
        metavar="CLIP=CUT,CUT",
        help="a clip that has cuts, at these frames: it is measured as it is, and no part of it is "
        "used for the other films; repeatable",
    )
    options = parser.parse_args()
    whole = {Path(name): cuts for name, cuts in (text.split("=") for text in options.whole)}
    clips = read_clips(options.manifest, options.use, [path.stem for path in whole])
    maker, known = FilmMaker(clips, options.seed), load_detectors()
    totals = {name: Count() for name in known}
    columns = " | ".join(known)
    print(f"| films | cuts | {columns} |")
    print("|---|---|" + "---|" * len(known))

    def measure(kind: str, films: Iterable[Film]) -> None:
        counts = {name: Count() for name in known}
        for film in films:
            for name, detect in known.items():
                counts[name].add(film, detect)
        for name, count in counts.items():
            totals[name] += count
        print_row(kind, counts)

    for kind, make in KINDS.items():
        measure(kind, (make(maker) for _ in range(options.films)))
    for path, cuts in whole.items():
        measure(path.stem, [Film(list(read_pictures(path)), [int(cut) for cut in cuts.split(",")])])
    print_row("all", totals)
    cells = " | ".join(f"{1000 * count.seconds / count.frames:.2f}" for count in totals.values())
    print(f"| ms of processor time a frame | | {cells} |")


def print_row(kind: str, counts: Mapping[str, Count]) -> None:
    """Print the row of a table: cuts found and false alarms of each detector."""
    cuts = max(count.cuts for count in counts.values())
    cells = " | ".join(count.cell for count in counts.values())
    print(f"| {kind} | {cuts or ''} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
