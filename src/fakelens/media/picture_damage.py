"""Finds the parts of a picture that were not decoded; decoders fill them without a word."""

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from pi_heif import HeifImageFile
from PIL import ImageFile

ALL_LOST = 0.99
"""Share that is not decoded from which nothing counts as decoded."""

_JPEG_FILL = (127, 128)  # of areas without data; Pillow's other decoders leave 0
# Green of the tiles of a HEIC that libheif could not decode, about which it keeps silent: that of
# Y = Cb = Cr = 0 in full and limited range, for the matrices of BT.601, BT.709 and BT.2020.
_HEIF_FILL = (135, 136, 84, 77, 94, 89)
_MIN_TILES = 0.002  # share of a picture that is not a coincidence


def undecoded_share(file: ImageFile.ImageFile, *, incomplete: bool) -> float:
    """Return the share of a picture that was not decoded.

    Args:
        file: loaded.
        incomplete: whether Pillow was told to ignore errors, after it had found one.
    """
    # Tiles in both passes: the second one also follows if the first has found none of them.
    tiles = _missing_tiles(file) if isinstance(file, HeifImageFile) else 0.0
    return max(tiles, _undecoded_edge(file)) if incomplete else tiles


def _missing_tiles(file: ImageFile.ImageFile) -> float:
    """Return the share of a HEIC that is of the colour of missing tiles."""
    if file.mode not in ("RGB", "RGBA"):
        return 0.0
    red, green, blue = np.moveaxis(np.asarray(file)[..., :3], 2, 0)
    share = float(((red == 0) & (blue == 0) & np.isin(green, _HEIF_FILL)).mean())
    return share if share > _MIN_TILES else 0.0


def _undecoded_edge(file: ImageFile.ImageFile) -> float:
    """Return the share of an incomplete picture that was not decoded, at one of its edges.

    In an interlaced picture, rows between two decoded ones can be missing. They become part of the
    undecoded area, which is filled.
    """
    values = np.asarray(file)
    fill = _JPEG_FILL if file.format in ("JPEG", "MPO") else (0,)
    empty = np.isin(values, fill).reshape(file.height, file.width, -1)
    rows: NDArray[np.bool_] = np.logical_and.reduce(empty, axis=(1, 2))
    columns: NDArray[np.bool_] = np.logical_and.reduce(empty, axis=(0, 2))
    bottom = _empty_end(rows)
    if file.format in ("PNG", "GIF"):
        file.paste(0, (0, file.height - round(bottom * file.height), file.width, file.height))
    # BMP is stored from the bottom upwards, and Pillow turns TIFF upright while it decodes.
    return max(bottom, *(_empty_end(lines) for lines in (rows[::-1], columns, columns[::-1])))


def _empty_end(lines: NDArray[np.bool_]) -> float:
    """Return the share of lines at the end of which every second one is empty."""
    decoded = np.flatnonzero(~lines[1::2][::-1])
    count = int(decoded[0]) if len(decoded) else len(lines)
    return min(1.0, 2 * count / len(lines))


def describe_damage(file: ImageFile.ImageFile, lost: float) -> str:
    """Return what is missing, in words; ``lost`` is its share of the picture."""
    if lost >= 0.01:
        extent = f"about {100 * lost:.0f} % of it could not be decoded"
    elif file.info.get("progressive"):
        extent = "its fine details are missing"
    else:
        extent = "a small part of it is missing, if any"
    return f"the picture is incomplete or damaged: {extent}"


def has_invalid_codes(path: Path) -> bool:
    """Tell whether the data of a JPEG contain codes that cannot be decoded.

    Pillow does not report them. FFmpeg finds about half of all damaged files and none of the
    intact ones. A JPEG of a kind that FFmpeg does not support counts as intact.
    """
    packet = av.Packet(path.read_bytes())
    for strictness in ("explode", "ignore_err"):
        decoder = av.CodecContext.create("mjpeg", "r")
        decoder.options = {"err_detect": strictness}
        try:
            decoded = bool(decoder.decode(packet))
        except av.error.FFmpegError:
            decoded = False
        if strictness == "explode" and decoded:
            return False
    return decoded
