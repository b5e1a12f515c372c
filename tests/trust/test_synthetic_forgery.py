"""Synthetic forgeries: only the masked area is changed, as the recipe says."""

import cv2
import numpy as np
import pytest

from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, ForgeryRecipe, forge

FACE = np.array([(70, 80), (130, 80), (100, 110), (76, 145), (124, 145)], np.float32)


def make_image() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (30, 30, 3)).astype(np.float32)
    fine = cv2.resize(coarse, (200, 220), interpolation=cv2.INTER_CUBIC)
    return np.clip(fine + rng.normal(0, 12, (220, 200, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("recipe", FORGERY_RECIPES, ids=lambda recipe: recipe.part)
def test_only_the_masked_area_is_changed(recipe: ForgeryRecipe) -> None:
    image = make_image()
    forged, mask = forge(image, FACE, recipe)
    changed = (forged != image).any(axis=2)
    assert not changed[mask == 0].any()
    assert changed[mask > 0.9].mean() > 0.9
    assert mask.max() == pytest.approx(1, abs=0.01)
    assert mask.min() == 0


@pytest.mark.parametrize(
    ("part", "inside", "outside"),
    [
        ("mouth", FACE[3:], FACE[:2]),
        ("eyes", FACE[:2], FACE[3:]),
        ("nose", FACE[2:3], FACE[[0, 1, 3, 4]]),
        ("face", FACE, None),
        # Both cheeks and the chin; no landmark, and not the forehead.
        ("jaw and cheeks", np.array([(58, 125), (142, 125), (100, 185)]), [*FACE, (100, 45)]),
    ],
)
@pytest.mark.parametrize("angle", [0, 60])
def test_the_forged_part_follows_the_landmarks(part, inside, outside, angle: float) -> None:
    rotation = cv2.getRotationMatrix2D((100, 110), angle, 1)

    def to_pixels(points: np.ndarray) -> np.ndarray:
        return np.rint(points @ rotation[:, :2].T + rotation[:, 2]).astype(int)

    landmarks = (FACE @ rotation[:, :2].T + rotation[:, 2]).astype(np.float32)
    _, mask = forge(make_image(), landmarks, ForgeryRecipe(part, 0.5, 1, (0, 0, 0), 1, 0))
    assert all(mask[y, x] > 0.5 for x, y in to_pixels(inside))
    if outside is not None:
        assert not any(mask[y, x] > 0.05 for x, y in to_pixels(np.array(outside)))


def test_tint_and_detail_have_the_given_effect() -> None:
    image = np.full((220, 200, 3), 128, np.uint8)
    forged, mask = forge(image, FACE, ForgeryRecipe("face", 1, 1, (20, -10, 0), 1, 0))
    np.testing.assert_array_equal(
        forged[mask > 0.999] - image[mask > 0.999].astype(int),
        [[20, -10, 0]] * int((mask > 0.999).sum()),
    )
    sharp = make_image()
    soft, mask = forge(sharp, FACE, ForgeryRecipe("face", 0.3, 1, (0, 0, 0), 1, 0))
    detail = [cv2.Laplacian(each, cv2.CV_32F)[mask > 0.99].var() for each in (soft, sharp)]
    assert detail[0] < 0.3 * detail[1]
