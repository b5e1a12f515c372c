"""Frames and seconds that were examined."""

import dataclasses

import numpy as np

from fakelens.casework.coverage import cover, cover_person, excluded_sentence
from fakelens.casework.method_sections import coverage
from fakelens.faces.quality import QualityFlag
from support.builders import INFO, make_report, make_track


def test_frames_and_seconds_add_up() -> None:
    """100 frames at 25 per second, one in two examined, so 0.08 s a face."""
    flags = [0] * 6 + [1, 3, 2, 4]
    track = make_track(np.zeros(10), every=2, first=10, quality_flags=flags)
    gap = np.delete(np.arange(10), [3, 4])  # not seen in two examined frames
    track = dataclasses.replace(
        track,
        **{
            field.name: getattr(track, field.name)[gap]
            for field in dataclasses.fields(track)
            if field.name != "person"
        },
    )
    report = make_report(track, maps=np.zeros((10, 2, 2)), every=2)
    found = cover(report)
    assert (found.decoded, found.examined, found.with_face, found.faces) == (100, 50, 8, 8)
    assert found.counted == 4
    assert found.step == 0.08
    rows = dict(coverage(report)[0].rows)  # type: ignore[union-attr]
    assert rows["Seconds not analysed"].startswith(
        "about 3.7 s of 4.0 s: no face 3.4 s, only faces that are not counted 0.3 s."
    )
    assert dict(found.excluded) == {
        QualityFlag.SMALL.descriptions[0]: 2,
        QualityFlag.BLURRED.descriptions[0]: 2,
        QualityFlag.LOW_CONFIDENCE.descriptions[0]: 1,
    }
    person = cover_person(report, track)
    assert person.counted is not None
    assert np.isclose(person.counted, 4 * 0.08)
    assert np.isclose(person.not_counted or 0, 4 * 0.08)
    assert np.isclose(person.unseen or 0, 2 * 0.08)
    assert excluded_sentence(person.excluded).startswith("2: the face is too small; 2: ")


def test_people_in_the_same_frames_count_once() -> None:
    tracks = [make_track(np.zeros(10), person=1), make_track(np.zeros(6), person=2, first=8)]
    found = cover(make_report(*tracks, maps=np.zeros((10, 2, 2))))
    assert (found.with_face, found.faces) == (14, 16)
    assert excluded_sentence(found.excluded) == "none"


def test_a_picture_has_no_seconds() -> None:
    track = make_track([0])
    info = dataclasses.replace(INFO, is_picture=True)
    report = make_report(track, maps=np.zeros((1, 2, 2)), info=info)
    assert cover(report).step is None
    assert cover_person(report, track).counted is None


def test_without_a_face_all_frames_are_without_one() -> None:
    report = make_report(maps=np.zeros((1, 2, 2)), every=3)
    assert (cover(report).examined, cover(report).with_face) == (34, 0)
