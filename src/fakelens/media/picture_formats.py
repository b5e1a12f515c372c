"""Tells from the first bytes of a file which picture formats Pillow should try.

Does not import Pillow, so that opening a video stays fast.
"""

from pathlib import Path

from fakelens.errors import MediaError

# Names are Pillow's. Formats that start other programs, such as EPS, are not among them. HEIF is
# read by pi-heif; sequences of pictures in HEIF ("hevc", "msf1") are left to FFmpeg.
_SIGNATURES: tuple[tuple[bytes, tuple[str, ...]], ...] = (
    (b"\xff\xd8\xff", ("JPEG",)),  # and MPO, a JPEG with more pages
    (b"\x89PNG\r\n\x1a\n", ("PNG",)),
    (b"GIF87a", ("GIF",)),
    (b"GIF89a", ("GIF",)),
    (b"BM", ("BMP",)),
    (b"II*\0", ("TIFF",)),
    (b"MM\0*", ("TIFF",)),
    (b"II+\0", ("TIFF",)),  # BigTIFF
    (b"MM\0+", ("TIFF",)),
    (b"\0\0\0\x0cjP  \r\n\x87\n", ("JPEG2000",)),
    (b"\xff\x4f\xff\x51", ("JPEG2000",)),
    *((b"P" + kind, ("PPM",)) for kind in (b"1", b"2", b"3", b"4", b"5", b"6", b"f")),
)
_BRANDS = {
    b"avif": ("AVIF",),
    b"avis": ("AVIF",),
    b"heic": ("HEIF",),
    b"heix": ("HEIF",),
    b"heim": ("HEIF",),
    b"heis": ("HEIF",),
    b"mif1": ("AVIF", "HEIF"),
}


def picture_formats(path: Path) -> tuple[str, ...]:
    """Return Pillow's names of the formats that a file may have; empty if it is no such picture.

    A file that cannot be read has no format either.
    """
    try:
        if not path.is_file():  # reading a pipe would wait
            return ()
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return ()
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12], ())
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return ("WEBP",)
    return next((names for signature, names in _SIGNATURES if start.startswith(signature)), ())


def undecodable(path: Path) -> MediaError:
    """Return the error for a picture of which no part can be decoded."""
    return MediaError(
        f"{path}: the picture is damaged, or of a kind that is not supported: no part of it can be "
        "decoded"
    )
