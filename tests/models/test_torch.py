"""The adapter for torch modules."""

import importlib
import sys

import numpy as np
import pytest
import torch
from torch import nn

from fakelens.errors import MissingExtraError, ModelError, UsageError
from fakelens.models.mesonet_graph import build_graph
from fakelens.models.onnx import OnnxModel
from fakelens.models.torch import Convention, TorchModel
from support.meso_reference import TorchMeso, make_card, random_crops

SIDE = 64
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Tiny(nn.Module):
    """Convolution, in-place ReLU, mean, linear."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 3, stride=4)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.9)
        self.linear = nn.Linear(5, outputs)
        self.calls = 0
        self.fail = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = self.relu(self.conv(x))
        if self.fail:
            raise RuntimeError("planned")
        return self.linear(self.dropout(x.mean((2, 3))))


def adapt(module: nn.Module, *outputs: str, layer: str = "conv") -> TorchModel:
    return TorchModel(module, make_card(SIDE, layer), Convention(outputs, *PLAIN))


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
    with pytest.raises(UsageError, match="its own name"):
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


def examine_plainly(
    module: nn.Module, layer: nn.Module, planes: torch.Tensor
) -> tuple[np.ndarray, ...]:
    """Return the logits, the output of the layer, and its gradient by plain autograd."""
    outputs: list[torch.Tensor] = []
    hook = layer.register_forward_hook(
        lambda _module, _inputs, output: outputs.append(output.clone()) or outputs[0].clone()
    )
    logit = module.eval()(planes.clone().requires_grad_())[:, 0]
    hook.remove()
    (gradient,) = torch.autograd.grad(logit.float().sum(), outputs)
    return tuple(a.detach().float().numpy() for a in (logit, outputs[0], gradient))


@pytest.mark.parametrize(
    ("dtype", "logit", "gradient"),
    [
        (torch.float64, 1e-6, 1e-8),
        (torch.float16, 2e-3, 2e-5),
        (torch.bfloat16, 2e-2, 1e-4),
    ],
)
def test_types(dtype: torch.dtype, logit: float, gradient: float) -> None:
    crops = random_crops(3, SIDE)
    expected = adapt(Tiny(1), "fake", layer="auto").examine(crops)
    found = adapt(Tiny(1).to(dtype), "fake", layer="auto").examine(crops)
    assert {a.dtype for a in (found.logit, found.activation, found.gradient)} == {np.dtype("f4")}
    np.testing.assert_allclose(found.logit, expected.logit, atol=logit)
    np.testing.assert_allclose(found.gradient, expected.gradient, atol=gradient)
    assert adapt(Tiny(1).to(dtype), "fake").head(found.activation[:1] * 0).dtype == np.float32


class Mixed(Tiny):
    """A trunk in half precision, and a head in single precision."""

    def __init__(self, dtype: torch.dtype, sigmoid: bool) -> None:
        super().__init__(1)
        self.conv.to(dtype)
        self.norm = nn.BatchNorm2d(5)
        self.sigmoid = sigmoid

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.linear(self.norm(self.relu(self.conv(x)).float()).mean((2, 3)))
        return scores.sigmoid() if self.sigmoid else scores


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sigmoid", [True, False])
@pytest.mark.parametrize("layer", ["conv", "relu", "norm"])
def test_mixed_types(dtype: torch.dtype, sigmoid: bool, layer: str) -> None:
    crops = random_crops(2, SIDE)
    planes = (torch.from_numpy(crops).permute(0, 3, 1, 2) / 255).to(dtype).contiguous()
    module = Mixed(dtype, sigmoid=False)
    expected = examine_plainly(module, getattr(module, layer), planes)
    model = adapt(Mixed(dtype, sigmoid), "fake", layer=layer)
    found = model.examine(crops)
    for name, array in zip(("logit", "activation", "gradient"), expected, strict=True):
        np.testing.assert_allclose(getattr(found, name), array, atol=1e-5)
    np.testing.assert_allclose(model.head(found.activation), found.logit, atol=1e-5)


def test_colours_channels_and_numbers_of_the_input() -> None:
    crops = random_crops(2, SIDE)
    mean, std = (0.1, 0.4, 0.7), (0.2, 0.3, 0.5)

    class Input(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen = x.detach().clone()
            return super().forward(x if x.shape[1] == 3 else x.permute(0, 3, 1, 2))

    for colour in ("rgb", "bgr"):
        for channels in ("first", "last"):
            module = Input(1)
            convention = Convention(("fake",), mean, std, colour=colour, channels=channels)
            TorchModel(module, make_card(SIDE, "conv"), convention).examine(crops)
            row, column, red, green, blue = 5, 9, *crops[1, 5, 9] / 255
            expected = [(red - 0.1) / 0.2, (green - 0.4) / 0.3, (blue - 0.7) / 0.5]
            if colour == "bgr":
                expected.reverse()
            seen = module.seen[1]
            place = seen[:, row, column] if channels == "first" else seen[row, column]
            assert module.seen.shape[1 if channels == "first" else 3] == 3
            np.testing.assert_allclose(place, expected, rtol=1e-5)


def test_another_convention_keeps_the_module_and_the_layer_that_was_stated() -> None:
    module = Tiny(1)
    model = TorchModel(module, make_card(SIDE, "auto"), Convention(("fake",), *PLAIN), "ab")
    other = model.with_convention(Convention(("real",), *PLAIN, colour="bgr"))
    crops = random_crops(2, SIDE)
    assert (other.sha256, other.device, other.card.layer) == ("ab", "cpu", model.card.layer)
    assert other.convention.colour == "bgr"
    turned = np.ascontiguousarray(crops[..., ::-1])
    np.testing.assert_allclose(other.examine(turned).logit, -model.examine(crops).logit, atol=1e-6)


def test_maps_that_a_module_views_as_rows() -> None:
    class Rows(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.relu(self.conv(x))
            return self.linear(x.view(len(x), 5, -1).mean(2))

    crops = random_crops(2, SIDE)
    for layer in ("conv", "relu", "auto"):
        model = adapt(Rows(1), "fake", layer=layer)
        found = model.examine(crops)
        np.testing.assert_allclose(found.logit, adapt(Tiny(1), "fake").examine(crops).logit, 1e-5)
        np.testing.assert_allclose(model.head(found.activation), found.logit, atol=1e-6)


def test_arrays_that_cannot_be_written_or_run_backwards() -> None:
    model = adapt(Tiny(1), "fake", layer="relu")
    crops = random_crops(2, SIDE)
    expected = model.examine(crops)
    crops.setflags(write=False)
    np.testing.assert_array_equal(model.examine(crops).logit, expected.logit)
    backwards = model.examine(crops[::-1, :, ::-1][:, :, ::-1])
    np.testing.assert_allclose(backwards.logit, expected.logit[::-1], atol=1e-6)
    activation = expected.activation.copy()
    activation.setflags(write=False)
    np.testing.assert_allclose(model.head(activation), expected.logit, atol=1e-6)
    np.testing.assert_array_equal(activation, expected.activation)


class Frozen(Tiny):
    """A trunk that runs without gradients, as that of a foundation model."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            x = self.conv(x)
            x = self.relu(x)
        return self.linear(x.mean((2, 3)))


@pytest.mark.parametrize("caller", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_gradients_that_are_switched_off(caller: type) -> None:
    crops = random_crops(2, SIDE)
    expected = adapt(Tiny(1), "fake").examine(crops)
    frozen = Frozen(1).requires_grad_(False)
    with caller():
        found = adapt(frozen, "fake").examine(crops)
        assert torch.is_grad_enabled() == (caller is torch.enable_grad)
    np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-8)

    class Inference(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return super().forward(x).sigmoid()

    with pytest.raises(ModelError, match=r"has no gradient.* without torch\.inference_mode"):
        adapt(Inference(1), "fake")


def test_what_a_module_keeps_can_be_used_again() -> None:
    class Caching(Tiny):
        scale = torch.empty(0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.relu(self.conv(x))
            if self.scale.shape != x.shape:
                self.scale = torch.full(x.shape, 2.0)
            return self.linear((x * self.scale).mean((2, 3)))

    model = adapt(Caching(1), "fake", layer="relu")
    crops = random_crops(5, SIDE)
    model.head(np.zeros((5, 5, 16, 16), np.float32))
    np.testing.assert_allclose(
        model.head(model.examine(crops).activation), model.examine(crops).logit, atol=1e-6
    )


def test_a_module_that_was_trained_in_the_meantime() -> None:
    module = Tiny(1)
    model = adapt(module, "fake")
    expected = model.examine(random_crops(3, SIDE)).logit
    module.train()
    np.testing.assert_array_equal(model.examine(random_crops(3, SIDE)).logit, expected)
    assert not module.dropout.training


def test_answers_that_depend_on_chance_or_on_other_crops_are_refused() -> None:
    class Careless(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(nn.functional.dropout(x, 0.5))

    class Batch(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x - x.mean(0, keepdim=True))

    for kind in (Careless, Batch):
        with pytest.raises(ModelError, match=r"in a batch and .* alone: dropout or batch statist"):
            adapt(kind(1), "fake")


def test_damaged_weights_and_masks() -> None:
    for name, value in (("conv", torch.nan), ("linear", torch.inf)):
        module = Tiny(1)
        with torch.no_grad():
            getattr(module, name).weight[0, 0] = value
        with pytest.raises(ModelError, match=rf"damaged: {name}\.weight has values that are not"):
            adapt(module, "fake")
    module = Tiny(1)
    module.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))
    assert adapt(module, "fake").examine(random_crops(1, SIDE)).gradient.any()
    module.register_buffer("mask", torch.full((3, 3), torch.nan))
    with pytest.raises(ModelError, match="damaged: mask has values"):
        adapt(module, "fake")


def test_modules_without_weights_and_with_another_input_size() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kernel", torch.ones(2, 3, 8, 8) / 100)
            self.maps = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps = self.maps(nn.functional.conv2d(x, self.kernel, stride=8))
            return maps.mean((1, 2, 3))[:, None]

    model = adapt(Constant(), "fake", layer="auto")
    assert model.card.layer == "maps"
    np.testing.assert_allclose(model.examine(random_crops(1, SIDE)).gradient, 1 / 128)

    class Fixed(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.view(len(x), 3, 32, 32))

    with pytest.raises(ModelError, match=r"input of the shape \(4, 3, 64, 64\): .*invalid"):
        adapt(Fixed(1), "fake")


def test_no_hook_stays_behind_a_failed_load() -> None:
    module = Tiny(1)
    module.fail = True
    with pytest.raises(ModelError, match="planned"):
        adapt(module, "fake")
    module.fail = False
    with pytest.raises(ModelError, match="2 outputs per crop"):
        adapt(module, "fake", "real")
    assert not any(layer._forward_hooks for layer in module.modules())


def test_the_head_runs_the_layers_before_it_once_if_they_do_not_matter() -> None:
    class Counting(Tiny):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.crops.append(len(x))
            return super().forward(x)

    class Joined(Counting):
        """The logit depends on the number of crops of an earlier layer."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.crops.append(len(x))
            first = self.conv(x)
            joined = torch.cat([self.relu(first.clone()), 0 * first], 1)
            return self.linear(joined[:, :5].mean((2, 3)))

    for kind, pictures in ((Counting, 1), (Joined, 3)):
        module = kind(1)
        module.crops = []
        model = adapt(module, "fake", layer="relu")
        evidence = model.examine(random_crops(3, SIDE))
        model.head(evidence.activation)
        module.crops.clear()
        np.testing.assert_allclose(model.head(evidence.activation), evidence.logit, atol=1e-5)
        assert module.crops == [pictures]
