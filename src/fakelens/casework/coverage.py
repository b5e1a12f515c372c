"""How much of the input was examined, in frames and seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from fakelens.faces.quality import QualityFlag
from fakelens.records.report import Report
from fakelens.records.tracks import Track


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was examined of the whole input.

    Attributes:
        decoded: frames.
        examined: frames in which faces were examined.
        with_face: examined frames with a face.
        counted: examined frames with a face that counts.
        step: seconds from one examined frame to the next, at the average frame rate; ``None``
            for a still picture, or without a frame rate.
        faces: examined, of all people.
        excluded: faces that are not counted, by reason; a face can have several.
    """

    decoded: int
    examined: int
    with_face: int
    counted: int
    step: float | None
    faces: int
    excluded: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PersonCoverage:
    """What was examined of one person.

    Attributes:
        excluded: as in ``Coverage``.
        counted: seconds with a face that counts; ``None`` if ``Coverage.step`` is.
        not_counted: seconds with faces that do not count.
        unseen: seconds between the first and the last face without one.
    """

    excluded: Mapping[str, int]
    counted: float | None
    not_counted: float | None
    unseen: float | None


def cover(report: Report) -> Coverage:
    """Return what was examined of the whole input."""
    frames = [track.frames for track in report.tracks]
    counted = [track.frames[track.usable] for track in report.tracks]
    flags = [track.quality_flags for track in report.tracks]
    return Coverage(
        decoded=report.frames,
        examined=ceil(report.frames / report.settings.every),
        with_face=_distinct(frames),
        counted=_distinct(counted),
        step=_step(report),
        faces=sum(map(len, report.tracks)),
        excluded=_excluded(np.concatenate(flags)) if flags else {},
    )


def cover_person(report: Report, track: Track) -> PersonCoverage:
    """Return what was examined of one person."""
    step, excluded = _step(report), _excluded(track.quality_flags)
    if step is None:
        return PersonCoverage(excluded, None, None, None)
    counted = int(track.usable.sum())
    span = (int(track.frames[-1]) - int(track.frames[0])) // report.settings.every + 1
    return PersonCoverage(
        excluded=excluded,
        counted=counted * step,
        not_counted=(len(track) - counted) * step,
        unseen=max(span - len(track), 0) * step,
    )


def excluded_sentence(excluded: Mapping[str, int]) -> str:
    """List the reasons for which faces are not counted."""
    return "; ".join(f"{number}: {reason}" for reason, number in excluded.items()) or "none"


def _distinct(frames: Sequence[NDArray[np.int64]]) -> int:
    return len(np.unique(np.concatenate(frames))) if frames else 0


def _step(report: Report) -> float | None:
    if report.video.is_picture or not report.video.rate:
        return None
    return report.settings.every / float(report.video.rate)


def _excluded(flags: np.ndarray) -> dict[str, int]:
    counts = {
        flag.descriptions[0]: int(np.count_nonzero(flags & flag.value)) for flag in QualityFlag
    }
    return {reason: number for reason, number in counts.items() if number}
