"""Sensitivity of scores and figures on videos, with toy models of known output."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tqdm", reason="training needs the extra [training]")

from benchmarks.explain import aligned_pairs
from fakelens.evaluation import auc
from fakelens.evaluation.error_records import likelihood_ratio_cost
from fakelens.faces.crops import extract_crop
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.models import Calibration, Evidence, ModelCard
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from support.builders import CARD, make_report, make_track
from support.drawn_faces import LANDMARKS
from training import sensitivity, videos
from training.clips import Clip, read_manifest, read_pictures
from training.sensitivity import COLUMNS, Effect

GEOMETRIES = [CropGeometry("box", 0.8), CropGeometry("box", 1.3), CropGeometry("dlib", 1.4)]


class BrightnessModel:
    """Toy model whose logit is the mean brightness, from 0 for black to 4 for white.

    Every pixel is a cell of the map. With ``sign`` -1, black has the logit 4 and white 0.
    """

    sha256 = "3" * 64

    def __init__(self, crop: CropGeometry, sign: int = 1) -> None:
        self.card: ModelCard = replace(CARD, crop=crop)
        self._sign = sign

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        light = crops.mean(axis=3, dtype=np.float32)[:, None] / 255
        cells = 4 * (light if self._sign > 0 else 1 - light)
        return Evidence(cells.mean((1, 2, 3)), cells, np.full_like(cells, 1 / cells[0].size))


# Sensitivity


def white_face(side: int) -> tuple[RGBImage, Face]:
    """Draw a white square, which is the face, in a black frame of three times its size."""
    frame = np.zeros((3 * side, 3 * side, 3), np.uint8)
    frame[side : 2 * side, side : 2 * side] = 255
    landmarks = np.float32([side, side] + LANDMARKS / 224 * side)
    return frame, Face(Box(side, side, 2 * side, 2 * side), landmarks, 1.0)


def sigmoid(logit: float) -> float:
    return 1 / (1 + np.exp(-logit))


def test_scores_follow_the_content_of_the_crop() -> None:
    model = BrightnessModel(CropGeometry("box", 1.0))
    scores = sensitivity.clip_scores(model, [white_face(80)])
    assert scores[0] == pytest.approx(sigmoid(4))
    for margin in (0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.45, 1.6):
        # The face fills 1 / margin^2 of the crop.
        (column,) = COLUMNS["margin", margin]
        assert scores[column] == pytest.approx(sigmoid(4 / max(1, margin) ** 2), abs=1e-3)
    for part in (0, 0.05, 0.1, 0.15):
        columns = COLUMNS["shift", part]
        assert scores[columns] == pytest.approx([sigmoid(4 * (1 - part))] * 4, abs=1e-3)
    for crf in (18, 23, 28, 33, 38):
        assert scores[COLUMNS["compression", crf]] == pytest.approx(sigmoid(4), abs=5e-3)
    for pixels in (200, 150, 100):
        assert np.isnan(scores[COLUMNS["resolution", pixels]])
    for pixels in (70, 50):
        assert scores[COLUMNS["resolution", pixels]] == pytest.approx(sigmoid(4), abs=5e-3)
    gap, _ = sensitivity.margin_gap(scores[None])
    assert gap == pytest.approx(sigmoid(4) - sigmoid(4 / 1.6**2), abs=1e-3)


def test_margin_gap_is_also_relative_to_the_spread_of_scores() -> None:
    scores = np.zeros((4, 1 + sum(map(len, COLUMNS.values()))))
    (narrow,), (wide,) = COLUMNS["margin", 1.0], COLUMNS["margin", 1.6]
    scores[:, narrow] = [0.2, 0.4, 0.2, 0.4]
    scores[:, wide] = [0.6, 0.8, 0.6, 0.8]
    assert sensitivity.margin_gap(scores) == pytest.approx((0.4, 4))
    scores[:, [narrow, wide]] = 0.5
    gap, relative = sensitivity.margin_gap(scores)
    assert gap == 0
    assert np.isnan(relative)


def test_crops_are_shifted_in_all_four_directions() -> None:
    frame, face = white_face(80)
    frame[:, 120:] = 0  # only the left half of the face remains
    shifted = sensitivity.shifted(frame, face, BrightnessModel(CropGeometry("box", 1.0)).card, 0.1)
    light = [crop.mean() / 255 for crop in shifted]
    assert light == pytest.approx([0.5, 0.4, 0.45, 0.45], abs=0.01)


def test_reduced_resolution_removes_only_detail() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (240, 240, 3), np.uint8)
    card = replace(CARD, input_size=80, crop=CropGeometry("box", 1.0))
    face = Face(Box(80, 80, 160, 160), None, 1.0)
    plain = extract_crop(frame, face.box, 80).astype(float)
    spread = []
    for pixels in (70, 50, 20):
        (crop,) = sensitivity.reduced(frame, face, card, pixels)
        assert crop.mean() == pytest.approx(plain.mean(), rel=0.03)
        spread.append(crop.std() / plain.std())
    assert 1 > spread[0] > spread[1] > spread[2]
    # Averages of 4 x 4 pixels have a quarter of the deviation. Linear interpolation, with weights
    # of 1/8 and 7/8 or 3/8 and 5/8, leaves 21/32 of it.
    assert spread[2] == pytest.approx(1 / 4 * 21 / 32, rel=0.1)


def test_clip_is_changed_if_one_of_its_faces_is() -> None:
    model = BrightnessModel(CropGeometry("box", 2.0))
    small, large = white_face(80), white_face(160)
    scores = sensitivity.clip_scores(model, [small, large])
    assert scores[0] == pytest.approx(sigmoid(4 / 4), abs=1e-3)
    changed = {pixels: scores[COLUMNS["resolution", pixels]][0] for pixels in (200, 150, 100, 70)}
    assert np.isnan(changed[200])
    assert [changed[pixels] for pixels in (150, 100, 70)] == pytest.approx(
        [scores[0]] * 3, abs=0.02
    )


@pytest.mark.parametrize("corner", [(0, 0), (150, 90), (70, 41), (-20, 100)])
def test_crops_from_the_surroundings_equal_crops_from_the_frame(corner: tuple[int, int]) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (180, 240, 3), np.uint8)
    x, y = corner
    face = Face(Box(x, y, x + 71, y + 90), LANDMARKS * 0.4 + np.float32(corner), 0.9)
    part, moved = sensitivity.crop_surroundings(frame, face)
    assert part.shape[0] % 2 == part.shape[1] % 2 == 0
    for crop in GEOMETRIES:
        card = replace(CARD, crop=crop)
        for make_crops, level in ((sensitivity.with_margin, 1.6), (sensitivity.shifted, 0.15)):
            from_part = make_crops(part, moved, card, level)
            from_frame = make_crops(frame, face, card, level)
            for crop_of_part, crop_of_frame in zip(from_part, from_frame, strict=True):
                np.testing.assert_array_equal(crop_of_part, crop_of_frame)


@pytest.mark.parametrize(("count", "kept"), [(0, []), (3, [0, 1, 2]), (15, 8), (400, 8)])
def test_at_most_eight_faces_of_a_clip_are_used(
    count: int, kept: list[int] | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = Face(Box(10, 10, 30, 30), None, 1.0)
    found = [(np.full((40, 40, 3), number % 256, np.uint8), face) for number in range(count)]
    monkeypatch.setattr(sensitivity, "largest_faces", lambda _path: found)
    numbers = [int(image[0, 0, 0]) for image, _ in sensitivity.sample_faces(Path("clip.mp4"))]
    if isinstance(kept, int):
        assert len(numbers) == kept
        assert numbers[0] == 0
        assert numbers[-1] == (count - 1) % 256
    else:
        assert numbers == kept


def test_effect_equals_values_computed_by_hand() -> None:
    scores = np.array([[0.9, 0.5, 0.7], [0.8, np.nan, np.nan], [0.1, 0.2, 0.6], [0.6, 0.6, 0.5]])
    fake, groups = np.array([True, True, False, False]), ["a", "b", "a", "b"]
    plain = sensitivity.measure_effect(scores, [0], fake, groups)
    assert (plain.auc, plain.change, plain.clips) == (1, 0, 4)
    found = sensitivity.measure_effect(scores, [1, 2], fake, groups)
    # Fakes 0.5, 0.7, 0.8, 0.8 and real 0.2, 0.6, 0.6, 0.5: of 16 pairs, the fake 0.5 is below in
    # two and equal in one.
    assert found.auc == 13.5 / 16
    assert found.change == pytest.approx((0.4 + 0.2 + 0.1 + 0.5 + 0 + 0.1) / 6)
    assert found.drift == pytest.approx((-0.4 - 0.2 + 0.1 + 0.5 + 0 - 0.1) / 6)
    assert found.clips == 3
    # A resample may hold one group twice: "a" has 0.5, 0.7 against 0.2, 0.6, and "b" is perfect.
    assert (found.low, found.high) == (3 / 4, 1)


def test_plot_has_its_documented_size(tmp_path: Path) -> None:
    one = {key: Effect(0.8, 0.7, 0.9, 0.1, -0.1, 5) for key in COLUMNS}
    none = {key: Effect(0.6, 0.5, 0.7, np.nan, np.nan, 0) for key in COLUMNS}
    sensitivity.plot(["one", "none"], [one, none], tmp_path / "plot.png")
    assert cv2.imread(str(tmp_path / "plot.png")).shape == (800, 1600, 3)


@pytest.mark.shared
def test_sensitivity_is_measured_on_a_real_clip(
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (clip,) = (clip for clip in read_manifest(shared_data, "choose") if clip.group == "lp_d0")
    monkeypatch.setattr(sensitivity, "read_manifest", lambda *_: [clip, replace(clip, fake=True)])
    monkeypatch.setattr(sensitivity, "_FRAMES", 1)
    monkeypatch.setattr(auc, "_DRAWS", 10)
    sensitivity.main(["fakelens-patch"], shared_data, tmp_path / "plot.png")
    printed = capsys.readouterr().out
    assert "fakelens-patch, 2 clips: AUC 0.50 (0.50-0.50)" in printed
    assert (tmp_path / "plot.png").stat().st_size > 1000


# Videos


def test_clips_are_paired_by_group() -> None:
    def clip(dataset: str, group: str, fake: bool) -> Clip:
        return Clip(Path(f"{group}_{fake}.mp4"), fake, dataset, group)

    swapped = clip("FF++ c23 Deepfakes", "b", True), clip("FF++ c23 original", "b", False)
    alone = clip("FF++ c23 original", "a", False)
    others = clip("Celeb-DF-v2", "c", True), clip("Celeb-DF-v2", "c", False)
    strong = clip("FF++ c40 FaceSwap", "d", True), clip("FF++ c40 original", "d", False)
    pairs = aligned_pairs([*swapped, alone, *others, *strong])
    assert pairs == [(swapped[1], swapped[0])]


MANIFEST = """path,label,dataset,group,use
videos/a.mp4,real,one (copy),g1,choose
videos/b.mp4,fake,one,g1,choose
videos/c.mp4,real,two,g2,choose
videos/d.mp4,fake,two,g3,choose
videos/e.mp4,fake,two,g4,choose
videos/f.mp4,unknown,two,g5,choose
videos/g.mp4,real,two,g6,test
videos/h.mp4,real,two,g6,
images/i.jpg,real,three,g7,
images/j.jpg,real,three,g8,
images/k.jpg,fake,three,g9,
"""


def test_manifest_separates_clips_and_pictures(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    clips = read_manifest(tmp_path, "choose")
    assert [clip.path.stem for clip in clips] == list("abcde")
    assert clips[0] == Clip(tmp_path / "videos/a.mp4", False, "one (copy)", "g1")
    assert [clip.path.stem for clip in read_pictures(tmp_path)] == ["i", "j"]


# Logits of the persons in each file; an empty list is a clip without a person.
PEOPLE: dict[str, list[float]] = {
    "a": [-4, -2],
    "b": [-6, 3],
    "c": [1],
    "d": [0],
    "e": [],
    "i": [-4],
    "j": [4],
}


def toy_analyze(path: Path, *, model: BrightnessModel, settings: Settings) -> Report:
    assert model.card.name == "toy"
    assert not settings.trust
    tracks = [make_track(np.full(100, logit), person=1) for logit in PEOPLE[path.stem]]
    report = make_report(*tracks, maps=np.zeros((100, 2, 2)))
    return replace(report, source=path)


def test_score_of_a_video_is_that_of_its_most_suspicious_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    model = BrightnessModel(CropGeometry("box", 1.0))
    model.card = replace(model.card, calibration=Calibration("m", "d", 2.0, ()))
    monkeypatch.setattr(videos, "load_model", lambda _: model)
    monkeypatch.setattr(videos, "analyze", toy_analyze)
    videos.main(["toy.onnx"], tmp_path, images=True)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    # Real -2 and 1 against fake 3 and 0: one of four pairs is in the wrong order.
    assert ["all", "AUC", "0.75"] in [line[:3] for line in lines]
    assert ["one", "AUC", "1.00"] in [line[:3] for line in lines]
    assert ["two", "AUC", "0.00"] in [line[:3] for line in lines]
    text = "\n".join(" ".join(line) for line in lines)
    assert "1 of 5 clips have no score and are skipped" in text
    assert "of 2 real: likely fake 1, likely real 1, inconclusive 0, nobody" in text
    assert "of 3 fake: likely fake 1, likely real 0, inconclusive 1, nobody seen well enough 1" in (
        text
    )
    logits, fake = np.array([-2.0, 3, 1, 0]), np.array([False, True, False, True])
    assert f"Cllr {likelihood_ratio_cost(logits, fake):.2f}" in text
    assert "fake 0.95 likely fake b.mp4" in text
    assert "fake - nobody seen well enough e.mp4" in text
    assert "2 genuine pictures, 0 with nobody seen well enough: 50% called likely fake" in text


def test_additional_margins_use_the_largest_face(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = {"white": [white_face(40)] * 3, "nobody": []}
    monkeypatch.setattr(videos, "largest_faces", lambda path: faces[path.stem])
    clips = [Clip(Path(name), False, "", name) for name in faces]
    models: Sequence[BrightnessModel] = [
        BrightnessModel(CropGeometry("dlib", 1.4)),
        BrightnessModel(CropGeometry("box", 1), sign=-1),
    ]
    logits = videos.margin_logits(models, [1.0, 2.0], clips)
    assert logits.shape == (2, 2, 2)
    # The face fills 1 / margin^2 of the crop.
    assert logits[:, :, 0] == pytest.approx(np.array([(4, 1), (0, 3)]), abs=0.05)
    assert np.isnan(logits[:, :, 1]).all()


def test_cost_of_likelihood_ratios_equals_values_computed_by_hand() -> None:
    fake = np.array([True, False, False])
    assert likelihood_ratio_cost(np.zeros(3), fake) == 1
    assert likelihood_ratio_cost(np.array([40.0, -40, -40]), fake) == pytest.approx(0)
    # A true ratio of 3 costs log2(4 / 3) bits, a ratio of 1 costs one bit; labels weigh the same.
    logits = np.log([3, 1, 1 / 3])
    expected = 0.5 * (np.log2(4 / 3) + (1 + np.log2(4 / 3)) / 2)
    assert likelihood_ratio_cost(logits, fake) == pytest.approx(expected)
    assert likelihood_ratio_cost(np.array([-5.0, 5, 5]), fake) > 1


@pytest.mark.shared
def test_videos_command_analyses_a_real_clip_and_pictures(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clips, pictures = read_manifest(shared_data, "choose"), read_pictures(shared_data)
    (clip,) = (clip for clip in clips if clip.group == "lp_d0")
    monkeypatch.setattr(videos, "read_manifest", lambda *_: [clip, replace(clip, fake=True)])
    monkeypatch.setattr(videos, "read_pictures", lambda _: pictures[:2])
    # The same clip serves as real and as fake: analyse it once.
    monkeypatch.setattr(videos, "analyze", cache(videos.analyze))
    monkeypatch.setattr(videos, "largest_faces", cache(videos.largest_faces))
    videos.main(["fakelens-patch"], shared_data, scale=[1.2], images=True)
    printed = capsys.readouterr().out
    assert printed.count("AUC 0.50 (0.50-0.50)") >= 2
    assert "2 genuine pictures" in printed
