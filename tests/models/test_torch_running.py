"""Floating-point types, memory layouts, switched-off gradients and damage of torch modules."""

import numpy as np
import pytest
import torch
from torch import nn

from fakelens.errors import ModelError
from fakelens.models.torch import Convention, TorchModel
from support.meso_reference import make_card, random_crops
from support.tiny_torch import PLAIN, SIDE, Tiny, adapt


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
