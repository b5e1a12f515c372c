"""Writes a drawn scene as pictures of many formats, orientations and profiles, and reads them."""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fakelens.media.reader import open_video
from fakelens.records.media import VideoInfo

Pixels = NDArray[np.uint8]
Matrix = tuple[tuple[float, float, float], ...]

# X, Y, Z of red, green and blue, adapted to D50, as in the profiles of the ICC and of Apple.
SRGB: Matrix = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
DISPLAY_P3: Matrix = (
    (0.5151, 0.2412, -0.0011),
    (0.2920, 0.6922, 0.0419),
    (0.1571, 0.0666, 0.7841),
)
ADOBE_RGB: Matrix = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))


def draw_scene(width: int = 160, height: int = 112) -> Pixels:
    """Draw a smooth gradient with a corner each in red, green, blue and white."""
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(40, 200, width)
    image[..., 1] = np.linspace(60, 180, height)[:, None]
    image[..., 2] = 90
    down, across = height // 3, width // 4
    image[:down, :across] = 220, 30, 30
    image[:down, -across:] = 30, 190, 30
    image[-down:, :across] = 30, 30, 220
    image[-down:, -across:] = 245, 245, 245
    return image


SCENE = draw_scene()


def read_picture(path: Path, page: int | None = None) -> tuple[Pixels, VideoInfo]:
    """Read a page of an intact picture, and the information about it."""
    with open_video(path, page) as reader:
        (frame,) = reader.frames()
        assert reader.damage == []
        assert not frame.damaged
        assert (frame.index, frame.time) == (0, 0)
        assert reader.info.is_picture
        assert (reader.info.height, reader.info.width) == frame.image.shape[:2]
        return frame.image, reader.info


def assert_like(image: Pixels, original: Pixels, tolerance: int = 0) -> None:
    """No pixel differs by more, but for one in a hundred at the edges of compressed blocks."""
    assert image.shape == original.shape
    differences = np.abs(image.astype(int) - original).max(axis=2)
    assert np.quantile(differences, 0.99) <= tolerance


def as_stored(upright: Pixels, orientation: int) -> Pixels:
    """Turn a picture so that EXIF's ``orientation`` turns it upright again."""
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    return np.ascontiguousarray(stored)


def save(path: Path, image: Pixels | Image.Image, orientation: int = 1, **options: object) -> Path:
    """Write a picture in the format of the path's suffix, as good as lossless.

    Args:
        path: of the file.
        image: upright.
        orientation: that the file gets; the pixels are turned accordingly. AVIF and HEIC get boxes
            (``irot``, ``imir``), other formats an EXIF tag.
        options: of Pillow's encoder.
    """
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    if orientation != 1:
        picture = Image.fromarray(as_stored(np.asarray(picture), orientation))
        exif = Image.Exif()
        exif[0x112] = orientation
        options["exif"] = exif.tobytes()
    usual: dict[str, object] = {
        ".jpg": {"quality": 95, "subsampling": 0},
        ".mpo": {"quality": 95, "subsampling": 0},
        ".webp": {"lossless": True},
        ".avif": {"quality": 95, "subsampling": "4:4:4"},
        ".heic": {"quality": 95, "chroma": 444},
    }
    if path.suffix == ".heic":
        heif = pytest.importorskip("pillow_heif", reason="writes HEIC; pip install '.[test]'")
        heif.register_heif_opener()
    picture.save(path, **{**usual.get(path.suffix, {}), **options})  # type: ignore[dict-item]
    return path


def save_heic_grid(path: Path, image: Pixels, tile: int = 64, turns: int = 0) -> Path:
    """Write a HEIC as phones do: tiles that are encoded one by one, and a box that rotates them.

    Args:
        path: of the file.
        image: upright.
        tile: side of a tile, pixels; the last ones extend beyond the picture.
        turns: that turn the stored picture upright, 90 degrees counter-clockwise each.
    """
    stored = np.rot90(image, -turns)
    height, width = stored.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    padding = ((0, rows * tile - height), (0, columns * tile - width), (0, 0))
    padded = np.pad(stored, padding, mode="edge")
    payloads, properties = [], {}
    for row in range(rows):
        for column in range(columns):
            part = padded[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
            save(path, np.ascontiguousarray(part))
            properties, payload = _only_item(path.read_bytes())
            payloads.append(payload)
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    path.write_bytes(_heic([grid, *payloads], properties, (width, height), tile, turns))
    return path


def make_profile(
    primaries: Matrix | None, gamma: float | None = None, *, space: bytes = b"RGB "
) -> bytes:
    """Make an ICC profile.

    Args:
        primaries: X, Y, Z of red, green and blue; ``None`` for a grey profile.
        gamma: exponent of the curve; ``None`` for that of sRGB.
        space: the profile's name of the colour space.
    """
    if gamma is None:
        table = np.round(from_srgb(np.linspace(0, 1, 1024)) * 65535).astype(">u2")
    else:
        table = np.array([round(gamma * 256)], ">u2")
    curve = b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": name, b"wtpt": _xyz((0.9642, 1.0, 0.8249)), b"cprt": b"text\0\0\0\0none\0"}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for letter, colour in zip(b"rgb", primaries, strict=True):
            tags[bytes([letter]) + b"XYZ"] = _xyz(colour)
            tags[bytes([letter]) + b"TRC"] = curve
    table_end = 128 + 4 + 12 * len(tags)
    directory, content = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        directory += tag + struct.pack(">II", table_end + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    size = struct.pack(">I", table_end + len(content))
    header = size + bytes(4) + struct.pack(">I", 0x02400000) + b"mntr" + space + b"XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return header + bytes(128 - len(header)) + directory + content


def from_srgb(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert values of 0 to 1 from sRGB's curve to linear light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: NDArray[np.float64]) -> Pixels:
    """Convert linear light of 0 to 1 to 8-bit values on sRGB's curve."""
    light = np.clip(linear, 0, 1)
    values = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(values * 255).astype(np.uint8)


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _boxes(data: bytes, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    while start + 8 <= len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], data[start + 8 : start + size]
        start += size


def _box(kind: bytes, *content: bytes, full: bytes = b"") -> bytes:
    body = full + b"".join(content)
    return struct.pack(">I", len(body) + 8) + kind + body


def _only_item(data: bytes) -> tuple[dict[bytes, bytes], bytes]:
    """Return the properties and the data of the picture in a HEIC with one picture."""
    top = dict(_boxes(data))
    properties = dict(_boxes(dict(_boxes(dict(_boxes(top[b"meta"], 4))[b"iprp"]))[b"ipco"]))
    return properties, top[b"mdat"]


def _heic(
    items: list[bytes],
    properties: dict[bytes, bytes],
    size: tuple[int, int],
    tile: int,
    turns: int,
) -> bytes:
    """Assemble a HEIC: a grid, whose description is the first item, and its tiles."""
    numbers = range(1, len(items) + 1)
    boxes = [
        _box(b"hvcC", properties[b"hvcC"]),
        _box(b"colr", properties[b"colr"]),
        _box(b"ispe", struct.pack(">II", tile, tile), full=bytes(4)),
        _box(b"ispe", struct.pack(">II", *size), full=bytes(4)),
        _box(b"irot", bytes([turns])),
    ]
    of_grid, of_tile = bytes([2, 4, 0x80 | 5]), bytes([0x80 | 1, 2, 3])
    links = struct.pack(">I", len(items))
    for number in numbers:
        linked = of_grid if number == 1 else of_tile
        links += struct.pack(">HB", number, len(linked)) + linked
    entries = [
        _box(b"infe", struct.pack(">HH", number, 0), kind, b"\0", full=bytes([2, 0, 0, number > 1]))
        for number, kind in zip(numbers, [b"grid"] + [b"hvc1"] * (len(items) - 1), strict=True)
    ]
    to_tiles = struct.pack(f">HH{len(items) - 1}H", 1, len(items) - 1, *numbers[1:])
    file_type = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def meta(offset: int) -> bytes:
        places = struct.pack(">HH", 0x4400, len(items))
        for number, item in zip(numbers, items, strict=True):
            places += struct.pack(">HHHII", number, 0, 1, offset, len(item))
            offset += len(item)
        return _box(
            b"meta",
            _box(b"hdlr", bytes(4), b"pict", bytes(13), full=bytes(4)),
            _box(b"pitm", struct.pack(">H", 1), full=bytes(4)),
            _box(b"iloc", places, full=bytes(4)),
            _box(b"iinf", struct.pack(">H", len(items)), *entries, full=bytes(4)),
            _box(b"iref", _box(b"dimg", to_tiles), full=bytes(4)),
            _box(b"iprp", _box(b"ipco", *boxes), _box(b"ipma", links, full=bytes(4))),
            full=bytes(4),
        )

    start = len(file_type) + len(meta(0)) + 8
    return file_type + meta(start) + _box(b"mdat", *items)


def save_ycck(path: Path, image: Pixels) -> Path:
    """Write a CMYK JPEG whose colours are stored as luma and chroma, as Photoshop does."""
    # The luma and chroma are those of C, M and Y as if they were R, G and B. K is stored inverted.
    stored = [*Image.fromarray(255 - image).convert("YCbCr").split()]
    stored.append(Image.new("L", image.shape[1::-1], 255))
    inverted = [channel.point(lambda value: 255 - value) for channel in stored]  # Pillow inverts
    file = BytesIO()
    Image.merge("CMYK", inverted).save(file, "JPEG", quality=97, subsampling=0)
    data = bytearray(file.getvalue())
    marker = data.index(b"Adobe")
    data[marker + 11] = 2  # the number of the transform
    path.write_bytes(data)
    return path
