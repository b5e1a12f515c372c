"""Faces whose forged area is known: synthetic forgeries of real faces, or fakes with a mask.

The third kind, frames of a fake video and of its original, is in ``frame_pairs``.
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
from fakelens.explain.baseline import PARTS
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, CropGeometry, Face, FaceDetector
from fakelens.records.models import ModelCard
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, PART_NAMES, forge

PICTURES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".jp2"),
)
"""Suffixes of the files that are read from a folder."""

# The square around a forged face that is kept, over the face's box: larger than any model's crop.
_KEPT = CropGeometry("box", 3)
_RECIPES = {
    part: [recipe for recipe in FORGERY_RECIPES if PART_NAMES[recipe.part] == part]
    for part in PARTS
}

CropExtractor: TypeAlias = Callable[[NDArray[np.uint8], Box, int], NDArray[np.uint8]]
"""Extracts a square of a picture, (H, W, 3) or (H, W) uint8, and resizes it."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """A fake picture and its forged area.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, weight of the forgery in each pixel; 0 = not forged, 255 = fully.
        face: the forged face.
        group: shared by pictures of the same origin.
        following: the next frame of the same video and its face, if there is one.
        part: the only part of the face that is forged, one of ``explain.baseline.PARTS``; ``None``
            if it is not known.
    """

    image: RGBImage
    mask: NDArray[np.uint8]
    face: Face
    group: str
    following: tuple[RGBImage, Face] | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Forgeries of one kind, measured together.

    Attributes:
        name: name in tables.
        forgeries: at least one.
        extract: extracts crops from pictures and masks.
    """

    name: str
    forgeries: Sequence[Forgery]
    extract: CropExtractor = extract_crop


def find_pictures(places: Sequence[Path]) -> list[Path]:
    """List the given files, and the pictures in given folders by name.

    Raises:
        MediaError: a file or folder does not exist.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise MediaError(f"{place}: no such file or folder")
        inside = sorted(place.iterdir()) if place.is_dir() else [place]
        found.extend(path for path in inside if path == place or path.suffix.lower() in PICTURES)
    return found


def crop_pictures(
    places: Sequence[Path], detector: FaceDetector, card: ModelCard
) -> NDArray[np.uint8]:
    """Crop the largest face of each picture as a model takes it.

    Args:
        places: pictures, or folders of them; pictures without a face are skipped.
        detector: finds the faces.
        card: of the model.

    Returns:
        (N, S, S, 3) uint8 RGB.

    Raises:
        MediaError: a picture cannot be read, or no picture shows a face.
    """
    crops = []
    for path in find_pictures(places):
        image = _read_picture(path)
        face = largest_face(detector.detect([image])[0])
        if face is not None:
            crops.append(extract_crop(image, crop_area(face, card.crop), card.input_size))
    if not crops:
        raise MediaError(f"no face was found in {', '.join(map(str, places))}")
    return np.stack(crops)


def synthetic_forgeries(
    pictures: Sequence[Path], detector: FaceDetector, limit: int, seed: int
) -> list[Forgery]:
    """Forge the largest face of each picture, one part of each in turn.

    Args:
        pictures: of real faces; those without a face with landmarks are skipped.
        detector: finds the faces.
        limit: largest number of forgeries; if there are more pictures, a random choice is used.
        seed: random seed of the choice.

    Raises:
        MediaError: a picture cannot be read.
    """
    forgeries: list[Forgery] = []
    for index in np.random.default_rng(seed).permutation(len(pictures)).tolist():
        if len(forgeries) == limit:
            break
        image = _read_picture(pictures[index])
        face = largest_face([face for face in detector.detect([image])[0] if _has_landmarks(face)])
        if face is None:
            continue
        image, face = _keep_surroundings(image, face)
        forgeries.append(forge_in_turn(image, face, len(forgeries), str(pictures[index])))
    return forgeries


def forge_in_turn(image: RGBImage, face: Face, number: int, group: str) -> Forgery:
    """Forge one part of a face: each of ``PARTS`` in turn, so that all are equally frequent.

    If there are several recipes for a part, they take turns too.

    Args:
        image: (H, W, 3) uint8 RGB.
        face: with landmarks.
        number: of forgeries made before.
        group: shared by pictures of the same origin.

    Raises:
        ValueError: the face has no landmarks.
    """
    if face.landmarks is None:
        raise ValueError("a synthetic forgery needs the landmarks of the face")
    turn, place = divmod(number, len(PARTS))
    recipes = _RECIPES[PARTS[place]]
    forged, mask = forge(image, face.landmarks, recipes[turn % len(recipes)])
    return Forgery(forged, np.rint(255 * mask).astype(np.uint8), face, group, part=PARTS[place])


def labelled_forgeries(table: Path, detector: FaceDetector, limit: int, seed: int) -> list[Forgery]:
    """Read forgeries that are labelled with a mask.

    Args:
        table: CSV with the columns ``image``, ``mask`` and, if pictures have a common origin,
            ``group``; paths are relative to the table. Pixels that are not 0 in the mask are
            forged.
        detector: finds the faces; the one with the most forged pixels is measured, and pictures
            without such a face are skipped.
        limit: largest number of forgeries; if there are more rows, a random choice is used.
        seed: random seed of the choice.

    Raises:
        UsageError: the table lacks a column, or a mask and its picture differ in size.
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
        forged_pixels = [int((_inside(mask, face.box) > 0).sum()) for face in faces]
        if any(forged_pixels):
            face = faces[int(np.argmax(forged_pixels))]
            forgeries.append(Forgery(image, mask, face, row.get("group") or row["image"]))
    return forgeries


def largest_face(faces: Sequence[Face]) -> Face | None:
    """Return the face with the largest box; ``None`` if there is no face."""
    return max(faces, key=lambda face: face.box.width * face.box.height, default=None)


def crop_forgery(
    forgery: Forgery, geometry: CropGeometry, size: int, extract: CropExtractor
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
    """Extract a model's crop of a forgery.

    Args:
        forgery: the forgery.
        geometry: of the model's crop.
        size: side of the crop in pixels.
        extract: extracts crops from pictures and masks.

    Returns:
        The crop, (size, size, 3) uint8 RGB, and its forged pixels, (size, size): those whose weight
        is more than half the largest one. ``None`` if the forged area lies outside the crop.
    """
    area = crop_area(forgery.face, geometry)
    mask = extract(forgery.mask, area, size)
    if not mask.any():
        return None
    return extract(forgery.image, area, size), mask > 0.5 * mask.max()


def _has_landmarks(face: Face) -> bool:
    return face.landmarks is not None


def _keep_surroundings(image: RGBImage, face: Face) -> tuple[RGBImage, Face]:
    """Reduce a picture to the area around a face; crops stay the same and blurs are faster."""
    height, width = image.shape[:2]
    area = crop_area(face, _KEPT)
    left, top = (max(0, round(value)) for value in (area.x1, area.y1))
    right, bottom = min(width, round(area.x2)), min(height, round(area.y2))
    return image[top:bottom, left:right].copy(), face.moved(-left, -top)


def _inside(mask: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Return the part of a mask inside a box."""
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
        raise MediaError(f"{path}: is not a picture, so it cannot be used as a mask")
    channels = np.asarray(values).reshape(*values.shape[:2], -1)[..., :3]  # without alpha
    return np.where(channels.any(axis=2), 255, 0).astype(np.uint8)


def _read_table(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"{table}: cannot be read as a CSV table") from error
    if missing := {"image", "mask"} - set(columns):
        raise UsageError(f"{table}: the column {sorted(missing)[0]} is missing")
    if any(None in (row["image"], row["mask"]) for row in rows):
        raise UsageError(f"{table}: a row has no value for image or mask")
    return rows
