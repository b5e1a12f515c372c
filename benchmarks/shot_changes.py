"""Compare the detection of shot changes with that of PySceneDetect, on films with known cuts.

The films are joined from parts of real clips, so the true cuts are known: cuts of several kinds,
and other changes that are no cuts (flashes, fades, fast pans and zooms, changes of brightness).
PySceneDetect is optional. Install it without its dependencies, since it requires an OpenCV package
that overwrites the one of fakelens:

    pip install --no-deps scenedetect==0.7.2
    pip install click tqdm
"""

import argparse
import csv
import importlib.util
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from fakelens.errors import MediaError
from fakelens.media.pixels import shrink
from fakelens.media.reader import open_video
from fakelens.media.shots import with_shot_changes
from fakelens.records.arrays import RGBImage
from fakelens.records.media import Frame

WIDTH, HEIGHT = 640, 360
_MAX_FRAMES = 240  # read from each clip
_RATE = Fraction(25)
_SCENEDETECT_WIDTH = 256  # PySceneDetect scales wider frames down to this

Detect = Callable[[Sequence[RGBImage]], set[int]]
"""Returns the frames at which a shot begins, without the first one."""


@dataclass(frozen=True, slots=True)
class Film:
    """A film whose cuts are known.

    Attributes:
        pictures: all of one size.
        cuts: frames at which a shot begins, without the first one.
        late: a cut counts as found up to this many frames later.
    """

    pictures: Sequence[RGBImage]
    cuts: Sequence[int] = ()
    late: int = 0


def read_clips(manifest: Path, use: str, skip: Sequence[str]) -> list[list[RGBImage]]:
    """Read the first clip of each group, on a canvas of one size."""
    groups: dict[str, Path] = {}
    with manifest.open(newline="") as file:
        for row in csv.DictReader(file):
            path = manifest.parent / row["path"]
            if row["use"] == use and int(row["frames"] or 0) > 1 and path.stem not in skip:
                groups.setdefault(row["group"], path)
    clips = []
    for path in groups.values():
        try:
            clips.append([on_canvas(picture) for picture in read_pictures(path, _MAX_FRAMES)])
        except MediaError as error:
            print(f"left out: {error}", file=sys.stderr)
    return clips


def read_pictures(path: Path, limit: int | None = None) -> Iterator[RGBImage]:
    """Decode the pictures of a clip, scaled down to ``WIDTH``."""
    with open_video(path) as reader:
        for frame in islice(reader.frames(), limit):
            yield np.asarray(shrink(frame.pixels, WIDTH))


def on_canvas(picture: RGBImage, fill: bool = True) -> RGBImage:
    """Scale a picture to the size of the films: fill it and cut off the rest, or add black bars."""
    height, width = picture.shape[:2]
    pick = max if fill else min
    factor = pick(WIDTH / width, HEIGHT / height)
    scaled = cv2.resize(picture, (round(width * factor), round(height * factor)))
    scaled = scaled[max(0, (scaled.shape[0] - HEIGHT) // 2) :][:HEIGHT]
    scaled = scaled[:, max(0, (scaled.shape[1] - WIDTH) // 2) :][:, :WIDTH]
    top, left = (HEIGHT - scaled.shape[0]) // 2, (WIDTH - scaled.shape[1]) // 2
    canvas = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    canvas[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return canvas


def zoomed(picture: RGBImage, zoom: float, x: float = 0.5, y: float = 0.4) -> RGBImage:
    """Enlarge a part of a picture: ``x``, ``y`` of 0 to 1 select which one."""
    height, width = round(HEIGHT / zoom), round(WIDTH / zoom)
    top, left = round((HEIGHT - height) * y), round((WIDTH - width) * x)
    part = picture[top : top + height, left : left + width]
    return cv2.resize(part, (WIDTH, HEIGHT)).astype(np.uint8, copy=False)


def brightened(picture: RGBImage, gain: float, offset: float = 0) -> RGBImage:
    """Change the brightness and the contrast of a picture."""
    return cv2.convertScaleAbs(picture, alpha=gain, beta=offset).astype(np.uint8, copy=False)


class FilmMaker:
    """Joins films from parts of clips, at random.

    Args:
        clips: each without a cut.
        seed: of the random numbers.
    """

    def __init__(self, clips: Sequence[list[RGBImage]], seed: int) -> None:
        self._clips = clips
        self._random = np.random.default_rng(seed)

    def _part(self, clip: int, shortest: int, longest: int) -> list[RGBImage]:
        length = min(int(self._random.integers(shortest, longest + 1)), len(self._clips[clip]))
        start = int(self._random.integers(len(self._clips[clip]) - length + 1))
        return self._clips[clip][start : start + length]

    def _joined(self, shots: Sequence[Sequence[RGBImage]], late: int = 0) -> Film:
        cuts = np.cumsum([len(shot) for shot in shots])[:-1]
        return Film([picture for shot in shots for picture in shot], cuts.tolist(), late)

    def _shots(self, shortest: int, longest: int) -> list[list[RGBImage]]:
        clips = self._random.choice(len(self._clips), 5, replace=False)
        return [self._part(int(clip), shortest, longest) for clip in clips]

    def different_videos(self) -> Film:
        """Cut between different videos."""
        return self._joined(self._shots(20, 50))

    def short_shots(self) -> Film:
        """Cut between different videos every 2 to 8 frames."""
        return self._joined(self._shots(2, 8))

    def letterbox(self) -> Film:
        """Cut between different videos inside black bars."""
        bars = int(self._random.integers(30, 90))
        shots = [[shot.copy() for shot in part] for part in self._shots(20, 50)]
        upright = self._random.random() < 0.5
        for picture in (picture for shot in shots for picture in shot):
            if upright:
                picture[:, : 2 * bars] = picture[:, -2 * bars :] = 0
            else:
                picture[:bars] = picture[-bars:] = 0
        return self._joined(shots)

    def other_framing(self) -> Film:
        """Cut from a wide shot of a scene to a close-up of it, and back."""
        clip = int(self._random.integers(len(self._clips)))
        zooms = [1, self._random.uniform(1.5, 2), 1, self._random.uniform(1.5, 2)]
        x = self._random.uniform(0.3, 0.7)
        shots = [[zoomed(p, zoom, x) for p in self._part(clip, 20, 50)] for zoom in zooms]
        return self._joined(shots)

    def handheld(self) -> Film:
        """Cut between different videos, each from a camera that shakes."""
        shots = []
        for part in self._shots(20, 50):
            sway = np.cumsum(self._random.normal(0, 0.04, (len(part), 2)), axis=0)
            places = 0.5 + 0.4 * np.sin(sway)
            shots.append([zoomed(p, 1.3, *place) for p, place in zip(part, places, strict=True)])
        return self._joined(shots)

    def cuts_in_pans(self) -> Film:
        """Cut between different videos, each from a camera that pans fast."""
        return self._joined([self._panned(part) for part in self._shots(20, 50)])

    def slides(self) -> Film:
        """Show a different video on each frame."""
        return self._joined(self._shots(1, 1))

    def jump_cuts(self) -> Film:
        """Leave out parts of a video: the camera stays where it is."""
        clip = int(self._random.integers(len(self._clips)))
        lengths = [len(part) for part in np.array_split(self._clips[clip], 5)]
        starts = np.cumsum([0, *lengths[:-1]])
        shots = [
            self._clips[clip][start : start + length // 2]
            for start, length in zip(starts, lengths, strict=True)
        ]
        return self._joined(shots)

    def flash_near_cut(self) -> Film:
        """Cut between different videos, with a flash of one frame within 4 frames of each cut."""
        film = self.different_videos()
        pictures = list(film.pictures)
        for cut in film.cuts:
            at = cut + int(self._random.integers(-4, 5))
            pictures[at] = self._flash(pictures[at])
        return Film(pictures, film.cuts)

    def fade_through_black(self) -> Film:
        """Fade out, and fade in another video; the cut may be found at any frame of the fade-in."""
        shots = self._shots(40, 50)
        steps = int(self._random.integers(6, 15))
        down = np.linspace(1, 0, steps, endpoint=False)
        for number, shot in enumerate(shots):
            gains = np.ones(len(shot))
            if number:
                gains[:steps] = down[::-1] - down[-1]
            if number < len(shots) - 1:
                gains[-steps:] = down
            shots[number] = [brightened(p, gain) for p, gain in zip(shot, gains, strict=True)]
        return self._joined(shots, late=steps)

    def _flash(self, picture: RGBImage) -> RGBImage:
        strength = self._random.uniform(0.4, 0.9)
        return brightened(picture, 1 - strength, 255 * strength)

    def flashes(self) -> Film:
        """Flash for one or two frames; no cut."""
        shot = list(self._part(int(self._random.integers(len(self._clips))), 60, 100))
        for start in range(8, len(shot) - 4, 12):
            for at in range(start, start + int(self._random.integers(1, 3))):
                shot[at] = self._flash(shot[at])
        return Film(shot)

    def fades(self) -> Film:
        """Fade to black and back, in one shot; no cut."""
        shot = self._part(int(self._random.integers(len(self._clips))), 60, 100)
        gains = np.abs(np.cos(np.linspace(0, 2 * np.pi, len(shot))))
        return Film([brightened(p, gain) for p, gain in zip(shot, gains, strict=True)])

    def brightness_jumps(self) -> Film:
        """Switch lights or the exposure; no cut."""
        shot = self._part(int(self._random.integers(len(self._clips))), 60, 100)
        gains = self._random.choice([0.35, 0.6, 1, 1.4], len(shot) // 15 + 1)
        return Film([brightened(p, gains[at // 15]) for at, p in enumerate(shot)])

    def pans(self) -> Film:
        """Pan fast to and fro; no cut."""
        shot = self._part(int(self._random.integers(len(self._clips))), 60, 100)
        return Film(self._panned(shot))

    def _panned(self, shot: Sequence[RGBImage]) -> list[RGBImage]:
        """Move over a shot at up to 6 % of the picture's width per frame."""
        angles = np.arange(len(shot)) * self._random.uniform(0.04, 0.12) + self._random.uniform(
            0, 6
        )
        x = 0.5 + 0.5 * np.sin(angles)
        return [zoomed(p, 2, at) for p, at in zip(shot, x, strict=True)]

    def zooms(self) -> Film:
        """Zoom in and out fast; no cut."""
        shot = self._part(int(self._random.integers(len(self._clips))), 60, 100)
        period = self._random.uniform(12, 30)
        zoom = 1.75 - 0.75 * np.cos(2 * np.pi * np.arange(len(shot)) / period)
        return Film([zoomed(p, one) for p, one in zip(shot, zoom, strict=True)])

    def slow_film(self) -> Film:
        """Show each fifth frame of a clip, as in an animation; no cut."""
        clip = self._clips[int(self._random.integers(len(self._clips)))]
        return Film(clip[::5])

    def insets(self) -> Film:
        """Change an inset picture in a corner; no cut."""
        shot = [p.copy() for p in self._part(int(self._random.integers(len(self._clips))), 60, 100)]
        inserted = self._joined(self._shots(12, 25)).pictures
        for picture, small in zip(shot, inserted, strict=False):
            picture[20:164, 20:276] = cv2.resize(small, (256, 144))
        return Film(shot)


def ours(pictures: Sequence[RGBImage]) -> set[int]:
    """Detect shot changes as fakelens does."""
    frames = (Frame(at, at / _RATE, picture) for at, picture in enumerate(pictures))
    return {frame.index for frame, begins in with_shot_changes(frames) if begins} - {0}


def scenedetect(name: str, **options: float) -> Detect:
    """Return one of PySceneDetect's detectors, run as by its SceneManager."""
    from scenedetect import FrameTimecode, detectors  # noqa: PLC0415 - it is optional

    def detect(pictures: Sequence[RGBImage]) -> set[int]:
        detector = getattr(detectors, name)(**options)
        found = []
        for at, picture in enumerate(pictures):
            factor = picture.shape[1] / _SCENEDETECT_WIDTH
            size = (_SCENEDETECT_WIDTH, round(picture.shape[0] / factor))
            small = cv2.resize(picture, size) if factor > 1 else picture
            # The detectors take blue, green, red. The small picture is reversed, which is cheap.
            time = FrameTimecode(at, fps=_RATE)
            found += detector.process_frame(time, np.ascontiguousarray(small[:, :, ::-1]))
        return {cut.frame_num for cut in found} - {0}

    return detect


def load_detectors() -> dict[str, Detect]:
    """Return the detectors to compare, by name."""
    known: dict[str, Detect] = {"fakelens": ours}
    if importlib.util.find_spec("scenedetect") is None:
        print("PySceneDetect is not installed; only fakelens is measured", file=sys.stderr)
        return known
    for name in ("AdaptiveDetector", "ContentDetector"):
        known[name] = scenedetect(name)
        # By default, cuts within 15 frames of another cut are dropped.
        known[f"{name}, min_scene_len=1"] = scenedetect(name, min_scene_len=1)
    return known


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
        began = time.perf_counter()
        found = detect(film.pictures)
        self.seconds += time.perf_counter() - began
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


KINDS: dict[str, Callable[[FilmMaker], Film]] = {
    "cuts between videos": FilmMaker.different_videos,
    "cuts every 2 to 8 frames": FilmMaker.short_shots,
    "cuts inside black bars": FilmMaker.letterbox,
    "cuts, hand-held camera": FilmMaker.handheld,
    "cuts from wide shot to close-up": FilmMaker.other_framing,
    "cuts in fast pans": FilmMaker.cuts_in_pans,
    "jump cuts in one shot": FilmMaker.jump_cuts,
    "another video on each frame": FilmMaker.slides,
    "cuts and flashes": FilmMaker.flash_near_cut,
    "fades through black": FilmMaker.fade_through_black,
    "no cut: flashes": FilmMaker.flashes,
    "no cut: fades": FilmMaker.fades,
    "no cut: brightness jumps": FilmMaker.brightness_jumps,
    "no cut: fast pans": FilmMaker.pans,
    "no cut: fast zooms": FilmMaker.zooms,
    "no cut: inset pictures": FilmMaker.insets,
    "no cut: every fifth frame": FilmMaker.slow_film,
}


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
        help="a clip that has cuts, at these frames: measured as it is; repeatable",
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
    print(f"| milliseconds a frame | | {cells} |")


def print_row(kind: str, counts: Mapping[str, Count]) -> None:
    """Print the row of a table: cuts found and false alarms of each detector."""
    cuts = max(count.cuts for count in counts.values())
    cells = " | ".join(count.cell for count in counts.values())
    print(f"| {kind} | {cuts or ''} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
