"""The pipeline: errors, threads and memory."""

import dataclasses
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fakelens.analysis import face_crops
from fakelens.analysis.pipeline import analyze
from fakelens.errors import MediaError, ModelError
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Face
from fakelens.records.models import Evidence
from fakelens.records.settings import Settings
from fakelens.records.tracks import Track
from support.examining import examine
from support.toys import FAKE, REAL, Actor, RedModel, ScriptedDetector, film


class ExaminingError(Exception):
    pass


class FailingModel(RedModel):
    def examine(self, crops: np.ndarray) -> Evidence:
        if len(self.calls) == 2:
            raise ExaminingError
        return super().examine(crops)


def test_an_error_of_the_model_is_raised_and_ends_all_threads(clip: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(ExaminingError):
        examine(clip, FAKE, model=FailingModel())
    assert set(threading.enumerate()) == before


def interrupt_after(seconds: float) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_all_threads_even_if_repeated(clip: Path) -> None:
    class SlowDetector(ScriptedDetector):
        def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
            time.sleep(0.5)
            return super().detect(images)

    before = set(threading.enumerate())
    interrupt_after(0.6)
    interrupt_after(0.7)
    with pytest.raises(KeyboardInterrupt):
        analyze(clip, model=RedModel(), detector=SlowDetector(FAKE))
    assert set(threading.enumerate()) == before


class FailingDetector(ScriptedDetector):
    """Fails on the third picture."""

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen == 3:
            raise ExaminingError
        return super().detect(images)


def test_an_error_of_the_detector_is_raised_and_ends_all_threads(clip: Path) -> None:
    before = set(threading.enumerate())
    with pytest.raises(ExaminingError):
        analyze(clip, model=RedModel(), detector=FailingDetector(FAKE))
    assert set(threading.enumerate()) == before


def test_parallel_stages_give_the_same_result_as_sequential_ones(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parallel = examine(clip, FAKE, REAL)
    monkeypatch.setattr(face_crops, "prefetch", lambda items, _depth: (item for item in items))
    sequential = examine(clip, FAKE, REAL)
    assert len(sequential.tracks) == 2
    for one, other in zip(parallel.tracks, sequential.tracks, strict=True):
        for field in dataclasses.fields(Track):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    for row in range(len(sequential.heatmaps)):
        np.testing.assert_array_equal(sequential.heatmaps[row], parallel.heatmaps[row])
    assert parallel.findings == sequential.findings


class NanModel(RedModel):
    def examine(self, crops: np.ndarray) -> Evidence:
        evidence = super().examine(crops)
        return dataclasses.replace(evidence, logit=np.full_like(evidence.logit, np.nan))


def test_output_of_a_model_that_is_not_finite_is_an_error(clip: Path) -> None:
    with pytest.raises(ModelError, match="toy: the logit contains values that are not finite"):
        examine(clip, FAKE, model=NanModel())


def test_a_file_that_cannot_be_read_is_a_media_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"none\.mp4"):
        examine(tmp_path / "none.mp4", FAKE)


class CountingDetector(ScriptedDetector):
    """Counts the pictures it has searched that are still referenced."""

    def __init__(self, *actors: Actor) -> None:
        super().__init__(*actors)
        self._seen: list[weakref.ref[np.ndarray]] = []
        self.alive: list[int] = []

    def detect(self, images):
        self._seen.extend(weakref.ref(image) for image in images)
        self.alive.append(sum(image() is not None for image in self._seen))
        return super().detect(images)


def test_frames_are_not_kept_in_memory(tmp_path: Path) -> None:
    still = Actor(FAKE.colour, 10)
    path = film(tmp_path / "long.mp4", still, frames=120)
    detector = CountingDetector(still)
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
