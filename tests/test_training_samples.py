"""Training samples - masks, blends, augmentation, samples - on drawn pictures."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from fakelens.benchmark.differences import EVERYWHERE, changed_mask
from fakelens.crops import cut as cut_at_run_time
from fakelens.data import Box

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from training import batches as samples  # noqa: E402
from training.augment import Square, as_jpeg, as_video, augment, cut, jitter  # noqa: E402
from training.batches import Samples, batches  # noqa: E402
from training.blends import (  # noqa: E402
    match_colours,
    nudge,
    part_blend,
    perturb,
    self_blend,
    set_apart,
    swap_blend,
)
from training.data import Pair, load_pairs  # noqa: E402
from training.masks import blend_mask, smooth_field, warp  # noqa: E402

from drawn_faces import FORGED, LANDMARKS, draw_face, encode, forge, make_pair  # noqa: E402

ROWS, COLUMNS = np.indices((224, 224), np.float32)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return [make_pair(seed) for seed in range(5)]


def center_of(mask: np.ndarray) -> np.ndarray:
    """(2,) x, y of the centre of mass."""
    return np.array([(mask * COLUMNS).sum(), (mask * ROWS).sum()]) / mask.sum()


def error(image: np.ndarray, copy: np.ndarray) -> float:
    """Mean difference, grey levels."""
    return float(np.abs(image.astype(float) - copy).mean())


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boolean masks."""
    return float((a & b).sum() / (a | b).sum())


def turned(degrees: float) -> np.ndarray:
    """(2, 3) matrix that turns a picture about its middle and makes it smaller."""
    return cv2.getRotationMatrix2D((112, 112), degrees, 0.8)


# Masks


def test_masks_lie_on_the_face_and_vary() -> None:
    masks = [blend_mask((224, 224), LANDMARKS, np.random.default_rng(i)) for i in range(60)]
    areas = [float((mask > 0.5).mean()) for mask in masks]
    assert min(areas) > 0.005
    assert max(areas) < 0.7
    assert max(areas) > 5 * min(areas)
    for mask in masks:
        assert mask.dtype == np.float32
        assert (mask.min(), mask.max()) == (0, 1)
        x, y = center_of(mask)
        assert 70 < x < 150
        assert 60 < y < 190


@pytest.mark.parametrize(
    ("region", "middle"),
    [("face", (110, 125)), ("mouth", (110, 170)), ("eyes", (110, 80)), ("nose", (110, 125))],
)
@pytest.mark.parametrize("degrees", [0, 70])
def test_a_mask_of_a_part_follows_the_landmarks(
    region: str, middle: tuple[float, float], degrees: float
) -> None:
    matrix = turned(degrees)
    landmarks = cv2.transform(LANDMARKS[None], matrix)[0]
    masks = [blend_mask((224, 224), landmarks, np.random.default_rng(i), region) for i in range(20)]
    expected = cv2.transform(np.array([[middle]], np.float32), matrix)[0, 0]
    centers = np.array([center_of(mask) for mask in masks])
    np.testing.assert_allclose(centers.mean(0), expected, atol=8)
    if region == "eyes":
        x, y = (masks[0] > 0.5).nonzero()[1], (masks[0] > 0.5).nonzero()[0]
        _, axes = np.linalg.eigh(np.cov(x, y))
        along_eyes = landmarks[1] - landmarks[0]
        assert abs(axes[:, 1] @ along_eyes) > 0.9 * np.linalg.norm(along_eyes)


@pytest.mark.parametrize(
    "patch", [FORGED, np.s_[60:140, 70:150], np.s_[130:180, 60:160]], ids=["tall", "square", "wide"]
)
def test_the_changed_mask_finds_a_planted_patch(patch: tuple[slice, slice]) -> None:
    real = draw_face(1)
    fake = real.copy()
    fake[patch] = np.where(real[patch] < 128, real[patch] + 50, real[patch] - 50)
    mask = changed_mask(real, as_jpeg(fake, 90))
    assert mask is not None
    assert (mask.min(), mask.max()) == (0, 1)
    planted = np.zeros((224, 224), bool)
    planted[patch] = True
    assert overlap(mask > 0.5, planted) > 0.75
    assert mask[planted].mean() > 0.9
    np.testing.assert_allclose(center_of(mask), center_of(planted), atol=1)


def test_the_changed_mask_closes_the_gap_between_forged_eyes_and_mouth() -> None:
    real = draw_face(2)
    fake = real.copy()
    for rows in (np.s_[70:95], np.s_[120:160]):
        fake[rows, 60:160] = np.where(real[rows, 60:160] < 128, 200, 60)
    mask = changed_mask(real, fake)
    assert mask is not None
    assert mask[100:115, 70:150].min() > 0.9


def test_a_pair_that_differs_by_compression_only_has_no_changed_mask() -> None:
    for seed in range(5):
        real = cv2.GaussianBlur(draw_face(seed), (0, 0), 2)  # as detailed as a photograph
        worse = as_jpeg(real, 50)
        assert error(real, worse) > 1.5
        assert changed_mask(real, worse) is None


def test_a_pair_of_two_places_differs_everywhere() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (2, 224, 224, 3), np.uint8)
    mask = changed_mask(*noise)
    assert mask is not None
    assert mask.mean() > EVERYWHERE


def test_a_constant_difference_is_a_finite_mask() -> None:
    real = np.full((224, 224, 3), 90, np.uint8)
    mask = changed_mask(real, real + np.uint8(20))
    assert mask is not None
    assert np.isfinite(mask).all()


def test_a_warp_takes_each_pixel_from_where_the_field_points() -> None:
    field = np.broadcast_to(np.float32([7, -4]), (224, 224, 2))
    image = draw_face(0)
    np.testing.assert_array_equal(warp(image, field)[4:, :-7], image[:-4, 7:])
    random = smooth_field((224, 224), 9.0, np.random.default_rng(0))
    assert 3 < np.abs(random).max() <= 9
    # Five values along a side, drawn in -9..9: at most 18 in a fifth of the side.
    for axis in (0, 1):
        assert np.abs(np.diff(random, axis=axis)).max() <= 18 / (224 / 5) + 1e-3


# Blends


def check_blend(image: np.ndarray, blend: np.ndarray, mask: np.ndarray) -> None:
    assert blend.dtype == np.uint8
    assert mask.dtype == np.float32
    assert mask.min() == 0
    assert 0.3 < mask.max() <= 1
    np.testing.assert_array_equal(blend[mask == 0], image[mask == 0])
    inside = mask > 0.5 * mask.max()
    assert (blend[inside] != image[inside]).any(axis=1).mean() > 0.5


@pytest.mark.parametrize("seed", range(8))
def test_a_self_blend_differs_from_the_real_face_inside_its_mask_only(seed: int) -> None:
    image = draw_face(seed)
    blend, mask = self_blend(image, image, LANDMARKS, np.random.default_rng(seed), change=True)
    check_blend(image, blend, mask)
    again, _ = self_blend(image, image, LANDMARKS, np.random.default_rng(seed), change=True)
    np.testing.assert_array_equal(again, blend)


@pytest.mark.parametrize("seed", range(8))
def test_a_swap_shows_the_other_face_in_place_inside_its_mask_only(seed: int) -> None:
    # Blotches: two faces would be alike at the same landmarks.
    tones = np.random.default_rng(seed).integers(60, 200, (2, 20, 20), np.uint8)
    image, other = (cv2.cvtColor(cv2.resize(t, (224, 224)), cv2.COLOR_GRAY2RGB) for t in tones)
    matrix = turned(35)
    donor = cv2.warpAffine(other, matrix, (224, 224), borderMode=cv2.BORDER_REFLECT_101)
    donor_landmarks = cv2.transform(LANDMARKS[None], matrix)[0]
    arguments = (image, LANDMARKS, donor, donor_landmarks)
    blend, mask = swap_blend(*arguments, np.random.default_rng(seed), change=True)
    check_blend(image, blend, mask)
    again, _ = swap_blend(*arguments, np.random.default_rng(seed), change=True)
    np.testing.assert_array_equal(again, blend)

    inside = mask > 0.8
    assert np.corrcoef(blend[inside].mean(1), other[inside].mean(1))[0, 1] > 0.8


def test_a_swap_takes_nothing_from_beyond_the_donor() -> None:
    # The donor's face lies 60 pixels further left, so its left edge comes to column 60.
    image, donor = draw_face(0), draw_face(1)
    shifted = LANDMARKS - np.float32([60, 0])
    for seed in range(20):
        blend, mask = swap_blend(
            image, LANDMARKS, donor, shifted, np.random.default_rng(seed), change=True
        )
        assert not mask[:, :60].any()
        assert mask.max() > 0.5
        np.testing.assert_array_equal(blend[:, :60], image[:, :60])


def test_one_side_of_a_blend_is_changed_as_often_as_the_other() -> None:
    pictures = [draw_face(0), draw_face(0)]
    still = []
    for seed in range(200):
        shown, change = set_apart(pictures, np.random.default_rng(seed))
        still.append(change)
        np.testing.assert_array_equal(*shown)  # alike
        assert np.array_equal(shown[0], pictures[0]) == change
    # Within four standard errors of one half.
    assert abs(np.mean(still) - 0.5) < 4 * 0.5 / np.sqrt(200)
    # What is pasted into a changed face is the unchanged one: a face as it was, nothing else.
    (target,), _ = set_apart(pictures[:1], np.random.default_rng(still.index(False)))
    rng = np.random.default_rng(1)
    blend, mask = self_blend(target, pictures[0], LANDMARKS, rng, change=False)
    check_blend(target, blend, mask)


def test_a_donor_whose_landmarks_coincide_gives_a_self_blend() -> None:
    image, nowhere = draw_face(0), np.full((5, 2), 9, np.float32)
    blend, mask = swap_blend(
        image, LANDMARKS, image, nowhere, np.random.default_rng(4), change=True
    )
    check_blend(image, blend, mask)


def test_a_part_blend_is_the_fake_where_the_mask_is_one_and_the_real_where_it_is_zero() -> None:
    image, fake = draw_face(0), draw_face(1)
    mask = np.clip((COLUMNS - 50) / 100, 0, 1)
    changed = np.clip((ROWS - 50) / 100, 0, 1)
    blend, forged = part_blend(image, fake, changed, mask)
    np.testing.assert_array_equal(blend[:, :51], image[:, :51])
    np.testing.assert_array_equal(blend[:, 150:], fake[:, 150:])
    middle = (image[:, 100].astype(float) + fake[:, 100]) / 2
    np.testing.assert_allclose(blend[:, 100], middle, atol=0.5)
    # A pixel is forged as far as it is taken from the fake and the fake is forged there.
    assert (forged[100, 100], forged[200, 100], forged[50, 200]) == (0.25, 0.5, 0)


def test_matched_colours_have_the_mean_and_spread_of_the_target_under_the_mask() -> None:
    color = pytest.importorskip("skimage.color", reason="scikit-image is the oracle for Lab")
    rng = np.random.default_rng(0)
    # Grey levels far from 0 and 255, so that nothing saturates.
    source, target = (
        np.clip(rng.normal(mean, spread, (224, 224, 3)), 0, 255).astype(np.uint8)
        for mean, spread in (((140, 110, 100), 12), ((110, 125, 150), 18))
    )
    target[:, :100] = 255  # outside of the mask
    mask = np.where(COLUMNS > 120, 1.0, 0).astype(np.float32)
    inside = mask > 0
    got, wanted, before = (
        color.rgb2lab(image)[inside]
        for image in (match_colours(source, target, mask), target, source)
    )
    assert np.abs(before.mean(0) - wanted.mean(0)).min() > 2
    np.testing.assert_allclose(got.mean(0), wanted.mean(0), atol=0.7)
    np.testing.assert_allclose(got.std(0), wanted.std(0), rtol=0.06)
    few = np.zeros_like(mask)
    few[:7, :7] = 1
    np.testing.assert_array_equal(match_colours(source, target, few), source)


def test_a_perturbation_is_small_and_leaves_the_colour_where_told_to() -> None:
    image = (64 + draw_face(3) / 2).astype(np.uint8)  # no saturation
    shifts, kept = [], []
    for seed in range(30):
        changed = perturb(image, np.random.default_rng(seed))
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
        assert (changed != image).any()
        shifts.append(np.abs(changed.mean((0, 1)) - image.mean((0, 1))).max())
        only_sharpness = perturb(image, np.random.default_rng(seed), 0.0)
        kept.append(np.abs(only_sharpness.mean((0, 1)) - image.mean((0, 1))).max())
    assert max(kept) < 1
    assert np.median(shifts) > 4
    assert max(shifts) < 40


def test_a_nudge_moves_by_a_few_pixels() -> None:
    position = np.dstack([COLUMNS, ROWS, ROWS]).astype(np.uint8)
    moved = []
    for seed in range(20):
        after = nudge(position, 90.0, np.random.default_rng(seed))[20:-20, 20:-20]
        moved.append(np.abs(after.astype(int) - position[20:-20, 20:-20])[..., :2].max())
    assert min(moved) >= 2
    # 9 % of the distance of eyes and mouth, and 5 % of the distance from the middle.
    assert max(moved) <= 0.09 * 90 + 0.05 * 112 + 1


# Augmentation


def sampled(
    image: np.ndarray, square: Square, size: int, mode: str
) -> tuple[np.ndarray, np.ndarray]:
    """SciPy's answer to ``cut``, (size, size, 3), and which of its pixels lie in the picture."""
    down, right = np.indices((size, size)) - (size - 1) / 2
    if square.mirror:
        right = -right
    cos, sin = np.cos(np.radians(square.angle)), np.sin(np.radians(square.angle))
    zoom = square.side / size
    x = square.x + zoom * (cos * right - sin * down)
    y = square.y + zoom * (sin * right + cos * down)
    planes = [
        ndimage.map_coordinates(plane.astype(float), [y, x], order=1, mode=mode)
        for plane in np.moveaxis(image, -1, 0)
    ]
    height, width = image.shape[:2]
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    return np.dstack(planes), inside


SQUARES = [
    Square(112, 112, 150),
    Square(90.3, 120.8, 260, 12.0),
    Square(130, 95, 320, -7.0, mirror=True),
]


@pytest.mark.parametrize("square", SQUARES)
@pytest.mark.parametrize("size", [224, 160])
def test_a_cut_shows_the_square_and_beyond_the_picture_what_was_asked(
    square: Square, size: int
) -> None:
    # Smooth: OpenCV places pixels to 1/32 only, and averages where the oracle picks points.
    smooth = cv2.GaussianBlur(draw_face(4), (0, 0), 2 * max(1, 2 * square.side / size))
    for beyond, mode in (("mirror", "mirror"), ("repeat", "nearest")):
        expected, inside = sampled(smooth, square, size, mode)
        shown = cut(smooth, replace(square, beyond=beyond), size)
        error = np.abs(shown - expected)
        assert error.mean() < 1
        assert error.max() < 12
    inside = ndimage.binary_erosion(inside, iterations=2)
    image = cv2.GaussianBlur(draw_face(4), (0, 0), 2)
    shown = cut(image, replace(square, beyond="repeat"), size)
    blurred = cut(image, replace(square, beyond="blur"), size)
    np.testing.assert_array_equal(blurred[inside], shown[inside])
    if square.side > 224:
        mirrored = cut(image, square, size)
        deep = ndimage.binary_erosion(~inside, iterations=4, border_value=1)
        details = [
            np.abs(cv2.Laplacian(crop.astype(np.float32), -1))[deep].mean()
            for crop in (blurred, mirrored)
        ]
        assert details[0] < 0.5 * details[1]
        # Blurred, but the picture's mirror image still: its colours.
        tones = [crop[deep].astype(float).mean(0) for crop in (blurred, mirrored)]
        np.testing.assert_allclose(*tones, atol=6)


@pytest.mark.parametrize("beyond", ["mirror", "repeat", "blur"])
def test_a_mask_goes_on_beyond_the_picture_in_the_mirror_only(beyond: str) -> None:
    square = Square(112, 112, 320, beyond=beyond)
    _, inside = sampled(np.zeros((224, 224, 3)), square, 224, "mirror")
    outside = ~ndimage.binary_dilation(inside, iterations=4)
    inside = ndimage.binary_erosion(inside)
    mask = cut(np.full((224, 224), 0.7, np.float32), square, 224)
    assert mask.shape == (224, 224)
    np.testing.assert_allclose(mask[inside], 0.7, atol=1e-5)
    np.testing.assert_allclose(mask[outside], 0.7 if beyond == "mirror" else 0, atol=1e-5)


@pytest.mark.parametrize("mirror", [False, True])
def test_another_picture_may_lie_around_the_crop(mirror: bool) -> None:
    square = Square(112, 100, 400, 8.0, mirror)
    _, inside = sampled(np.zeros((224, 224, 3)), square, 224, "mirror")
    outside = ~ndimage.binary_dilation(inside, iterations=7)
    inside = ndimage.binary_erosion(inside, iterations=7)
    elsewhere = cv2.GaussianBlur(draw_face(7), (0, 0), 3)[40:140, 60:160]
    shown = cut(draw_face(4), replace(square, around=elsewhere), 224)
    np.testing.assert_array_equal(shown[inside], cut(draw_face(4), square, 224)[inside])
    # Not turned or mirrored along, at whatever place: the other picture as it is.
    stretched = ndimage.zoom(
        elsewhere.astype(float), (2.24, 2.24, 1), order=1, grid_mode=True, mode="nearest"
    )
    assert np.abs(shown - stretched)[outside].max() < 4
    mask = cut(np.ones((224, 224), np.float32), replace(square, around=elsewhere), 224)
    assert mask[inside].min() > 0.99
    assert mask[outside].max() < 0.01


def test_surroundings_are_degraded_along(monkeypatch: pytest.MonkeyPatch) -> None:
    degraded: list[tuple[int, ...]] = []

    def degrade(image: np.ndarray, _: np.random.Generator) -> np.ndarray:
        degraded.append(image.shape)
        return image

    monkeypatch.setattr("training.augment.degrade", degrade)
    around = Square(112, 112, 300, around=draw_face(3))
    for seed in range(20):
        augment(draw_face(4)[:200], around, 160, np.random.default_rng(seed))
    assert set(degraded) == {(160, 160, 3)}  # the crop, not the picture it is cut out of


def test_a_large_square_is_averaged_as_at_run_time() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (448, 448, 3), np.uint8)
    ours = cut(noise, Square(223.5, 223.5, 448), 224)
    theirs = cut_at_run_time(noise, Box(0, 0, 448, 448), 224)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_jittered_squares_lie_around_the_face_and_differ() -> None:
    center = np.array([110, 115], np.float32)
    squares = [jitter(center, 200.0, np.random.default_rng(seed)) for seed in range(300)]
    sides = np.array([square.side for square in squares]) / 200
    assert 0.72 <= sides.min() < 0.8
    assert 1.5 < sides.max() <= 1.7
    off = np.array([(square.x, square.y) for square in squares]) - center
    assert np.abs(off).max() < 40
    np.testing.assert_allclose(off.mean(0), 0, atol=2)
    assert {square.beyond for square in squares} == {"mirror", "repeat", "blur"}
    assert np.mean([square.mirror for square in squares]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("size", [224, 256])
def test_augmentation_keeps_the_shape_whatever_the_chance(size: int) -> None:
    image = draw_face(2)
    for seed in range(30):
        square = jitter(np.array([110, 115], np.float32), 200.0, np.random.default_rng(seed))
        crop, again = (augment(image, square, size, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(crop, again)
        assert crop.shape == (size, size, 3)
        assert crop.dtype == np.uint8
        assert crop.std() > 1


def test_a_video_of_a_picture_is_closer_to_it_the_lower_the_rate_factor() -> None:
    image = draw_face(0)[:160, :210]
    decoded = {crf: as_video(image, crf) for crf in (10, 25, 40)}
    for frame in decoded.values():
        assert frame.shape == image.shape
        assert frame.dtype == np.uint8
    errors = [error(image, frame) for frame in decoded.values()]
    assert errors[0] < errors[1] < errors[2]
    np.testing.assert_array_equal(as_video(image, 25), decoded[25])
    # A picture without detail keeps its colours, red and blue each in its place.
    plain = np.broadcast_to(np.uint8([200, 90, 40]), (64, 96, 3))
    np.testing.assert_allclose(as_video(plain, 10), plain, atol=4)


def test_a_jpeg_of_a_picture_is_closer_to_it_the_better_the_quality() -> None:
    image = draw_face(0)
    assert error(image, as_jpeg(image, 95)) < error(image, as_jpeg(image, 40)) < 20
    plain = np.broadcast_to(np.uint8([200, 90, 40]), (64, 96, 3))
    np.testing.assert_allclose(as_jpeg(plain, 95), plain, atol=4)


# Samples


def test_samples_depend_on_the_seed_and_the_index_only(pairs: list[Pair]) -> None:
    drawn = Samples(pairs, 224, seed=3)
    (first, _), (later, masks) = drawn[1], drawn[7]
    again, masks_again = Samples(pairs, 224, seed=3)[7]
    assert torch.equal(again, later)
    assert torch.equal(masks_again, masks)
    assert not torch.equal(Samples(pairs, 224, seed=4)[7][0], later)
    assert not torch.equal(first, later)
    assert (first.shape, first.dtype) == ((4, 224, 224, 3), torch.uint8)
    assert (masks.shape, masks.dtype) == ((4, 56, 56), torch.float32)
    assert Samples(pairs, 256, seed=3)[0][0].shape == (4, 256, 256, 3)
    # The next pass shows a pair otherwise.
    alone = Samples(pairs[:1], 64, seed=3)
    assert not torch.equal(alone[0][0], alone[1][0])


def test_batches_go_on_where_they_were_left(pairs: list[Pair]) -> None:
    drawn = Samples(pairs, 64, seed=3)
    crops, masks = next(batches(drawn, 2, start=3, workers=0))
    assert torch.equal(crops, torch.stack([drawn[6][0], drawn[7][0]]))
    assert torch.equal(masks, torch.stack([drawn[6][1], drawn[7][1]]))


def test_every_pass_shows_every_pair_once(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    def group_only(_: Samples, pair: Pair, rng: object) -> tuple[np.ndarray, np.ndarray]:
        return np.array([int(pair.group[1:])]), np.zeros(1)

    monkeypatch.setattr(Samples, "sample", group_only)
    drawn = Samples(pairs, 224, seed=1)
    shown = [int(drawn[i][0]) for i in range(15)]
    passes = [tuple(shown[i : i + 5]) for i in (0, 5, 10)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in passes)
    assert len(set(passes)) > 1


def nothing_blended(image: np.ndarray, *_: object) -> tuple[np.ndarray, np.ndarray]:
    return image, np.zeros(image.shape[:2], np.float32)


@pytest.mark.parametrize("seed", range(12))
def test_the_crops_of_a_sample_are_changed_alike(
    pairs: list[Pair], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("self_blend", "swap_blend", "part_blend"):
        monkeypatch.setattr(samples, name, nothing_blended)
    everywhere = np.ones((224, 224), np.float32)
    monkeypatch.setattr(samples, "changed_mask", lambda *_: everywhere)
    same = Pair("g", pairs[0].real, pairs[0].real)
    crops, masks = Samples(pairs, 224, 1).sample(same, np.random.default_rng(seed))
    np.testing.assert_array_equal(crops[1], crops[0])
    np.testing.assert_array_equal(crops[2], crops[0])
    assert not masks[:2].any()
    assert masks[2].max() == pytest.approx(1)


def test_a_sample_shows_the_real_face_a_second_time_otherwise(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "augment", lambda image, *_: image)
    monkeypatch.setattr(samples, "perturb", lambda image, _: image)
    for seed in range(6):
        crops, masks = Samples(pairs, 224, 1).sample(pairs[0], np.random.default_rng(seed))
        np.testing.assert_array_equal(crops[3], pairs[0].real.decode())
        assert not masks[3].any()
    monkeypatch.undo()
    for seed in range(6):
        crops, _ = Samples(pairs, 224, 1).sample(pairs[0], np.random.default_rng(seed))
        # The two views of one face differ more than a face and its blend, which are cut alike.
        views, blend = (np.abs(crops[0].astype(int) - crops[index]).mean() for index in (3, 1))
        assert views > blend


@pytest.mark.parametrize("seed", range(12))
def test_the_masks_of_a_sample_say_where_it_differs_from_the_real_crop(
    pairs: list[Pair], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_only(image: np.ndarray, square: Square, size: int, _: object) -> np.ndarray:
        return cut(image, square, size)

    def in_the_mirror(*arguments: object) -> Square:
        return replace(jitter(*arguments), beyond="mirror")

    # What degrades the whole picture spreads a change beyond its mask.
    monkeypatch.setattr(samples, "augment", cut_only)
    monkeypatch.setattr(samples, "perturb", lambda image, _: image)
    monkeypatch.setattr(samples, "jitter", in_the_mirror)
    drawn = Samples(pairs, 224, 1)
    crops, masks = drawn.sample(pairs[seed % 5], np.random.default_rng(seed))
    assert not masks[0].any()
    assert masks.min() >= 0
    assert masks.max() <= 1 + 1e-5
    changed = np.abs(crops[1:3].astype(int) - crops[0]).max(axis=3)
    by_cell = changed.reshape(2, 56, 4, 56, 4).max(axis=(2, 4))
    for mask, change in zip(masks[1:3], by_cell, strict=True):
        assert (mask[change > 0] > 0).all()
        assert (change[mask > 0.5] > 0).mean() > 0.8
    assert overlap(masks[2] > 0.5, by_cell[1] > 20) > 0.6


@pytest.mark.parametrize("seed", range(8))
def test_degraded_samples_differ_mostly_where_their_masks_say(pairs: list[Pair], seed: int) -> None:
    crops, masks = Samples(pairs, 224, 1).sample(pairs[seed % 5], np.random.default_rng(seed))
    changed = np.abs(crops[1:3].astype(float) - crops[0]).mean(axis=3)
    by_cell = changed.reshape(2, 56, 4, 56, 4).mean(axis=(2, 4))
    for mask, change in zip(masks[1:3], by_cell, strict=True):
        assert change[mask > 0.5].mean() > 2 * change[mask == 0].mean()


def test_some_samples_are_set_into_other_surroundings_all_three_alike(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Square] = []

    def watch(image: np.ndarray, square: Square, size: int, rng: np.random.Generator) -> np.ndarray:
        seen.append(square)
        return augment(image, square, size, rng)

    monkeypatch.setattr(samples, "augment", watch)
    for seed in range(40):
        Samples(pairs, 224, 1).sample(pairs[0], np.random.default_rng(seed))
    views = [seen[start : start + 4] for start in range(0, len(seen), 4)]
    for real, blend, fake, _ in views:
        assert real.around is blend.around
        assert real.around is fake.around
    elsewhere = [square.around is not None for view in views for square in (view[0], view[3])]
    assert 0.2 < np.mean(elsewhere) < 0.6


def test_a_pair_without_visible_forgery_gives_a_second_blend(pairs: list[Pair]) -> None:
    image = cv2.GaussianBlur(draw_face(0), (0, 0), 2)
    unforged = Pair("g", encode(image, 95), encode(image, 70))
    drawn = Samples(pairs, 224, 1)
    for seed in range(6):
        crops, masks = drawn.sample(unforged, np.random.default_rng(seed))
        for crop, mask in zip(crops[1:3], masks[1:3], strict=True):
            assert mask.max() > 0.5
            assert np.abs(crop.astype(int) - crops[0])[..., 0].max() > 2
        assert (crops[1] != crops[2]).any()


def test_a_fake_cut_at_another_scale_is_shown_by_its_own_face(
    pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    zoom = np.float32([[1.2, 0, -30], [0, 1.2, -15]])
    larger = cv2.warpAffine(forge(draw_face(0)), zoom, (224, 224))
    own = replace(
        encode(larger, None, LANDMARKS * 1.2 + np.float32([-30, -15])),
        center=pairs[0].real.center * 1.2 + np.float32([-30, -15]),
        side=pairs[0].real.side * 1.2,
    )
    pair = Pair("g", encode(draw_face(0)), own, aligned=False)
    monkeypatch.setattr(samples, "augment", lambda image, square, size, _: cut(image, square, size))
    monkeypatch.setattr(samples, "set_apart", lambda pictures, _: (list(pictures), True))
    # Its eyes and mouth come to lie where those of the real crop do.
    crops, masks = Samples(pairs, 224, 1).sample(pair, np.random.default_rng(0))
    as_real = replace(pair, fake=encode(larger))
    apart, _ = Samples(pairs, 224, 1).sample(as_real, np.random.default_rng(0))
    errors = [np.abs(shown[2].astype(float) - shown[0]).mean() for shown in (crops, apart)]
    assert errors[0] < 0.7 * errors[1]
    assert 0.05 < masks[2].mean() < 0.8


def donors_of(
    pair: Pair, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch, wanted: int
) -> list[np.ndarray]:
    """The pictures that some blends of a pair were made with."""
    donors: list[np.ndarray] = []

    def spy(image: np.ndarray, *arguments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        donors.append(arguments[1])
        return nothing_blended(image)

    monkeypatch.setattr(samples, "swap_blend", spy)
    drawn = Samples(pairs, 32, 1)
    rng = np.random.default_rng(0)
    while len(donors) < wanted:
        drawn.sample(pair, rng)
    return donors


def test_a_donor_is_of_another_group_and_posed_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    def posed(group: str, seed: int, landmarks: np.ndarray) -> Pair:
        image = draw_face(seed)
        return Pair(group, encode(image, None, landmarks), encode(forge(image), None, landmarks))

    profile = LANDMARKS * np.float32([0.4, 1]) + np.float32([20, 0])
    pairs = [
        posed("a", 0, LANDMARKS),
        posed("a", 1, LANDMARKS),  # alike, but perhaps the same person
        posed("b", 2, 0.7 * LANDMARKS + 30),  # alike: place and size do not matter
        posed("c", 3, profile),
        posed("d", 4, profile + 5),
    ]
    for donor in donors_of(pairs[0], pairs, monkeypatch, wanted=8):
        np.testing.assert_array_equal(donor, draw_face(2))
    # No face of its own group even where no other one is posed alike.
    for donor in donors_of(pairs[0], [*pairs[:2], pairs[3]], monkeypatch, wanted=4):
        np.testing.assert_array_equal(donor, draw_face(3))


@pytest.mark.shared
def test_training_and_validation_share_no_group(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "dfdc_crops"
    lines = (folder / "index.csv").read_text().splitlines()
    names = {
        split: np.array([line.split(",") for line in lines if f",{split}," in line])
        for split in ("train", "val")
    }
    assert len(names["train"]) == 15400
    assert not set(names["train"][:, 3]) & set(names["val"][:, 3])
    assert not set(names["train"][:, 1]) & set(names["val"][:, 1])
    manifest = (shared_data / "manifest.csv").read_text()
    assert not [group for group in set(names["train"][:, 3]) if group in manifest]
    faces = tmp_path / "faces.npz"
    files = names["val"][:, 1]
    box = np.array([112, 105, 250, *LANDMARKS.ravel()], np.float32)
    np.savez(faces, files=files, faces=np.tile(box, (len(files), 1)))
    pairs = load_pairs(folder, "val", faces)
    assert {pair.group for pair in pairs} == set(names["val"][:, 3])
    assert pairs[0].real.decode().shape == (224, 224, 3)
