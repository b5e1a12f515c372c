"""One picture per person, and the annotated picture when the input is one."""

from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from fakelens.crops import cut
from fakelens.data import Box, Frame, RGBImage
from fakelens.draw import Canvas, Painter, Style
from fakelens.errors import OutputError
from fakelens.overlay import Mark, Overlay
from fakelens.results import Report
from fakelens.video import open_video

FACES_FOLDER = "faces"
STILL_NAME = "annotated.png"
_SIDE = 320  # of a face's picture, pixels
_SURROUNDINGS = 1.25  # side of the picture over that of the area the network saw


def face_name(person: int) -> str:
    """File name of a person's picture."""
    return f"person-{person}.png"


def write_faces(report: Report, folder: Path, style: Style) -> None:
    """Write a picture of every person at the key frame: untouched, and with the heatmap."""
    wanted = defaultdict(set)
    for finding in report.findings:
        wanted[finding.key_frame].add(finding.person)
    overlay = Overlay(report, smooth=style.smooth)
    folder.mkdir()
    with open_video(report.source) as reader:
        for picture in reader.pictures():
            if people := wanted.pop(picture.index, None):
                frame = reader.upright(picture)
                for mark in overlay.marks(frame.index):
                    if mark.person in people:
                        _write(folder / face_name(mark.person), _face(frame, mark, style))
            if not wanted:
                break


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


def _face(frame: Frame, mark: Mark, style: Style) -> RGBImage:
    x, y = mark.area.center
    half = mark.area.width * _SURROUNDINGS / 2
    area = Box(x - half, y - half, x + half, y + half)
    image = frame.image.copy()
    canvas = Canvas.of_rgb(image)
    Painter(style, canvas.encode, image.shape[0]).paint_heatmaps(canvas, [mark])
    return np.hstack([cut(frame.image, area, _SIDE), cut(image, area, _SIDE)])


def _write(path: Path, image: RGBImage) -> None:
    done, data = cv2.imencode(".png", image[:, :, ::-1])
    if not done:
        raise OutputError(f"{path}: the picture cannot be encoded")
    path.write_bytes(data.tobytes())
