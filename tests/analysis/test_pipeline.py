"""From a file to a report, with a detector and a model whose answers are known."""

import dataclasses
import gc
import hashlib
import os
import signal
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import fakelens
from fakelens.analysis import face_crops
from fakelens.analysis.pipeline import analyze
from fakelens.errors import MediaError, ModelError, UsageError
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage, sigmoid
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.models import Evidence
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from fakelens.records.tracks import Track
from fakelens.render.overlay import Overlay
from fakelens.report.wording import not_examined
from support.builders import CARD
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

FRAMES = 40


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "two.mp4", FAKE, REAL, frames=FRAMES)


@pytest.fixture(scope="module")
def report(clip: Path) -> Report:
    return examine(clip, FAKE, REAL)


def examine(path: Path, *actors: Actor, model: RedModel | None = None, **settings) -> Report:
    return analyze(
        path,
        model=model or RedModel(),
        detector=ScriptedDetector(*actors),
        settings=Settings(**{"every": 1} | settings),
    )


def assert_same(found: Track, wanted: Track) -> None:
    for field in dataclasses.fields(Track):
        np.testing.assert_allclose(
            getattr(found, field.name), getattr(wanted, field.name), rtol=1e-5, err_msg=field.name
        )


def test_every_person_is_followed_through_all_frames(report: Report) -> None:
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


def test_positive_is_fake_from_the_model_to_the_verdict(report: Report) -> None:
    fake, real = report.findings
    assert (fake.verdict, real.verdict) == ("likely fake", "likely real")
    assert fake.score is not None
    assert fake.score > 0.9
    assert real.score is not None
    assert real.score < 0.1
    assert report.tracks[0].logits.min() > 0 > report.tracks[1].logits.max()


def test_the_logit_is_the_models_of_the_crop_of_that_frame(report: Report, clip: Path) -> None:
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


def test_the_heatmap_of_a_face_is_its_own_and_adds_up_to_its_logit(report: Report) -> None:
    rows = np.concatenate([track.heatmaps for track in report.tracks])
    assert sorted(rows) == list(range(len(report.heatmaps))) == list(range(2 * FRAMES))
    for track in report.tracks:
        for observation in track:
            total = float(report.heatmaps[observation.heatmap].sum())
            assert total == pytest.approx(observation.logit, abs=0.01)


def test_the_area_is_the_square_that_the_model_wants(report: Report, clip: Path) -> None:
    wide = RedModel(dataclasses.replace(CARD, crop=CropGeometry("box", 2.0)))
    wider = examine(clip, FAKE, REAL, model=wide)
    for found, scale in ((report, 1.2), (wider, 2.0)):
        observation = found.tracks[0][5]
        assert observation.area.width == pytest.approx(scale * 60)
        assert observation.area.center == pytest.approx(observation.box.center)


def test_the_report_says_how_to_repeat_it(report: Report, clip: Path) -> None:
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


class Witness(RedModel):
    """Keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def examine(self, crops: np.ndarray) -> Evidence:
        self.seen.append(crops)
        return super().examine(crops)


def test_the_model_sees_rgb(tmp_path: Path) -> None:
    """A pure red face of a picture without loss is 255, 0, 0."""
    image = draw_scene(0, ())
    image[40:130, 70:160] = (255, 0, 0)
    path = photograph(tmp_path / "red.png", image)
    model = Witness()
    analyze(path, model=model, detector=ScriptedDetector(Actor((255, 0, 0), 80, 50)))
    (crops,) = model.seen
    np.testing.assert_array_equal(crops, np.broadcast_to(np.uint8([255, 0, 0]), (1, 32, 32, 3)))


def test_the_model_sees_rgb_of_a_video_too(clip: Path) -> None:
    model = Witness()
    examine(clip, FAKE, model=model)
    mean = np.concatenate(model.seen)[:, 6:-6, 6:-6].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, FAKE.colour, atol=6)


def test_a_picture_has_a_verdict_from_its_one_frame(tmp_path: Path) -> None:
    path = photograph(tmp_path / "one.png", draw_scene(0, (FAKE, REAL)))
    report = examine(path, FAKE, REAL)
    assert report.video.is_picture
    assert (report.frames, [len(track) for track in report.tracks]) == (1, [1, 1])
    assert [finding.verdict for finding in report.findings] == ["likely fake", "likely real"]


def test_what_the_batches_are_changes_nothing(clip: Path, report: Report) -> None:
    for size in (1, 3, 80, 1000):
        model = RedModel()
        found = examine(clip, FAKE, REAL, model=model, batch=size, trust=False)
        full, rest = divmod(2 * FRAMES, size)
        assert model.calls == [size] * full + [rest] * bool(rest)
        for track, wanted in zip(found.tracks, report.tracks, strict=True):
            assert_same(track, wanted)
        for row in range(2 * FRAMES):
            np.testing.assert_allclose(found.heatmaps[row], report.heatmaps[row], rtol=1e-3)
        assert found.findings == tuple(
            dataclasses.replace(finding, assessment=None) for finding in report.findings
        )


def test_every_person_who_is_judged_is_assessed_unless_told_not_to(
    clip: Path, report: Report
) -> None:
    for finding in report.findings:
        assert finding.assessment is not None
        assert finding.assessment.faithfulness is not None
        assert finding.assessment.faithfulness.completeness == pytest.approx(1, abs=1e-4)
        low, high = finding.assessment.robustness.score_range
        assert finding.score is not None
        assert low <= finding.score <= high
    assert all(not f.assessment for f in examine(clip, FAKE, REAL, trust=False).findings)


def test_who_has_gone_is_assessed_on_the_way(tmp_path: Path) -> None:
    """The model is asked about them before it has seen the rest of the video."""
    brief = dataclasses.replace(FAKE, x=5, side=50, last=30)
    lasting = dataclasses.replace(REAL, x=60, side=50)
    seen: list[int] = []

    class Counting(RedModel):
        def head(self, activation):
            seen.append(sum(self.calls))
            return super().head(activation)

    path = film(tmp_path / "brief.mp4", brief, lasting, frames=130)
    model = Counting()
    found = examine(path, brief, lasting, model=model)
    assert [finding.assessment is not None for finding in found.findings] == [True, True]
    # The first is gone after 31 frames; 2 seconds later that is sure, and 49 are still to come.
    assert seen[0] <= 31 + 83 + 40
    assert sum(model.calls) >= 31 + 130 + 20


def test_another_ablation_can_be_chosen(clip: Path) -> None:
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


def test_a_person_is_there_as_long_as_they_are(tmp_path: Path) -> None:
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


def test_some_frames_a_second_are_examined_and_the_rest_is_in_between(
    clip: Path, report: Report
) -> None:
    found = examine(clip, FAKE, REAL, per_second=5)
    assert (found.frames, found.settings.every) == (FRAMES, 5)
    overlay = Overlay(found)
    assert len(found.tracks) == 2
    for track, whole in zip(found.tracks, report.tracks, strict=True):
        np.testing.assert_array_equal(track.frames, np.arange(0, FRAMES, 5))  # of 25 a second
        np.testing.assert_array_equal(track.times, whole.times[track.frames])
        np.testing.assert_allclose(track.boxes, whole.boxes[track.frames], atol=0.01)
        np.testing.assert_allclose(track.logits, whole.logits[track.frames], atol=0.02)
        for frame in range(int(track.frames[-1]) + 1):
            (mark,) = (mark for mark in overlay.marks(frame) if mark.person == track.person)
            box = (mark.box.x1, mark.box.y1, mark.box.x2, mark.box.y2)
            np.testing.assert_allclose(box, whole.boxes[frame], atol=0.5)


@pytest.mark.parametrize("every", [1, 2, 4])
def test_progress_is_told_with_each_frame(clip: Path, every: int) -> None:
    told: list[tuple[int, int | None]] = []
    analyze(
        clip,
        model=RedModel(),
        detector=ScriptedDetector(FAKE),
        settings=Settings(every=every),
        progress=lambda done, total: told.append((done, total)),
    )
    # Up to every third frame, faces are followed through all of them.
    assert told == [(frame + 1, FRAMES) for frame in range(0, FRAMES, every if every > 3 else 1)]


class ExaminingError(Exception):
    pass


class Failing(RedModel):
    def examine(self, crops: np.ndarray) -> Evidence:
        if len(self.calls) == 2:
            raise ExaminingError
        return super().examine(crops)


def test_an_error_of_the_model_comes_through_and_ends_all_threads(clip: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(ExaminingError):
        examine(clip, FAKE, model=Failing())
    assert set(threading.enumerate()) == before


def interrupt_after(seconds: float) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_all_threads_even_if_repeated(clip: Path) -> None:
    class Slow(ScriptedDetector):
        def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
            time.sleep(0.5)
            return super().detect(images)

    before = set(threading.enumerate())
    interrupt_after(0.6)
    interrupt_after(0.7)
    with pytest.raises(KeyboardInterrupt):
        analyze(clip, model=RedModel(), detector=Slow(FAKE))
    assert set(threading.enumerate()) == before


class Blind(ScriptedDetector):
    """Fails on the third picture."""

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen == 3:
            raise ExaminingError
        return super().detect(images)


def test_an_error_of_the_detector_comes_through_and_ends_all_threads(clip: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(ExaminingError):
        analyze(clip, model=RedModel(), detector=Blind(FAKE))
    assert set(threading.enumerate()) == before


def test_stages_that_overlap_give_what_they_give_one_after_the_other(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlapped = examine(clip, FAKE, REAL)
    monkeypatch.setattr(face_crops, "prefetch", lambda items, _depth: (item for item in items))
    plain = examine(clip, FAKE, REAL)
    assert len(plain.tracks) == 2
    for one, other in zip(overlapped.tracks, plain.tracks, strict=True):
        for field in dataclasses.fields(Track):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    for row in range(len(plain.heatmaps)):
        np.testing.assert_array_equal(plain.heatmaps[row], overlapped.heatmaps[row])
    assert overlapped.findings == plain.findings


class Unsound(RedModel):
    def examine(self, crops: np.ndarray) -> Evidence:
        evidence = super().examine(crops)
        return dataclasses.replace(evidence, logit=np.full_like(evidence.logit, np.nan))


def test_a_model_that_answers_no_number_is_told(clip: Path) -> None:
    with pytest.raises(ModelError, match="toy answered with a logit that is not a finite number"):
        examine(clip, FAKE, model=Unsound())


def test_a_file_that_cannot_be_read_is_a_media_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"none\.mp4"):
        examine(tmp_path / "none.mp4", FAKE)


class Watchful(ScriptedDetector):
    """Counts the frames it has seen that are still held by anybody."""

    def __init__(self, *actors: Actor) -> None:
        super().__init__(*actors)
        self._seen: list[weakref.ref[np.ndarray]] = []
        self.alive: list[int] = []

    def detect(self, images):
        self._seen.extend(weakref.ref(image) for image in images)
        self.alive.append(sum(image() is not None for image in self._seen))
        return super().detect(images)


def test_frames_stream_by_and_are_not_kept(tmp_path: Path) -> None:
    still = Actor(FAKE.colour, 10)
    path = film(tmp_path / "long.mp4", still, frames=120)
    detector = Watchful(still)
    gc.disable()
    try:
        report = analyze(
            path, model=RedModel(), detector=detector, settings=Settings(every=1, batch=16)
        )
    finally:
        gc.enable()
    assert len(report.tracks[0]) == 120
    assert len(detector.alive) >= 40, "every third frame is searched"
    assert max(detector.alive) <= 3


def test_a_face_that_is_no_good_is_examined_and_marked(tmp_path: Path) -> None:
    small = Actor(FAKE.colour, 10, side=32)
    report = examine(film(tmp_path / "small.mp4", small, frames=30), small)
    (finding,) = report.findings
    assert (finding.examined, finding.usable, finding.score) == (30, 0, None)
    assert finding.verdict == "inconclusive"
    assert "30 of 30 faces: the face is too small" in finding.reasons


def test_an_uncertain_detection_is_marked(clip: Path) -> None:
    class Doubting(ScriptedDetector):
        sure_confidence = 0.95  # the script's faces have 0.9

    settings = Settings(every=1)
    report = analyze(clip, model=RedModel(), detector=Doubting(FAKE), settings=settings)
    assert f"{FRAMES} of {FRAMES} faces: it may not be a face" in report.findings[0].reasons


def test_the_pixels_of_a_jpeg_are_the_ones_it_shows(tmp_path: Path) -> None:
    """Another decoder gives the model the same colours."""
    path = photograph(tmp_path / "one.jpg", draw_scene(0, (FAKE,)))
    model = Witness()
    examine(path, FAKE, model=model)
    box = FAKE.box(0)
    assert isinstance(box, Box)
    shown = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
    wanted = extract_crop(shown, crop_area(Face(box, None, 1), CARD.crop), CARD.input_size)
    np.testing.assert_allclose(model.seen[0][0].astype(int), wanted.astype(int), atol=12)
    assert np.abs(model.seen[0][0].astype(int) - wanted).mean() < 2


def test_a_picture_is_examined_whole(tmp_path: Path) -> None:
    path = photograph(tmp_path / "one.png", draw_scene(0, (FAKE,)))
    report = analyze(path, model=RedModel(), detector=ScriptedDetector(FAKE))
    assert report.settings.every == 1
    assert not any("frames was examined" in told for told in not_examined(report))
