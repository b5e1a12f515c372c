"""Produces the face crops that models examine: decode, detect, track, crop.

Decoding, detection and tracking run once for all models; each gets its own crops and samples.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.quality import QualityGates, quality_flags, sharpness, undecoded_share
from fakelens.faces.sampler import FaceSample, FaceSampler
from fakelens.faces.tracking import TrackedFace, TrackedFrame, track_faces
from fakelens.media.frames import MediaReader
from fakelens.media.prefetch import prefetch
from fakelens.media.profile import Profile
from fakelens.media.shots import every_nth, with_shot_changes
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, FaceDetector
from fakelens.records.models import ModelCard
from fakelens.records.settings import Settings

DETECT_EVERY = 3
"""Interval between face detections, in frames, if faces are tracked through every frame.

That is the case if the interval between examined frames is not larger than this. Otherwise, faces
are detected in the examined frames only, and of the frames in between only some of the luma is
read, to find the shot changes.
"""

FULL_SEARCH_SECONDS = Fraction(2, 5)
"""Longest time from one detection on the whole frame to the next while a face is tracked."""

_FRAMES_AHEAD = 4
_CROPS_AHEAD = 8  # frames whose crops wait for the model


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """A face cropped from its frame, not yet examined by the model.

    Attributes:
        frame: index of the frame.
        time: its presentation timestamp, seconds.
        tracked: the face and the person it belongs to.
        area: the square that was cropped, in pixels of the frame.
        pixels: (S, S, 3) uint8 RGB, S the model's input size.
        sharpness: see ``quality.sharpness``.
        quality_flags: bit set of ``quality.QualityFlag``.
    """

    frame: int
    time: float
    tracked: TrackedFace
    area: Box
    pixels: RGBImage
    sharpness: float
    quality_flags: int


@dataclass(frozen=True, slots=True)
class FrameFaces:
    """The faces of one frame as one model takes them, without the frame.

    Attributes:
        frame: index; ``None`` after the last frame, when only ``finished`` is filled.
        crops: of the faces to examine; empty if the frame is not to be examined.
        finished: persons who have left, with the samples of each.
    """

    frame: int | None
    crops: list[FaceCrop]
    finished: list[tuple[int, list[FaceSample]]]


@contextmanager
def face_crops(
    reader: MediaReader,
    detector: FaceDetector,
    cards: Sequence[ModelCard],
    settings: Settings,
    profile: Profile,
) -> Iterator[Iterator[tuple[FrameFaces, ...]]]:
    """Return a context with the face crops of every frame, in the order of the models' cards.

    Models with the same crop geometry and input size get the same objects.

    One thread decodes and finds the shot changes, another one detects, tracks and crops. Both have
    ended when the context is left.
    """
    skip = settings.every if settings.every > DETECT_EVERY else 1
    stride = DETECT_EVERY if skip == 1 else 1
    gates = QualityGates(min_confidence=detector.sure_confidence)
    # Every frame is compared with the one before, also if only some are examined.
    with_shots = every_nth(with_shot_changes(reader.frames()), skip)
    decoding = profile.measure_items("decode", with_shots)
    with closing(prefetch(decoding, _FRAMES_AHEAD)) as frames:
        tracked = track_faces(
            frames, detector, every=stride, full_search_seconds=FULL_SEARCH_SECONDS
        )
        cropping = _crop_frames(tracked, cards, gates, settings)
        timed = profile.measure_items("detect and track faces", cropping)
        with closing(prefetch(timed, _CROPS_AHEAD)) as frame_faces:
            yield frame_faces


def _crop_frames(
    frames: Iterable[TrackedFrame],
    cards: Sequence[ModelCard],
    gates: QualityGates,
    settings: Settings,
) -> Generator[tuple[FrameFaces, ...]]:
    shapes = [(card.crop, card.input_size) for card in cards]
    croppers = {
        shape: _Cropper(card, gates, settings) for shape, card in zip(shapes, cards, strict=True)
    }
    for tracked in frames:
        faces = {shape: cropper.crop(tracked) for shape, cropper in croppers.items()}
        yield tuple(faces[shape] for shape in shapes)
    rest = {shape: cropper.finish() for shape, cropper in croppers.items()}
    yield tuple(rest[shape] for shape in shapes)


class _Cropper:
    """Crops the faces of one frame after another for a model, and keeps samples of them."""

    def __init__(self, card: ModelCard, gates: QualityGates, settings: Settings) -> None:
        self._card, self._gates, self._settings = card, gates, settings
        self._sampler = FaceSampler(card)

    def crop(self, tracked: TrackedFrame) -> FrameFaces:
        examined = tracked.frame.index % self._settings.every == 0
        crops = _crop_faces(tracked, self._card, self._gates) if examined else []
        for crop in crops:
            self._sampler.add(
                crop.tracked.track,
                crop.time,
                tracked.frame.pixels,
                crop.tracked.face,
                usable=self._settings.trust and not crop.quality_flags,
            )
        gone = self._sampler.pop_gone(float(tracked.frame.time))
        return FrameFaces(tracked.frame.index, crops, gone)

    def finish(self) -> FrameFaces:
        return FrameFaces(None, [], self._sampler.pop_all())


def _crop_faces(frame: TrackedFrame, card: ModelCard, gates: QualityGates) -> list[FaceCrop]:
    index, time = frame.frame.index, float(frame.frame.time)
    crops = []
    for tracked in frame.faces:
        area = crop_area(tracked.face, card.crop)
        pixels = extract_crop(frame.frame.pixels, area, card.input_size)
        sharp = sharpness(pixels)
        undecoded = undecoded_share(pixels) if frame.frame.damaged else 0.0
        flags = quality_flags(tracked.face, sharp, gates, undecoded).value
        crops.append(FaceCrop(index, time, tracked, area, pixels, sharp, flags))
    return crops
