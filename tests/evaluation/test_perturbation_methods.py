"""Perturbation methods on a model whose logit is a weighted sum of the pixels."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.errors import MissingExtraError, UsageError
from fakelens.evaluation import perturbation_methods
from fakelens.evaluation.methods import METHODS, choose_methods
from fakelens.records.arrays import FloatArray
from support.linear_model import LinearModel, patch, red_and_blue, redness

SIDE = 48
RED, BLUE = patch(SIDE, slice(6, 18), slice(8, 20)), patch(SIDE, slice(28, 42), slice(26, 40))
PERTURBATION_METHODS = ["scorecam", "rise", "occlusion", "kernelshap"]


@pytest.fixture
def crop() -> NDArray[np.uint8]:
    return red_and_blue(SIDE, RED, BLUE)


def blurred(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.GaussianBlur(crop, (0, 0), len(crop) / 12)


def explain(name: str, model: LinearModel, crop: NDArray[np.uint8], seed: int = 0) -> FloatArray:
    return METHODS[name].explain(model, crop, np.random.default_rng(seed))


@pytest.mark.parametrize("name", PERTURBATION_METHODS)
def test_positive_cells_are_evidence_for_fake_and_negative_for_real(
    name: str, crop: NDArray[np.uint8]
) -> None:
    channels = np.stack([RED, BLUE]).astype(np.float32) if name == "scorecam" else None
    model = LinearModel(np.full((SIDE, SIDE), 1 / SIDE**2), channels)
    found = explain(name, model, crop)
    assert found.dtype == np.float32
    fine = cv2.resize(found, (SIDE, SIDE))
    assert fine[RED].mean() > 0 > fine[BLUE].mean()
    assert RED[np.unravel_index(fine.argmax(), fine.shape)]
    assert BLUE[np.unravel_index(fine.argmin(), fine.shape)]
    assert max(map(len, model.seen)) <= 16, "crops are processed in small batches"
    np.testing.assert_array_equal(explain(name, model, crop), found)


def test_occlusion_is_the_contribution_of_the_hidden_square(crop: NDArray[np.uint8]) -> None:
    weights = np.random.default_rng(0).normal(size=(SIDE, SIDE))
    found = explain("occlusion", LinearModel(weights), crop)
    added = weights * (redness(crop) - redness(blurred(crop)))
    assert found.shape == (14, 14)
    for row, column in np.ndindex(14, 14):
        # A square of twice the cell's side around its centre, clipped to the crop.
        top, bottom, left, right = (
            int(np.clip(np.round((index + 0.5 + end) * SIDE / 14), 0, SIDE))
            for index in (row, column)
            for end in (-1, 1)
        )
        expected = added[top:bottom, left:right].sum()
        assert found[row, column] == pytest.approx(expected, abs=1e-3)


def test_rise_is_the_mean_logit_with_a_pixel_visible_less_the_overall_mean(
    crop: NDArray[np.uint8],
) -> None:
    """Only one pixel counts, so the logit is higher than the mean only if that one is visible."""
    weights = np.zeros((SIDE, SIDE))
    weights[10, 12] = 1
    model = LinearModel(weights)
    found = perturbation_methods.rise(model, crop, np.random.default_rng(1), masks=4000)
    contribution = redness(crop)[10, 12] - redness(blurred(crop))[10, 12]
    # E[f M] / E[M] - E[f] = contribution var(M) / E[M]. A pixel between the centres of two cells,
    # 7 pixels apart, has their values weighted by t and 1 - t, t = 0, 1/7, ..., 6/7, on each axis.
    t = np.arange(7) / 7
    variance = 0.25 * (t**2 + (1 - t) ** 2).mean() ** 2
    assert found[10, 12] == pytest.approx(contribution * variance / 0.5, rel=0.1)
    assert np.unravel_index(found.argmax(), found.shape) == (10, 12)
    far = np.ones_like(RED)
    far[:26, :28] = False
    assert np.abs(found[far]).max() < 0.2 * found[10, 12]
    assert abs(found[far].mean()) < 0.03 * found[10, 12]


def test_scorecam_weights_channels_by_the_logit_of_the_masked_crop(crop: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(2)
    channels = np.stack([*rng.normal(size=(3, SIDE, SIDE)), np.ones((SIDE, SIDE))])
    channels = channels.astype(np.float32)
    weights = rng.normal(size=(SIDE, SIDE)) / SIDE
    found = explain("scorecam", LinearModel(weights, channels), crop)
    fill = blurred(crop)
    expected = np.zeros((SIDE, SIDE))
    for channel in channels[:3]:  # the last one is constant and gets no weight
        visible = (channel - channel.min()) / (channel.max() - channel.min())
        expected += (weights * visible * (redness(crop) - redness(fill))).sum() * channel
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


def test_scorecam_of_one_channel_is_proportional_to_it(crop: NDArray[np.uint8]) -> None:
    model = LinearModel(np.full((SIDE, SIDE), 1.0))
    found = explain("scorecam", model, crop)
    assert np.corrcoef(found.ravel(), redness(crop).ravel())[0, 1] == pytest.approx(1)


def test_scorecam_uses_the_channels_with_the_largest_magnitude(crop: NDArray[np.uint8]) -> None:
    channels = np.random.default_rng(3).random((40, SIDE, SIDE), np.float32)
    channels[5] *= 0.01
    model = LinearModel(np.full((SIDE, SIDE), 1.0), channels)
    found = explain("scorecam", model, crop)
    assert model.passes == 1 + 1 + 32
    channels[5] *= 0.5
    np.testing.assert_array_equal(explain("scorecam", model, crop), found)
    channels[5] *= -1000  # the sign does not matter
    assert np.abs(explain("scorecam", model, crop) - found).max() > 1


def test_kernelshap_is_exact_for_a_sum(crop: NDArray[np.uint8]) -> None:
    from fakelens.evaluation.segments import segment  # noqa: PLC0415 - needs an extra

    weights = np.random.default_rng(4).normal(size=(SIDE, SIDE))
    found = explain("kernelshap", LinearModel(weights), crop)
    labels = segment(crop)
    assert 10 < len(np.unique(labels)) < 70
    added = weights * (redness(crop) - redness(blurred(crop)))
    for label in np.unique(labels):
        of_segment = found[labels == label]
        assert of_segment.sum() == pytest.approx(added[labels == label].sum(), abs=0.02)
        assert np.ptp(of_segment) == 0
    assert found.sum() == pytest.approx(added.sum(), abs=0.02)


def test_kernelshap_does_not_change_the_global_random_state(crop: NDArray[np.uint8]) -> None:
    import torch  # noqa: PLC0415 - needs an extra

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    explain("kernelshap", LinearModel(np.ones((SIDE, SIDE))), crop)
    assert torch.equal(torch.rand(3), expected)


def test_segments_follow_edges(crop: NDArray[np.uint8]) -> None:
    from fakelens.evaluation.segments import segment  # noqa: PLC0415 - needs an extra

    labels = segment(crop)
    assert labels.min() == 0
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    share_red = np.bincount(labels.ravel(), RED.ravel()) / np.bincount(labels.ravel())
    assert np.minimum(share_red, 1 - share_red).max() < 0.2


def test_methods_that_explain_real_are_not_measured_by_default() -> None:
    methods, notes = choose_methods([])
    assert {method.name for method in methods} == set(METHODS) - {"tf2cam"}
    assert not notes
    assert [method.name for method in choose_methods(["tf2cam", "rise"])[0]] == ["tf2cam", "rise"]


def test_unknown_repeated_and_missing_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no heatmap method 'x': choose one of hirescam, "):
        choose_methods(["hirescam", "x"])
    with pytest.raises(UsageError, match="twice"):
        choose_methods(["rise", "rise"])
    monkeypatch.setattr(
        "fakelens.evaluation.methods.find_spec", lambda name: None if name == "captum" else 1
    )
    methods, (note,) = choose_methods([])
    assert "kernelshap" not in {method.name for method in methods}
    assert note == (
        "kernelshap is not measured: it needs the extra 'benchmark' (captum is not installed)"
    )
    with pytest.raises(MissingExtraError, match="'benchmark'"):
        choose_methods(["kernelshap"])
