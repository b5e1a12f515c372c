"""Cuts the faces of labelled videos and pictures into crops of a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fakelens.errors import MediaError, UsageError
from fakelens.evaluation.forgeries import largest_face
from fakelens.evaluation.labels import LabelledFile
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.search import search
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Face, FaceDetector
from fakelens.records.media import Frame, Pixels
from fakelens.records.models import ModelCard
from fakelens.records.settings import Progress

FRAMES = 8
"""Largest number of frames of a video from which a face is taken."""

FACES = 400
"""Default limit of the number of faces."""

MARGINS = (0.85, 1.15)
"""Factors of the crop's side at which the sensitivity to the margin is measured."""

_AT_MARGINS = 128  # faces, at most, that are also cut at other margins
_UNKNOWN_STEP = 10  # frames, for a video whose length is unknown


@dataclass(frozen=True, slots=True)
class LabelledFace:
    """A face whose answer is known.

    Attributes:
        crop: (S, S, 3) uint8 RGB, as the model takes it.
        fake: whether the face is in a fake file.
        group: see ``LabelledFile``.
        at_margins: the same face at each of ``MARGINS``; empty for most faces, to save memory.
    """

    crop: RGBImage
    fake: bool
    group: str
    at_margins: tuple[RGBImage, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelledFaces:
    """The faces of a set of files.

    Attributes:
        faces: in the order of the files.
        files: number of files that were read.
        without_face: files in which no face was found.
    """

    faces: tuple[LabelledFace, ...]
    files: int
    without_face: tuple[Path, ...]

    def describe(self) -> str:
        """Say how many faces there are, and how many files have none."""
        fakes = sum(face.fake for face in self.faces)
        text = f"{len(self.faces) - fakes} genuine and {fakes} fake faces of {self.files} files"
        if self.without_face:
            text += (
                f"; {len(self.without_face)} without a face, such as {self.without_face[0].name}"
            )
        return text


def gather_faces(
    files: Sequence[LabelledFile],
    card: ModelCard,
    detector: FaceDetector,
    limit: int = FACES,
    progress: Progress | None = None,
) -> LabelledFaces:
    """Cut out the largest face of pictures, and of some frames spread over each video.

    Each label gets up to half of the limit, spread evenly over its files. Only crops are kept: 400
    faces at 256 x 256 pixels take about 130 MB.

    Args:
        files: with both labels.
        card: of the model that the crops are for.
        detector: finds the faces; those below its ``sure_confidence`` are left out.
        limit: largest number of faces.
        progress: called after each file.

    Raises:
        UsageError: the limit is below 2.
        MediaError: a file cannot be read, or one of the labels has no face.
    """
    if limit < 2:
        raise UsageError(f"the number of faces must be 2 or more, not {limit}")
    chosen = _spread(files, limit // 2)
    per_label = {fake: sum(file.fake == fake for file in chosen) for fake in (False, True)}
    faces: list[LabelledFace] = []
    without_face: list[Path] = []
    for number, file in enumerate(chosen, 1):
        frames = min(FRAMES, limit // 2 // per_label[file.fake])
        # The first faces of each file get other margins too, as many as _AT_MARGINS allows.
        margins = -(-_AT_MARGINS // len(chosen))
        found = [
            _cut(frame, face, card, file, with_margins=index < margins)
            for index, (frame, face) in enumerate(_faces_of(file.path, detector, frames))
        ]
        if not found:
            without_face.append(file.path)
        faces.extend(found)
        if progress:
            progress(number, len(chosen))
    for fake, label in ((False, "real"), (True, "fake")):
        if not any(face.fake == fake for face in faces):
            raise MediaError(
                f"no face was found in the files that are labelled {label}: give other files"
            )
    return LabelledFaces(tuple(faces), len(chosen), tuple(without_face))


def _spread(files: Sequence[LabelledFile], limit: int) -> list[LabelledFile]:
    """Choose up to ``limit`` files of each label, spread evenly over the list."""
    chosen = []
    for fake in (False, True):
        some = [file for file in files if file.fake == fake]
        count = min(limit, len(some))
        chosen += [some[index * len(some) // count] for index in range(count)]
    return chosen


def _faces_of(path: Path, detector: FaceDetector, count: int) -> Iterator[tuple[Frame, Face]]:
    """Yield the largest face in each of ``count`` frames, as far as there is one."""
    with open_video(path) as reader:
        estimate = reader.info.frame_estimate
        every = max(1, estimate // count) if estimate else _UNKNOWN_STEP
        for number, frame in enumerate(reader.frames(every=every), 1):
            found = search([frame], detector)[0]
            face = largest_face([f for f in found if f.confidence >= detector.sure_confidence])
            if face is not None:
                yield frame, face
            if number == count:
                return


def crop_at(image: RGBImage | Pixels, face: Face, card: ModelCard, factor: float) -> RGBImage:
    """Cut the crop of a face, with ``factor`` times the margin of the model."""
    geometry = replace(card.crop, scale=card.crop.scale * factor)
    return extract_crop(image, crop_area(face, geometry), card.input_size)


def _cut(
    frame: Frame, face: Face, card: ModelCard, file: LabelledFile, *, with_margins: bool
) -> LabelledFace:
    crop, *at_margins = (
        crop_at(frame.pixels, face, card, factor)
        for factor in (1.0, *(MARGINS if with_margins else ()))
    )
    return LabelledFace(crop, file.fake, file.group, tuple(at_margins))
