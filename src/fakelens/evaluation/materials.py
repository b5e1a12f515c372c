"""From what a user has, pictures, pairs of videos, a table, to material for the benchmark."""

from collections.abc import Sequence
from pathlib import Path

from fakelens.errors import UsageError
from fakelens.evaluation.forgeries import Material, find_pictures, labelled, synthetic_forgeries
from fakelens.evaluation.frame_pairs import forged_frames
from fakelens.records.faces import FaceDetector

PLANTED = "planted blends"


def gather_materials(
    pictures: Sequence[Path],
    pairs: Sequence[tuple[Path, Path]],
    table: Path | None,
    detector: FaceDetector,
    *,
    limit: int,
    seed: int,
) -> tuple[list[Material], list[str]]:
    """Make one material of the pictures, one of each pair and one of the table.

    Args:
        pictures: files or folders with real faces, in which forgeries are planted.
        pairs: a real video and a fake one that shows the same frames.
        table: see ``forgeries.labelled``.
        detector: finds the faces.
        limit: faces of each material at most.
        seed: of what is drawn if there are more.

    Returns:
        The materials, and a sentence about each that came to nothing.

    Raises:
        UsageError: nothing is given, the limit is not positive, two materials have one name, or
            the table is not as it must be.
        MediaError: a file cannot be read, or two videos are no pair.
    """
    if limit < 1:
        raise UsageError(f"the limit must be 1 face or more, not {limit}")
    if not (pictures or pairs or table):
        raise UsageError("there is nothing to measure on: give pictures, a pair or a table")
    names = [PLANTED] if pictures else []
    names += [fake.stem for _, fake in pairs]
    names += [table.stem] if table else []
    if len(set(names)) < len(names):
        raise UsageError("two materials would have one name: rename a file, or measure them apart")
    found = []
    if pictures:
        found.append(synthetic_forgeries(find_pictures(pictures), detector, limit, seed))
    for real, fake in pairs:
        found.append(forged_frames(real, fake, detector, limit)[:limit])
    if table:
        found.append(labelled(table, detector, limit, seed))
    named = list(zip(names, found, strict=True))
    return (
        [Material(name, forgeries) for name, forgeries in named if forgeries],
        [f"{name}: no face with a visible forgery was found" for name, some in named if not some],
    )
