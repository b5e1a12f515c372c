"""Forged tracks: one forgery in all frames, and genuine counterparts with equal compression."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("tqdm", reason="training needs the extra [training]")

from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.faces import Box, Face
from support.drawn_faces import LANDMARKS
from training.yardstick.codec import DEGRADATIONS, compress_clip
from training.yardstick.geometry import alignment, place_face
from training.yardstick.items import MAX_SIDE, Item, View, crop_surroundings
from training.yardstick.swaps import match_colours, warp_donor
from training.yardstick.tracks import (
    KINDS,
    draw_forgery,
    forge_track,
    forged_tracks,
    pose,
    square_views,
)

BOX = Box(50, 40, 170, 200)


def similarity(angle: float, zoom: float, x: float, y: float) -> FloatArray:
    """Return the matrix, (2, 3), of a rotation and zoom around the drawn face, then a shift."""
    matrix = cv2.getRotationMatrix2D((110.0, 115.0), angle, zoom)
    matrix[:, 2] += (x, y)
    return matrix.astype(np.float32)


def draw_view(seed: int, matrix: FloatArray | None = None, size: int = 260) -> View:
    """Draw a face with its box and landmarks, transformed by a similarity."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(60, 200, (33, 33, 3), np.uint8), (size, size))
    red, green, blue = rng.integers(90, 190, 3).tolist()
    cv2.ellipse(image, (110, 115), (70, 95), 0, 0, 360, (red, green, blue), -1)
    for x, y in LANDMARKS.astype(int).tolist():
        cv2.circle(image, (x, y), 9, (30, 30, 60), -1)
    grain = cv2.resize(rng.normal(0, 9, (size // 2, size // 2, 3)), (size, size))
    image = np.clip(image + grain, 0, 255).astype(np.uint8)
    matrix = similarity(0, 1, 0, 0) if matrix is None else matrix
    image = cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    landmarks = LANDMARKS @ matrix[:, :2].T + matrix[:, 2]
    corners = np.array([(BOX.x1, BOX.y1), (BOX.x2, BOX.y2)]) @ matrix[:, :2].T + matrix[:, 2]
    (x1, y1), (x2, y2) = np.sort(corners, axis=0).tolist()
    return View(image.astype(np.uint8), Face(Box(x1, y1, x2, y2), landmarks, 0.9), y2 - y1)


def draw_track(seed: int, group: str) -> Item:
    moves = [similarity(0, 1, 0, 0), similarity(6, 1.1, 8, 5), similarity(-5, 0.85, -6, 12)]
    views = tuple(draw_view(seed, move) for move in moves)
    return Item("tracks", False, f"origin {group}", "genuine", group, views)


@pytest.fixture(scope="module")
def tracks() -> list[Item]:
    return [draw_track(seed, f"g{seed}") for seed in range(3)]


def in_face(picture: np.ndarray, view: View) -> np.ndarray:
    """Resample a picture of a view on a grid in face coordinates: (33, 33, ...)."""
    x, y = np.meshgrid(np.linspace(-1.3, 1.3, 33), np.linspace(-1, 2.2, 33))
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    pixels = place_face(view.face.landmarks).to_pixels(points).reshape(33, 33, 2)
    return cv2.remap(picture, pixels, None, cv2.INTER_LINEAR)


def test_placement_is_the_least_squares_similarity() -> None:
    rng = np.random.default_rng(3)
    found = (LANDMARKS + rng.normal(0, 6, LANDMARKS.shape)).astype(np.float32)
    model = np.array([(-0.47, 0), (0.47, 0), (0, 0.53), (-0.38, 1), (0.38, 1)])
    # x' = a x - b y + c, y' = b x + a y + d
    rows = [[x, -y, 1, 0] for x, y in model] + [[y, x, 0, 1] for x, y in model]
    a, b, c, d = np.linalg.lstsq(np.array(rows), found.T.ravel(), rcond=None)[0]
    points = np.array([(0, 0), (1, 2), (-0.5, 0.3)], np.float32)
    expected = points @ np.array([[a, b], [-b, a]]) + (c, d)
    placed = place_face(found)
    np.testing.assert_allclose(placed.to_pixels(points), expected, atol=1e-3)
    np.testing.assert_allclose(placed.to_face(placed.to_pixels(points)), points, atol=1e-4)
    assert placed.unit == pytest.approx(np.hypot(a, b))


@pytest.mark.parametrize("kind", ["self-blend", "bottleneck", "warp"])
@pytest.mark.parametrize("seed", [0, 1])
def test_all_frames_have_the_same_mask_in_face_coordinates(
    kind: str, seed: int, tracks: list[Item]
) -> None:
    forgery = draw_forgery(kind, np.random.default_rng(seed))
    views = tracks[0].views
    _, masks = forge_track(views, forgery, ())
    relative = [in_face(mask, view) for mask, view in zip(masks, views, strict=True)]
    assert 0.02 < (relative[0] > 0.3).mean() < 0.9
    for other in relative[1:]:
        assert np.abs(other - relative[0]).mean() < 0.06 * relative[0].mean()


def test_change_of_colours_is_the_same_in_all_frames(tracks: list[Item]) -> None:
    forgery = draw_forgery("self-blend", np.random.default_rng(5))
    recipe = replace(forgery.recipe, zoom=1.0, shift=0.0, detail=1.0, contrast=1.0, tint=(9, -7, 4))
    views = tracks[1].views
    fakes, masks = forge_track(
        views, replace(forgery, recipe=recipe, strength=1.0, softness=0.05), ()
    )
    for view, fake, mask in zip(views, fakes, masks, strict=True):
        inside = mask > 0.999
        added = fake[inside].astype(float) - view.picture[inside]
        np.testing.assert_allclose(added.mean(axis=0), (9, -7, 4), atol=0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_frame_is_unchanged_where_the_mask_is_0(kind: str, tracks: list[Item]) -> None:
    forgery = draw_forgery(kind, np.random.default_rng(2))
    views = tracks[0].views
    fakes, masks = forge_track(views, forgery, tracks[1].views)
    for view, fake, mask in zip(views, fakes, masks, strict=True):
        change = np.abs(fake.astype(int) - view.picture).max(axis=2)
        assert not change[mask == 0].any()
        assert (mask == 0).mean() > 0.2
        assert change[mask > 0.5].mean() > 1


def test_swap_shows_nothing_beyond_the_edge_of_the_donor(tracks: list[Item]) -> None:
    whole = draw_forgery("swap", np.random.default_rng(2))
    forgery = replace(whole, hull=np.array([(-1, -1), (1, -1), (1, 2), (-1, 2)], np.float32))
    view, donor = tracks[0].views[0], tracks[1].views[0]
    # The donor's picture ends at the nose; both faces are at the same position.
    half = replace(donor, picture=donor.picture[:125])
    (fake,), (mask,) = forge_track([view], forgery, [half])
    assert mask[90:110, 90:130].min() > 0.5
    assert not mask[127:].any()
    assert np.array_equal(fake[127:], view.picture[127:])


def test_counterparts_differ_from_their_fakes_only_in_the_mask(tracks: list[Item]) -> None:
    items = list(forged_tracks(tracks, forgeries=2, seed=4))
    assert [item.fake for item in items] == [True, False] * 6
    kinds = [item.kind for item in items[::2]]
    assert set(kinds) == set(KINDS)
    assert all(first != second for first, second in zip(kinds[::2], kinds[1::2], strict=True))
    for turn, (fake, real) in enumerate(zip(items[::2], items[1::2], strict=True)):
        track = tracks[turn // 2]
        assert (fake.group, fake.origin) == (real.group, real.origin) == (track.group, track.origin)
        rng = np.random.default_rng([4, turn // 2, turn % 2])
        forgery = draw_forgery(fake.kind, rng)
        square = square_views(track.views)
        if fake.kind == "swap":
            continue  # the mask depends on the donor, which is drawn as well
        _, masks = forge_track(square, forgery, ())
        outside, inside, losses = [], [], []
        for before, forged, genuine, mask in zip(
            square, fake.views, real.views, masks, strict=True
        ):
            assert forged.face is genuine.face
            change = np.abs(forged.picture.astype(int) - genuine.picture).mean(axis=2)
            # A codec block can spread a change up to 16 pixels beyond the mask.
            near = cv2.dilate((mask > 0).astype(np.uint8), np.ones((33, 33))) > 0
            outside.append(change[~near].mean())
            inside.append(change[mask > 0.5].mean())
            loss = [np.abs(one.picture.astype(int) - before.picture) for one in (forged, genuine)]
            losses.append([some[~near].mean() for some in loss])
        of_fake, of_real = np.mean(losses, axis=0)
        assert of_fake == pytest.approx(of_real, rel=0.1)
        assert np.mean(outside) < of_real
        assert np.mean(inside) > np.mean(outside)


def test_forged_tracks_depend_on_the_seed(tracks: list[Item]) -> None:
    first, again, other = (
        [view.picture for item in forged_tracks(tracks[:2], 1, seed) for view in item.views]
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_compressed_clip_keeps_the_order_of_its_frames() -> None:
    frames = [np.full((64, 48, 3), level, np.uint8) for level in (40, 200, 90, 150, 20, 230)]
    decoded = compress_clip(frames, 20)
    assert [round(float(frame.mean()), -1) for frame in decoded] == [40, 200, 90, 150, 20, 230]


def test_higher_crf_loses_more_detail() -> None:
    frames = [view.picture for view in draw_track(0, "g").views]
    fine, coarse = (
        np.abs(np.stack(compress_clip(frames, crf)).astype(int) - np.stack(frames)).mean()
        for crf in (18, 36)
    )
    assert 0 < fine < 0.8 * coarse


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_degradations_keep_size_and_type(name: str) -> None:
    image = draw_view(0).picture[:208, :176]
    degraded = DEGRADATIONS[name](image)
    assert degraded.shape == image.shape
    assert degraded.dtype == np.uint8
    error = np.abs(degraded.astype(int) - image).mean()
    assert (error == 0) == (name == "as it is")
    assert error < 15


def dotted(at: tuple[int, int]) -> RGBImage:
    image = np.zeros((260, 260, 3), np.uint8)
    cv2.circle(image, at, 3, (255, 255, 255), -1)
    return image


def center_of(image: RGBImage) -> np.ndarray:
    rows, columns = np.nonzero(image[..., 0] > 100)
    return np.array([columns.mean(), rows.mean()])


@pytest.mark.parametrize("zoom", [0.5, 1.3])
def test_landmarks_of_donor_and_target_coincide(zoom: float) -> None:
    target = draw_view(0, similarity(12, zoom, 9, 4))
    warped, inside = warp_donor(
        dotted((80, 170)), place_face(LANDMARKS), (260, 260), place_face(target.face.landmarks)
    )
    # Beyond its edge, the donor's picture is mirrored.
    visible = np.where(inside[..., None] > 0.5, warped, 0)
    np.testing.assert_allclose(center_of(visible), target.face.landmarks[3], atol=0.6)
    assert inside[115, 115] == 1
    assert inside.min() == 0 if zoom == 0.5 else inside.mean() > 0.5


def test_mask_of_the_donor_ends_at_its_edge() -> None:
    source, target = place_face(LANDMARKS), place_face(LANDMARKS + 60)
    _, inside = warp_donor(dotted((80, 170)), source, (260, 260), target)
    moved = cv2.warpAffine(np.ones((260, 260), np.float32), alignment(source, target), (260, 260))
    assert not inside[moved < 0.5].any()


def test_colours_are_matched_over_all_frames() -> None:
    rng = np.random.default_rng(0)
    donors = [rng.integers(60, 140, (40, 40, 3), np.uint8) for _ in range(3)]
    targets = [rng.integers(120, 180, (40, 40, 3), np.uint8) for _ in range(3)]
    masks = [np.pad(np.ones((20, 20), np.float32), 10) for _ in range(3)]
    matched = match_colours(donors, targets, masks)
    means = [
        np.mean([cv2.cvtColor(image[10:30, 10:30], cv2.COLOR_RGB2LAB) for image in some], (0, 1, 2))
        for some in (matched, targets, donors)
    ]
    np.testing.assert_allclose(means[0], means[1], atol=2)
    assert np.abs(means[2] - means[1]).max() > 20


def test_pose_is_0_for_frontal_and_higher_for_turned_heads() -> None:
    view = draw_view(0, similarity(10, 1.2, 5, 5))
    assert abs(pose(view)) < 0.02
    landmarks = LANDMARKS.copy()
    landmarks[2, 0] += 0.3 * place_face(LANDMARKS).unit
    assert pose(replace(view, face=Face(BOX, landmarks, 1.0))) > 0.15


@pytest.mark.parametrize("zoom", [1.0, 4.0])
def test_face_keeps_its_place_in_its_surroundings(zoom: float) -> None:
    size = round(260 * zoom)
    image = cv2.resize(dotted((140, 170)), (size, size), interpolation=cv2.INTER_NEAREST)
    face = Face(BOX, LANDMARKS, 0.9).scaled(zoom, zoom)
    view = crop_surroundings(image, face)
    assert max(view.picture.shape) <= MAX_SIDE
    np.testing.assert_allclose(center_of(view.picture), view.face.landmarks[4], atol=1.5)
    assert view.native_side == pytest.approx(160 * zoom)
    # Nothing within 1.7 times the box is cut off, except at the edge of the picture.
    assert view.face.box.width / view.picture.shape[1] == pytest.approx(120 / 254, abs=0.02)


def test_faces_keep_their_place_in_square_views() -> None:
    view = replace(draw_view(0), picture=dotted((140, 170)))
    larger = replace(
        view,
        picture=cv2.resize(view.picture, (520, 520), interpolation=cv2.INTER_NEAREST),
        face=view.face.scaled(2, 2),
    )
    square = square_views([view, larger, view])
    assert {one.picture.shape for one in square} == {(288, 288, 3)}
    for one in square:
        np.testing.assert_allclose(center_of(one.picture), one.face.landmarks[4], atol=1.5)
