"""The choice of the layer that the heatmaps of a torch classifier explain."""

from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn

from fakelens.errors import ModelError, UsageError
from fakelens.models.layers import find_layout
from fakelens.models.torch import Convention, TorchModel, list_layers
from fakelens.records.conventions import LayerLayout
from fakelens.trust.ablation import working_head
from support.meso_reference import make_card, random_crops
from support.torch_models import (
    SIDE,
    Branches,
    Classifier,
    Dense,
    Gated,
    Mobile,
    NextBlock,
    Residual,
    Vit,
    Windows,
    pooled_head,
    stem,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CROPS = random_crops(2, SIDE)
PLANES = torch.from_numpy(CROPS).permute(0, 3, 1, 2) / 255
GRID = LayerLayout("tokens", (8, 8), 3)


def adapt(
    module: nn.Module, layer: str = "auto", layout: LayerLayout | None = None, outputs: int = 1
) -> TorchModel:
    convention = Convention(("fake", "real")[:outputs])
    return TorchModel(module, make_card(SIDE, layer), convention, layout=layout)


def reference(module: nn.Module, layer: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the logits, the output of a layer and its gradient by plain autograd."""
    outputs = []
    hook = dict(module.eval().named_modules())[layer].register_forward_hook(
        lambda _module, _inputs, output: outputs.append(output.clone()) or outputs[-1].clone()
    )
    scores = module(PLANES.clone().requires_grad_())
    hook.remove()
    logit = scores[:, 0] - (scores[:, 1] if scores.shape[1] > 1 else 0)
    (gradient,) = torch.autograd.grad(logit.sum(), outputs)
    return logit.detach(), outputs[0].detach(), gradient


def make(name: str) -> nn.Module:
    torch.manual_seed(3)
    return {
        "plain": lambda: Classifier(nn.Sequential(stem(), nn.Conv2d(12, 9, 3), nn.ReLU()), 9),
        "residual": lambda: Classifier(nn.Sequential(stem(), Residual(12), Residual(12)), 12),
        "gated": lambda: Classifier(nn.Sequential(stem(), Gated(12)), 12),
        "branches": lambda: Classifier(nn.Sequential(stem(), Branches(12)), 20),
        "mobile": Mobile,
        "dense": Dense,
        "next": lambda: Classifier(nn.Sequential(stem(20), NextBlock(20)), 20),
        "pooled": pooled_head,
        "windows": Windows,
        "hidden": lambda: Classifier(nn.Sequential(stem(), nn.AdaptiveAvgPool2d(1)), 12),
    }[name]()


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("plain", "trunk", (9, 6, 6)),
        ("residual", "trunk", (12, 8, 8)),
        ("gated", "trunk", (12, 8, 8)),
        ("branches", "trunk", (20, 8, 8)),
        ("mobile", "bn2", (20, 8, 8)),
        ("dense", "features", (12, 8, 8)),
        ("next", "trunk", (20, 8, 8)),
        ("pooled", "2", (10, 8, 8)),
        ("windows", "norm2", (24, 8, 8)),
        ("hidden", "trunk.0", (12, 8, 8)),
    ],
)
def test_the_last_map_is_chosen_and_its_gradient_is_that_of_autograd(
    name: str, layer: str, shape: tuple[int, ...]
) -> None:
    module = make(name)
    model = adapt(module, outputs=2 if name == "dense" else 1)
    assert model.card.layer == layer
    evidence = model.examine(CROPS)
    assert evidence.activation.shape == (2, *shape)
    logit, activation, gradient = reference(module, layer)
    if name == "windows":
        activation, gradient = activation.permute(0, 3, 1, 2), gradient.permute(0, 3, 1, 2)
    np.testing.assert_allclose(evidence.logit, logit, atol=1e-6)
    np.testing.assert_allclose(evidence.activation, activation, atol=1e-6)
    np.testing.assert_allclose(evidence.gradient, gradient, atol=1e-7)
    assert working_head(model, evidence)
    half = evidence.activation * np.float32(0.5)
    hook = dict(module.named_modules())[layer].register_forward_hook(
        lambda _module, _inputs, output: output * 0.5
    )
    with torch.no_grad():
        scores = module(PLANES)
    hook.remove()
    expected = scores[:, 0] - (scores[:, 1] if scores.shape[1] > 1 else 0)
    np.testing.assert_allclose(model.head(half), expected, atol=1e-6)
    assert not any(layer._forward_hooks for layer in module.modules())


def test_a_layer_beside_the_main_path_has_no_working_head() -> None:
    model = adapt(make("residual"), "trunk.1.conv2")
    assert working_head(model, model.examine(CROPS)) is None


def test_tokens_need_a_grid() -> None:
    for registers in (0, 2):
        advice = rf"grid = \[8, 8\] and class_tokens = {registers + 1}.*or state patch_embed"
        with pytest.raises(ModelError, match=advice):
            adapt(Vit(registers))
    with pytest.raises(ModelError, match="67 tokens would be a grid of 8 x 8 and 3 class tokens"):
        adapt(Vit(), "blocks.0")
    with pytest.raises(ModelError, match="67 tokens are not 1 class tokens and a grid of 8 x 8"):
        adapt(Vit(), "blocks.0", LayerLayout("tokens", (8, 8), 1))
    with pytest.raises(ModelError, match="not tokens x channels: it has no token grid"):
        adapt(Vit(), "patch_embed", GRID)
    assert adapt(Vit(), "patch_embed").examine(CROPS).activation.shape == (2, 16, 8, 8)


def test_tokens_of_a_vit() -> None:
    module = Vit()
    # After the last attention, only the class token matters, and qkv mixes places.
    model = adapt(module, layout=GRID)
    assert model.card.layer == "blocks.1.norm1"
    evidence = model.examine(CROPS)
    logit, tokens, gradient = reference(module, "blocks.1.norm1")
    np.testing.assert_allclose(evidence.logit, logit, atol=1e-6)
    for row, column in ((0, 0), (0, 7), (5, 2)):
        place = 3 + 8 * row + column
        np.testing.assert_allclose(evidence.activation[..., row, column], tokens[:, place])
        np.testing.assert_allclose(
            evidence.gradient[..., row, column], gradient[:, place], atol=1e-8
        )
    assert working_head(model, evidence) is None
    for layer in ("blocks.1", "norm", "blocks.1.mlp"):
        with pytest.raises(
            ModelError, match=r"does not depend on the map .* before the last atten"
        ):
            adapt(module, layer, GRID)
    mean = adapt(Vit(mean=True), layout=GRID)
    assert mean.card.layer == "norm"
    plain = adapt(Vit(registers=-1, mean=True), layout=LayerLayout("tokens", (8, 8)))
    assert working_head(plain, plain.examine(CROPS))


def test_attention_is_no_map() -> None:
    with pytest.raises(ModelError, match="last layer that returns a map is patch_embed"):
        adapt(Vit(mean=True))


def test_tokens_before_crops_are_refused() -> None:
    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 16, 8, 8)
            self.layer = nn.TransformerEncoderLayer(16, 2, 32)
            self.head = nn.Linear(16, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.layer(self.conv(x).flatten(2).permute(2, 0, 1)).mean(0))

    torch.manual_seed(0)
    with pytest.raises(ModelError, match="returns a map is conv, but layers of tokens follow"):
        adapt(Sequence())
    with pytest.raises(ModelError, match="tokens x crops x channels, but the crops must come"):
        adapt(Sequence(), "layer", LayerLayout("tokens", (8, 8)))
    assert adapt(Sequence(), "conv").examine(CROPS).activation.shape == (2, 16, 8, 8)


def test_shapes_that_do_not_tell_the_channels() -> None:
    class Cube(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = stem(8)
            self.block = NextBlock(8)
            self.head = nn.Linear(8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.block(self.trunk(x)).mean((2, 3)))

    torch.manual_seed(0)
    for layer in ("auto", "block"):
        with pytest.raises(ModelError, match="block returns 8 x 8 x 8, which does not tell where"):
            adapt(Cube(), layer)
    cube = Cube()
    found = adapt(cube, "block", LayerLayout("channels_first")).examine(CROPS)
    turned = adapt(cube, "block", LayerLayout("channels_last")).examine(CROPS)
    np.testing.assert_array_equal(turned.activation, found.activation.transpose(0, 3, 1, 2))
    module = Windows(8)  # the type of its last layer tells
    model = adapt(module)
    assert model.card.layer == "norm2"
    # The mean over the cells, and a linear layer: the same gradient in every cell.
    expected = np.broadcast_to(module.head.weight.detach()[..., None, None] / 64, (2, 8, 8, 8))
    np.testing.assert_allclose(model.examine(CROPS).gradient, expected, atol=1e-8)


def test_stated_layouts_that_make_no_sense_are_refused() -> None:
    last = LayerLayout("channels_last")
    with pytest.raises(ModelError, match=r"20 x 8 x 8 per crop: a heatmap of 20 x 8 .* come first"):
        adapt(Classifier(stem(20), 20), "trunk", last)
    with pytest.raises(ModelError, match=r"8 x 24 cannot be .* channels seem to come last"):
        adapt(Windows(), "norm2", LayerLayout("channels_first"))
    with pytest.raises(ModelError, match="12 x 1 x 1 per crop: a heatmap of 1 x 1 cannot be"):
        adapt(make("hidden"), "trunk.1")
    with pytest.raises(ModelError, match="has no layer 'block'"):
        raise_usage(lambda: adapt(Windows(), "block"))


def raise_usage(call) -> None:
    try:
        call()
    except UsageError as error:
        raise ModelError(str(error)) from error


def test_models_without_maps_and_layers_that_do_not_run_are_refused() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 1))
    with pytest.raises(ModelError, match="no layer returns a map to explain"):
        adapt(flat)

    class Unused(Classifier):
        def __init__(self) -> None:
            super().__init__(stem(), 12)
            self.unused, self.aside = nn.Conv2d(3, 3, 1), nn.Conv2d(12, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.aside(self.trunk(x))
            return super().forward(x)

    torch.manual_seed(0)
    module = Unused()
    module.trunk[0][2].inplace = False
    with pytest.raises(ModelError, match="layer unused does not run"):
        adapt(module, "unused")
    with pytest.raises(ModelError, match="must run once per forward pass, not 2 times"):
        adapt(module, "trunk")


def test_a_layer_beside_the_way_to_the_output_is_not_chosen() -> None:
    class Aside(Classifier):
        def __init__(self) -> None:
            super().__init__(stem(), 12)
            self.aside = nn.Conv2d(12, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.trunk(x)
            self.aside(x)
            return self.linear(x.mean((2, 3)))

    torch.manual_seed(0)
    assert adapt(Aside()).card.layer == "trunk"
    with pytest.raises(ModelError, match="does not depend on the map of the layer aside"):
        adapt(Aside(), "aside")


Output = namedtuple("Output", "map extra")


@pytest.mark.parametrize("kind", [tuple, list, Output])
def test_a_layer_may_return_several_arrays(kind: type) -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(12, 5, 3)

        def forward(self, x: torch.Tensor) -> tuple:
            y = self.conv(x)
            return kind(y, x) if kind is Output else kind((y, x))

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.several, self.linear = stem(), Several(), nn.Linear(5, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output = self.several(self.stem(x))
            assert type(output) is kind
            x = output.map if kind is Output else output[0]
            return self.linear(x.relu_().mean((2, 3)))

    torch.manual_seed(0)
    module = Whole()
    model = adapt(module)
    assert model.card.layer == "several"
    evidence = model.examine(CROPS)
    _, activation, gradient = reference(module, "several.conv")
    np.testing.assert_allclose(evidence.activation, activation, atol=1e-6)
    np.testing.assert_allclose(evidence.gradient, gradient, atol=1e-7)
    assert working_head(model, evidence)


def test_layers_are_listed_in_the_order_they_end() -> None:
    layers = list_layers(make("mobile"), make_card(SIDE), Convention(("fake",)))
    assert [(layer.name, layer.kind, layer.shape) for layer in layers][-4:] == [
        ("features", "Sequential", (12, 8, 8)),
        ("conv_head", "Conv2d", (20, 8, 8)),
        ("bn2", "BatchNorm2d", (20, 8, 8)),
        ("classifier", "Linear", (1,)),
    ]
    layers = list_layers(Windows(), make_card(SIDE), Convention(("fake",)))
    assert [layer.name for layer in layers] == ["patches", "norm1", "norm2", "head"]


class PlaneNorm(nn.LayerNorm):
    """Normalises the channels of planes, which it turns round inside."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def test_a_layer_norm_of_planes_has_its_channels_first() -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 1))
    module = nn.Sequential(nn.Conv2d(3, 10, 8, stride=8), PlaneNorm(10), *head)
    norm = list_layers(module, make_card(SIDE), Convention(("fake",)))[1]
    layout = find_layout(norm)
    assert layout is not None
    assert layout.kind == "channels_first"
