"""Keyframes: whole frames with faces, the most telling of each shot."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakelens.media.reader import open_video
from fakelens.records.report import Report
from fakelens.report.document import read_report
from fakelens.report.keyframes import choose_keyframes
from fakelens.report.save import save_report
from support.builders import make_report, make_track
from support.media import read_number
from support.pages import Page
from support.toys import FAKE, HEIGHT, REAL, WIDTH, Actor, analyzed, film


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem.split("-")[1]) for path in (folder / "keyframes").iterdir())


def test_each_file_is_the_whole_frame_of_its_number_with_a_face(saved: Path, clip: Path) -> None:
    chosen = numbers(saved)
    assert len(chosen) == 3
    with open_video(clip) as reader:
        images = [frame.image for frame in reader.frames()]
    for number in chosen:
        image = cv2.imread(str(saved / "keyframes" / f"frame-{number}.png"))
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert read_number(image[:, :, ::-1]) == number
        np.testing.assert_array_equal(image[:, :, ::-1], images[number])
        box = FAKE.box(number)
        assert box is not None
        face = image[70:110, int(box.x1) + 8 : int(box.x2) - 8, ::-1].reshape(-1, 3)
        np.testing.assert_allclose(face.mean(axis=0), FAKE.colour, atol=8)


def one_peak(length: int, peak: int) -> np.ndarray:
    logits = np.zeros(length)
    logits[peak] = 5
    return logits


def test_the_most_telling_frame_of_each_shot_is_taken() -> None:
    """Shots of 40 frames: all tracks end where a shot ends."""
    peaks = (3, 17, 25, 39)
    tracks = [
        make_track(one_peak(40, peak), person=n + 1, first=40 * n, heatmaps=[0] * 40)
        for n, peak in enumerate(peaks)
    ]
    report = make_report(*tracks, maps=np.ones((1, 4, 4)))
    assert choose_keyframes(report) == [40 * n + peak for n, peak in enumerate(peaks)]


def test_people_who_are_seen_together_are_in_one_shot() -> None:
    tracks = [
        make_track(one_peak(90, 80), heatmaps=[0] * 90),
        make_track(one_peak(60, 5), person=2, first=20, heatmaps=[0] * 60),
    ]
    first, second, third = choose_keyframes(make_report(*tracks, maps=np.ones((1, 4, 4))))
    assert second - first >= 1
    assert {25, 80} <= {first, second, third}


def test_of_many_shots_the_five_most_telling_are_kept() -> None:
    tracks = [
        make_track([0.0, float(n), 0.0], person=n + 1, first=10 * n, heatmaps=[0] * 3)
        for n in range(9)
    ]
    report = make_report(*tracks, maps=np.ones((1, 4, 4)))
    assert choose_keyframes(report) == [41, 51, 61, 71, 81]


def test_bad_faces_and_interpolated_boxes_are_used_only_if_there_are_no_others() -> None:
    flags = np.ones(30, dtype=np.uint8)
    flags[[4, 14, 24]] = 0
    track = make_track(np.linspace(3, 0, 30), quality_flags=flags)
    report = make_report(track, maps=np.ones((30, 4, 4)))
    assert choose_keyframes(report) == [4, 14, 24]
    detected = np.arange(30) == 14
    report = make_report(replace(track, detected=detected), maps=np.ones((30, 4, 4)))
    assert choose_keyframes(report) == [14]
    nothing = make_track(np.linspace(3, 0, 30), quality_flags=1)
    assert len(choose_keyframes(make_report(nothing, maps=np.ones((30, 4, 4))))) == 3


@pytest.mark.parametrize("length", [1, 2])
def test_a_short_clip_has_fewer(length: int) -> None:
    report = make_report(make_track(np.ones(length)), maps=np.ones((length, 4, 4)))
    assert choose_keyframes(report) == list(range(length))


def test_they_are_also_written_without_the_annotated_video(report: Report, tmp_path: Path) -> None:
    """From the last part of the clip too, after the last portrait."""
    late = replace(REAL, first=20)
    clip = film(tmp_path / "late.mp4", late, frames=30)
    save_report(analyzed(clip, late), tmp_path / "out", video=False)
    assert len(numbers(tmp_path / "out")) == 3
    assert numbers(tmp_path / "out")[0] >= 20


def test_the_page_shows_them_and_says_nothing_is_uploaded(saved: Path) -> None:
    html = (saved / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    links = [link for link in page.links if link.startswith("keyframes/")]
    assert [link for link in links if not (saved / link).is_file()] == []
    assert len(links) == 3
    assert "Reverse-search these frames" in page.text
    assert "This page uploads nothing." in page.text
    assert not [link for link in page.links if "//" in link and not link.startswith("data:")]


def test_a_saved_report_gives_the_same_frames(saved: Path, report: Report) -> None:
    assert choose_keyframes(read_report(saved / "report.json")) == choose_keyframes(report)


def test_an_actor_who_leaves_is_not_missed(tmp_path: Path) -> None:
    actor = Actor(FAKE.colour, 10, last=5)
    clip = film(tmp_path / "short.mp4", actor, frames=30)
    save_report(analyzed(clip, actor), tmp_path / "out")
    assert max(numbers(tmp_path / "out")) <= 5
