"""From a file to a report, with a detector and a model of known output."""

import dataclasses
import hashlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import fakelens
from fakelens.analysis.pipeline import analyze
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.media.reader import open_video
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.models import Evidence
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from support.builders import CARD
from support.examining import FRAMES, examine
from support.toys import (
    FAKE,
    HEIGHT,
    RATE,
    REAL,
    WIDTH,
    Actor,
    RedModel,
    ScriptedDetector,
    draw_scene,
    film,
    photograph,
)


def test_every_person_is_tracked_through_all_frames(report: Report) -> None:
    assert [track.person for track in report.tracks] == [1, 2]
    for track, actor in zip(report.tracks, (FAKE, REAL), strict=True):
        np.testing.assert_array_equal(track.frames, np.arange(FRAMES))
        np.testing.assert_allclose(track.times, np.arange(FRAMES) / float(RATE), atol=1e-9)
        boxes = [actor.box(number) for number in range(FRAMES)]
        np.testing.assert_allclose(
            track.boxes, [(box.x1, box.y1, box.x2, box.y2) for box in boxes if box], atol=1e-4
        )
        np.testing.assert_array_equal(track.detected, np.arange(FRAMES) % 3 == 0)
        assert np.isnan(track.landmarks).all()


def test_positive_logits_mean_fake_from_the_model_to_the_verdict(report: Report) -> None:
    fake, real = report.findings
    assert (fake.verdict, real.verdict) == ("likely fake", "likely real")
    assert fake.score is not None
    assert fake.score > 0.9
    assert real.score is not None
    assert real.score < 0.1
    assert report.tracks[0].logits.min() > 0 > report.tracks[1].logits.max()


def test_logits_are_the_models_for_the_crops_of_their_frames(report: Report, clip: Path) -> None:
    with open_video(clip) as reader:
        images = [frame.image for frame in reader.frames()]
    for track in report.tracks:
        for observation in list(track)[::7]:
            face = Face(observation.box, None, 1)
            crop = extract_crop(
                images[observation.frame], crop_area(face, CARD.crop), CARD.input_size
            )
            evidence = RedModel().examine(crop[None])
            assert observation.logit == pytest.approx(float(evidence.logit[0]), rel=1e-5)
            assert observation.score == pytest.approx(float(sigmoid(evidence.logit[0])), rel=1e-5)


def test_each_face_has_its_own_heatmap_that_adds_up_to_its_logit(report: Report) -> None:
    rows = np.concatenate([track.heatmaps for track in report.tracks])
    assert sorted(rows) == list(range(len(report.heatmaps))) == list(range(2 * FRAMES))
    for track in report.tracks:
        for observation in track:
            total = float(report.heatmaps[observation.heatmap].sum())
            assert total == pytest.approx(observation.logit, abs=0.01)


def test_areas_follow_the_models_crop_geometry(report: Report, clip: Path) -> None:
    wide = RedModel(dataclasses.replace(CARD, crop=CropGeometry("box", 2.0)))
    wider = examine(clip, FAKE, REAL, model=wide)
    for found, scale in ((report, 1.2), (wider, 2.0)):
        observation = found.tracks[0][5]
        assert observation.area.width == pytest.approx(scale * 60)
        assert observation.area.center == pytest.approx(observation.box.center)


def test_the_report_has_the_provenance(report: Report, clip: Path) -> None:
    assert report.source == clip
    assert report.frames == FRAMES
    assert (report.video.width, report.video.height) == (WIDTH, HEIGHT)
    assert (report.model, report.cam, report.thresholds) == (CARD, "hirescam", CARD.thresholds)
    assert report.settings == Settings(every=1)
    provenance = report.provenance
    assert provenance.input_sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert provenance.input_bytes == clip.stat().st_size
    assert (provenance.input_name, provenance.detector) == ("two.mp4", "scripted")
    assert provenance.model_sha256 == RedModel.sha256
    assert provenance.versions["fakelens"] == fakelens.__version__
    assert provenance.versions["av"] == av.__version__


class RecordingModel(RedModel):
    """Records the crops that it examines."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def examine(self, crops: np.ndarray) -> Evidence:
        self.seen.append(crops)
        return super().examine(crops)


def test_the_model_gets_rgb_of_a_picture(tmp_path: Path) -> None:
    """A pure red face of a lossless picture is 255, 0, 0."""
    image = draw_scene(0, ())
    image[40:130, 70:160] = (255, 0, 0)
    path = photograph(tmp_path / "red.png", image)
    model = RecordingModel()
    analyze(path, model=model, detector=ScriptedDetector(Actor((255, 0, 0), 80, 50)))
    (crops,) = model.seen
    np.testing.assert_array_equal(crops, np.broadcast_to(np.uint8([255, 0, 0]), (1, 32, 32, 3)))


def test_the_model_gets_rgb_of_a_video(clip: Path) -> None:
    model = RecordingModel()
    examine(clip, FAKE, model=model)
    mean = np.concatenate(model.seen)[:, 6:-6, 6:-6].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, FAKE.colour, atol=6)


def test_a_picture_gets_verdicts(tmp_path: Path) -> None:
    path = photograph(tmp_path / "one.png", draw_scene(0, (FAKE, REAL)))
    report = examine(path, FAKE, REAL)
    assert report.video.is_picture
    assert (report.frames, [len(track) for track in report.tracks]) == (1, [1, 1])
    assert [finding.verdict for finding in report.findings] == ["likely fake", "likely real"]


def test_a_person_who_has_left_is_assessed_before_the_end(tmp_path: Path) -> None:
    """The model's head is run before the rest of the video is examined."""
    brief = dataclasses.replace(FAKE, x=5, y=34, side=50, last=60)
    lasting = dataclasses.replace(REAL, x=5, y=90, side=50)
    examined_before: list[int] = []

    class HeadCounter(RedModel):
        def head(self, activation):
            examined_before.append(sum(self.calls))
            return super().head(activation)

    path = film(tmp_path / "brief.mp4", brief, lasting, frames=150)
    model = HeadCounter()
    found = examine(path, brief, lasting, model=model)
    assert [finding.assessment is not None for finding in found.findings] == [True, True]
    # The first person leaves after 61 frames. That is certain 2 seconds later, 39 frames before
    # the end.
    assert examined_before[0] <= 61 + 113 + 24
    assert sum(model.calls) >= 61 + 150 + 20


def test_a_track_begins_and_ends_with_the_person(tmp_path: Path) -> None:
    guest = Actor(REAL.colour, 120, first=11, last=24)
    path = film(tmp_path / "guest.mp4", FAKE, guest, frames=FRAMES)
    first, second = examine(path, FAKE, guest).tracks
    np.testing.assert_array_equal(first.frames, np.arange(FRAMES))
    np.testing.assert_array_equal(second.frames, np.arange(11, 25))


def test_no_face_gives_an_empty_report(clip: Path) -> None:
    model = RedModel()
    report = examine(clip, model=model)
    assert (report.tracks, report.findings, len(report.heatmaps)) == ((), (), 0)
    assert report.frames == FRAMES
    assert model.calls == []


def test_a_face_that_fails_a_quality_gate_is_examined_and_flagged(tmp_path: Path) -> None:
    small = Actor(FAKE.colour, 10, side=32)
    report = examine(film(tmp_path / "small.mp4", small, frames=30), small)
    (finding,) = report.findings
    assert (finding.examined, finding.usable, finding.score) == (30, 0, None)
    assert finding.verdict == "inconclusive"
    assert "30 of 30 faces: the face is too small" in finding.reasons


def test_a_detection_of_low_confidence_is_flagged(clip: Path) -> None:
    class StrictDetector(ScriptedDetector):
        sure_confidence = 0.95  # the scripted faces have 0.9

    settings = Settings(every=1)
    report = analyze(clip, model=RedModel(), detector=StrictDetector(FAKE), settings=settings)
    reason = f"{FRAMES} of {FRAMES} faces: the detection may not be a face"
    assert reason in report.findings[0].reasons


def test_a_jpeg_is_decoded_like_by_opencv(tmp_path: Path) -> None:
    path = photograph(tmp_path / "one.jpg", draw_scene(0, (FAKE,)))
    model = RecordingModel()
    examine(path, FAKE, model=model)
    box = FAKE.box(0)
    assert isinstance(box, Box)
    shown = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
    wanted = extract_crop(shown, crop_area(Face(box, None, 1), CARD.crop), CARD.input_size)
    np.testing.assert_allclose(model.seen[0][0].astype(int), wanted.astype(int), atol=12)
    assert np.abs(model.seen[0][0].astype(int) - wanted).mean() < 2
