"""Heatmap methods against torchcam, autograd, the papers' definitions and known evidence."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import nn
from torchcam import methods as torchcam

from fakelens.errors import UsageError
from fakelens.explain import cam
from fakelens.explain.cam import METHODS, find_method
from fakelens.records.models import Evidence


class TinyModel(nn.Module):
    """A model with a piecewise linear head, so that its gradient varies over the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 64, 9), nn.LeakyReLU(0.1))
        self.last = nn.Linear(9, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.head(self.features(x)))


@pytest.fixture
def tiny() -> tuple[TinyModel, torch.Tensor, Evidence]:
    torch.manual_seed(4)
    model = TinyModel().eval()
    x = torch.randn(3, 3, 8, 8)
    activation = model.features(x).detach().requires_grad_()
    logit = model.last(model.head(activation))[:, 0]
    (gradient,) = torch.autograd.grad(logit.sum(), activation)
    evidence = Evidence(logit.detach().numpy(), activation.detach().numpy(), gradient.numpy())
    return model, x, evidence


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("gradcam", torchcam.GradCAM),
        ("layercam", torchcam.LayerCAM),
        ("xgradcam", torchcam.XGradCAM),
    ],
)
def test_heatmaps_are_equal_to_those_of_torchcam(
    tiny: tuple[TinyModel, torch.Tensor, Evidence], name: str, oracle: type
) -> None:
    model, x, evidence = tiny
    with oracle(model, target_layer=model.features) as extractor:
        (expected,) = extractor(class_idx=0, scores=model(x), normalized=False)
    found = METHODS[name].function(evidence)
    assert expected.max() > 0
    np.testing.assert_allclose(np.maximum(found, 0), expected.numpy(), rtol=1e-4, atol=1e-6)


def test_gradcampp_matches_the_derivatives_in_the_paper() -> None:
    """Second and third derivatives of exp(logit) by autograd (torchcam omits the division)."""
    rng = np.random.default_rng(0)
    activation = rng.uniform(0, 1, (2, 3, 3))
    gradient = rng.normal(0, 1, (2, 3, 3))
    leaf = torch.tensor(activation, requires_grad=True)
    score = torch.exp((leaf * torch.tensor(gradient)).sum())
    (first,) = torch.autograd.grad(score, leaf, create_graph=True)
    share = np.zeros_like(activation)
    for index in np.ndindex(activation.shape):
        (row,) = torch.autograd.grad(first[index], leaf, create_graph=True)
        second = row[index]
        third = torch.autograd.grad(second, leaf, retain_graph=True)[0][index].item()
        total = activation[index[0]].sum()
        share[index] = second.item() / (2 * second.item() + total * third)
    weight = (share * np.maximum(first.detach().numpy(), 0)).sum((1, 2)) / score.item()
    expected = np.maximum(np.einsum("c,chw->hw", weight, activation), 0)

    evidence = Evidence(*(np.float32(a)[None] for a in (0, activation, gradient)))
    assert expected.max() > 0.1
    np.testing.assert_allclose(cam.gradcampp(evidence)[0], expected, rtol=1e-3)


def test_heatmaps_of_a_linear_head_add_up_to_the_logit() -> None:
    """For a mean and a linear layer without bias, three methods coincide and are complete."""
    rng = np.random.default_rng(1)
    activation = np.maximum(rng.normal(size=(4, 7, 5, 6)), 0).astype(np.float32)
    weight = rng.normal(size=7).astype(np.float32)
    gradient = np.broadcast_to(weight[:, None, None] / 30, activation.shape)
    logit = activation.mean((2, 3)) @ weight
    for name in ("hirescam", "gradcam", "xgradcam"):
        maps = METHODS[name].function(Evidence(logit, activation, gradient))
        np.testing.assert_allclose(maps.sum((1, 2)), logit, atol=1e-5)
        np.testing.assert_allclose(
            maps, np.einsum("c,nchw->nhw", weight, activation) / 30, atol=1e-6
        )


def test_xgradcam_has_the_same_sum_as_hirescam(
    tiny: tuple[TinyModel, torch.Tensor, Evidence],
) -> None:
    evidence = tiny[2]
    total = cam.hirescam(evidence).sum((1, 2))
    np.testing.assert_allclose(cam.xgradcam(evidence).sum((1, 2)), total, rtol=1e-4, atol=1e-5)


def test_hirescam_and_layercam_find_the_cell_with_the_evidence() -> None:
    """One cell is evidence for fake and another for real, which cancels out in an average."""
    activation = np.ones((1, 1, 4, 4), np.float32)
    gradient = np.zeros((1, 1, 4, 4), np.float32)
    gradient[0, 0, 1, 2], gradient[0, 0, 3, 0] = 2, -2
    evidence = Evidence(np.zeros(1, np.float32), activation, gradient)
    np.testing.assert_array_equal(cam.hirescam(evidence), gradient[:, 0])
    np.testing.assert_array_equal(cam.layercam(evidence), np.maximum(gradient[:, 0], 0))
    assert not cam.gradcam(evidence).any()


def test_eigencam_finds_the_strongest_pattern_and_its_sign() -> None:
    rng = np.random.default_rng(2)
    pattern = rng.uniform(0, 1, (5, 5))
    channels = rng.uniform(0.5, 1, 8)
    activation = 9 * channels[:, None, None] * pattern + rng.uniform(0, 0.01, (8, 5, 5))
    expected = 9 * np.linalg.norm(channels) * pattern
    for sign in (1, -1):
        gradient = np.full_like(activation, sign)
        evidence = Evidence(*(np.float32(a)[None] for a in (0, activation, gradient)))
        np.testing.assert_allclose(cam.eigencam(evidence)[0], sign * expected, atol=0.1)
    without_gradient = Evidence(
        *(np.float32(a)[None] for a in (0, activation, np.zeros_like(activation)))
    )
    np.testing.assert_allclose(cam.eigencam(without_gradient)[0], expected, atol=0.1)


def test_tf2cam_matches_autograd_through_the_sigmoid_of_real(
    tiny: tuple[TinyModel, torch.Tensor, Evidence],
) -> None:
    model, _, evidence = tiny
    activation = torch.from_numpy(evidence.activation).requires_grad_()
    real = torch.sigmoid(-model.last(model.head(activation)))
    (gradient,) = torch.autograd.grad(real.sum(), activation)
    guided = (activation > 0) * (gradient > 0) * gradient
    expected = (guided.mean((2, 3), keepdim=True) * activation).sum(1).detach().numpy()
    assert expected.max() > 0
    np.testing.assert_allclose(cam.tf2cam(evidence), expected, rtol=1e-4, atol=1e-8)


def test_tf2cam_is_zero_where_the_sigmoid_is_saturated(
    tiny: tuple[TinyModel, torch.Tensor, Evidence],
) -> None:
    evidence = tiny[2]
    for logit in (-30, 200):
        certain = np.full(3, logit, np.float32)
        saturated = Evidence(certain, evidence.activation, evidence.gradient)
        assert not cam.tf2cam(saturated).any()
        assert cam.hirescam(saturated).any()


@pytest.mark.parametrize("name", ["hirescam", "gradcam", "layercam", "xgradcam"])
def test_heatmaps_in_logits_scale_with_the_logit(
    tiny: tuple[TinyModel, torch.Tensor, Evidence], name: str
) -> None:
    """A gradient a hundred times as large gives a heatmap a hundred times as large."""
    evidence, method = tiny[2], METHODS[name]
    assert method.unit == "logit"
    scaled = Evidence(evidence.logit, evidence.activation, 100 * evidence.gradient)
    np.testing.assert_allclose(
        method.function(scaled), 100 * method.function(evidence), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", METHODS)
def test_zero_activation_gives_a_zero_heatmap(name: str) -> None:
    zeros, ones = np.zeros((2, 3, 4, 5), np.float32), np.ones((2, 3, 4, 5), np.float32)
    logit = np.zeros(2, np.float32)
    for evidence in (Evidence(logit, zeros, zeros), Evidence(logit, zeros, ones)):
        np.testing.assert_array_equal(METHODS[name].function(evidence), np.zeros((2, 4, 5)))


def values(low: float, high: float) -> st.SearchStrategy[NDArray[np.float32]]:
    return arrays(np.float32, (2, 3, 4, 5), elements=st.floats(low, high, width=32))


@settings(deadline=None, max_examples=40)
@given(activation=values(0, 1e4), gradient=values(-1e4, 1e4), logit=st.floats(-1e3, 1e3))
def test_heatmaps_are_finite_and_independent_of_the_batch(
    activation: NDArray[np.float32], gradient: NDArray[np.float32], logit: float
) -> None:
    both = np.full(2, logit, np.float32)
    for method in METHODS.values():
        maps = method.function(Evidence(both, activation, gradient))
        assert maps.dtype == np.float32
        assert maps.shape == (2, 4, 5)
        assert np.isfinite(maps).all()
        if not method.signed:
            assert (maps >= 0).all()
        alone = method.function(Evidence(both[1:], activation[1:], gradient[1:]))
        tolerance = 1e-4 * max(1.0, np.abs(maps).max())
        np.testing.assert_allclose(np.abs(alone[0]), np.abs(maps[1]), atol=tolerance)


def test_methods_are_found_by_name() -> None:
    assert all(name == method.name for name, method in METHODS.items())
    assert find_method("gradcam++").function is cam.gradcampp
    unsigned = {name for name, method in METHODS.items() if not method.signed}
    assert unsigned >= {"gradcam++", "layercam", "tf2cam"}
    assert unsigned.isdisjoint({"hirescam", "gradcam", "xgradcam"})
    with pytest.raises(UsageError, match=r"'scorecam'.*hirescam, gradcam, gradcam\+\+"):
        find_method("scorecam")
