"""The demo clip: two people and sound, with one forged face whose forged area is known.

The portraits are in the public domain (NASA: Eileen Collins; US Navy: Grace Hopper) and are part of
the wheels of scikit-image and matplotlib, so nothing is downloaded. A synthetic camera moves them.
The forgery is a blend as face-swap programs make it: the inner face is replaced by a copy of
different sharpness, colour and position with a soft mask. The position of that mask in each frame
is known to the pixel.
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
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, altered_copy, blend, feather_mask

Side = Literal["left", "right"]
"""Side of the frame that a person is on: Hopper on the left, Collins on the right."""

WIDTH, HEIGHT = 960, 540
RATE = Fraction(25)
SECONDS = 8
_SOUND_RATE = 48_000
_TONE_HZ = 440
_SEED = 1937
_NOISE = 2.0  # standard deviation of the camera noise, grey levels
_NOISE_FIELDS = 8  # drawn once and used in turn
_RADII = (54, 70)  # of the forged ellipse, in pixels of the clip
_SHIFT = 3  # of the copy, in pixels of the clip


@dataclass(frozen=True, slots=True)
class _Actor:
    """A portrait and the motion of the camera over it.

    Attributes:
        portrait: (H, W, 3) uint8 RGB, forged or not.
        center: of the face, in portrait pixels.
        scale: pixels of the clip per pixel of the portrait.
        panel: 0 on the left, 1 on the right.
        phase: of the camera motion, radians.
        mask: (H, W) float32, weight of the forgery, 0..1.
    """

    portrait: RGBImage
    center: tuple[float, float]
    scale: float
    panel: int
    phase: float
    mask: FloatArray

    def portrait_to_panel(self, time: float) -> FloatArray:
        """Return the 2x3 affine transform from portrait to panel pixels at a time in seconds."""
        angle = 4 * math.sin(0.9 * time + self.phase)
        zoom = self.scale * (1 + 0.06 * math.sin(0.5 * time + 2 * self.phase))
        matrix = cv2.getRotationMatrix2D(self.center, angle, zoom)
        target_x = WIDTH / 4 + 45 * math.sin(0.7 * time + self.phase)
        target_y = 0.42 * HEIGHT + 25 * math.sin(1.1 * time + 3 * self.phase)
        matrix[:, 2] += np.array((target_x - self.center[0], target_y - self.center[1]))
        return matrix.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Pointing:
    """Whether the heatmaps of the demo clip point at the forged area.

    Attributes:
        person: number of the person with the forged face.
        evidence_inside: share of the evidence for fake inside the forged area, 0..1.
        area_inside: share of the heatmap that the forged area covers, 0..1: the value expected of
            ``evidence_inside`` for a heatmap that does not locate the forgery.
        hits: share of frames whose strongest cell lies inside the forged area, 0..1.
    """

    person: int
    evidence_inside: float
    area_inside: float
    hits: float

    @property
    def pointed(self) -> bool:
        """Whether there is more evidence inside than expected, and most frames are hits."""
        return self.evidence_inside > self.area_inside and self.hits > 0.5


def make_clip(
    path: Path, *, seconds: int = SECONDS, forged: Side = "right", force: bool = False
) -> None:
    """Write the demo clip, an MP4 with H.264 and AAC.

    Args:
        path: of the file.
        seconds: length of the clip.
        forged: side of the person whose face is forged.
        force: overwrite an existing file.

    Raises:
        MissingExtraError: the packages that contain the portraits are not installed.
        OutputError: the file exists and ``force`` is not given, or it cannot be written.
    """
    actors = _make_actors(forged)
    if path.exists() and not force:
        raise OutputError(f"{path}: already exists; use --force to overwrite it")
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
            image = _render_frame(actors, float(index / RATE), noise[index % _NOISE_FIELDS])
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for start in range(0, seconds * _SOUND_RATE, 1024):
            container.mux(sound.encode(_tone(start)))
        container.mux(sound.encode())


def pointing(report: Report, forged: Side = "right") -> Pointing | None:
    """Compare the heatmaps of the person with the forged face with the forged area.

    Args:
        report: on the clip.
        forged: as given to ``make_clip``.

    Returns:
        ``None`` if that person was not found.
    """
    actor = _make_actors(forged)[forged == "right"]
    tracks = [t for t in report.tracks if _is_in_panel(t, actor.panel)]
    if not tracks:
        return None
    track = max(tracks, key=len)
    evidence = area = hits = 0.0
    for observation in track:
        heatmap = np.maximum(report.heatmaps[observation.heatmap], 0)
        side, crop = heatmap.shape[0], observation.area
        frame_to_cells = np.array(
            [
                [side / crop.width, 0, -crop.x1 * side / crop.width],
                [0, side / crop.height, -crop.y1 * side / crop.height],
            ]
        )
        portrait_to_frame = np.vstack([actor.portrait_to_panel(observation.time), [0, 0, 1]])
        portrait_to_frame[0, 2] += actor.panel * WIDTH / 2
        matrix = frame_to_cells @ portrait_to_frame
        inside = cv2.warpAffine(actor.mask, matrix, (side, side)) > 0.5
        total = float(heatmap.sum())
        evidence += float(heatmap[inside].sum()) / total if total else 0.0
        area += float(inside.mean())
        hits += float(inside.ravel()[heatmap.argmax()]) if total else 0.0
    return Pointing(track.person, evidence / len(track), area / len(track), hits / len(track))


def _is_in_panel(track: Track, panel: int) -> bool:
    middle = float(np.mean(track.boxes[:, [0, 2]]))
    return (middle >= WIDTH / 2) == bool(panel)


def _make_actors(forged: Side) -> tuple[_Actor, _Actor]:
    """Return the person on the left and the one on the right."""
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
        image, mask = portrait, np.zeros(portrait.shape[:2], dtype=np.float32)
        if (forged == "right") == bool(panel):
            image, mask = _forge_portrait(portrait, face, scale)
        actors.append(_Actor(image, center, scale, panel, phase, mask))
    left, right = actors
    return left, right


def _forge_portrait(
    portrait: RGBImage, center: tuple[int, int], scale: float
) -> tuple[RGBImage, FloatArray]:
    """Replace an ellipse by a softer, shifted and recoloured copy of itself.

    Args:
        portrait: (H, W, 3) uint8 RGB.
        center: of the ellipse, in pixels of the portrait.
        scale: pixels of the clip per pixel of the portrait.
    """
    mask = np.zeros(portrait.shape[:2], dtype=np.float32)
    radii = tuple(round(radius / scale) for radius in _RADII)
    cv2.ellipse(mask, center, radii, 0, 0, 360, 1.0, -1)
    mask = feather_mask(mask, _SHIFT / scale)
    source = altered_copy(portrait, FORGERY_RECIPES[0], center, _SHIFT / scale)
    return blend(portrait, source, mask), mask


def _render_frame(actors: tuple[_Actor, _Actor], time: float, noise: FloatArray) -> RGBImage:
    panels = [
        cv2.warpAffine(
            actor.portrait,
            actor.portrait_to_panel(time),
            (WIDTH // 2, HEIGHT),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for actor in actors
    ]
    image = np.hstack(panels) + noise
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _tone(start: int) -> av.AudioFrame:
    """Return 1024 samples of the tone from sample ``start`` on."""
    samples = np.arange(start, start + 1024) / _SOUND_RATE
    wave = 0.1 * np.sin(2 * np.pi * _TONE_HZ * samples, dtype=np.float32)
    frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, start, Fraction(1, _SOUND_RATE)
    return frame
