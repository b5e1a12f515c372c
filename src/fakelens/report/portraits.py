"""Portraits: a picture of each person, their mean face, and the annotated still picture."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from fakelens.errors import OutputError
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.explain.regions import mean_evidence
from fakelens.faces.crops import extract_crop
from fakelens.media.frames import DecodedFrame, upright_frame
from fakelens.media.images import decode_image, encode_jpeg
from fakelens.media.reader import open_video
from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.faces import Box
from fakelens.records.findings import Finding
from fakelens.records.media import Frame
from fakelens.records.report import Heatmaps, Report
from fakelens.records.tracks import Track
from fakelens.render.overlay import Mark, Overlay, heatmap_scale, specificity_of
from fakelens.render.painter import Canvas, Painter
from fakelens.render.ranking import rank_by_suspicion
from fakelens.render.style import BaselineChoice, Style
from fakelens.report.error_rates import error_rate_caption

FACES_FOLDER = "faces"
MEANS_FOLDER = "mean_faces"
STILL_NAME = "annotated.png"
MAX_CARDS = 50
"""Most people with a card in the page, so that the page stays small enough to send."""

MAX_FILM_STRIPS = 6
"""Most people whose card has a film strip."""

FILM_SIDE = 160
"""Side of a picture in a film strip, pixels."""

_SIDE = 320  # of a portrait, pixels
_SURROUNDINGS = 1.25  # side of a portrait over the side of the face crop


def face_name(person: int) -> str:
    """Return the file name of a person's portrait."""
    return f"person-{person}.png"


class Portraits:
    """Collects a picture of every person while the frames of the video pass by.

    The portrait at a person's key frame is written to disk: the original face beside the face with
    its heatmap. For the most suspicious people, the face crops at the key frame and at the frames
    with the most evidence are kept for the page.

    Args:
        report: to illustrate.
        folder: created at once.
        style: how to draw.

    Attributes:
        faces: by track index and frame index, JPEG of the original area that the heatmap covers.
    """

    def __init__(self, report: Report, folder: Path, style: Style) -> None:
        self._report, self._folder, self._style = report, folder, style
        self._overlay = Overlay(report, smooth=style.smooth, baseline=style.baseline)
        ranked = rank_by_suspicion(report)
        with_strip = set(ranked[:MAX_FILM_STRIPS])
        self.faces: dict[int, dict[int, bytes]] = {n: {} for n in ranked[:MAX_CARDS]}
        self._missing_keys = {finding.key_frame for finding in report.findings}
        self._wanted = defaultdict[int, set[int]](set)  # track indices, by frame index
        for number, finding in enumerate(report.findings):
            self._wanted[finding.key_frame].add(number)
            if number in with_strip and finding.assessment:
                for index in finding.assessment.strongest:
                    self._wanted[index].add(number)
        folder.mkdir()

    def add_frame(self, picture: DecodedFrame) -> None:
        """Take the portraits and face crops needed from this frame of the report's video."""
        people = self._wanted.pop(picture.index, None)
        if not people:
            return
        frame = upright_frame(picture, self._report.video)
        self._missing_keys.discard(frame.index)
        for number in people:
            finding = self._report.findings[number]
            mark = self._overlay.mark(number, frame.index)
            if mark is None:
                continue
            key = frame.index == finding.key_frame
            if key:
                write_png(self._folder / face_name(mark.person), _face(frame, mark, self._style))
            if number in self.faces:
                crop = extract_crop(frame.pixels, mark.area, _SIDE if key else FILM_SIDE)
                self.faces[number][frame.index] = encode_jpeg(crop)

    @property
    def is_complete(self) -> bool:
        """Whether all key frames have passed by."""
        return not self._missing_keys


class FrameConsumer(Protocol):
    """Takes pictures from the frames of a video while they pass by."""

    def add_frame(self, picture: DecodedFrame) -> None:
        """Take what is needed from this frame."""

    @property
    def is_complete(self) -> bool:
        """Whether no further frame is needed."""


def show_frames(report: Report, consumers: Sequence[FrameConsumer]) -> None:
    """Read a report's video, and show its frames to consumers until all are complete.

    Args:
        report: of the video.
        consumers: of frames of this video.
    """
    with open_video(report.source, report.video.stream) as reader:
        for picture in reader.decoded_frames():
            for one in consumers:
                one.add_frame(picture)
            if all(one.is_complete for one in consumers):
                break


def write_means(report: Report, folder: Path, style: Style) -> None:
    """Write each person's mean face: the original beside the one with the mean heatmap.

    The heatmap is drawn on the colour scale of the whole video.
    """
    if not report.mean_faces:
        return
    folder.mkdir()
    scale = heatmap_scale(report, style.baseline)
    for track, finding in zip(report.tracks, report.findings, strict=True):
        face = report.mean_faces.get(track.person)
        mean = _mean_heatmap(track, finding, report.heatmaps, style.baseline)
        if face is None or mean is None:
            continue
        specificity = specificity_of(finding)
        original = cv2.resize(decode_image(face), (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        drawn = original.astype(np.uint8)
        canvas = Canvas.from_rgb(drawn)
        mark = Mark(
            person=track.person,
            verdict=finding.verdict,
            score=finding.score,
            box=Box(0, 0, _SIDE, _SIDE),
            area=Box(0, 0, _SIDE, _SIDE),
            strength=np.clip(mean / scale, -1, 1).astype(np.float32),
            trust=finding.trust_mark,
            specificity=specificity.mark if specificity else None,
        )
        Painter(style, canvas.encode, _SIDE).paint_heatmaps(canvas, [mark])
        write_png(folder / face_name(track.person), np.hstack([original, drawn]))


def _mean_heatmap(
    track: Track, finding: Finding, heatmaps: Heatmaps, baseline: BaselineChoice
) -> FloatArray | None:
    """Average a person's heatmaps, minus the baseline if there is one, on the canonical grid.

    ``None`` without usable landmarks.
    """
    mean, found = mean_evidence(track, heatmaps), specificity_of(finding)
    if mean is None:
        return None
    if found is None or baseline == "keep":
        return mean.values
    # The baseline lies in the crop like the heatmaps, so it is aligned and averaged like them.
    usual = HeatmapStore()
    usual.append(np.array([found.baseline], dtype=np.float32))
    average = mean_evidence(replace(track, heatmaps=np.zeros_like(track.heatmaps)), usual)
    return mean.values - average.values if average else mean.values


def write_still(report: Report, folder: Path, style: Style) -> None:
    """Write the annotated picture of an input that is a still picture."""
    overlay = Overlay(report, smooth=False, baseline=style.baseline)
    caption = error_rate_caption(report.model, report.thresholds)
    with open_video(report.source, report.video.stream) as reader:
        frame = next(iter(reader.frames()))
    image = frame.image.copy()
    canvas = Canvas.from_rgb(image)
    painter = Painter(style, canvas.encode, image.shape[0], caption)
    painter.paint(canvas, overlay.marks(frame.index))
    both = np.hstack([frame.image, image]) if style.side_by_side else image
    write_png(folder / STILL_NAME, both)


def shrink(image: RGBImage, width: int) -> RGBImage:
    """Return the image scaled down to a width in pixels, or unchanged if it is not wider."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return resized.astype(np.uint8, copy=False)


def data_url(image: RGBImage, width: int) -> str:
    """Return an image as the data URL of a JPEG that is at most ``width`` pixels wide."""
    jpeg = encode_jpeg(shrink(image, width), 82)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _face(frame: Frame, mark: Mark, style: Style) -> RGBImage:
    x, y = mark.area.center
    half = mark.area.width * _SURROUNDINGS / 2
    area = Box(x - half, y - half, x + half, y + half)
    image = frame.image.copy()
    canvas = Canvas.from_rgb(image)
    Painter(style, canvas.encode, image.shape[0]).paint_heatmaps(canvas, [mark])
    return np.hstack([extract_crop(frame.pixels, area, _SIDE), extract_crop(image, area, _SIDE)])


def write_png(path: Path, image: RGBImage) -> None:
    """Write an image (H, W, 3) as PNG.

    Raises:
        OutputError: the picture cannot be encoded.
    """
    done, data = cv2.imencode(".png", image[:, :, ::-1])
    if not done:
        raise OutputError(f"{path}: the picture cannot be encoded as PNG")
    path.write_bytes(data.tobytes())
