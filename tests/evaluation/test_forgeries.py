"""Faces with a known forged area: synthetic forgeries, frame pairs and labelled fakes."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.errors import MediaError, UsageError
from fakelens.evaluation.datasets import gather_datasets
from fakelens.evaluation.forgeries import (
    crop_forgery,
    find_pictures,
    labelled_forgeries,
    synthetic_forgeries,
)
from fakelens.evaluation.frame_pairs import forged_frames
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, forge
from support.drawn_faces import LANDMARKS, draw_face
from support.linear_model import patch
from support.toys import BLUE, RED, Actor, ScriptedDetector, film, photograph


class FixedDetector:
    """Detects the same faces in every picture that is not all black."""

    name = "fixed"
    sure_confidence = 0.5

    def __init__(self, *faces: Face) -> None:
        self._faces = list(faces)

    def detect(self, images: list[RGBImage]) -> list[list[Face]]:
        return [self._faces if image.any() else [] for image in images]


FACE = Face(Box(30, 20, 190, 220), LANDMARKS, 1.0)
SMALL = Face(Box(150, 150, 200, 200), None, 0.9)


def draw_pictures(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    return [photograph(folder / f"{seed}.png", draw_face(seed)) for seed in range(count)]


# Synthetic forgeries


def test_one_part_of_the_largest_face_is_forged_each_part_in_turn(tmp_path: Path) -> None:
    paths = draw_pictures(tmp_path / "faces", 10)
    parts = ["eyes", "nose", "mouth", "jaw and cheeks", "face"]
    recipes = {part: [each for each in FORGERY_RECIPES if each.part == part] for part in parts}
    in_turn = [recipes[part][0] for part in parts] + [recipes[part][-1] for part in parts]
    found = synthetic_forgeries(paths, FixedDetector(SMALL, FACE), limit=12, seed=0)
    assert sorted(forgery.group for forgery in found) == sorted(map(str, paths))
    for forgery, recipe in zip(found, in_turn, strict=True):
        real = draw_face(int(Path(forgery.group).stem))
        fake, mask = forge(real, LANDMARKS, recipe)
        np.testing.assert_array_equal(forgery.image, fake)
        np.testing.assert_allclose(forgery.mask / 255, mask, atol=0.5 / 255)
        assert forgery.face.box == FACE.box
        assert forgery.part == {"face": "whole face"}.get(recipe.part, recipe.part)


def test_a_random_choice_of_pictures_is_forged(tmp_path: Path) -> None:
    paths = draw_pictures(tmp_path / "faces", 8)
    chosen = [
        [
            forgery.group
            for forgery in synthetic_forgeries(paths, FixedDetector(FACE), limit=3, seed=seed)
        ]
        for seed in (0, 0, 1)
    ]
    assert len(set(chosen[0])) == 3
    assert chosen[0] == chosen[1] != chosen[2]


def test_reducing_a_picture_to_the_surroundings_does_not_change_the_crop(tmp_path: Path) -> None:
    large = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    face = Face(Box(500, 300, 660, 500), LANDMARKS + np.float32([470, 280]), 1.0)
    (found,) = synthetic_forgeries(
        [photograph(tmp_path / "large.png", large)], FixedDetector(face), 1, 0
    )
    assert max(found.image.shape) < 700
    for geometry in (CropGeometry("box", 1.3), CropGeometry("dlib", 1.4)):
        original = extract_crop(large, crop_area(face, geometry), 100)
        crop, _ = crop_forgery(found, geometry, 100, extract_crop)
        mask = extract_crop(found.mask, crop_area(found.face, geometry), 100)
        outside = mask == 0  # a shift by one pixel would change the noise by 80
        assert outside.mean() > 0.2
        np.testing.assert_allclose(crop[outside].astype(int), original[outside], atol=2)


def test_pictures_without_landmarks_are_skipped(tmp_path: Path) -> None:
    black = photograph(tmp_path / "black.png", np.zeros((90, 90, 3), np.uint8))
    assert synthetic_forgeries([black], FixedDetector(FACE), limit=3, seed=0) == []
    no_landmarks = FixedDetector(SMALL)
    assert (
        synthetic_forgeries(draw_pictures(tmp_path / "faces", 1), no_landmarks, limit=3, seed=0)
        == []
    )


def test_a_folder_stands_for_its_pictures(tmp_path: Path) -> None:
    paths = draw_pictures(tmp_path / "faces", 2)
    (tmp_path / "faces" / "notes.txt").write_text("not a picture", encoding="utf-8")
    odd = photograph(tmp_path / "x.png", draw_face(3)).rename(tmp_path / "odd")
    assert find_pictures([odd, tmp_path / "faces"]) == [odd, *paths]
    with pytest.raises(MediaError, match="nowhere"):
        find_pictures([tmp_path / "nowhere"])


# Frame pairs


def test_the_forged_area_is_the_difference_from_the_real_clip(tmp_path: Path) -> None:
    actor = Actor(BLUE, 30)
    real = film(tmp_path / "real.mp4", actor)
    fake = film(tmp_path / "fake.mp4", replace(actor, colour=RED))
    forgeries = forged_frames(real, fake, ScriptedDetector(actor))
    assert len(forgeries) == 20
    for number, forgery in zip(range(0, 40, 2), forgeries, strict=True):
        box = actor.box(number)
        assert forgery.face.box == box
        face = patch(240, slice(60, 120), slice(int(box.x1), int(box.x2)))[: forgery.mask.shape[0]]
        measured = forgery.mask > 127
        assert (measured & face).sum() / (measured | face).sum() > 0.85
        assert abs(int(forgery.image[90, int(box.x1) + 30, 0]) - RED[0]) < 45


def test_frames_without_a_visible_forgery_are_skipped(tmp_path: Path) -> None:
    actor = Actor(BLUE, 30, y=40, side=90)
    real = film(tmp_path / "real.mp4", actor, frames=4)
    assert forged_frames(real, real, ScriptedDetector(actor)) == []
    nobody = ScriptedDetector()
    fake = film(tmp_path / "fake.mp4", replace(actor, colour=RED), frames=4)
    assert forged_frames(real, fake, nobody) == []
    # If everything around the face differs too, the two do not show the same area.
    moved = film(tmp_path / "moved.mp4", replace(actor, colour=RED, x=27, y=37), frames=4)
    inner = ScriptedDetector(Actor(BLUE, 50, y=60, side=50))
    assert forged_frames(real, moved, inner) == []


def test_a_forgery_includes_the_next_frame(tmp_path: Path) -> None:
    actor = Actor(BLUE, 30, last=39)
    real = film(tmp_path / "real.mp4", actor)
    fake = film(tmp_path / "fake.mp4", replace(actor, colour=RED))
    forgeries = forged_frames(real, fake, ScriptedDetector(actor), count=4)
    assert [forgery.face.box for forgery in forgeries] == [actor.box(n) for n in (0, 10, 20, 30)]
    for number, forgery in zip((0, 10, 20, 30), forgeries, strict=True):
        image, face = forgery.following
        assert face.box == actor.box(number + 1)
        assert abs(int(image[90, int(face.box.x1) + 30, 0]) - RED[0]) < 45
    every = forged_frames(real, fake, ScriptedDetector(actor), count=40)
    assert len(every) == 40
    assert [forgery.following is None for forgery in every] == [False] * 39 + [True]
    vanishes = ScriptedDetector(replace(actor, last=20))
    *_, last = forged_frames(real, fake, vanishes, count=4)
    assert last.face.box == actor.box(20)
    assert last.following is None


def test_videos_of_different_length_or_size_are_not_a_pair(tmp_path: Path) -> None:
    actor = Actor(BLUE, 30)
    real = film(tmp_path / "real.mp4", actor, frames=12)
    longer = film(tmp_path / "longer.mp4", actor, frames=14)
    with pytest.raises(MediaError, match=r"real\.mp4 and .*longer\.mp4 are not a pair: .* length"):
        forged_frames(real, longer, ScriptedDetector(actor))
    picture = photograph(tmp_path / "small.png", np.full((64, 64, 3), 9, np.uint8))
    with pytest.raises(MediaError, match="differ in size"):
        forged_frames(real, picture, ScriptedDetector(actor))


# Labelled fakes


def write_table(folder: Path, mask: NDArray[np.uint8], rows: str) -> Path:
    photograph(folder / "fake.png", draw_face(0))
    cv2.imwrite(str(folder / "mask.png"), mask)
    (folder / "table.csv").write_text(rows, encoding="utf-8")
    return folder / "table.csv"


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_nonzero_pixels_of_the_mask_are_forged(tmp_path: Path, channels: int) -> None:
    mask = np.zeros((224, 224, channels), np.uint8)
    mask[100:140, 80:120, 0] = 1
    if channels == 4:
        mask[..., 3] = 255  # opaque everywhere
    table = write_table(tmp_path, mask, "image,mask\nfake.png,mask.png\n")
    (found,) = labelled_forgeries(table, FixedDetector(FACE), limit=5, seed=0)
    np.testing.assert_array_equal(
        found.mask, 255 * patch(224, slice(100, 140), slice(80, 120)).astype(np.uint8)
    )
    np.testing.assert_array_equal(found.image, draw_face(0))
    assert found.group == "fake.png"


def test_the_forged_face_is_the_one_under_the_mask(tmp_path: Path) -> None:
    mask = np.zeros((224, 224), np.uint8)
    mask[160:180, 160:195] = 255
    left = Face(Box(0, 0, 160, 200), LANDMARKS, 1.0)
    table = write_table(tmp_path, mask, "image,mask,group\nfake.png,mask.png,clip 7\n")
    (found,) = labelled_forgeries(table, FixedDetector(left, SMALL), limit=5, seed=0)
    assert found.face.box == SMALL.box
    assert found.group == "clip 7"
    assert labelled_forgeries(table, FixedDetector(left), limit=5, seed=0) == []


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ("image,group\nfake.png,a\n", UsageError, "the column mask is missing"),
        ("", UsageError, "the column image is missing"),
        ("image,mask\nfake.png\n", UsageError, "no value for image or mask"),
        ("image,mask\nfake.png,nowhere.png\n", MediaError, r"nowhere\.png"),
        ("image,mask\nnowhere.png,mask.png\n", MediaError, r"nowhere\.png"),
        ("image,mask\nfake.png,table.csv\n", MediaError, r"table\.csv: is not a picture"),
        ("image,mask\nfake.png,small.png\n", UsageError, r"small\.png and fake\.png differ"),
    ],
)
def test_an_unusable_table_is_an_error(
    tmp_path: Path, rows: str, error: type[Exception], message: str
) -> None:
    photograph(tmp_path / "small.png", draw_face(0)[:50])
    table = write_table(tmp_path, np.full((224, 224), 255, np.uint8), rows)
    with pytest.raises(error, match=message):
        labelled_forgeries(table, FixedDetector(FACE), limit=5, seed=0)


# Datasets


def test_each_source_is_a_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    draw_pictures(folder, 3)
    actor = Actor(BLUE, 30)
    film(tmp_path / "real.mp4", actor, frames=8)
    film(tmp_path / "swapped.mp4", replace(actor, colour=RED), frames=8)
    mask = np.full((224, 224), 255, np.uint8)
    table = write_table(tmp_path, mask, "image,mask\nfake.png,mask.png\n")
    pair = (tmp_path / "real.mp4", tmp_path / "swapped.mp4")
    face = Face(Box(30, 60, 90, 120), LANDMARKS * 0.3 + np.float32([25, 55]), 1.0)
    found, notes = gather_datasets([folder], [pair], table, FixedDetector(face), limit=2, seed=0)
    assert [dataset.name for dataset in found] == ["synthetic forgeries", "swapped", "table"]
    assert [len(dataset.forgeries) for dataset in found] == [2, 2, 1]
    assert not notes
    same = (pair[0], pair[0])
    found, notes = gather_datasets([], [same], None, FixedDetector(face), limit=2, seed=0)
    assert found == []
    assert notes == ["real: no face with a visible forgery"]


def test_missing_input_bad_limits_and_equal_names_are_usage_errors(tmp_path: Path) -> None:
    detector = FixedDetector(FACE)
    with pytest.raises(UsageError, match="nothing to measure on"):
        gather_datasets([], [], None, detector, limit=2, seed=0)
    with pytest.raises(UsageError, match="at least 1 face, not 0"):
        gather_datasets([tmp_path], [], None, detector, limit=0, seed=0)
    with pytest.raises(UsageError, match="same name"):
        gather_datasets(
            [], [(tmp_path / "a", tmp_path / "b.mp4")] * 2, None, detector, limit=2, seed=0
        )
