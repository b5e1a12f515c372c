"""Benchmark datasets made from a user's pictures, pairs of videos and tables."""

from collections.abc import Sequence
from pathlib import Path

from fakelens.errors import UsageError
from fakelens.evaluation.forgeries import (
    Dataset,
    find_pictures,
    labelled_forgeries,
    synthetic_forgeries,
)
from fakelens.evaluation.frame_pairs import forged_frames
from fakelens.records.faces import FaceDetector

SYNTHETIC = "synthetic forgeries"
"""Name of the dataset made from pictures."""


def gather_datasets(
    pictures: Sequence[Path],
    pairs: Sequence[tuple[Path, Path]],
    table: Path | None,
    detector: FaceDetector,
    *,
    limit: int,
    seed: int,
) -> tuple[list[Dataset], list[str]]:
    """Make one dataset of all pictures, one of each pair and one of the table.

    Args:
        pictures: files or folders with real faces, to which synthetic forgeries are added.
        pairs: a real video, and a fake one that shows the same frames.
        table: see ``forgeries.labelled_forgeries``.
        detector: finds the faces.
        limit: largest number of faces in a dataset.
        seed: random seed for the choice of faces if there are more.

    Returns:
        The datasets, and a sentence about each that is empty.

    Raises:
        UsageError: nothing is given, the limit is not positive, two datasets have the same name, or
            the table is not as required.
        MediaError: a file cannot be read, or two videos do not show the same frames.
    """
    if limit < 1:
        raise UsageError(f"the limit must be at least 1 face, not {limit}")
    if not (pictures or pairs or table):
        raise UsageError("there is nothing to measure on: give pictures, a pair or a table")
    names = [SYNTHETIC] if pictures else []
    names += [fake.stem for _, fake in pairs]
    names += [table.stem] if table else []
    if len(set(names)) < len(names):
        raise UsageError(
            "two datasets have the same name: rename a file, or measure the two separately"
        )
    found = []
    if pictures:
        found.append(synthetic_forgeries(find_pictures(pictures), detector, limit, seed))
    for real, fake in pairs:
        found.append(forged_frames(real, fake, detector, limit)[:limit])
    if table:
        found.append(labelled_forgeries(table, detector, limit, seed))
    named = list(zip(names, found, strict=True))
    return (
        [Dataset(name, forgeries) for name, forgeries in named if forgeries],
        [f"{name}: no face with a visible forgery" for name, some in named if not some],
    )
