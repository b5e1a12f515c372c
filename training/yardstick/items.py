"""What the yardstick consists of, and how it is stored.

A set is a folder: ``pixels.bin`` holds the uncompressed pictures one after another, ``items.json``
says what they are. The pictures are mapped into memory, so loading takes no time.
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

LONGEST = 480
"""Longer side of a stored picture, pixels, at most."""

# Side of what is kept, over the longer side of the face's box: more than any crop shows.
_KEPT = CropGeometry("box", 1.8)
_PIXELS, _TABLE = "pixels.bin", "items.json"


@dataclass(frozen=True, slots=True)
class View:
    """A face with its surroundings.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        face: in the pixels of the picture.
        native: longer side of the face's box in the source, pixels.
    """

    picture: RGBImage
    face: Face
    native: float


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled person: the faces that give one score.

    Attributes:
        part: of the set: tracks, planted, stills, DFDC or blends.
        fake: the label.
        origin: where the genuine pixels come from.
        kind: of forgery, or "genuine".
        group: shared by all items that come from one source clip or picture.
        views: at least one.
    """

    part: str
    fake: bool
    origin: str
    kind: str
    group: str
    views: tuple[View, ...]


def longer_side(face: Face) -> float:
    """Of the face's box, pixels."""
    return max(face.box.width, face.box.height)


def surroundings(image: RGBImage, face: Face) -> View:
    """Cut a face with its surroundings out of a picture and shrink it to ``LONGEST``.

    Nothing is added where the picture ends.
    """
    area = crop_area(face, _KEPT)
    height, width = image.shape[:2]
    left, top = (max(0, round(corner)) for corner in (area.x1, area.y1))
    right, bottom = min(width, round(area.x2)), min(height, round(area.y2))
    part, moved = image[top:bottom, left:right], face.moved(-left, -top)
    factor = LONGEST / max(part.shape[:2])
    if factor >= 1:
        return View(part.copy(), moved, longer_side(face))
    size = (round(part.shape[1] * factor), round(part.shape[0] * factor))
    scaled = moved.scaled(size[0] / part.shape[1], size[1] / part.shape[0])
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return View(small, scaled, longer_side(face))


class ItemWriter:
    """Write a set, item by item; a context manager.

    The table is written at the end, so an interrupted set cannot be read.
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
                    "native": view.native,
                }
            )
            self._pixels.write(np.ascontiguousarray(view.picture).tobytes())
        labels = {name: getattr(item, name) for name in ("part", "fake", "origin", "kind", "group")}
        self._rows.append({**labels, "views": views})


def read_items(folder: Path) -> list[Item]:
    """Read a set that ``ItemWriter`` wrote.

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


def third(items: Sequence[Item], seed: int = 0) -> list[Item]:
    """A fixed third of the items of each part, origin and label, at least one, in their order."""
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
