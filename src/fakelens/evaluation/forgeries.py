"""Faces whose forged area is known: planted in pictures of real faces, or labelled with a mask.

The third kind, frames of a fake video beside those of its original, is in ``differences``.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MediaError, UsageError
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, CropGeometry, Face, FaceDetector
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, forge

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Suffixes of the files that are taken from a folder."""

# What is kept around a planted face, a square of this times its box: more than any crop shows.
_KEPT = CropGeometry("box", 3)

CropExtractor: TypeAlias = Callable[[NDArray[np.uint8], Box, int], NDArray[np.uint8]]
"""Cuts a square out of a picture, (H, W, 3) or (H, W) uint8, and brings it to a size."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """A fake picture, and where it is forged.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, 0 = untouched, the higher the more of the pixel is forged.
        face: the forged face.
        group: shared by pictures of one origin.
        following: the next frame of the same video and the face there, if there is one.
    """

    image: RGBImage
    mask: NDArray[np.uint8]
    face: Face
    group: str
    following: tuple[RGBImage, Face] | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """Forgeries of one kind, measured together.

    Attributes:
        name: in tables.
        forgeries: at least one.
        extract: of pictures and masks.
    """

    name: str
    forgeries: Sequence[Forgery]
    extract: CropExtractor = extract_crop


def find_pictures(places: Sequence[Path]) -> list[Path]:
    """Files as they are given, and the pictures in folders, in order of their names.

    Raises:
        MediaError: there is no such file or folder.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise MediaError(f"{place}: there is no such file or folder")
        inside = sorted(place.iterdir()) if place.is_dir() else [place]
        found.extend(path for path in inside if path == place or path.suffix.lower() in PICTURES)
    return found


def synthetic_forgeries(
    pictures: Sequence[Path], detector: FaceDetector, limit: int, seed: int
) -> list[Forgery]:
    """Plant a forgery in the largest face of each picture, by each recipe in turn.

    Args:
        pictures: of real faces; those without a face that has landmarks are passed over.
        detector: finds the faces.
        limit: forgeries at most, of pictures drawn at random if there are more.
        seed: of the draw.

    Raises:
        MediaError: a picture cannot be read.
    """
    forgeries: list[Forgery] = []
    for index in np.random.default_rng(seed).permutation(len(pictures)).tolist():
        if len(forgeries) == limit:
            break
        image = _read_picture(pictures[index])
        face = largest_face([face for face in detector.detect([image])[0] if _has_marks(face)])
        if face is None:
            continue
        image, face = _surroundings(image, face)
        if face.landmarks is not None:
            recipe = FORGERY_RECIPES[len(forgeries) % len(FORGERY_RECIPES)]
            fake, mask = forge(image, face.landmarks, recipe)
            forgeries.append(
                Forgery(fake, np.rint(255 * mask).astype(np.uint8), face, str(pictures[index]))
            )
    return forgeries


def labelled(table: Path, detector: FaceDetector, limit: int, seed: int) -> list[Forgery]:
    """Read forgeries whose masks are known.

    Args:
        table: CSV with the columns ``image``, ``mask`` and, if pictures have a common origin,
            ``group``; files are relative to the table. What is not 0 in the mask is forged.
        detector: finds the faces; the one with the most of the mask is the forged one, and
            pictures without one are passed over.
        limit: forgeries at most, drawn at random if there are more.
        seed: of the draw.

    Raises:
        UsageError: the table lacks a column, or a mask has another size than its picture.
        MediaError: a file cannot be read.
    """
    rows = _read_table(table)
    forgeries: list[Forgery] = []
    for index in np.random.default_rng(seed).permutation(len(rows)).tolist():
        if len(forgeries) == limit:
            break
        row = rows[index]
        image = _read_picture(table.parent / row["image"])
        mask = _read_mask(table.parent / row["mask"])
        if mask.shape != image.shape[:2]:
            raise UsageError(f"{table}: {row['mask']} and {row['image']} differ in size")
        faces = detector.detect([image])[0]
        shares = [int((_inside(mask, face.box) > 0).sum()) for face in faces]
        if any(shares):
            face = faces[int(np.argmax(shares))]
            forgeries.append(Forgery(image, mask, face, row.get("group") or row["image"]))
    return forgeries


def largest_face(faces: Sequence[Face]) -> Face | None:
    """The one with the largest box; ``None`` of none."""
    return max(faces, key=lambda face: face.box.width * face.box.height, default=None)


def crop_forgery(
    forgery: Forgery, geometry: CropGeometry, size: int, cutter: CropExtractor
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
    """What a model sees of a forgery.

    Returns:
        The crop, (size, size, 3) uint8 RGB, and its forged pixels, (size, size): at least half as
        much forged as the most forged one. ``None`` if the forged area lies outside of the crop.
    """
    area = crop_area(forgery.face, geometry)
    mask = cutter(forgery.mask, area, size)
    if not mask.any():
        return None
    return cutter(forgery.image, area, size), mask > 0.5 * mask.max()


def _has_marks(face: Face) -> bool:
    return face.landmarks is not None


def _surroundings(image: RGBImage, face: Face) -> tuple[RGBImage, Face]:
    """The part of the picture around a face: a crop of it is the same, and blurs are quicker."""
    height, width = image.shape[:2]
    area = crop_area(face, _KEPT)
    left, top = (max(0, round(value)) for value in (area.x1, area.y1))
    right, bottom = min(width, round(area.x2)), min(height, round(area.y2))
    return image[top:bottom, left:right].copy(), face.moved(-left, -top)


def _inside(mask: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    left, top = (max(0, round(value)) for value in (box.x1, box.y1))
    return mask[top : max(0, round(box.y2)), left : max(0, round(box.x2))]


def _read_picture(path: Path) -> RGBImage:
    with open_video(path) as reader:
        return next(reader.frames()).image


def _read_mask(path: Path) -> NDArray[np.uint8]:
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    except (OSError, cv2.error) as error:
        raise MediaError(f"{path}: cannot be read") from error
    if values is None:
        raise MediaError(f"{path}: is not a picture that can be read as a mask")
    channels = np.asarray(values).reshape(*values.shape[:2], -1)[..., :3]  # not its opacity
    return np.where(channels.any(axis=2), 255, 0).astype(np.uint8)


def _read_table(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"{table}: cannot be read as a CSV table") from error
    if missing := {"image", "mask"} - set(columns):
        raise UsageError(f"{table}: lacks the column {sorted(missing)[0]}")
    if any(None in (row["image"], row["mask"]) for row in rows):
        raise UsageError(f"{table}: a row has too few columns")
    return rows
