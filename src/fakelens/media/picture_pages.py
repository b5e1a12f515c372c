"""Decodes one page of a picture, as far as a damaged file allows."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from pi_heif import HeifImageFile
from PIL import Image, ImageFile
from PIL.ExifTags import Base as ExifTag
from PIL.TiffImagePlugin import TiffImageFile

from fakelens.errors import MediaError
from fakelens.media.picture_colours import approximate_colours, to_srgb
from fakelens.media.picture_damage import (
    ALL_LOST,
    describe_damage,
    has_invalid_codes,
    undecoded_share,
)
from fakelens.media.picture_files import DECODING_ERRORS, open_image, pillow_settings

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PAGED = ("TIFF", "MPO", "HEIF")  # formats
_MAX_LISTED_PAGES = 20


@dataclass(frozen=True, slots=True)
class Page:
    """A decoded picture.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, sRGB, upright.
        format: Pillow's name.
        number: of the page, from 1.
        others: the other pages, in words.
        changes: sentences on what was changed.
        damage: what could not be decoded, in words; ``None`` if the picture is whole.
    """

    pixels: NDArray[np.uint8]
    format: str
    number: int
    others: tuple[str, ...]
    changes: tuple[str, ...]
    damage: str | None


def read_page(path: Path, formats: tuple[str, ...], number: int | None) -> Page | None:
    """Decode one page of a file, as far as possible.

    Args:
        path: of the picture.
        formats: Pillow's names of the formats to try.
        number: of the page, from 1; ``None`` chooses the main one.

    Returns:
        The page, or ``None`` if nothing can be decoded.

    Raises:
        MediaError: the picture is too large, or there is no such page.
    """
    page = _read_page(path, formats, number, incomplete=False)
    if page is None:
        return _read_page(path, formats, number, incomplete=True)
    if page.format in ("JPEG", "MPO") and page.number == 1 and has_invalid_codes(path):
        damage = "the picture is damaged; parts of it are not decoded or wrong"
        return Page(page.pixels, page.format, 1, page.others, page.changes, damage)
    return page


def _read_page(
    path: Path, formats: tuple[str, ...], number: int | None, *, incomplete: bool
) -> Page | None:
    with pillow_settings(path, incomplete=incomplete):
        file = open_image(path, formats)
        if file is None:
            return None
        with closing(file):
            try:
                return _decode(path, formats, file, number, incomplete=incomplete)
            except DECODING_ERRORS:
                return None


def _decode(
    path: Path,
    formats: tuple[str, ...],
    file: ImageFile.ImageFile,
    number: int | None,
    *,
    incomplete: bool,
) -> Page | None:
    pages = _describe_pages(path, formats) if file.format in _PAGED else [""]
    number = _choose_page(path, file, number, len(pages))
    orientation = _orientation(file)
    file.load()
    orientation = orientation or _orientation(file)  # PNG can have it at the end
    lost = undecoded_share(file, incomplete=incomplete)
    if lost >= ALL_LOST:
        return None
    damage = describe_damage(file, lost) if incomplete or lost else None
    image, changes = to_srgb(file)
    changes += _colour_notes(path, file)
    if orientation in _UPRIGHT:
        if not isinstance(file, HeifImageFile | TiffImageFile):  # these are upright already
            image = image.transpose(_UPRIGHT[orientation])
        changes.append(f"The picture was turned upright (EXIF orientation {orientation}).")
    others = _describe_others(pages, number)
    return Page(np.array(image), file.format or "", number, others, tuple(changes), damage)


def _choose_page(path: Path, file: ImageFile.ImageFile, number: int | None, count: int) -> int:
    """Go to a page and return its number."""
    if number is None:
        return file.tell() + 1
    if not 1 <= number <= count:
        pages = f"choose one from 1 to {count}" if count > 1 else "the file has one picture"
        raise MediaError(f"{path}: there is no page {number}; {pages}")
    file.seek(number - 1)
    return number


def _describe_pages(path: Path, formats: tuple[str, ...]) -> list[str]:
    """Describe each page of a file.

    Opens the file again, because the search for a damaged page changes what Pillow has read of
    others.
    """
    file = open_image(path, formats)
    if file is None:
        return []
    with closing(file):
        try:
            count = getattr(file, "n_frames", 1)
        except DECODING_ERRORS:  # the first one may be whole
            count = 1
        pages = []
        for number in range(1, count + 1):
            size = ""
            if number <= _MAX_LISTED_PAGES:
                try:
                    file.seek(number - 1)
                    size = f": {file.width} x {file.height}"
                except DECODING_ERRORS:
                    size = ": damaged"
            pages.append(f"page {number}{size}")
        return pages


def _describe_others(pages: list[str], number: int) -> tuple[str, ...]:
    """Return the descriptions of the other pages, those of the last ones as one."""
    others = [page for index, page in enumerate(pages[:_MAX_LISTED_PAGES], 1) if index != number]
    if len(pages) > _MAX_LISTED_PAGES:
        others.append(f"pages {_MAX_LISTED_PAGES + 1} to {len(pages)}")
    return tuple(others)


def _orientation(file: ImageFile.ImageFile) -> int | None:
    orientation: int | None
    try:
        orientation = file.getexif().get(ExifTag.Orientation)
    except DECODING_ERRORS:  # damaged EXIF data
        return None
    if isinstance(file, HeifImageFile):  # pi-heif sets the one in the EXIF data to 1
        orientation = file.info.get("original_orientation")
    return orientation


def _colour_notes(path: Path, file: ImageFile.ImageFile) -> list[str]:
    """Return a sentence if the colours are described by numbers and are not those of sRGB."""
    if file.info.get("icc_profile"):
        return []
    if isinstance(file, HeifImageFile):
        tags = file.info.get("nclx_profile") or {}
        return approximate_colours(
            tags.get("color_primaries", 2), tags.get("transfer_characteristics", 2)
        )
    if file.format == "AVIF":  # Pillow does not read these numbers
        try:
            with av.open(f"file:{path}") as container:
                context = container.streams.video[0].codec_context
                return approximate_colours(int(context.color_primaries), int(context.color_trc))
        except (av.error.FFmpegError, LookupError, AttributeError):  # not supported by FFmpeg
            return []
    return []
