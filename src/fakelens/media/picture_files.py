"""Opens pictures with Pillow and pi-heif, without decoding them."""

import logging
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pi_heif import HeifImageFile
from PIL import Image, ImageFile
from PIL.ExifTags import Base as ExifTag
from PIL.TiffImagePlugin import TiffImageFile

from fakelens.errors import MediaError

MAX_PIXELS = 200_000_000
"""Largest picture that is decoded; a small file can announce a picture that fills the memory."""

DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, RuntimeError),
    *(ArithmeticError, AssertionError, AttributeError, struct.error),
)
"""What Pillow raises for damaged files, depending on the format."""

_REDUCED = 1  # TIFF's NewSubfileType of a smaller copy of another picture
_lock = threading.Lock()

# Without a handler, Python prints the messages that Pillow logs.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@contextmanager
def pillow_settings(path: Path, *, incomplete: bool = False) -> Iterator[None]:
    """Return a context in which pictures are opened and decoded, in one thread at a time.

    Pillow's limit of the size, its treatment of incomplete files and Python's filter of warnings
    are settings of the whole process. They are restored when the context is left.

    Args:
        path: of the picture, for messages.
        incomplete: decode incomplete files as far as possible.

    Raises:
        MediaError: the picture is too large.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # above twice as many, Pillow raises an error
        ImageFile.LOAD_TRUNCATED_IMAGES = incomplete
        try:
            yield
        except Image.DecompressionBombError as error:
            raise MediaError(
                f"{path}: has more than {MAX_PIXELS / 1e6:g} million pixels, the limit for a "
                "picture: reduce its size"
            ) from error
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = kept


def open_image(path: Path, formats: tuple[str, ...]) -> ImageFile.ImageFile | None:
    """Open a picture without decoding it; call it inside ``pillow_settings``.

    Args:
        path: of the picture.
        formats: Pillow's names of the formats to try.

    Returns:
        The picture, to be closed by the caller, or ``None`` if it has none of the formats.
    """
    for name in formats:
        try:
            # Without registering pi-heif, because Pillow's formats are the user's to choose.
            is_heif = name == "HEIF"
            image = HeifImageFile(str(path)) if is_heif else Image.open(path, formats=[name])
        except DECODING_ERRORS:
            continue
        if image.width * image.height > MAX_PIXELS:
            image.close()
            raise Image.DecompressionBombError
        return image
    return None


def is_preview(image: ImageFile.ImageFile) -> bool:
    """Tell whether Pillow would show the small preview in the raw file of a camera."""
    return isinstance(image, TiffImageFile) and bool(
        image.tag_v2.get(ExifTag.NewSubfileType, 0) & _REDUCED and ExifTag.SubIFDs in image.tag_v2
    )
