"""Labelled videos and pictures: a CSV table with the columns ``path`` and ``label``."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakelens.errors import MediaError, UsageError

_LABELS = {"real": False, "fake": True}
_UNLABELLED = ("", "unknown")


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A video or picture whose answer is known.

    Attributes:
        path: of the file.
        fake: whether it shows a deepfake.
        group: name that is common to files of one origin, such as copies of one clip.
        dataset: name of the dataset; empty if unknown.
    """

    path: Path
    fake: bool
    group: str
    dataset: str


def read_labels(table: Path) -> list[LabelledFile]:
    """Read a table of labelled files.

    Args:
        table: CSV, UTF-8. Columns: ``path``, relative to the table; ``label``, ``real`` or
            ``fake``, rows with an empty label or ``unknown`` are left out; optional ``group``, by
            default each file is one of its own; optional ``dataset``.

    Raises:
        UsageError: a column is missing, a label is another one, a file is listed twice with
            different labels, or one of the two labels does not occur.
        MediaError: the table cannot be read, or a file in it does not exist.
    """
    found: dict[Path, LabelledFile] = {}
    for number, row in enumerate(_read_rows(table), 2):
        label = row["label"].strip().lower()
        if label in _UNLABELLED:
            continue
        if label not in _LABELS:
            raise UsageError(f"{table}, line {number}: the label must be real or fake, not {label}")
        path = table.parent / row["path"]
        if not path.is_file():
            raise MediaError(f"{table}, line {number}: {path} does not exist")
        group, dataset = row.get("group") or str(path), row.get("dataset") or ""
        file = LabelledFile(path, _LABELS[label], group, dataset)
        if found.setdefault(path, file).fake != file.fake:
            raise UsageError(f"{table}, line {number}: {path} is labelled both real and fake")
    files = list(found.values())
    _check_both(table, files)
    return files


def _check_both(table: Path, files: Sequence[LabelledFile]) -> None:
    for label, fake in _LABELS.items():
        if not any(file.fake == fake for file in files):
            raise UsageError(f"{table}: no file is labelled {label}; both labels are needed")


def _read_rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(f"{table}: cannot be read as a CSV table") from error
    if missing := [name for name in ("path", "label") if name not in columns]:
        raise UsageError(f"{table}: the column {missing[0]} is missing")
    if any(None in (row["path"], row["label"]) for row in rows):
        raise UsageError(f"{table}: a row has no value for path or label")
    return rows
