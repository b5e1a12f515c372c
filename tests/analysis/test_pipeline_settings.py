"""The settings of an analysis."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from fakelens.analysis.pipeline import analyze
from fakelens.errors import UsageError
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from fakelens.records.tracks import Track
from fakelens.render.overlay import Overlay
from fakelens.report.document import write_document
from fakelens.report.wording import not_examined, trust_sentences
from support.builders import CARD
from support.examining import FRAMES, examine
from support.toys import (
    BLUE,
    FAKE,
    HEIGHT,
    RATE,
    REAL,
    RED,
    WIDTH,
    Actor,
    RedModel,
    ScriptedDetector,
    draw_scene,
    film,
    photograph,
)
from support.tracking import texture


def assert_same_track(found: Track, wanted: Track) -> None:
    for field in dataclasses.fields(Track):
        np.testing.assert_allclose(
            getattr(found, field.name), getattr(wanted, field.name), rtol=1e-5, err_msg=field.name
        )


def test_the_batch_size_does_not_change_the_result(clip: Path, report: Report) -> None:
    for size in (1, 3, 80, 1000):
        model = RedModel()
        found = examine(clip, FAKE, REAL, model=model, batch=size, trust=False)
        full, rest = divmod(2 * FRAMES, size)
        assert model.calls == [size] * full + [rest] * bool(rest)
        for track, wanted in zip(found.tracks, report.tracks, strict=True):
            assert_same_track(track, wanted)
        for row in range(2 * FRAMES):
            np.testing.assert_allclose(found.heatmaps[row], report.heatmaps[row], rtol=1e-3)
        assert found.findings == tuple(
            dataclasses.replace(finding, assessment=None) for finding in report.findings
        )


def test_persons_are_assessed_unless_trust_is_off(clip: Path, report: Report) -> None:
    for finding in report.findings:
        assert finding.assessment is not None
        assert finding.assessment.faithfulness is not None
        assert finding.assessment.faithfulness.completeness == pytest.approx(1, abs=1e-4)
        low, high = finding.assessment.robustness.score_range
        assert finding.score is not None
        assert low <= finding.score <= high
    assert all(not f.assessment for f in examine(clip, FAKE, REAL, trust=False).findings)


@pytest.mark.parametrize("faces", [1, 2, 3, 5])
def test_a_person_seen_on_fewer_than_three_frames_is_not_assessed(
    faces: int, tmp_path: Path
) -> None:
    guest = Actor(BLUE, 120, first=21, last=20 + faces)
    clip = film(tmp_path / "clip.mp4", FAKE, guest, frames=FRAMES)
    report = examine(clip, FAKE, guest)
    stays, found = report.findings
    assert stays.assessment is not None
    assert (found.examined, found.usable) == (faces, faces)
    assert (found.assessment is None) == (faces < 3)
    counted = f"too few good faces to measure the reliability: {faces}, at least 3 are needed"
    assert (counted in found.reasons) == (faces < 3)
    write_document(report, tmp_path, tmp_path)
    saved = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert [bool(person["finding"]["assessment"]) for person in saved["persons"]] == [
        True,
        faces >= 3,
    ]
    if faces < 3:
        (sentence,) = trust_sentences(found.assessment)
        assert sentence.endswith("was not measured")


def test_the_one_face_of_a_picture_is_assessed(tmp_path: Path) -> None:
    path = photograph(tmp_path / "one.png", draw_scene(0, (FAKE,)))
    (finding,) = examine(path, FAKE).findings
    assert finding.examined == 1
    assert finding.assessment is not None
    assert not any("too few" in reason for reason in finding.reasons)


def test_the_ablation_can_be_chosen(clip: Path) -> None:
    found = examine(clip, FAKE, ablation="deletion").findings[0].assessment
    assert found is not None
    assert found.faithfulness is not None
    assert found.faithfulness.ablation == "deletion"


@pytest.mark.parametrize("every", [2, 3, 7, 100])
def test_every_nth_frame_is_examined(clip: Path, report: Report, every: int) -> None:
    found = examine(clip, FAKE, REAL, every=every)
    assert found.frames == FRAMES
    for track, whole in zip(found.tracks, report.tracks, strict=True):
        np.testing.assert_array_equal(track.frames, np.arange(0, FRAMES, every))
        np.testing.assert_allclose(track.logits, whole.logits[::every], atol=0.02)
        np.testing.assert_array_equal(track.times, whole.times[::every])


def test_the_threshold_can_be_chosen(clip: Path) -> None:
    def verdicts(threshold: float | None) -> list[str]:
        found = examine(clip, FAKE, REAL, threshold=threshold)
        return [finding.verdict for finding in found.findings]

    assert verdicts(None) == ["likely fake", "likely real"]
    assert verdicts(0.999) == ["inconclusive", "likely real"]
    assert verdicts(0.001) == ["likely fake", "likely fake"]


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_a_chosen_threshold_is_in_the_report(clip: Path, threshold: float) -> None:
    used = examine(clip, FAKE, threshold=threshold).thresholds
    assert (used.fake, used.source) == (threshold, "chosen by the user")
    assert used.real == min(CARD.thresholds.real, threshold)


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": 0.0},
        {"threshold": 1.0},
        {"threshold": float("nan")},
        {"every": 0},
        {"every": -1},
        {"per_second": 0},
        {"per_second": float("nan")},
        {"batch": 0},
        {"cam": "no-such-method"},
    ],
)
def test_a_setting_out_of_range_is_a_usage_error(clip: Path, settings: dict) -> None:
    with pytest.raises(UsageError):
        examine(clip, FAKE, **settings)


def test_the_heatmap_method_can_be_chosen(clip: Path, report: Report) -> None:
    found = examine(clip, FAKE, REAL, cam="layercam")
    assert found.cam == "layercam"
    assert min(found.heatmaps[row].min() for row in range(len(found.heatmaps))) >= 0
    assert report.heatmaps[int(report.tracks[1].heatmaps[0])].min() < 0


def test_frames_between_examined_ones_are_interpolated(clip: Path, report: Report) -> None:
    found = examine(clip, FAKE, REAL, per_second=5)
    assert (found.frames, found.settings.every) == (FRAMES, 5)
    overlay = Overlay(found)
    assert len(found.tracks) == 2
    for track, whole in zip(found.tracks, report.tracks, strict=True):
        np.testing.assert_array_equal(
            track.frames, np.arange(0, FRAMES, 5)
        )  # of 25 frames per second
        np.testing.assert_array_equal(track.times, whole.times[track.frames])
        np.testing.assert_allclose(track.boxes, whole.boxes[track.frames], atol=0.01)
        np.testing.assert_allclose(track.logits, whole.logits[track.frames], atol=0.02)
        for frame in range(int(track.frames[-1]) + 1):
            (mark,) = (mark for mark in overlay.marks(frame) if mark.person == track.person)
            box = (mark.box.x1, mark.box.y1, mark.box.x2, mark.box.y2)
            np.testing.assert_allclose(box, whole.boxes[frame], atol=0.5)


def film_with_cuts(path: Path, actor: Actor, lengths: Sequence[int]) -> None:
    """Write a film of shots with one actor, each before another scene that moves fast."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "6"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        number = 0
        for seed, length in enumerate(lengths):
            scene = texture(seed, HEIGHT, 500)
            for step in range(length):
                image = draw_scene(number, (actor,))
                rows = slice(actor.y, actor.y + actor.side)
                columns = slice(actor.x + number, actor.x + number + actor.side)
                face = image[rows, columns].copy()
                image[HEIGHT // 6 :] = scene[HEIGHT // 6 :, 6 * step :][:, :WIDTH]
                image[rows, columns] = face
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                container.mux(stream.encode(frame))
                number += 1
        container.mux(stream.encode())


@pytest.mark.parametrize("first", range(20, 25))  # so that cuts lie at all distances
@pytest.mark.parametrize("per_second", [5, 4, 2.5])  # of 25
def test_each_shot_has_tracks_of_its_own_however_many_frames_are_examined(
    first: int, per_second: float, tmp_path: Path
) -> None:
    actor, lengths = Actor(RED, 20), [first, 33, 12, 19, 27]
    film_with_cuts(tmp_path / "film.mp4", actor, lengths)
    found = examine(tmp_path / "film.mp4", actor, per_second=per_second, trust=False)
    ends = np.cumsum(lengths)
    every = round(25 / per_second)
    assert found.settings.every == every
    assert [track.frames.tolist() for track in found.tracks] == [
        [n for n in range(start, end) if n % every == 0]
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


@pytest.mark.parametrize("every", [1, 2, 4])
def test_progress_is_reported_after_each_frame(clip: Path, every: int) -> None:
    reported: list[tuple[int, int | None]] = []
    analyze(
        clip,
        model=RedModel(),
        detector=ScriptedDetector(FAKE),
        settings=Settings(every=every),
        progress=lambda done, total: reported.append((done, total)),
    )
    # Up to every third frame, faces are tracked through all frames.
    assert reported == [
        (frame + 1, FRAMES) for frame in range(0, FRAMES, every if every > 3 else 1)
    ]


def test_a_picture_is_examined_with_every_set_to_1(tmp_path: Path) -> None:
    path = photograph(tmp_path / "one.png", draw_scene(0, (FAKE,)))
    report = analyze(path, model=RedModel(), detector=ScriptedDetector(FAKE))
    assert report.settings.every == 1
    assert not any("frame" in sentence for sentence in not_examined(report))
