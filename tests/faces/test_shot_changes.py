"""Shot changes end all tracks; other changes do not."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import accumulate, chain, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from fakelens.faces.tracking import track_faces
from fakelens.media.shots import every_nth, with_shot_changes
from fakelens.records.arrays import RGBImage
from fakelens.records.media import Frame
from support.tracking import (
    ScriptedDetector,
    decode_frames,
    face_at,
    faces_by_track,
    frame,
    texture,
)


def find_cuts(pictures: Sequence[RGBImage]) -> tuple[list[int], list[int]]:
    """Return the frames at which a new track begins, and the frames that were searched."""
    detector = ScriptedDetector(lambda i: [face_at(60)])
    frames = [frame(i, picture) for i, picture in enumerate(pictures)]
    tracked = faces_by_track(track_faces(with_shot_changes(frames), detector, every=5))
    assert len(tracked) == len(frames)
    begins = [i for i, (a, b) in enumerate(pairwise(tracked), 1) if set(a) != set(b)]
    return begins, detector.seen


def panning_shot(seed: int, count: int, speed: float = 0.01) -> list[RGBImage]:
    """Draw a camera that pans over a scene, by a fraction of the frame's width per frame."""
    wide = texture(seed, 90, 320)
    return [wide[:, int(i * speed * 160) % 160 :][:, :160] for i in range(count)]


def test_a_cut_ends_all_tracks_and_both_sides_are_searched() -> None:
    begins, searched = find_cuts([*panning_shot(1, 13), *panning_shot(2, 17), *panning_shot(3, 9)])
    assert begins == [13, 30]
    assert {12, 13, 29, 30, 38} <= set(searched)
    assert len(searched) < 20


def test_cuts_on_the_last_frame_and_shots_of_one_frame_are_found() -> None:
    assert find_cuts([*panning_shot(1, 8), *panning_shot(2, 1)])[0] == [8]
    assert find_cuts([*panning_shot(1, 8), *panning_shot(2, 1), *panning_shot(3, 8)])[0] == [8, 9]


@pytest.mark.parametrize("lengths", [[13, 2, 9], [13, 5, 9], [13, 3, 4, 5, 9], [13, 1, 1, 9]])
def test_cuts_soon_after_another_cut_are_found(lengths: list[int]) -> None:
    shots = [panning_shot(seed, length) for seed, length in enumerate(lengths)]
    assert find_cuts([picture for shot in shots for picture in shot])[0] == list(
        accumulate(lengths[:-1])
    )


@pytest.mark.parametrize("offset", range(-4, 5))
@pytest.mark.parametrize("strength", [0.5, 0.8])
def test_a_cut_near_a_flash_is_found(offset: int, strength: float) -> None:
    pictures = [*panning_shot(1, 13), *panning_shot(2, 13)]
    pictures[13 + offset] = flashed(pictures[13 + offset], strength)
    assert find_cuts(pictures)[0] == [13]


def test_a_cut_during_fast_pans_is_found() -> None:
    shots = [panning_shot(seed, 14, speed=0.06) for seed in range(3)]
    assert find_cuts([picture for shot in shots for picture in shot])[0] == [14, 28]


def test_different_pictures_on_each_frame_are_different_shots() -> None:
    assert find_cuts([texture(seed) for seed in range(8)])[0] == list(range(1, 8))


@pytest.mark.parametrize("black", [0, 1, 20])
def test_a_fade_through_black_is_one_shot_change(black: int) -> None:
    out = scaled_brightness(1, np.linspace(1, 0, 10))
    dark = [np.zeros_like(texture(1))] * black
    begins, _ = find_cuts([*out, *dark, *scaled_brightness(2, np.linspace(0, 1, 10))])
    assert len(begins) == 1
    assert 10 + black <= begins[0] <= 10 + black + 3


def test_a_cut_in_a_letterboxed_video_is_found() -> None:
    def framed(picture: RGBImage) -> RGBImage:
        canvas = np.random.default_rng(0).integers(0, 4, (200, 400, 3), np.uint8)
        canvas[55:145, 120:280] = picture
        return canvas

    assert find_cuts([framed(p) for p in [*panning_shot(1, 10), *panning_shot(2, 10)]])[0] == [10]


def test_a_new_frame_size_is_a_cut() -> None:
    assert find_cuts([texture(1)] * 7 + [texture(1, 180, 320)] * 7)[0] == [7]


def scaled_brightness(seed: int, values: Iterable[float]) -> list[RGBImage]:
    return [cv2.convertScaleAbs(texture(seed), alpha=v) for v in values]


def flashed(picture: RGBImage, strength: float) -> RGBImage:
    """Blend a picture with white."""
    return cv2.convertScaleAbs(picture, alpha=1 - strength, beta=255 * strength)


def zooming_shot(seed: int, count: int, factor: float) -> list[RGBImage]:
    """Draw a camera that zooms in, by ``factor`` per frame."""
    wide = texture(seed, 360, 640)
    return [
        cv2.resize(
            cv2.getRectSubPix(wide, (int(640 / factor**i), int(360 / factor**i)), (320, 180)),
            (160, 90),
            interpolation=cv2.INTER_AREA,
        )
        for i in range(count)
    ]


def with_patch(picture: RGBImage, patch: RGBImage) -> RGBImage:
    out = picture.copy()
    out[5:40, 5:70] = cv2.resize(patch, (65, 35))
    return out


@pytest.mark.parametrize(
    "pictures",
    [
        panning_shot(1, 30, speed=0.03),
        [*panning_shot(1, 5, speed=0), *panning_shot(1, 14, speed=0.06)],
        [*zooming_shot(1, 5, 1), *zooming_shot(1, 10, 1.15)],
        scaled_brightness(1, np.linspace(1, 0.3, 30)),
        scaled_brightness(1, [*np.linspace(1, 0, 20), *np.zeros(5), *np.linspace(0, 1, 20)]),
        [
            *scaled_brightness(1, [1] * 8),
            np.full((90, 160, 3), 255, np.uint8),
            *scaled_brightness(1, [1] * 8),
        ],
        [*scaled_brightness(1, [1] * 8), *[np.full((90, 160, 3), 255, np.uint8)] * 3, texture(1)],
        [*scaled_brightness(1, [1] * 8), texture(9), *scaled_brightness(1, [1] * 8)],
        [with_patch(texture(1), texture(2 + i // 6)) for i in range(24)],
        [np.random.default_rng(i).integers(90, 93, (90, 160, 3), np.uint8) for i in range(20)],
        [texture(i) for i in range(1)] * 12,
    ],
    ids=[
        "pan",
        "fast pan",
        "fast zoom",
        "drift",
        "fade",
        "flash",
        "long flash",
        "one frame",
        "inset",
        "dark noise",
        "still",
    ],
)
def test_other_changes_are_not_cuts(pictures: list[RGBImage]) -> None:
    assert find_cuts(pictures)[0] == []


def test_a_turning_head_in_a_portrait_is_not_a_cut() -> None:
    portrait = data.astronaut()
    turned = [
        cv2.warpAffine(
            portrait,
            cv2.getRotationMatrix2D((256, 256), 10 * np.sin(i / 3), 1 + 0.05 * np.sin(i / 4)),
            (512, 512),
            borderMode=cv2.BORDER_REFLECT,
        )
        for i in range(40)
    ]
    assert find_cuts(turned)[0] == []


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 9))
def test_thinned_shots_begin_at_the_next_frame_that_is_kept(begins: list[bool], every: int) -> None:
    picture = texture(0)
    pairs = [(Frame(i, Fraction(i), picture), begin) for i, begin in enumerate(begins)]
    kept = list(every_nth(iter(pairs), every))
    assert [item.index for item, _ in kept] == list(range(0, len(begins), every))
    next_kept = {-(-index // every) * every for index, begin in enumerate(begins) if begin}
    assert {item.index for item, begin in kept if begin} == {
        k for k in next_kept if k < len(begins)
    }


@pytest.mark.parametrize("every", [4, 5, 6, 11])
@pytest.mark.parametrize("first", range(20, 26))  # so that cuts lie at all distances
def test_a_thinned_film_has_the_cuts_of_the_whole_film(first: int, every: int) -> None:
    lengths = [first, 13, 18, 11, 16]
    shots = [panning_shot(seed, n, speed=0.03) for seed, n in enumerate(lengths)]
    frames = (frame(i, picture) for i, picture in enumerate(chain.from_iterable(shots)))
    thinned = list(every_nth(with_shot_changes(frames), every))
    wanted = [0, *(-(-cut // every) * every for cut in accumulate(lengths[:-1]))]
    assert [item.index for item, begins in thinned if begins] == wanted


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "cuts"),
    [
        ("ghost_dirtydancing_real_0035", [82, 131, 194, 226]),  # found by eye; hand-held, dancing
        ("hamilton_real_0058", [20, 82, 211]),  # found by eye
        ("ffpp_004_real_0018", []),  # the inset picture changes three times
        ("dfdctest_4_real_0027", []),  # coloured shapes flash
        ("lp_s13_real_0055", []),  # fast head movements, hand-held
        ("dfdctest_5_real_0028", []),
    ],
)
def test_cuts_of_real_videos_are_found(clip: str, cuts: list[int], shared_data: Path) -> None:
    frames = decode_frames(shared_data / "videos" / f"{clip}.mp4", width=480)
    detector = ScriptedDetector(lambda i: [face_at(60)])
    indexed = (frame(item.index, item.image, item.time) for item in frames)
    tracked = faces_by_track(track_faces(with_shot_changes(indexed), detector, every=5))
    begins = [i for i, (a, b) in enumerate(pairwise(tracked), 1) if set(a) != set(b)]
    assert begins == cuts
