"""Index, landmarks, hulls and differences of training crops, on drawn faces and a portrait."""

import csv
import importlib.util
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("tqdm", reason="training needs the extra [training]")

from fakelens.faces.yunet import YuNet
from fakelens.records.arrays import FloatArray, RGBImage
from support.drawn_landmarks import BETWEEN_EYES, EYES_TO_MOUTH, frontal_face, turned_face
from training.faces.difference import MASK_SIDE, measure_difference
from training.faces.index import CropDataError, pair_crops, read_index, read_pictures
from training.faces.landmarks import (
    HULL_CORNERS,
    HULL_KINDS,
    DlibLandmarkFinder,
    compute_hulls,
    face_square,
    predictor_file,
)

COLUMNS = ("shard", "file", "label", "group", "split")
# Landmarks (iBUG's numbering, from 0) that each hull must contain, and must not contain.
INSIDE = {
    "forehead": range(27, 68),
    "face": range(27, 68),
    "lower": range(48, 68),
    "eyes_nose": range(27, 48),
    "mouth": range(60, 68),
    "nose_mouth": (*range(27, 36), *range(48, 68)),
}
OUTSIDE = {
    "forehead": (),
    "face": (),
    "lower": (*range(17, 27), *range(36, 48)),
    "eyes_nose": (*range(2, 15), *range(54, 60)),
    "mouth": range(48),
    "nose_mouth": (*range(27), 36, 45),
}


def write_index(folder: Path, *rows: tuple[str, ...], columns: tuple[str, ...] = COLUMNS) -> None:
    with (folder / "index.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])


def noise(seed: int) -> RGBImage:
    blotches = np.random.default_rng(seed).integers(60, 200, (9, 9, 3), np.uint8)
    return cv2.resize(blotches, (224, 224)).astype(np.uint8)


def poses() -> list[FloatArray]:
    rng = np.random.default_rng(5)
    return [turned_face(rng, (110, 100), scale) for scale in (0.3, 0.6, 0.6, 0.9, 1.4) * 4]


def test_real_crops_are_paired_with_fakes_of_their_group(tmp_path: Path) -> None:
    write_index(
        tmp_path,
        ("a.tar", "1.jpg", "fake", "g", "train", "100"),
        ("a.tar", "2.jpg", "real", "g", "train", "100"),
        ("a.tar", "3.jpg", "real", "g", "train", "100"),
        ("a.tar", "4.jpg", "fake", "g", "train", "104"),
        ("a.tar", "5.jpg", "real", "h", "train", ""),
        ("a.tar", "6.jpg", "real", "v", "val", ""),
        columns=(*COLUMNS, "native_crop_width"),
    )
    found = pair_crops(read_index(tmp_path), "train")
    names = [(pair.real.file, pair.fake and pair.fake.file) for pair in found]
    assert names == [("2.jpg", "1.jpg"), ("3.jpg", "4.jpg"), ("5.jpg", None)]
    # 104 / 100 is more than 3 %.
    assert [pair.same_scale for pair in found] == [True, False, False]
    assert [pair.real.file for pair in pair_crops(read_index(tmp_path), "val")] == ["6.jpg"]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([("a.tar", "1", "real", "g")], COLUMNS[:4], "lacks the columns split"),
        ([("a.tar", "1", "true", "g", "val")], COLUMNS, "line 2 .*'true'"),
        ([("a.tar", "1", "real", "g", "test")], COLUMNS, "line 2 .*'test'"),
        (
            [("a", "1", "real", "g", "val"), ("a", "2", "real", "g", "train")],
            COLUMNS,
            "both splits",
        ),
        ([("a", "1", "real", "g", "val", "x")], (*COLUMNS, "native_crop_width"), "line 2"),
    ],
)
def test_invalid_index_is_explained_in_one_line(
    tmp_path: Path, rows: list[tuple[str, ...]], columns: tuple[str, ...], message: str
) -> None:
    write_index(tmp_path, *rows, columns=columns)
    with pytest.raises(CropDataError, match=message) as caught:
        read_index(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CropDataError, match=r"index\.csv cannot be read"):
        read_index(tmp_path)
    write_index(tmp_path, ("a.tar", "1.jpg", "real", "g", "train"))
    (tmp_path / "a.tar").write_bytes(b"no archive")
    with pytest.raises(CropDataError, match=r"a\.tar cannot be read"):
        list(read_pictures(tmp_path, read_index(tmp_path)))


@pytest.mark.parametrize("kind", HULL_KINDS)
def test_hulls_contain_their_landmarks_and_no_others(kind: str) -> None:
    for points in [frontal_face(), *poses()]:
        hull = compute_hulls(points)[HULL_KINDS.index(kind)]
        depth = [cv2.pointPolygonTest(hull, points[n].tolist(), True) for n in range(68)]
        # A hull with more than 20 corners loses the flattest ones.
        tolerance = 0.01 * np.ptp(points[:, 1])
        assert min(depth[n] for n in INSIDE[kind]) > -tolerance
        assert max((depth[n] for n in OUTSIDE[kind]), default=-1.0) < tolerance


def test_hulls_have_twenty_corners_in_order_and_the_area_of_the_convex_hull() -> None:
    parts = {"face": range(27), "mouth": range(48, 68), "eyes_nose": range(17, 48)}
    for points in poses():
        all_hulls = compute_hulls(points)
        assert all_hulls.shape == (len(HULL_KINDS), HULL_CORNERS, 2)
        edges = np.roll(all_hulls, -1, axis=1) - all_hulls
        assert np.linalg.norm(edges, axis=2).min() > 0
        following = np.roll(edges, -1, axis=1)
        turn = edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0]
        # All corners turn in one direction; straight corners are allowed, within rounding.
        lengths = np.linalg.norm(edges, axis=2) * np.linalg.norm(following, axis=2)
        assert (turn / lengths).min() > -1e-3 or (turn / lengths).max() < 1e-3
        for kind, part in parts.items():
            exact = cv2.contourArea(cv2.convexHull(points[list(part)]))
            ours = cv2.contourArea(all_hulls[HULL_KINDS.index(kind)])
            assert ours == pytest.approx(exact, rel=0.01)


def test_forehead_reaches_a_quarter_to_a_third_of_the_face_above_the_brows() -> None:
    points = frontal_face()
    forehead, face = (
        compute_hulls(points)[HULL_KINDS.index(kind)] for kind in ("forehead", "face")
    )
    height = points[8, 1] - points[17:27, 1].mean()
    raised = (face[:, 1].min() - forehead[:, 1].min()) / height
    assert 0.25 <= raised <= 0.35


def test_face_square_follows_rotation_zoom_and_shift() -> None:
    points = frontal_face()
    center, side = face_square(points)
    # Eyes and mouth are centred on (0, 0).
    assert side == pytest.approx(2.68 * EYES_TO_MOUTH)
    assert center == pytest.approx([0, -0.18 * EYES_TO_MOUTH], abs=1e-3)
    angle, zoom, shift = 0.4, 1.7, np.array([30, -12])
    turn = np.array([(math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))])
    moved_center, moved_side = face_square((zoom * points @ turn.T + shift).astype(np.float32))
    assert moved_side == pytest.approx(zoom * side, rel=1e-4)
    assert moved_center == pytest.approx(zoom * turn @ center + shift, abs=1e-2)


def test_side_of_a_bowed_head_is_measured_between_the_eyes() -> None:
    flat = frontal_face() * np.array([1, 0.3], np.float32)
    _, side = face_square(flat)
    assert side == pytest.approx(2.68 * 0.8 * BETWEEN_EYES)


def test_forgery_is_measured_where_it_is() -> None:
    real = noise(1)
    fake = real.copy()
    fake[84:168, 56:140] = 255 - fake[84:168, 56:140]
    found = measure_difference(real, fake)
    forged = np.zeros((MASK_SIDE, MASK_SIDE), bool)
    forged[84 // 8 : 168 // 8, 56 // 8 : 140 // 8] = True
    assert found.mask.shape == forged.shape
    assert ((found.mask > 0.5) & forged).sum() / ((found.mask > 0.5) | forged).sum() > 0.7
    assert found.visible
    assert found.aligned
    assert found.rim < 1


def test_grain_and_a_small_change_of_light_are_not_a_forgery() -> None:
    real = noise(2)
    grain = np.random.default_rng(0).normal(0, 4, real.shape)
    lighter = real.copy()
    lighter[60:160, 60:160] += 9
    for changed in (np.clip(real + grain, 0, 255).astype(np.uint8), lighter):
        found = measure_difference(real, changed)
        assert not found.visible
        assert not found.aligned


def test_crops_with_different_borders_are_not_aligned() -> None:
    real = noise(3)
    fake = real.copy()
    fake[80:140, 80:140] = 255 - fake[80:140, 80:140]
    assert measure_difference(real, fake).aligned
    moved = noise(4)
    moved[24:-24, 24:-24] = fake[24:-24, 24:-24]
    found = measure_difference(real, moved)
    assert found.visible
    assert found.mask.mean() < 0.8
    assert not found.aligned


def test_crops_that_differ_everywhere_are_not_aligned() -> None:
    real = noise(3)
    fake = real.copy()
    # Below the limit for the border, and, unlike a change of light, not quite everywhere.
    fake[:, 25:] += 13
    found = measure_difference(real, fake)
    assert found.visible
    assert found.rim < 14
    assert not found.aligned


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CropDataError, match="pip install face-recognition-models") as caught:
        predictor_file()
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def finder() -> DlibLandmarkFinder:
    try:
        return DlibLandmarkFinder()
    except CropDataError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def portrait() -> RGBImage:
    """A public-domain portrait, cropped to the face and its surroundings."""
    data = pytest.importorskip("skimage.data", reason="the portrait needs the extra [demo]")
    return np.ascontiguousarray(data.astronaut()[20:270, 100:350])


def test_landmarks_of_a_portrait_agree_with_those_of_yunet(
    finder: DlibLandmarkFinder, portrait: RGBImage
) -> None:
    found = finder.find(portrait)
    assert found is not None
    (face,) = YuNet().detect([portrait])[0]
    assert face.landmarks is not None
    side = max(face.box.width, face.box.height)
    points = found.landmarks
    ours = [points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]
    # The two models place the mouth corners of a smile differently.
    assert np.linalg.norm(ours - face.landmarks, axis=1).max() < 0.08 * side
    center, estimate = face_square(points)
    assert estimate == pytest.approx(side, rel=0.15)
    assert np.linalg.norm(center - np.array(face.box.center)) < 0.1 * side


def test_tight_crop_has_the_same_landmarks_as_the_whole_picture(
    finder: DlibLandmarkFinder, portrait: RGBImage
) -> None:
    whole = finder.find(portrait)
    assert whole is not None
    box = whole.face.box
    x, y = round(box.x1), round(box.y1)
    tight = finder.find(np.ascontiguousarray(portrait[y : round(box.y2), x : round(box.x2)]))
    assert tight is not None
    offset = np.linalg.norm(tight.landmarks + np.array((x, y)) - whole.landmarks, axis=1)
    assert np.median(offset) < 0.04 * box.width


def test_picture_without_a_face_has_no_landmarks(finder: DlibLandmarkFinder) -> None:
    assert finder.find(np.full((200, 200, 3), 128, np.uint8)) is None
