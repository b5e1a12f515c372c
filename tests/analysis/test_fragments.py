"""Who is possibly the same person, on films whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakelens.analysis.fragments import Look, find_fragments
from fakelens.analysis.pipeline import analyze
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from fakelens.records.tracks import Track
from support.builders import CARD, make_track
from support.portrait_films import Scene, film_portraits
from support.toys import RedModel

SCENES = (
    *(Scene("hopper", 1.2, x=130), Scene("collins", 1.2, x=130)),  # she takes his place
    *(Scene("collins", 1.2, x=340), Scene("hopper", 1.2, x=340)),  # elsewhere, and the reverse
    *(Scene(None, 1.6), Scene("collins", 1.2, x=340)),  # and she comes back
)


def analyzed(film: Path, *, trust: bool = True) -> Report:
    model = RedModel(replace(CARD, input_size=128))
    return analyze(film, model=model, settings=Settings(every=5, trust=trust))


def test_who_comes_back_is_marked_and_who_takes_the_place_is_not(tmp_path: Path) -> None:
    film = film_portraits(tmp_path / "cuts.mp4", SCENES)
    report, plain = analyzed(film), analyzed(film, trust=False)
    marked = {f.person: f.possibly_same_as for f in report.findings}
    assert marked == {1: None, 2: None, 3: None, 4: None, 5: 3}
    assert {f.possibly_same_as for f in plain.findings} == {None}
    assert [f.score for f in report.findings] == [f.score for f in plain.findings]


LEFT, RIGHT = (40, 20, 80, 70), (140, 20, 180, 70)
ALICE, BOB = np.random.default_rng(2).integers(0, 256, (2, 1, 16, 16, 3), dtype=np.uint8)


def seen(person: int, first: int, box: tuple[int, int, int, int] = LEFT) -> Track:
    """Return the track of a person who is seen for 20 frames, 25 a second."""
    return make_track(np.zeros(20), person=person, first=first, box=box)


@pytest.mark.parametrize(
    ("later", "look", "expected"),
    [
        (seen(2, 30), ALICE, {2: 1}),
        (seen(2, 30), BOB, {}),
        (seen(2, 30, RIGHT), ALICE, {}),
        (seen(2, 30, (20, 0, 140, 150)), ALICE, {}),  # three times as large
        (seen(2, 10), ALICE, {}),  # both are seen at the same time
        (seen(2, 19 + 25 * 30), ALICE, {2: 1}),
        (seen(2, 20 + 25 * 30), ALICE, {}),  # after more than half a minute
    ],
)
def test_time_place_and_look_must_all_fit(
    later: Track, look: Look, expected: dict[int, int]
) -> None:
    assert find_fragments([seen(1, 0), later], {1: ALICE, 2: look}) == expected
    assert find_fragments([seen(1, 0), later], {1: ALICE}) == {}


def test_a_chain_names_its_first_person_and_never_two_at_the_same_time() -> None:
    tracks = [seen(1, 0), seen(2, 30), seen(3, 60), seen(4, 70)]
    looks = {1: ALICE, 2: ALICE, 3: ALICE, 4: np.clip(ALICE + np.int16(3), 0, 255).astype(np.uint8)}
    assert find_fragments(tracks, looks) == {2: 1, 3: 1}
