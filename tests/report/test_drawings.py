"""Pictures and the annotated video: the caption, and heatmaps compared with genuine faces."""

import dataclasses
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.explain.regions import mean_evidence
from fakelens.media.images import encode_jpeg
from fakelens.records.findings import Verdict
from fakelens.records.report import Report
from fakelens.records.trust import SpecificityMark
from fakelens.render import caption as captions
from fakelens.render.style import Style
from fakelens.report.portraits import _mean_heatmap
from fakelens.report.save import save_report
from support.builders import make_report, make_track
from support.comparing import SEALED, compared, counts, record, specificity, with_records
from support.media import make_clip
from support.toys import FAKE, analyzed, film, photograph

LEFT_HALF = np.repeat(np.float32([[1, 0]]), 4, axis=1).repeat(8, axis=0)
LANDMARKS = np.float32([(15, 20), (45, 20), (30, 35), (20, 48), (40, 48)])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of a red face, whose heatmap is about the same everywhere."""
    path = film(tmp_path_factory.mktemp("clip") / "one.mp4", FAKE, frames=20)
    report = analyzed(path, FAKE)
    (track,) = report.tracks
    landmarks = LANDMARKS + track.boxes[:, None, :2]
    faces = {1: encode_jpeg(np.full((128, 128, 3), 150, np.uint8))}
    findings = tuple(dataclasses.replace(f, verdict=Verdict.FAKE) for f in report.findings)
    tracks = (dataclasses.replace(track, landmarks=landmarks),)
    return dataclasses.replace(report, tracks=tracks, mean_faces=faces, findings=findings)


@pytest.fixture(scope="module")
def left_is_usual(plain: Report) -> Report:
    """That report, if genuine faces have the same heatmap on the left half."""
    mean = np.mean([plain.heatmaps[row] for row in range(len(plain.heatmaps))], axis=0)
    return compared(plain, specificity(LEFT_HALF * mean))


def halves(path: Path) -> NDArray[np.int64]:
    """Return the mean change by the heatmap on the left and right side of a face, grey levels."""
    before, after = np.split(cv2.imread(str(path)).astype(int), 2, axis=1)
    change = np.abs(after - before).mean(axis=2)
    return np.array([change[120:200, 75:110].mean(), change[120:200, 205:240].mean()])


@pytest.mark.parametrize("name", ["faces/person-1.png", "mean_faces/person-1.png"])
def test_pictures_of_people_show_what_exceeds_the_baseline(
    name: str, left_is_usual: Report, plain: Report, tmp_path: Path
) -> None:
    def drawn(report: Report, folder: str, **style) -> NDArray[np.int64]:
        save_report(report, tmp_path / folder, style=Style(**style), video=False)
        return halves(tmp_path / folder / name)

    whole = drawn(plain, "plain")
    assert whole.min() > 20
    left, right = drawn(left_is_usual, "compared")
    assert left < 1
    assert right > 20
    kept = drawn(left_is_usual, "kept", baseline="keep")
    np.testing.assert_allclose(kept, whole, atol=0.5)


def test_the_mean_heatmap_is_faded_where_it_is_not_specific(plain: Report, tmp_path: Path) -> None:
    changes = []
    for mark in SpecificityMark:
        report = compared(plain, specificity(np.zeros((8, 8)), mark))
        save_report(report, tmp_path / mark.name, video=False)
        changes.append(halves(tmp_path / mark.name / "mean_faces" / "person-1.png"))
    np.testing.assert_allclose(changes[1], 0.4 * changes[0], rtol=0.05)


def test_the_mean_baseline_is_aligned_like_the_heatmaps() -> None:
    """A face that moves within its crop: in every crop, heatmap and baseline move with it."""
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(12, 8, 8)).astype(np.float32)
    track = make_track(np.full(12, 8.0), box=(40, 20, 120, 100))
    track.landmarks[:] = LANDMARKS + 40 + rng.normal(0, 4, (12, 1, 2))
    baseline = rng.normal(size=(8, 8)).astype(np.float32)
    found = compared(make_report(track, maps=maps), specificity(baseline))
    (finding,) = found.findings
    shown = _mean_heatmap(track, finding, found.heatmaps, "subtract")
    wanted = mean_evidence(track, make_report(track, maps=maps - baseline).heatmaps)
    assert shown is not None
    assert wanted is not None
    np.testing.assert_allclose(shown, wanted.values, atol=5e-3)


def captions_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record every text that is drawn as a caption."""
    drawn: list[str] = []
    draw = captions.draw_lines

    def recording(lines: list[str], *rest: Any) -> NDArray[np.uint8]:
        drawn.append(" / ".join(lines))
        return draw(lines, *rest)

    monkeypatch.setattr(captions, "draw_lines", recording)
    return drawn


def test_the_annotated_video_has_the_caption_on_every_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody is seen. The letters are drawn once."""
    clip = make_clip(tmp_path / "in.mp4", frames=12, size=(640, 360))
    brief = dataclasses.replace(FAKE, last=4)
    drawn = captions_of(monkeypatch)
    save_report(with_records(analyzed(clip, brief), SEALED), tmp_path / "out")
    assert drawn == ["evidence, not proof - called 1 of 15 genuine clips and 2 of 8 fakes fake"]
    with av.open(str(tmp_path / "out" / "annotated.mp4")) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    with av.open(str(clip)) as container:
        originals = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(frames) == 12
    for frame, original in zip(frames, originals, strict=True):
        corner = frame[-18:, :350].astype(int)
        assert np.median(corner) < 0.5 * max(np.median(original[-18:, :350]), 60)
        assert corner.max() > 150
        # The other corner stays as it is, but for the compression.
        rest = frame[-18:, 520:].astype(int) - original[-18:, 520:]
        assert np.abs(rest).mean() < 6


def test_an_annotated_picture_has_the_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.full((360, 640, 3), 120, np.uint8)
    path = photograph(tmp_path / "in.png", image)
    drawn = captions_of(monkeypatch)
    tuned = record(counts("real", fake=2, real=25), independent=False)
    report = with_records(analyzed(path, FAKE), tuned)
    assert report.tracks
    save_report(report, tmp_path / "out")
    assert drawn == [
        "evidence, not proof - called 2 of 27 genuine clips fake, tuned on these clips"
    ]
    annotated = cv2.imread(str(tmp_path / "out" / "annotated.png")).astype(int)
    assert np.median(annotated[-18:, :350]) < 40
    np.testing.assert_array_equal(annotated[-18:, 520:], 120)
