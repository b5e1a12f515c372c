"""Items of the yardstick, and the files that store them.

A set is a folder: ``pixels.bin`` holds the uncompressed pictures one after another, ``items.json``
describes them. The pictures are memory-mapped, so loading takes no time.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from fakelens.faces.crops import crop_area
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, CropGeometry, Face

MAX_SIDE = 480
"""Largest longer side of a stored picture, pixels."""

# Side of the stored part of a picture, relative to the longer side of the face's box: larger than
# any crop.
_STORED_AREA = CropGeometry("box", 1.8)
_PIXELS, _TABLE = "pixels.bin", "items.json"


@dataclass(frozen=True, slots=True)
class View:
    """A face with its surroundings.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        face: the face, in pixels of the picture.
        native_side: longer side of the face's box in the source, pixels.
    """

    picture: RGBImage
    face: Face
    native_side: float


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled person: the faces that are combined to one score.

    Attributes:
        part: part of the set: tracks, forged tracks, stills, DFDC or blends.
        fake: label.
        origin: source of the genuine pixels.
        kind: kind of forgery, or "genuine".
        group: shared by all items made from one source clip or picture.
        views: faces of the person, at least one.
    """

    part: str
    fake: bool
    origin: str
    kind: str
    group: str
    views: tuple[View, ...]


def longer_side(face: Face) -> float:
    """Return the longer side of the face's box, pixels."""
    return max(face.box.width, face.box.height)


def crop_surroundings(image: RGBImage, face: Face) -> View:
    """Crop a picture to a face with its surroundings, at most ``MAX_SIDE`` pixels long.

    The crop ends at the edge of the picture; nothing is padded.
    """
    area = crop_area(face, _STORED_AREA)
    height, width = image.shape[:2]
    left, top = (max(0, round(corner)) for corner in (area.x1, area.y1))
    right, bottom = min(width, round(area.x2)), min(height, round(area.y2))
    part, moved = image[top:bottom, left:right], face.moved(-left, -top)
    factor = MAX_SIDE / max(part.shape[:2])
    if factor >= 1:
        return View(part.copy(), moved, longer_side(face))
    size = (round(part.shape[1] * factor), round(part.shape[0] * factor))
    scaled = moved.scaled(size[0] / part.shape[1], size[1] / part.shape[0])
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return View(small, scaled, longer_side(face))


class ItemWriter:
    """Context manager that writes a set, item by item.

    The table is written at the end, so an incomplete set cannot be read.

    Args:
        folder: folder to write; created if necessary.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[dict[str, object]] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / _TABLE).unlink(missing_ok=True)
        self._pixels = (self._folder / _PIXELS).open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pixels.close()
        if error is None:
            (self._folder / _TABLE).write_text(json.dumps(self._rows))

    def add(self, item: Item) -> None:
        """Append an item."""
        views = []
        for view in item.views:
            box, landmarks = view.face.box, view.face.landmarks
            views.append(
                {
                    "offset": self._pixels.tell(),
                    "size": view.picture.shape[:2],
                    "box": [box.x1, box.y1, box.x2, box.y2],
                    "landmarks": None if landmarks is None else landmarks.tolist(),
                    "confidence": view.face.confidence,
                    "native": view.native_side,
                }
            )
            self._pixels.write(np.ascontiguousarray(view.picture).tobytes())
        labels = {name: getattr(item, name) for name in ("part", "fake", "origin", "kind", "group")}
        self._rows.append({**labels, "views": views})


def read_items(folder: Path) -> list[Item]:
    """Read a set written by ``ItemWriter``.

    Raises:
        FileNotFoundError: the folder holds no complete set.
    """
    rows = json.loads((folder / _TABLE).read_text())
    pixels = np.memmap(folder / _PIXELS, np.uint8, "r")
    items = []
    for row in rows:
        views = []
        for view in row.pop("views"):
            height, width = view["size"]
            begin = view["offset"]
            picture = pixels[begin : begin + height * width * 3].reshape(height, width, 3)
            marks = view["landmarks"]
            landmarks = None if marks is None else np.array(marks, np.float32)
            face = Face(Box(*view["box"]), landmarks, view["confidence"])
            views.append(View(np.asarray(picture), face, view["native"]))
        items.append(Item(**row, views=tuple(views)))
    return items


def sample_third(items: Sequence[Item], seed: int = 0) -> list[Item]:
    """Return a fixed third of the items of each part, origin and label, at least one of each.

    The order of the items is kept.
    """
    strata: defaultdict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        strata[item.part, item.origin, item.fake].append(index)
    rng = np.random.default_rng(seed)
    kept = [
        index
        for rows in strata.values()
        for index in rng.permutation(rows)[: -(-len(rows) // 3)].tolist()
    ]
    return [items[index] for index in sorted(kept)]
