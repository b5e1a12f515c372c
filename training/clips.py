"""Labelled videos and pictures of a manifest: ``manifest.csv`` in the folder of the data."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from fakelens.evaluation.labels import LabelledFile

_PICTURES = "images"
# Without a remark in parentheses, and without the method after the compression of FF++, so that
# the forgeries are with the videos they were made from.
_DATASET = re.compile(r"FF\+\+ c\d+|[^(]+")


@dataclass(frozen=True, slots=True)
class Clip:
    """A labelled video or picture of the manifest; copies of one source share ``group``."""

    path: Path
    fake: bool
    dataset: str
    group: str

    @property
    def short_dataset(self) -> str:
        """The data set without a remark and without the method of a forgery."""
        found = _DATASET.match(self.dataset)
        return found.group().strip() if found else self.dataset

    @property
    def labelled(self) -> LabelledFile:
        """The clip under the short name of its data set."""
        return LabelledFile(self.path, self.fake, self.group, self.short_dataset)


def read_manifest(folder: Path, use: str) -> list[Clip]:
    """Read the labelled videos of ``manifest.csv`` with a value of the column ``use``."""
    return [clip for clip in _read_rows(folder, use) if clip.path.parent.name != _PICTURES]


def read_pictures(folder: Path) -> list[Clip]:
    """Read the genuine pictures of ``manifest.csv``, which are in the folder ``images``."""
    rows = _read_rows(folder, "")
    return [clip for clip in rows if clip.path.parent.name == _PICTURES and not clip.fake]


def _read_rows(folder: Path, use: str) -> list[Clip]:
    with (folder / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Clip(folder / row["path"], row["label"] == "fake", row["dataset"], row["group"])
        for row in rows
        if row["use"] == use and row["label"] in {"real", "fake"}
    ]
