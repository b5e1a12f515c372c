"""Geometry of training crops: placement, alignment of donors, and polygon masks."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")

from support.augmentation import (  # noqa: E402
    CPU,
    GEOMETRIES,
    SIDE,
    SIZE,
    by_geometry,
    make_bank,
    settings_for,
)
from training.augment import BatchRng  # noqa: E402
from training.augment.forgeries import draw_plan  # noqa: E402
from training.augment.geometry import draw_placement, sample, sampling_grid, similarity  # noqa: E402
from training.augment.masks import region_mask  # noqa: E402
from training.augment.settings import GeometrySettings  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@by_geometry
def test_landmarks_follow_the_picture(geometry: GeometrySettings) -> None:
    rng = np.random.default_rng(0)
    bank = make_bank(6)
    dots = torch.from_numpy(rng.uniform(70, 138, (6, 68, 2)).round().astype(np.float32))
    to_picture, _ = draw_placement(bank.centers, bank.sides, True, geometry, BatchRng(1, CPU))
    grid = sampling_grid(to_picture, SIDE, SIZE)
    for landmark in range(0, 68, 13):
        pictures = np.zeros((6, SIDE, SIDE), np.float32)
        for picture, (x, y) in zip(pictures, dots[:, landmark].tolist(), strict=True):
            cv2.circle(picture, (int(x), int(y)), 3, 1.0, -1)
        crops = sample(torch.from_numpy(pictures)[:, None], grid)[:, 0]
        expected = to_picture.inverse()(dots[:, landmark : landmark + 1])[:, 0]
        axis = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
        mass = crops.sum((1, 2))
        centroids = torch.stack(
            [(crops.sum(1) * axis).sum(1) / mass, (crops.sum(2) * axis).sum(1) / mass], 1
        )
        # A tolerance of a fifth of a pixel.
        torch.testing.assert_close(centroids, expected, atol=0.2 * 2 / SIZE, rtol=0)


def test_placements_have_the_ranges_of_the_settings() -> None:
    bank = make_bank(1)
    count = 4000
    for has_surroundings, tail in ((True, 0.55), (False, 0.45)):
        to_picture, margin = draw_placement(
            bank.centers.expand(count, 2),
            bank.sides.expand(count),
            has_surroundings,
            GeometrySettings(),
            BatchRng(0, CPU),
        )
        assert 0.85 <= margin.min() < 0.88
        assert 1.15 + tail - 0.1 < margin.max() <= 1.2 + tail
        assert (torch.linalg.det(to_picture.matrix) < 0).float().mean() == pytest.approx(
            0.5, abs=0.03
        )
        shift = (to_picture.offset - bank.centers) / bank.sides
        assert shift.std() == pytest.approx(0.035, rel=0.05)


@by_geometry
def test_crops_are_rotated_and_mirrored_but_not_sheared(geometry: GeometrySettings) -> None:
    bank = make_bank(12)
    geometry = replace(geometry, aspect=0)
    to_picture, margin = draw_placement(bank.centers, bank.sides, True, geometry, BatchRng(1, CPU))
    scale = (margin * bank.sides / 2) ** 2
    expected = torch.eye(2) * scale[:, None, None]
    torch.testing.assert_close(to_picture.matrix.mT @ to_picture.matrix, expected)


def test_donors_are_aligned_with_the_landmarks_of_the_frame() -> None:
    bank = make_bank(4)
    turn = torch.tensor([[0.96, -0.28], [0.28, 0.96]]) * 1.2
    landmarks = bank.landmarks.clone()
    landmarks[2:] = landmarks[:2] @ turn.T - 30
    bank = replace(bank, landmarks=landmarks, neighbours=torch.tensor([[2], [3], [0], [1]]))
    rows = torch.arange(2)
    to_picture, _ = draw_placement(
        bank.centers[rows], bank.sides[rows], True, GEOMETRIES["all"], BatchRng(0, CPU)
    )
    for kind, donors in (("swap", [2, 3]), ("window", [2, 3]), ("self_blend", [0, 1])):
        plan = draw_plan(bank, rows, to_picture, settings_for(kind).forgery, BatchRng(0, CPU))
        assert plan.donors.tolist() == donors
        canvas = to_picture.inverse()(landmarks[rows])
        torch.testing.assert_close(plan.to_donor(canvas), landmarks[donors], atol=0.01, rtol=0)


def test_similarity_recovers_a_known_map() -> None:
    source = torch.rand(3, 68, 2, generator=torch.Generator().manual_seed(0)) * 100
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]]) * 1.7
    target = source @ turn.T + torch.tensor([5.0, -20.0])
    torch.testing.assert_close(similarity(source, target)(source), target, atol=1e-2, rtol=0)


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("repeated", [False, True])
def test_masks_fill_polygons(turn: int, repeated: bool) -> None:
    corners = np.array([[-0.6, -0.5], [0.1, -0.7], [0.7, 0.1], [0.2, 0.6], [-0.5, 0.4]])[::turn]
    if repeated:
        corners = corners.repeat(4, 0)
    size, fine = 64, 16
    zero = torch.zeros(1)
    mask = region_mask(
        torch.tensor(corners.copy(), dtype=torch.float32)[None],
        zero,
        torch.zeros(1, 2, size, size),
        zero,
    )
    picture = np.zeros((size * fine, size * fine), np.uint8)
    points = ((corners + 1) / 2 * size * fine - 0.5).round().astype(np.int32)
    cv2.fillConvexPoly(picture, points, 1)
    expected = picture.reshape(size, fine, size, fine).mean((1, 3))
    # Only pixels on the outline may differ from their exact area.
    assert np.abs(mask[0, 0].numpy() - expected).max() < 0.35
    assert np.abs(mask[0, 0].numpy() - expected).mean() < 0.004
