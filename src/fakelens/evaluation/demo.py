"""A clip with a known answer: two people, sound, and one face tampered with in a known place.

The portraits are in the public domain (NASA: Eileen Collins; US Navy: Grace Hopper) and come
inside the wheels of scikit-image and matplotlib, so nothing is downloaded. A synthetic camera
moves them. The tampering is a blend as face-swap programs leave it: the inner face is replaced by
a copy of other sharpness, colour and position through a soft mask, and where that mask is in each
frame is known to the pixel.
"""

import math
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

from fakelens.errors import MissingExtraError, OutputError
from fakelens.media.reader import open_video
from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, blend, changed_copy, soften

Side = Literal["left", "right"]
"""Where in the picture a person is: Hopper on the left, Collins on the right."""

WIDTH, HEIGHT = 960, 540
RATE = Fraction(25)
SECONDS = 8
_SOUND_RATE = 48_000
_TONE_HZ = 440
_SEED = 1937
_NOISE = 2.0  # standard deviation of the camera's noise, grey levels
_NOISE_FIELDS = 8  # drawn once and shown in turn
_RADII = (54, 70)  # of the replaced ellipse, pixels of the clip
_SHIFT = 3  # of the copy, likewise


@dataclass(frozen=True, slots=True)
class _Actor:
    """A portrait, where its face is, and how the camera sways over it."""

    portrait: RGBImage
    center: tuple[float, float]  # of the face, portrait pixels
    scale: float
    panel: int  # 0 left, 1 right
    phase: float
    mask: FloatArray  # 0..1, what was replaced

    def placement(self, time: float) -> FloatArray:
        """The 2x3 affine map from portrait to panel pixels at a time in seconds."""
        angle = 4 * math.sin(0.9 * time + self.phase)
        zoom = self.scale * (1 + 0.06 * math.sin(0.5 * time + 2 * self.phase))
        matrix = cv2.getRotationMatrix2D(self.center, angle, zoom)
        goal_x = WIDTH / 4 + 45 * math.sin(0.7 * time + self.phase)
        goal_y = 0.42 * HEIGHT + 25 * math.sin(1.1 * time + 3 * self.phase)
        matrix[:, 2] += np.array((goal_x - self.center[0], goal_y - self.center[1]))
        return matrix.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Pointing:
    """Did the heatmap point at the planted area?

    Attributes:
        person: the number of the tampered person.
        evidence_inside: share of the evidence of fake that lies in the planted area.
        area_inside: share of the heatmap's area that the planted area takes: what a map that
            points nowhere would score.
        hits: share of frames whose strongest cell lies in the planted area.
    """

    person: int
    evidence_inside: float
    area_inside: float
    hits: float

    @property
    def pointed(self) -> bool:
        """More evidence inside than chance, and the strongest cell inside in most frames."""
        return self.evidence_inside > self.area_inside and self.hits > 0.5


def make_clip(
    path: Path, *, seconds: int = SECONDS, tampered: Side = "right", force: bool = False
) -> None:
    """Write the demo clip, an MP4 with H.264 and AAC.

    Args:
        path: of the file.
        seconds: length.
        tampered: the person whose face is tampered with.
        force: overwrite an existing file.

    Raises:
        MissingExtraError: the packages that carry the portraits are not installed.
        OutputError: the file exists and ``force`` is not given, or it cannot be written.
    """
    actors = _actors(tampered)
    if path.exists() and not force:
        raise OutputError(f"{path}: exists already; --force replaces it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".demo.partial-", dir=path.parent) as folder:
            unfinished = Path(folder) / path.name
            _write_clip(unfinished, actors, seconds)
            unfinished.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _write_clip(path: Path, actors: tuple[_Actor, _Actor], seconds: int) -> None:
    rng = np.random.default_rng(_SEED)
    noise = rng.normal(0, _NOISE, (_NOISE_FIELDS, HEIGHT, WIDTH, 3)).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"crf": "18", "preset": "fast"}
        sound = container.add_stream("aac", rate=_SOUND_RATE)
        sound.layout = "mono"
        for index in range(int(seconds * RATE)):
            image = _picture(actors, float(index / RATE), noise[index % _NOISE_FIELDS])
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for start in range(0, seconds * _SOUND_RATE, 1024):
            container.mux(sound.encode(_tone(start)))
        container.mux(sound.encode())


def pointing(report: Report, tampered: Side = "right") -> Pointing | None:
    """Compare the heatmaps of the tampered person with what was planted.

    Args:
        report: of the clip.
        tampered: as of ``make_clip``.

    Returns:
        ``None`` if the tampered person was not found.
    """
    actor = _actors(tampered)[tampered == "right"]
    tracks = [t for t in report.tracks if _is_in_panel(t, actor.panel)]
    if not tracks:
        return None
    track = max(tracks, key=len)
    evidence = area = hits = 0.0
    for observation in track:
        heatmap = np.maximum(report.heatmaps[observation.heatmap], 0)
        side = heatmap.shape[0]
        to_cells = np.array(
            [
                [
                    side / observation.area.width,
                    0,
                    -observation.area.x1 * side / observation.area.width,
                ],
                [
                    0,
                    side / observation.area.height,
                    -observation.area.y1 * side / observation.area.height,
                ],
            ]
        )
        placed = np.vstack([actor.placement(observation.time), [0, 0, 1]])
        placed[0, 2] += actor.panel * WIDTH / 2
        inside = cv2.warpAffine(actor.mask, to_cells @ placed, (side, side)) > 0.5
        total = float(heatmap.sum())
        evidence += float(heatmap[inside].sum()) / total if total else 0.0
        area += float(inside.mean())
        hits += float(inside.ravel()[heatmap.argmax()]) if total else 0.0
    return Pointing(track.person, evidence / len(track), area / len(track), hits / len(track))


def _is_in_panel(track: Track, panel: int) -> bool:
    middle = float(np.mean(track.boxes[:, [0, 2]]))
    return (middle >= WIDTH / 2) == bool(panel)


def _actors(tampered: Side) -> tuple[_Actor, _Actor]:
    """The person on the left and the one on the right."""
    try:
        from matplotlib.cbook import get_sample_data  # noqa: PLC0415 - optional
        from skimage.data import astronaut  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingExtraError("the demo clip", "demo") from error
    with open_video(Path(get_sample_data("grace_hopper.jpg", asfileobj=False))) as reader:
        hopper = next(reader.frames()).image
    collins: RGBImage = astronaut()  # type: ignore[no-untyped-call]  # scikit-image has no types
    people = (
        (hopper, (267, 226), (267, 236), 1.15, 0.0),
        (collins, (223, 119), (223, 124), 1.6, 1.3),
    )
    actors = []
    for panel, (portrait, center, face, scale, phase) in enumerate(people):
        shown, mask = portrait, np.zeros(portrait.shape[:2], dtype=np.float32)
        if (tampered == "right") == bool(panel):
            shown, mask = _tamper(portrait, face, scale)
        actors.append(_Actor(shown, center, scale, panel, phase, mask))
    left, right = actors
    return left, right


def _tamper(
    portrait: RGBImage, center: tuple[int, int], scale: float
) -> tuple[RGBImage, FloatArray]:
    """Replace an ellipse by a softer, shifted, differently coloured copy of what is there.

    Args:
        portrait: (H, W, 3) uint8 RGB.
        center: of the ellipse, pixels of the portrait.
        scale: pixels of the clip per pixel of the portrait.
    """
    mask = np.zeros(portrait.shape[:2], dtype=np.float32)
    radii = tuple(round(radius / scale) for radius in _RADII)
    cv2.ellipse(mask, center, radii, 0, 0, 360, 1.0, -1)
    mask = soften(mask, _SHIFT / scale)
    copy = changed_copy(portrait, FORGERY_RECIPES[0], center, _SHIFT / scale)
    return blend(portrait, copy, mask), mask


def _picture(actors: tuple[_Actor, _Actor], time: float, noise: FloatArray) -> RGBImage:
    panels = [
        cv2.warpAffine(
            actor.portrait,
            actor.placement(time),
            (WIDTH // 2, HEIGHT),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for actor in actors
    ]
    image = np.hstack(panels) + noise
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _tone(start: int) -> av.AudioFrame:
    samples = np.arange(start, start + 1024) / _SOUND_RATE
    wave = 0.1 * np.sin(2 * np.pi * _TONE_HZ * samples, dtype=np.float32)
    frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, start, Fraction(1, _SOUND_RATE)
    return frame
