"""One picture per person, and the annotated picture when the input is one."""

from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from fakelens.errors import OutputError
from fakelens.explain.regions import mean_evidence
from fakelens.faces.crops import extract_crop
from fakelens.media.images import decode_image, encode_jpeg
from fakelens.media.reader import Picture, open_video, upright
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box
from fakelens.records.media import Frame
from fakelens.records.report import Report
from fakelens.render.overlay import Mark, Overlay, heatmap_scale
from fakelens.render.painter import Canvas, Painter
from fakelens.render.style import Style

FACES_FOLDER = "faces"
MEANS_FOLDER = "mean_faces"
STILL_NAME = "annotated.png"
_SIDE = 320  # of a face's picture, pixels
# Of whom the page keeps pictures: it stays small enough to be sent.
MOST_CARDS = 50
MOST_FILMS = 6  # and a film strip
FILM_SIDE = 160  # of a picture in the page's film strip
_SURROUNDINGS = 1.25  # side of the picture over that of the area the model saw


def face_name(person: int) -> str:
    """File name of a person's picture."""
    return f"person-{person}.png"


def suspicious_first(report: Report) -> list[int]:
    """Numbers of the tracks with a score: who is seen well before the others, the highest first."""
    findings = report.findings
    judged = [n for n, finding in enumerate(findings) if finding.score is not None]
    return sorted(judged, key=lambda n: (not findings[n].seen_well, -(findings[n].score or 0)))


class Portraits:
    """Takes pictures of every person while the video goes by.

    At the key frame one is written: untouched, and with the heatmap. Of the most suspicious, what
    the model saw there and at the frames with the most evidence is kept for the page.

    Args:
        report: of the persons.
        folder: made at once.
        style: how to draw.

    Attributes:
        faces: by number of the track, and by frame, JPEG of the untouched area that the heatmap
            covers.
    """

    def __init__(self, report: Report, folder: Path, style: Style) -> None:
        self._report, self._folder, self._style = report, folder, style
        self._overlay = Overlay(report, smooth=style.smooth)
        ranked = suspicious_first(report)
        filmed = set(ranked[:MOST_FILMS])
        self.faces: dict[int, dict[int, bytes]] = {n: {} for n in ranked[:MOST_CARDS]}
        self._written = {finding.key_frame for finding in report.findings}
        self._wanted = defaultdict[int, set[int]](set)  # numbers of tracks, by frame
        for number, finding in enumerate(report.findings):
            self._wanted[finding.key_frame].add(number)
            if number in filmed and finding.assessment:
                for index in finding.assessment.strongest:
                    self._wanted[index].add(number)
        folder.mkdir()

    def see(self, picture: Picture) -> None:
        """Take the persons of whom this picture of the report's video is one that is wanted."""
        people = self._wanted.pop(picture.index, None)
        if not people:
            return
        frame = upright(picture, self._report.video)
        self._written.discard(frame.index)
        for number in people:
            finding = self._report.findings[number]
            mark = self._overlay.mark(number, frame.index)
            if mark is None:
                continue
            key = frame.index == finding.key_frame
            if key:
                _write(self._folder / face_name(mark.person), _face(frame, mark, self._style))
            if number in self.faces:
                crop = extract_crop(frame.pixels, mark.area, _SIDE if key else FILM_SIDE)
                self.faces[number][frame.index] = encode_jpeg(crop)

    def write_all(self) -> None:
        """Read the video as far as there are key frames missing."""
        with open_video(self._report.source) as reader:
            for picture in reader.pictures():
                self.see(picture)
                if not self._written:
                    break


def write_means(report: Report, folder: Path, style: Style) -> None:
    """Write a picture of each person's mean face: untouched, and with the mean heatmap over it.

    On the scale of the video, as everything that is drawn.
    """
    if not report.mean_faces:
        return
    folder.mkdir()
    scale = heatmap_scale(report)
    for track, finding in zip(report.tracks, report.findings, strict=True):
        face = report.mean_faces.get(track.person)
        mean = mean_evidence(track, report.heatmaps)
        if face is None or mean is None:
            continue
        plain = cv2.resize(decode_image(face), (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        drawn = plain.astype(np.uint8)
        canvas = Canvas.of_rgb(drawn)
        mark = Mark(
            person=track.person,
            verdict=finding.verdict,
            score=finding.score,
            box=Box(0, 0, _SIDE, _SIDE),
            area=Box(0, 0, _SIDE, _SIDE),
            strength=np.clip(mean.values / scale, -1, 1).astype(np.float32),
            trust=finding.trust_mark,
        )
        Painter(style, canvas.encode, _SIDE).paint_heatmaps(canvas, [mark])
        _write(folder / face_name(track.person), np.hstack([plain, drawn]))


def write_still(report: Report, folder: Path, style: Style) -> None:
    """Write the annotated picture of an input that is one."""
    overlay = Overlay(report, smooth=False)
    with open_video(report.source) as reader:
        frame = next(iter(reader.frames()))
    image = frame.image.copy()
    canvas = Canvas.of_rgb(image)
    Painter(style, canvas.encode, image.shape[0]).paint(canvas, overlay.marks(frame.index))
    both = np.hstack([frame.image, image]) if style.side_by_side else image
    _write(folder / STILL_NAME, both)


def shrunk(image: RGBImage, width: int) -> RGBImage:
    """The picture at a width, in pixels, if it is wider than that."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def _face(frame: Frame, mark: Mark, style: Style) -> RGBImage:
    x, y = mark.area.center
    half = mark.area.width * _SURROUNDINGS / 2
    area = Box(x - half, y - half, x + half, y + half)
    image = frame.image.copy()
    canvas = Canvas.of_rgb(image)
    Painter(style, canvas.encode, image.shape[0]).paint_heatmaps(canvas, [mark])
    return np.hstack([extract_crop(frame.pixels, area, _SIDE), extract_crop(image, area, _SIDE)])


def _write(path: Path, image: RGBImage) -> None:
    done, data = cv2.imencode(".png", image[:, :, ::-1])
    if not done:
        raise OutputError(f"{path}: the picture cannot be encoded")
    path.write_bytes(data.tobytes())
