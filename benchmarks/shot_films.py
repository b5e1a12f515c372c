"""Films with known cuts, joined from parts of real clips, to compare detectors of shot changes."""

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np

from fakelens.errors import MediaError
from fakelens.media.pixels import shrink
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage

WIDTH, HEIGHT = 640, 360
_MAX_FRAMES = 240  # read from each clip


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


def on_canvas(picture: RGBImage) -> RGBImage:
    """Scale a picture to the size of the films, and cut off what is too wide or too high."""
    height, width = picture.shape[:2]
    factor = max(WIDTH / width, HEIGHT / height)
    size = max(WIDTH, round(width * factor)), max(HEIGHT, round(height * factor))
    left, top = (size[0] - WIDTH) // 2, (size[1] - HEIGHT) // 2
    scaled = cv2.resize(picture, size)[top : top + HEIGHT, left : left + WIDTH]
    return np.ascontiguousarray(scaled, np.uint8)


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
        return Film(list(chain.from_iterable(shots)), cuts.tolist(), late)

    def _any_part(self) -> list[RGBImage]:
        return self._part(int(self._random.integers(len(self._clips))), 60, 100)

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
        at_sides = self._random.random() < 0.5
        shots = [[picture.copy() for picture in shot] for shot in self._shots(20, 50)]
        for picture in chain.from_iterable(shots):
            if at_sides:
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
        shot = list(self._any_part())
        for start in range(8, len(shot) - 4, 12):
            for at in range(start, start + int(self._random.integers(1, 3))):
                shot[at] = self._flash(shot[at])
        return Film(shot)

    def fades(self) -> Film:
        """Fade to black and back, in one shot; no cut."""
        shot = self._any_part()
        gains = np.abs(np.cos(np.linspace(0, 2 * np.pi, len(shot))))
        return Film([brightened(p, gain) for p, gain in zip(shot, gains, strict=True)])

    def brightness_jumps(self) -> Film:
        """Switch lights or the exposure; no cut."""
        shot = self._any_part()
        gains = self._random.choice([0.35, 0.6, 1, 1.4], len(shot) // 15 + 1)
        return Film([brightened(p, gains[at // 15]) for at, p in enumerate(shot)])

    def pans(self) -> Film:
        """Pan fast to and fro; no cut."""
        shot = self._any_part()
        return Film(self._panned(shot))

    def _panned(self, shot: Sequence[RGBImage]) -> list[RGBImage]:
        """Move over a shot at up to 6 % of the picture's width per frame."""
        start, speed = self._random.uniform(0, 6), self._random.uniform(0.04, 0.12)
        x = 0.5 + 0.5 * np.sin(start + speed * np.arange(len(shot)))
        return [zoomed(p, 2, at) for p, at in zip(shot, x, strict=True)]

    def zooms(self) -> Film:
        """Zoom in and out fast; no cut."""
        shot = self._any_part()
        period = self._random.uniform(12, 30)
        zoom = 1.75 - 0.75 * np.cos(2 * np.pi * np.arange(len(shot)) / period)
        return Film([zoomed(p, one) for p, one in zip(shot, zoom, strict=True)])

    def slow_film(self) -> Film:
        """Show each fifth frame of a clip, as in an animation; no cut."""
        clip = self._clips[int(self._random.integers(len(self._clips)))]
        return Film(clip[::5])

    def insets(self) -> Film:
        """Change an inset picture in a corner; no cut."""
        shot = [p.copy() for p in self._any_part()]
        inserted = self._joined(self._shots(12, 25)).pictures
        for picture, small in zip(shot, inserted, strict=False):
            picture[20:164, 20:276] = cv2.resize(small, (256, 144))
        return Film(shot)


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
