"""Sources of the yardstick, and the blends made from them."""

import csv
import io
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

pytest.importorskip("tqdm", reason="training needs the extra [training]")

from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face
from support.drawn_faces import LANDMARKS
from training.yardstick import blends
from training.yardstick.items import Item, View
from training.yardstick.sources import (
    dfdc_crops,
    genuine_tracks,
    photographs,
    validation_faces,
)


class SquareDetector:
    """Face detector that finds squares on black: white ones are sure, grey ones doubtful."""

    name, sure_confidence = "squares", 0.8

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        return [self._detect(image) for image in images]

    def _detect(self, image: RGBImage) -> list[Face]:
        _, labels, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 90).astype("u1"))
        faces = []
        for label, (x, y, width, height, area) in enumerate(stats.tolist()):
            if label and area > 100:
                marks = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
                landmarks = (marks * (width, height) + (x, y)).astype(np.float32)
                sure = image[labels == label].mean() > 200
                box = Box(x, y, x + width, y + height)
                faces.append(Face(box, landmarks, 0.9 if sure else 0.7))
        return faces


def squares(*places: tuple[int, int, int, int], size: tuple[int, int] = (300, 400)) -> RGBImage:
    """Draw squares, given as x, y, side and grey level."""
    image = np.zeros((*size, 3), np.uint8)
    for x, y, side, level in places:
        image[y : y + side, x : x + side] = level
    return image


def write_manifest(folder: Path, rows: list[dict[str, str]]) -> None:
    names = ["path", "label", "use", "dataset", "group"]
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(dict(zip(names, row, strict=True)) for row in rows)


def write_video(path: Path, frames: Sequence[RGBImage]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25)
        stream.height, stream.width = frames[0].shape[:2]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))


def write_shards(folder: Path, rows: list[dict[str, str]], image: RGBImage) -> None:
    folder.mkdir()
    with (folder / "index.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    data = cv2.imencode(".jpg", image)[1].tobytes()
    for shard in {row["shard"] for row in rows}:
        with tarfile.open(folder / shard, "w") as tar:
            for row in rows:
                if row["shard"] == shard:
                    member = tarfile.TarInfo(row["file"])
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


def test_tracks_come_from_genuine_choose_clips(tmp_path: Path) -> None:
    # The face moves to the right by two pixels per frame; a smaller one stays in place.
    frames = [squares((20 + 2 * n, 60, 100, 255), (330, 20, 40, 255)) for n in range(64)]
    write_video(tmp_path / "a.mp4", frames)
    note = "Some set (by look: noisy)"
    write_manifest(
        tmp_path,
        [
            ("a.mp4", "real", "choose", note, "g"),
            ("missing.mp4", "fake", "choose", note, "g"),
            ("missing.mp4", "real", "test", note, "g"),
            ("missing.mp4", "unknown", "choose", note, "g"),
        ],
    )
    (track,) = genuine_tracks(tmp_path, SquareDetector())
    assert (track.part, track.fake, track.origin, track.group) == ("tracks", False, "Some set", "g")
    assert len(track.views) == 8
    for view in track.views:
        assert view.native_side == pytest.approx(100, abs=3)
        # The margin above the face is half of 0.8 times its side.
        assert view.face.box.y1 == pytest.approx(40, abs=3)


def test_photographs_give_every_face_of_sufficient_quality(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    image = squares(
        (20, 30, 100, 255), (250, 30, 100, 255), (20, 200, 40, 255), (250, 180, 90, 120)
    )
    for name in ("fr_a-240p.jpg_real_1.jpg", "fr_a-480p.jpg_real_2.jpg"):
        cv2.imwrite(str(tmp_path / "images" / name), image)
    found = list(photographs(tmp_path, SquareDetector()))
    assert len(found) == 4  # two per picture: one face is too small, one is doubtful
    assert {item.group for item in found} == {"fr_a"}
    assert {item.part for item in found} == {"stills"}


def test_stills_come_from_the_split_val(tmp_path: Path) -> None:
    image = squares((60, 60, 100, 255), size=(208, 208))
    names = ["shard", "file", "group", "split", "source"]
    rows = [
        ("one.tar", "1.jpg", "g1", "val", "FFHQ, cut"),
        ("one.tar", "2.jpg", "g2", "train", "FFHQ, cut"),
        ("two.tar", "3.jpg", "g3", "val", "LFW deep-funneled, cut"),
    ]
    write_shards(
        tmp_path / "real_faces", [dict(zip(names, row, strict=True)) for row in rows], image
    )
    found = list(validation_faces(tmp_path, SquareDetector()))
    assert [(item.origin, item.group) for item in found] == [("FFHQ", "g1"), ("LFW", "g3")]
    assert found[0].views[0].picture.shape == (208, 208, 3)


def test_tight_crops_are_detected_with_a_border(tmp_path: Path) -> None:
    image = squares((0, 0, 224, 255), size=(224, 224))
    rows = [
        {
            "shard": "a.tar",
            "file": f"{group}{label}.jpg",
            "label": label,
            "group": group,
            "split": "val",
            "native_crop_width": "448",
        }
        for group in "abcde"
        for label in ("real", "fake")
    ]
    write_shards(tmp_path / "dfdc_crops", rows, image)
    found = list(dfdc_crops(tmp_path, SquareDetector(), groups=3))
    assert Counter(item.group for item in found) == {"a": 2, "c": 2, "e": 2}
    assert [item.fake for item in found] == [False, True] * 3
    for item in found:
        (view,) = item.views
        assert view.picture.shape == (224, 224, 3)
        assert view.face.box.x1 == pytest.approx(0, abs=1)
        assert view.native_side == pytest.approx(448, abs=4)


def drawn_item(seed: int) -> Item:
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(60, 200, (40, 40, 3), np.uint8), (241, 241))
    face = Face(Box(40, 20, 180, 220), LANDMARKS + rng.normal(0, 3, (5, 2)).astype("f4"), 0.9)
    return Item("stills", False, "drawn", "genuine", f"g{seed}", (View(image, face, 200.0),))


@pytest.fixture
def known_landmarks(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Make 68 points on and inside an ellipse the result of every landmark finder."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    radius = np.where(np.arange(68) < 27, 1.0, 0.4)
    points = np.stack(
        [110 + 55 * radius * np.cos(angle), 120 + 75 * radius * np.sin(angle)], axis=1
    ).astype(np.float32)

    class Finder:
        def find(self, image: RGBImage, box: Box) -> SimpleNamespace | None:
            return None if box.x1 == 0 else SimpleNamespace(landmarks=points)

    monkeypatch.setattr(blends, "DlibLandmarkFinder", Finder)
    return points


def test_blends_of_every_kind_follow_their_genuine_partner(known_landmarks: np.ndarray) -> None:
    faces = [drawn_item(seed) for seed in range(16)]
    made = list(blends.held_out_blends(faces, 0))
    fakes = [item for item in made if item.fake]
    assert Counter(item.kind for item in fakes) == dict.fromkeys(blends.HULL_KINDS, 8)
    assert {item.part for item in made} == {"blends"}
    assert {item.views[0].picture.shape for item in made} == {(240, 240, 3)}
    # Each face gives a genuine partner and three blends.
    assert len(made) == 16 * 4
    corner_changes = []
    for index in range(16):
        partner, *forged = made[4 * index : 4 * index + 4]
        assert not partner.fake
        for item in forged:
            assert item.group == partner.group == f"g{index}"
            assert item.views[0].face is partner.views[0].face
            change = np.abs(item.views[0].picture.astype(int) - partner.views[0].picture)
            assert change.max() > 4
            # The corners are far from the face.
            corner_changes.append(change[:16, :16].max())
    degradation = np.repeat(np.arange(16) // 2 % 4, 3)
    assert not np.array(corner_changes)[(degradation == 0) | (degradation == 3)].any()


def test_genuine_partners_are_changed_as_well(known_landmarks: np.ndarray) -> None:
    faces = [drawn_item(seed) for seed in range(32)]
    made = list(blends.held_out_blends(faces, 0))
    partners = [item for item in made if not item.fake]
    # These partners are not degraded, so any change is that of the target.
    changed = [
        not np.array_equal(partner.views[0].picture, face.views[0].picture[:240, :240])
        for index, (face, partner) in enumerate(zip(faces, partners, strict=True))
        if index // 2 % 4 == 0
    ]
    assert 0 < sum(changed) < len(changed)


def test_face_without_landmarks_is_skipped(known_landmarks: np.ndarray) -> None:
    first, second = drawn_item(0), drawn_item(1)
    without = replace(first.views[0], face=replace(first.views[0].face, box=Box(0, 20, 180, 220)))
    made = list(blends.held_out_blends([replace(first, views=(without,)), second], 0))
    assert {item.group for item in made} == {"g1"}


def test_blends_depend_on_the_seed(known_landmarks: np.ndarray) -> None:
    faces = [drawn_item(seed) for seed in range(3)]
    first, again, other = (
        [item.views[0].picture for item in blends.held_out_blends(faces, seed)]
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
