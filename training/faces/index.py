"""Folders of face crops: ``index.csv`` and the tar shards that it lists."""

import csv
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import cv2
import numpy as np

from fakelens.errors import FakelensError
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box

Split = Literal["train", "val"]
Label = Literal["real", "fake"]

_REQUIRED = {"shard", "file", "label", "group", "split"}
_BOX = ("x1", "y1", "x2", "y2")
# Two crops show the face at the same scale if the ratio of their native widths is at most this.
_SAME_SCALE = 1.03


class CropDataError(FakelensError):
    """A folder of crops, or a shard made from one, is damaged or incomplete."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One line of the index.

    Attributes:
        shard: name of the tar file.
        file: name of the picture in the tar file.
        label: label of the picture.
        group: group of the picture; all pictures of a group belong to one split.
        split: split of the group.
        source: origin of the picture; empty if the index does not say.
        native_width: width of the crop before it was resized, pixels; 0 if unknown.
        box: box of the face, pixels of the picture; ``None`` if unknown.
    """

    shard: str
    file: str
    label: Label
    group: str
    split: Split
    source: str = ""
    native_width: float = 0.0
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class CropPair:
    """A real crop and, if the group has one, a fake made from the same clip."""

    real: IndexRow
    fake: IndexRow | None

    @property
    def same_scale(self) -> bool:
        """Whether both crops were resized by the same factor, according to the index."""
        if self.fake is None:
            return False
        widths = self.real.native_width, self.fake.native_width
        return max(widths) <= _SAME_SCALE * min(widths)


def read_index(folder: Path) -> list[IndexRow]:
    """Read the rows of ``folder/index.csv``.

    Required columns: shard, file, label, group, split. Optional columns: source, native_crop_width
    and the face box x1, y1, x2, y2.

    Raises:
        CropDataError: the file is missing, lacks a column, holds an unknown label or split, or
            assigns one group to two splits.
    """
    path = folder / "index.csv"
    try:
        with path.open(newline="") as stream:
            reader = csv.DictReader(stream)
            if missing := _REQUIRED - set(reader.fieldnames or ()):
                raise CropDataError(f"{path} lacks the columns {', '.join(sorted(missing))}")
            rows = [_parse_row(path, number, line) for number, line in enumerate(reader, start=2)]
    except OSError as error:
        raise CropDataError(f"{path} cannot be read: {error.strerror}") from error
    splits: dict[str, str] = {}
    for row in rows:
        if splits.setdefault(row.group, row.split) != row.split:
            raise CropDataError(f"{path} assigns the group {row.group} to both splits")
    return rows


def pair_crops(rows: Sequence[IndexRow], split: Split) -> list[CropPair]:
    """Pair each real crop of a split with a fake of its group, in the order of the index.

    The n-th real crop of a group is paired with the n-th fake of the group, if there is one.
    """
    fakes: defaultdict[str, list[IndexRow]] = defaultdict(list)
    for row in rows:
        if row.split == split and row.label == "fake":
            fakes[row.group].append(row)
    waiting = {group: iter(members) for group, members in fakes.items()}
    return [
        CropPair(row, next(waiting.get(row.group, iter(())), None))
        for row in rows
        if row.split == split and row.label == "real"
    ]


def read_pictures(folder: Path, rows: Sequence[IndexRow]) -> Iterator[tuple[IndexRow, bytes]]:
    """Read the compressed pictures of some rows, shard by shard.

    Raises:
        CropDataError: a shard is damaged or lacks a file that the index lists.
    """
    by_shard: defaultdict[str, list[IndexRow]] = defaultdict(list)
    for row in rows:
        by_shard[row.shard].append(row)
    for shard, members in by_shard.items():
        path = folder / shard
        try:
            with tarfile.open(path) as tar:
                for row in members:
                    stream = tar.extractfile(row.file)
                    if stream is None:
                        raise CropDataError(f"{row.file} in {path} is not a file")
                    yield row, stream.read()
        except KeyError as error:
            raise CropDataError(f"{path} lacks a file that the index lists: {error}") from error
        except (OSError, tarfile.TarError) as error:
            raise CropDataError(f"{path} cannot be read: {error}") from error


def decode_picture(data: bytes) -> RGBImage:
    """Decode a JPEG or PNG file to (H, W, 3) uint8 RGB.

    Raises:
        CropDataError: the bytes are not a picture.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise CropDataError("a crop cannot be decoded: its shard may be damaged")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _parse_row(path: Path, number: int, line: dict[str, str]) -> IndexRow:
    if line["label"] not in get_args(Label) or line["split"] not in get_args(Split):
        raise CropDataError(
            f"line {number} of {path} has the label {line['label']!r} and the split"
            f" {line['split']!r}: use real or fake, and train or val"
        )
    try:
        corners = [float(line[name]) for name in _BOX if line.get(name)]
        return IndexRow(
            shard=line["shard"],
            file=line["file"],
            label=cast(Label, line["label"]),
            group=line["group"],
            split=cast(Split, line["split"]),
            source=line.get("source") or "",
            native_width=float(line.get("native_crop_width") or 0),
            box=Box(*corners) if len(corners) == 4 else None,
        )
    except ValueError as error:
        raise CropDataError(f"line {number} of {path} cannot be read: {error}") from error
