"""How often people are rightly and wrongly marked as possibly the same, on clips.

    python -m benchmarks.fragments CLIP...

The truth needs no labels: the first and the last samples of one track show the same person, people
who are seen at the same time are different, and so are the people of different clips (give clips of
different people). The hardest case is made: another face in the hair and surroundings of the first.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import fakelens
from fakelens.analysis.face_crops import face_crops
from fakelens.analysis.fragments import FACE, Look, compare, distances, make_look
from fakelens.faces.sampler import FaceSample
from fakelens.media.profile import Profile
from fakelens.media.reader import open_video
from fakelens.models.registry import DEFAULT
from fakelens.records.settings import Settings

_GAPS = (0.5, 1.0, 2.0, 5.0)  # seconds


@dataclass(frozen=True)
class Person:
    """A tracked person: where, when and what they look like."""

    clip: Path
    times: NDArray[np.float64]
    boxes: NDArray[np.float64]
    samples: list[FaceSample]

    def look(self, samples: slice = slice(None)) -> Look:
        """Describe some of the samples."""
        look = make_look(self.samples[samples])
        assert look is not None
        return look


def read_people(clip: Path) -> list[Person]:
    """Track the people of a clip, and return those with a usable face."""
    card = fakelens.load_model(DEFAULT).card
    boxes: defaultdict[int, list[tuple[float, ...]]] = defaultdict(list)
    samples: dict[int, list[FaceSample]] = {}
    with open_video(clip) as reader:
        detector = fakelens.load_detector("yunet")
        with face_crops(reader, detector, [card], Settings(), Profile()) as frames:
            for (faces,) in frames:
                for crop in faces.crops:
                    box = crop.tracked.face.box
                    boxes[crop.tracked.track].append((crop.time, box.x1, box.y1, box.x2, box.y2))
                samples |= dict(faces.finished)
    rows = {number: np.array(seen) for number, seen in boxes.items() if samples[number]}
    return [Person(clip, one[:, 0], one[:, 1:], samples[number]) for number, one in rows.items()]


def overlap(one: Person, other: Person) -> bool:
    """Whether two people are seen at the same time."""
    return bool(one.times[0] <= other.times[-1] and other.times[0] <= one.times[-1])


def with_face_of(look: Look, other: Look) -> Look:
    """Put the last face of another person, in the mean colour of the first, into a look."""
    changed = look[-1:].copy()
    face = other[-1][FACE].astype(np.float64)
    face += changed[0][FACE].mean(axis=0) - face.mean(axis=0)
    changed[0][FACE] = np.clip(np.rint(face), 0, 255)
    return changed


def moved(people: Sequence[Person], gap: float) -> Iterator[float]:
    """Yield how far one face is from its own place after some seconds."""
    for one in people:
        for start in np.arange(one.times[0], one.times[-1] - gap, 1.0):
            before, after = np.searchsorted(one.times, [start, start + gap])
            yield float(distances(one.boxes[before], one.boxes[after : after + 1])[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    people = [person for clip in parser.parse_args().clips for person in read_people(clip)]
    looks = [person.look() for person in people]
    numbers = range(len(people))
    halves = [
        (one.look(slice(0, len(one.samples) // 2)), one.look(slice(-(len(one.samples) // 2), None)))
        for one in people
        if len(one.samples) >= 3
    ]
    together, apart = [], []
    for a, b in combinations(numbers, 2):
        if people[a].clip != people[b].clip:
            apart.append((looks[a], looks[b]))
        elif overlap(people[a], people[b]):
            together.append((looks[a], looks[b]))
    hardest = [
        (looks[a], with_face_of(looks[a], looks[b]))
        for a, b in permutations(numbers, 2)
        if people[a].clip != people[b].clip
    ]
    for name, pairs in (
        ("the same person, earlier and later", halves),
        ("two people at the same time", together),
        ("people of two clips", apart),
        ("another face in the same surroundings", hardest),
    ):
        close = sum(compare(*pair).is_close for pair in pairs)
        print(f"{name}: {close} of {len(pairs)} look alike")
    for gap in _GAPS:
        values = list(moved(people, gap))
        print(
            f"distance of a face from its place after {gap:g} s, of {len(values)}: "
            f"median {np.median(values):.2f}, 99 % {np.percentile(values, 99):.2f}"
        )


if __name__ == "__main__":
    main()
