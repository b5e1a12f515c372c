"""The adapter for torch modules."""

import importlib
import sys

import numpy as np
import pytest
import torch

from fakelens.errors import MissingExtraError, ModelError, UsageError
from fakelens.models.mesonet_graph import build_graph
from fakelens.models.onnx import OnnxModel
from fakelens.models.torch import Convention, TorchModel
from support.meso_reference import TorchMeso, make_card, random_crops
from support.tiny_torch import PLAIN, SIDE, Tiny, adapt


def test_it_equals_the_onnx_graph_of_the_same_model() -> None:
    meso = TorchMeso("meso4", SIDE, seed=11)
    crops = random_crops(3, SIDE)
    found = adapt(meso, "fake", layer="relu4").examine(crops)
    model = build_graph(meso.weights()).SerializeToString()
    expected = OnnxModel(model, make_card(SIDE), "").examine(crops)
    for name in ("logit", "activation", "gradient"):
        array = getattr(found, name)
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, getattr(expected, name), rtol=1e-4, atol=1e-4)
    assert found.features is None
    assert expected.features is None


def test_the_head_computes_the_logit_from_its_layer_in_any_batch_size() -> None:
    module = Tiny(2)
    model = adapt(module, "fake", "real", layer="relu")
    evidence = model.examine(random_crops(3, SIDE))
    np.testing.assert_allclose(model.head(evidence.activation), evidence.logit, atol=1e-5)
    many = np.repeat(evidence.activation, 15, axis=0)
    np.testing.assert_allclose(model.head(many), np.repeat(evidence.logit, 15), atol=1e-5)
    changed = evidence.activation.copy()
    changed[:, :, :4] = 0
    slope = (evidence.gradient * (evidence.activation - changed)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(model.head(changed), evidence.logit - slope, atol=1e-4)
    assert not module.relu._forward_hooks


def test_outputs_define_the_polarity() -> None:
    crops = random_crops(2, SIDE)
    one, two = Tiny(1).eval(), Tiny(2).eval()
    fake, real = (adapt(one, side).examine(crops) for side in ("fake", "real"))
    with torch.no_grad():
        planes = torch.from_numpy(crops).permute(0, 3, 1, 2) / 255
        single, (first, second) = one(planes)[:, 0].numpy(), two(planes).numpy().T
    np.testing.assert_allclose(fake.logit, single, atol=1e-6)
    np.testing.assert_allclose(real.logit, -single, atol=1e-6)
    np.testing.assert_array_equal(real.gradient, -fake.gradient)
    real_fake = adapt(two, "real", "fake").examine(crops)
    fake_real = adapt(two, "fake", "real").examine(crops)
    np.testing.assert_allclose(real_fake.logit, second - first, atol=1e-6)
    np.testing.assert_allclose(fake_real.logit, first - second, atol=1e-6)
    np.testing.assert_array_equal(real_fake.gradient, -fake_real.gradient)
    # Through the mean and the linear layer, the gradient is the weight difference per cell.
    difference = (two.linear.weight[1] - two.linear.weight[0]).detach().numpy()
    open_cells = real_fake.activation > 0
    expected = np.broadcast_to(difference[:, None, None] / 256, open_cells.shape[1:])
    np.testing.assert_allclose(real_fake.gradient, np.where(open_cells, expected, 0), atol=1e-8)


def test_mean_and_std_define_the_preprocessing() -> None:
    crops = random_crops(2, SIDE)
    module = Tiny(1)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    model = TorchModel(module, make_card(SIDE, "conv"), Convention(("fake",), mean, std))
    planes = ((crops / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(planes))[:, 0].numpy()
    np.testing.assert_allclose(model.examine(crops).logit, expected, atol=1e-5)


def test_examine_runs_one_forward_pass_and_does_not_change_the_module() -> None:
    module = Tiny(1)
    module.train()  # the adapter must switch off dropout
    model = adapt(module, "fake")
    module.linear.weight.grad = torch.ones(1, 5)
    module.calls = 0
    first = model.examine(random_crops(4, SIDE))
    assert module.calls == 1
    assert not module.conv._forward_hooks
    assert torch.equal(module.linear.weight.grad, torch.ones(1, 5))
    assert module.conv.weight.grad is None
    np.testing.assert_array_equal(model.examine(random_crops(4, SIDE)).logit, first.logit)


def test_the_hook_is_removed_if_the_module_raises() -> None:
    module = Tiny(1)
    model = adapt(module, "fake")
    module.fail = True
    with pytest.raises(ModelError, match=r"cannot run on an input of the shape \(1, 3, .*planned"):
        model.examine(random_crops(1, SIDE))
    assert not module.conv._forward_hooks


def test_frozen_weights_and_no_grad_do_not_matter() -> None:
    module = Tiny(1)
    expected = adapt(module, "fake").examine(random_crops(1, SIDE))
    module.requires_grad_(False)
    with torch.no_grad():
        found = adapt(module, "fake").examine(random_crops(1, SIDE))
    np.testing.assert_array_equal(found.gradient, expected.gradient)
    assert expected.gradient.any()


def test_wrong_conventions_and_layers_are_refused() -> None:
    crops = random_crops(1, SIDE)
    with pytest.raises(UsageError, match=r"a class of its own for each output .*not fake, fake"):
        Convention(("fake", "fake"), *PLAIN)
    with pytest.raises(UsageError, match="must be fake or real, not 'cat'"):
        Convention(("cat",), *PLAIN)
    with pytest.raises(UsageError, match=r"'fake' is said to be fake, but the outputs .* cat, dog"):
        Convention(("cat", "dog"), *PLAIN)
    with pytest.raises(UsageError, match="no layer 'conv9'"):
        adapt(Tiny(1), "fake", layer="conv9")
    with pytest.raises(ModelError, match=r"shape \(4, 2\), but 1 output per crop \(fake\)"):
        adapt(Tiny(2), "fake")
    with pytest.raises(ModelError, match="layer linear returns 1 per crop, which is not a map"):
        adapt(Tiny(1), "fake", layer="linear")
    with pytest.raises(ValueError, match="crops must be uint8"):
        adapt(Tiny(1), "fake").examine(crops[:, :10])

    class Exits(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise SystemExit(f"no licence for {len(x)} pictures")

    with pytest.raises(ModelError, match=r"cannot run .* no licence for 4 pictures"):
        adapt(Exits(1), "fake")

    class Twice(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + super().forward(x)

    with pytest.raises(ModelError, match="must run once per forward pass, not 2 times"):
        adapt(Twice(1), "fake")


def test_a_missing_torch_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "fakelens.models.torch")
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[torch\]'"):
        importlib.import_module("fakelens.models.torch")
