"""Names of a report's files, and tracks with random values, for tests of saving and reading."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from fakelens.records.tracks import Track
from support.builders import make_track

FRAMES = 30
"""Length of the clip of the fixture ``clip`` of ``tests/report``."""

FILES = {
    "report.json",
    "heatmaps.f16",
    "scores.csv",
    "report.html",
    "annotated.mp4",
    "untouched.mp4",
    "faces/person-1.png",
    "faces/person-2.png",
    "keyframes/frame-N.png",
}
"""All files of a report on the two people of that clip, as ``files`` names them."""

KEYFRAMES = {"keyframes/frame-N.png"}

DRAWINGS = {"annotated.mp4", "faces/person-1.png", "faces/person-2.png"}
"""The files that ``save_drawings`` writes."""


def files(folder: Path) -> set[str]:
    """Return the names of all files in a folder and its subfolders, see ``general``."""
    return {general(path.relative_to(folder).as_posix()) for path in _all(folder)}


def general(name: str) -> str:
    """Return a file name; N replaces the number of a keyframe, which depends on the encoder."""
    return re.sub(r"(?<=keyframes/frame-)\d+(?=\.png$)", "N", name)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of all files in a folder, by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in _all(folder)}


def _all(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def random_track(person: int, rows: range) -> Track:
    """Return a track with random values in every column."""
    count, rng = len(rows), np.random.default_rng(person)
    landmarks = rng.uniform(0, 200, (count, 5, 2)).astype(np.float32)
    landmarks[::4] = np.nan
    corners = rng.uniform(-20, 100, (count, 2))
    return dataclasses.replace(
        make_track(rng.normal(0, 5, count), person=person, every=2, first=person),
        times=np.cumsum(rng.uniform(0.01, 0.1, count)),
        boxes=np.hstack([corners, corners + rng.uniform(1, 50, (count, 2))]).astype(np.float32),
        areas=np.hstack([corners, corners + rng.uniform(1, 80, (count, 1))]).astype(np.float32),
        landmarks=landmarks,
        confidences=rng.uniform(0, 1, count).astype(np.float32),
        detected=rng.random(count) < 0.5,
        sharpness=rng.uniform(0, 1, count).astype(np.float32),
        quality_flags=rng.integers(0, 8, count).astype(np.uint8),
        heatmaps=np.asarray(rng.permutation(rows), dtype=np.int64),
        peaks=rng.uniform(0, 1e-3, count).astype(np.float32),
    )
