"""Several models on one pass: each answers as if it had been run alone."""

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from fakelens.analysis import face_crops
from fakelens.analysis.pipeline import analyze, analyze_models
from fakelens.errors import UsageError
from fakelens.media.frames import DecodedFrame
from fakelens.records.faces import CropGeometry
from fakelens.records.models import Model, Thresholds
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from fakelens.records.tracks import Track
from support.builders import CARD
from support.examining import FRAMES
from support.linear_model import LinearModel
from support.toys import FAKE, REAL, RedModel, ScriptedDetector

WIDE = replace(CARD, name="wide", crop=CropGeometry("box", 2.0), input_size=64)
SAME = replace(CARD, name="same crop", thresholds=Thresholds(0.995, 0.99, "made up"), cam="gradcam")


def run(clip: Path, *models: Model, **settings) -> tuple[Report, ...]:
    return analyze_models(
        clip,
        models=models,
        detector=ScriptedDetector(FAKE, REAL),
        settings=Settings(**{"every": 1} | settings),
    )


def check_equal(one: Report, other: Report) -> None:
    for track, wanted in zip(one.tracks, other.tracks, strict=True):
        for field in fields(Track):
            np.testing.assert_array_equal(
                getattr(track, field.name), getattr(wanted, field.name), err_msg=field.name
            )
    assert len(one.heatmaps) == len(other.heatmaps)
    for row in range(len(one.heatmaps)):
        np.testing.assert_array_equal(one.heatmaps[row], other.heatmaps[row])
    for name in ("findings", "model", "cam", "thresholds", "settings", "mean_faces", "frames"):
        assert getattr(one, name) == getattr(other, name), name
    assert replace(one.provenance, created="") == replace(other.provenance, created="")


def test_each_report_is_that_of_the_model_alone(clip: Path) -> None:
    weights = np.random.default_rng(1).normal(0, 0.01, (32, 32))
    makers = [
        RedModel,
        lambda: RedModel(WIDE),
        lambda: RedModel(SAME),
        lambda: LinearModel(weights),
    ]
    reports = run(clip, *(make() for make in makers))
    for make, report in zip(makers, reports, strict=True):
        detector = ScriptedDetector(FAKE, REAL)
        alone = analyze(clip, model=make(), detector=detector, settings=Settings(every=1))
        assert alone.second_opinions == ()
        check_equal(report, alone)
    assert reports[0].tracks[0].areas[0, 0] != reports[1].tracks[0].areas[0, 0]
    assert reports[0].findings[0].verdict != reports[2].findings[0].verdict


def test_frames_are_decoded_and_searched_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    find_changes = face_crops.with_shot_changes

    def counted(frames: Iterable[DecodedFrame]) -> Iterable[DecodedFrame]:
        def each() -> Iterator[DecodedFrame]:
            for frame in frames:
                decoded.append(frame.index)
                yield frame

        return find_changes(each())

    class CountingDetector(ScriptedDetector):
        calls = 0

        def detect(self, images):
            CountingDetector.calls += len(images)
            return super().detect(images)

    monkeypatch.setattr(face_crops, "with_shot_changes", counted)
    detector = CountingDetector(FAKE, REAL)
    analyze(clip, model=RedModel(), detector=detector, settings=Settings(every=1))
    assert decoded == list(range(FRAMES))
    searched = CountingDetector.calls
    analyze_models(
        clip, models=[RedModel(), RedModel(WIDE)], detector=detector, settings=Settings(every=1)
    )
    assert decoded == [*range(FRAMES), *range(FRAMES)]
    assert CountingDetector.calls == 2 * searched


def test_models_with_the_same_crop_share_the_pixels(clip: Path) -> None:
    class Keeping(RedModel):
        def examine(self, crops):
            seen.append(crops)
            return super().examine(crops)

    seen: list[np.ndarray] = []
    run(clip, Keeping(), Keeping(SAME), trust=False)
    np.testing.assert_array_equal(seen[0], seen[1])


def test_every_report_has_the_answers_of_the_others(clip: Path) -> None:
    models = [RedModel(), RedModel(WIDE), RedModel(SAME)]
    reports = run(clip, *models)
    for number, report in enumerate(reports):
        others = [other for place, other in enumerate(reports) if place != number]
        assert [one.model.name for one in report.second_opinions] == [
            other.model.name for other in others
        ]
        for opinion, other in zip(report.second_opinions, others, strict=True):
            assert opinion.thresholds == other.thresholds
            assert (opinion.cam, opinion.model_sha256) == (other.cam, RedModel.sha256)
            for finding, wanted in zip(opinion.findings, other.findings, strict=True):
                assert wanted.assessment is not None
                assert finding == replace(wanted, assessment=None, domain=None)


def test_what_cannot_be_compared_is_refused_before_the_work(tmp_path: Path) -> None:
    nowhere = tmp_path / "none.mp4"
    with pytest.raises(UsageError, match="no model is given"):
        run(nowhere)
    with pytest.raises(UsageError, match="the model toy is given twice"):
        run(nowhere, RedModel(), RedModel(WIDE), RedModel())
    with pytest.raises(UsageError, match="a threshold holds for one model, but 2 are given"):
        run(nowhere, RedModel(), RedModel(WIDE), threshold=0.7)
    with pytest.raises(UsageError, match="nocam"):
        run(nowhere, RedModel(), RedModel(replace(WIDE, cam="nocam")))
