"""What a still picture says about itself: EXIF and text, read by Pillow without decoding it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from fakelens.media.picture_files import DECODING_ERRORS, open_image, pillow_settings
from fakelens.media.picture_formats import picture_formats

_GROUPS = {
    ExifTags.IFD.Exif: ("EXIF", ExifTags.TAGS),
    ExifTags.IFD.GPSInfo: ("GPS", ExifTags.GPSTAGS),
}
_POINTERS = {int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo)}
# Of ``Image.info``: binary data of which only the size is told.
_BINARY = {"xmp": "XMP", "icc_profile": "ICC colour profile", "photoshop": "Photoshop data"}


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What a picture says about itself.

    Attributes:
        name: of the format.
        structure: size, colours and number of pages, in words.
        tags: name and value.
    """

    name: str
    structure: str
    tags: tuple[tuple[str, str], ...]


def read_picture_facts(path: Path) -> PictureFacts | None:
    """Read the structure and the metadata of a picture; ``None`` if Pillow does not read it.

    Raises:
        MediaError: the picture is too large.
    """
    formats = picture_formats(path)
    if not formats:
        return None
    with pillow_settings(path):
        image = open_image(path, formats)
        if image is None:
            return None
        with image:
            tags = [*_readable(_exif(image)), *_readable(_texts(image.info))]
            name = image.format_description or image.format or "unknown"
            structure = (
                f"{image.width} x {image.height} pixels as stored; mode {image.mode}; "
                f"{_pages(image)}"
            )
            return PictureFacts(name, structure, tuple(tags))


def _readable(tags: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield tags up to where they cannot be read, and then say so."""
    try:
        yield from tags
    except DECODING_ERRORS as error:
        yield "METADATA CANNOT BE READ", f"from here on: {error or type(error).__name__}"


def _pages(image: Image.Image) -> str:
    try:
        pages = getattr(image, "n_frames", 1)
    except DECODING_ERRORS as error:
        return f"number of pages cannot be read: {error}"
    return f"{pages} {'page' if pages == 1 else 'pages'}"


def _exif(image: Image.Image) -> Iterator[tuple[str, str]]:
    exif = image.getexif()
    for tag, value in exif.items():
        if tag not in _POINTERS:
            yield f"EXIF {ExifTags.TAGS.get(tag, f'tag {tag:#06x}')}", _describe(value)
    for group, (name, tags) in _GROUPS.items():
        for tag, value in exif.get_ifd(group).items():
            yield f"{name} {tags.get(tag, f'tag {tag:#06x}')}", _describe(value)


def _texts(info: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for key, value in info.items():
        if key in _BINARY and value:
            yield _BINARY[key], f"present, {len(value)} bytes"
        elif key == "comment" or (isinstance(key, str) and isinstance(value, str)):
            yield f"text {key}", _describe(value)


def _describe(value: object) -> str:
    if isinstance(value, bytes):
        text = value.rstrip(b"\0")
        return text.decode() if text.isascii() and text else f"{len(value)} bytes"
    if isinstance(value, tuple):
        return ", ".join(map(_describe, value))
    return str(value).rstrip("\0")
