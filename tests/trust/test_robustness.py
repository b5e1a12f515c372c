"""Robustness: perturbed crops and the score range."""

from dataclasses import replace

import numpy as np
import pytest

from fakelens.faces.sampler import FaceSample
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import Face
from fakelens.trust.robustness import PERTURBATIONS, RECOMPRESSED, measure_robustness, variants
from support.assessing import BOX, LANDMARKS, make_sample
from support.builders import CARD


def test_the_score_range_adds_mean_changes_to_the_persons_logit() -> None:
    logits = np.array([1.0, 3.0], np.float32)
    perturbed = np.tile(logits, (len(PERTURBATIONS), 1))
    perturbed[2] += (0.5, 1.5)
    perturbed[4] -= 2
    found = measure_robustness(0.0, logits, perturbed.ravel())
    assert found.score_range == pytest.approx((float(sigmoid(-2)), float(sigmoid(1))))
    assert found.scores[list(PERTURBATIONS)[2]] == pytest.approx(float(sigmoid(1)))
    assert found.faces == 2


def test_every_perturbation_changes_the_crop_as_named() -> None:
    rng = np.random.default_rng(1)
    rough = FaceSample(rng.integers(0, 256, (140, 140, 3), np.uint8), Face(BOX, LANDMARKS, 1.0))
    own = rough.crop(CARD)
    made = dict(zip(PERTURBATIONS, variants([rough], CARD), strict=True))
    assert all(crop.shape == own.shape and (crop != own).any() for crop in made.values())
    np.testing.assert_array_equal(made["mirrored"][:, ::-1], own)
    # A bright spot is smaller in a wider crop and larger in a narrower one.
    spot = FaceSample(np.zeros((140, 140, 3), np.uint8), Face(BOX, LANDMARKS, 1.0))
    spot.image[62:69, 67:74] = 255  # in the middle of the box
    sizes = {
        name: float(crop.mean())
        for name, crop in zip(PERTURBATIONS, variants([spot], CARD), strict=True)
    }
    assert sizes["10 % wider crop"] < sizes["mirrored"] < sizes["9 % narrower crop"]
    # 5 % of 32 pixels; the spot moves in the opposite direction.
    for name, sign in (("shifted 5 % up and left", 1), ("shifted 5 % down and right", -1)):
        crop = dict(zip(PERTURBATIONS, variants([spot], CARD), strict=True))[name].mean(axis=2)
        rows, columns = np.indices(crop.shape)
        center = [float((index * crop).sum() / crop.sum()) for index in (columns, rows)]
        assert center == pytest.approx([15.5 + 1.6 * sign] * 2, abs=0.4)


def test_recompression_leaves_a_visible_error() -> None:
    """Quality 40 leaves an error of about 6 grey levels in noise of 15; quality 90, under 3."""
    one = FaceSample(make_sample(noise=15).image, Face(BOX, LANDMARKS, 1.0))
    made = dict(zip(PERTURBATIONS, variants([one], replace(CARD, input_size=96)), strict=True))
    error = made[RECOMPRESSED].astype(float) - one.crop(replace(CARD, input_size=96))
    assert 4 < error.std() < 15


def test_half_resolution_is_relative_to_the_frame() -> None:
    """A sample that was stored at less than half the resolution is not downscaled again."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (140, 140, 3), np.uint8)
    whole, third = (FaceSample(image, Face(BOX, LANDMARKS, 1.0), scale) for scale in (1.0, 0.3))
    names = list(PERTURBATIONS)
    for one, changed in ((whole, True), (third, False)):
        made = dict(zip(names, variants([one], CARD), strict=True))["half resolution"]
        assert bool(np.abs(made.astype(int) - one.crop(CARD)).max() > 2) is changed
