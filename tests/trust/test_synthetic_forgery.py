"""Planted forgeries: where the mask says, and nowhere else."""

import cv2
import numpy as np
import pytest

from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, ForgeryRecipe, forge

FACE = np.array([(70, 80), (130, 80), (100, 110), (76, 145), (124, 145)], np.float32)


def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (30, 30, 3)).astype(np.float32)
    fine = cv2.resize(coarse, (200, 220), interpolation=cv2.INTER_CUBIC)
    return np.clip(fine + rng.normal(0, 12, (220, 200, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("recipe", FORGERY_RECIPES, ids=lambda recipe: recipe.part)
def test_only_what_the_mask_covers_is_changed(recipe: ForgeryRecipe) -> None:
    image = picture()
    forged, mask = forge(image, FACE, recipe)
    changed = (forged != image).any(axis=2)
    assert not changed[mask == 0].any()
    assert changed[mask > 0.9].mean() > 0.9
    assert mask.max() == pytest.approx(1, abs=0.01)
    assert mask.min() == 0


@pytest.mark.parametrize(
    ("part", "inside", "outside"),
    [("mouth", FACE[3:], FACE[:2]), ("eyes", FACE[:2], FACE[3:]), ("face", FACE, None)],
)
@pytest.mark.parametrize("angle", [0, 60])
def test_the_part_is_the_one_asked_for_however_the_head_is_held(
    part, inside, outside, angle: float
) -> None:
    turn = cv2.getRotationMatrix2D((100, 110), angle, 1)

    def place(points: np.ndarray) -> np.ndarray:
        return np.rint(points @ turn[:, :2].T + turn[:, 2]).astype(int)

    landmarks = (FACE @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    _, mask = forge(picture(), landmarks, ForgeryRecipe(part, 0.5, 1, (0, 0, 0), 1, 0))
    assert all(mask[y, x] > 0.5 for x, y in place(inside))
    if outside is not None:
        assert not any(mask[y, x] for x, y in place(outside))


def test_a_recipe_does_what_it_says() -> None:
    image = np.full((220, 200, 3), 128, np.uint8)
    forged, mask = forge(image, FACE, ForgeryRecipe("face", 1, 1, (20, -10, 0), 1, 0))
    np.testing.assert_array_equal(
        forged[mask > 0.999] - image[mask > 0.999].astype(int),
        [[20, -10, 0]] * int((mask > 0.999).sum()),
    )
    sharp = picture()
    soft, mask = forge(sharp, FACE, ForgeryRecipe("face", 0.3, 1, (0, 0, 0), 1, 0))
    detail = [cv2.Laplacian(each, cv2.CV_32F)[mask > 0.99].var() for each in (soft, sharp)]
    assert detail[0] < 0.3 * detail[1]
