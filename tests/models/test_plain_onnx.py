"""Plain ONNX classifiers as evidence models, against torch on the same weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from fakelens.errors import ModelError, UsageError
from fakelens.models.mesonet_graph import build_graph
from fakelens.models.onnx import OnnxModel, load_evidence_model, save_evidence_model
from fakelens.models.plain_onnx.classifier import list_layers
from fakelens.models.plain_onnx.evidence import evidence_graph
from fakelens.records.conventions import Convention, LayerLayout
from support.meso_reference import TorchMeso, make_card, random_crops
from support.onnx_export import export, load
from support.small_classifiers import FAKE, SIDE, TWO, Bright, Small, adapt


def true_logits(module: Small, crops: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.logits(torch.from_numpy(crops).permute(0, 3, 1, 2) / 255).numpy()


@pytest.mark.parametrize("architecture", ["meso4", "mesoinception4"])
@pytest.mark.parametrize("dynamo", [False, True], ids=["old exporter", "new exporter"])
def test_mesonet_gives_what_its_own_graph_gives(architecture: str, dynamo: bool) -> None:
    meso = TorchMeso(architecture, 64, seed=3)

    class Published(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.meso = meso

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(-self.meso(x))

    data = export(Published(), 64, dynamo=dynamo, opset=18)
    convention = Convention(("real",))
    relus = [
        layer
        for layer in list_layers(data, convention, 64)
        if layer.kind == "Relu" and layer.shape == (16, 8, 8)
    ]
    model = adapt(data, convention, relus[-1].name, side=64)
    crops = random_crops(3, 64)
    expected = OnnxModel(build_graph(meso.weights()).SerializeToString(), make_card(64), "")
    found, wanted = model.examine(crops), expected.examine(crops)
    for name in ("logit", "activation", "gradient"):
        values = getattr(wanted, name)
        scale = np.abs(values).max()
        np.testing.assert_allclose(getattr(found, name), values, atol=1e-4 * max(1, scale))
    assert any("sigmoid" in note for note in model.notes)
    np.testing.assert_allclose(model.head(found.activation), found.logit, atol=1e-5)
    assert len(model.random_heads(2)) == 2
    # Chosen automatically: the last map before it is pooled to 2 x 2 cells.
    chosen = adapt(data, convention, side=64).examine(crops)
    assert chosen.activation.shape == (3, 16, 8, 8)


ENDS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "logits": (lambda y: y, ""),
    "softmax": (lambda y: torch.softmax(y, 1), "softmax at the end"),
    "softmax, reshaped": (lambda y: torch.softmax(y, -1).unsqueeze(2).squeeze(2), "softmax at"),
    "log-softmax": (lambda y: torch.log_softmax(y, 1), "log-softmax at the end"),
    "hidden softmax": (lambda y: torch.softmax(y, 1) * 1.0000001, "probabilities"),
}


@pytest.mark.parametrize("end", ENDS)
def test_outputs_of_two_classes(end: str) -> None:
    function, note = ENDS[end]
    module, crops = Small(2, function), random_crops(3, SIDE)
    logits = true_logits(module, crops)
    expected = logits[:, 1] - logits[:, 0]
    assert np.ptp(expected) > 0.01
    data = export(module, SIDE)
    model = adapt(data, TWO)
    np.testing.assert_allclose(model.examine(crops).logit, expected, atol=2e-4)
    assert any(note in text for text in model.notes)
    other = model.with_convention(Convention(("fake", "real")))
    np.testing.assert_allclose(other.examine(crops).logit, -expected, atol=2e-4)
    assert other.card.layer == model.card.layer


def test_one_output_and_its_polarity() -> None:
    module, crops = Small(1, torch.sigmoid), random_crops(3, SIDE)
    expected = true_logits(module, crops)[:, 0]
    for name, sign in (("fake", 1), ("real", -1)):
        evidence = adapt(module, Convention((name,))).examine(crops)
        np.testing.assert_allclose(evidence.logit, sign * expected, atol=1e-5)
        # Through the mean, the gradient of each of the 7 x 7 cells is the weight / 49.
        slope = sign * module.linear.weight[0].detach().numpy()[:, None, None] / 49
        np.testing.assert_allclose(evidence.gradient, slope + np.zeros((3, 5, 7, 7)), atol=1e-7)


def test_a_probability_without_a_sigmoid_must_be_stated() -> None:
    def probability(y: torch.Tensor) -> torch.Tensor:
        return 1 - torch.sigmoid(y)

    module, crops = Small(1, probability), random_crops(3, SIDE)
    with pytest.raises(ModelError, match='state values = "logits" or values = "probabilities"'):
        adapt(module, FAKE)
    stated = adapt(module, replace(FAKE, values="probabilities")).examine(crops).logit
    np.testing.assert_allclose(stated, -true_logits(module, crops)[:, 0], atol=1e-4)
    taken = adapt(module, replace(FAKE, values="logits")).examine(crops).logit
    np.testing.assert_allclose(taken, 1 / (1 + np.exp(true_logits(module, crops)[:, 0])), atol=1e-5)


def test_many_classes_are_joined() -> None:
    module, crops = Small(5), random_crops(3, SIDE)
    logits = true_logits(module, crops).astype(np.float64)
    convention = Convention(("a", "b", "c", "d", "e"), fake=("b", "e"))
    p = np.exp(logits)
    expected = np.log(p[:, [1, 4]].sum(1)) - np.log(p[:, [0, 2, 3]].sum(1))
    for opset in (17, 18):
        data = export(module, SIDE, opset=opset)
        np.testing.assert_allclose(
            adapt(data, convention).examine(crops).logit, expected, atol=1e-4
        )


def test_contradictions_are_refused() -> None:
    softmax = export(Small(2, lambda y: torch.softmax(y, 1)), SIDE)
    with pytest.raises(ModelError, match="ends in a softmax, so its outputs are probabilities"):
        adapt(softmax, replace(TWO, values="logits"))
    with pytest.raises(ModelError, match="said to be probabilities, but range from"):
        adapt(Small(2), replace(TWO, values="probabilities"))
    with pytest.raises(ModelError, match="ends in a softmax of one output"):
        adapt(Small(1, lambda y: torch.softmax(y, 1)), FAKE)
    with pytest.raises(ModelError, match="returns 2 scores per crop, but its outputs are said"):
        adapt(softmax, FAKE)


class Outputs(Small):
    """Returns features and scores."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.logits(x)
        return y * 5, y


def test_one_of_several_outputs_is_chosen() -> None:
    module, crops = Outputs(2), random_crops(2, SIDE)
    data = export(module, SIDE, outputs=("features", "logit"))
    with pytest.raises(ModelError, match="has 2 outputs, features, logit: state the one"):
        adapt(data, TWO)
    with pytest.raises(ModelError, match="has no output 7: it has features, logit"):
        adapt(data, replace(TWO, field=7))
    logits = true_logits(module, crops)
    for field, factor in ((1, 1), ("logit", 1), ("features", 5)):
        found = adapt(data, replace(TWO, field=field)).examine(crops).logit
        np.testing.assert_allclose(found, factor * (logits[:, 1] - logits[:, 0]), atol=1e-4)


def test_the_preprocessing_is_that_of_the_convention() -> None:
    crops = random_crops(2, SIDE)
    crops[0, ..., 0] //= 2
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    colours = ((crops / 255 - mean) / std).mean((1, 2))
    convention = Convention(("fake",), mean, std)
    bgr = replace(convention, colour="bgr")
    last = replace(convention, channels="last")
    for module, shape, stated, weights in (
        (Bright(), (3, SIDE, SIDE), convention, (1, 2, 4)),
        (Bright(), (3, SIDE, SIDE), bgr, (4, 2, 1)),
        (Bright(last=True), (SIDE, SIDE, 3), last, (1, 2, 4)),
        (Bright(last=True), (SIDE, SIDE, 3), replace(last, colour="bgr"), (4, 2, 1)),
    ):
        found = adapt(export(module, shape), stated).examine(crops).logit
        np.testing.assert_allclose(found, colours @ weights * 10 - 20, atol=1e-3)


class Swin(nn.Module):
    """Ends in a map whose channels come last."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.norm, self.linear = (
            nn.Conv2d(3, 12, 8, 8),
            nn.LayerNorm(12),
            nn.Linear(12, 2),
        )

    def layer(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x).permute(0, 2, 3, 1))

    def head(self, y: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.tanh(y).mean((1, 2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x))


def planes(crops: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(crops).permute(0, 3, 1, 2) / 255


def test_channels_that_come_last_are_moved() -> None:
    module, crops = Swin(), random_crops(3, SIDE)
    data = export(module, SIDE)
    names = [layer.name for layer in list_layers(data, TWO, SIDE) if "Norm" in layer.kind]
    model = adapt(data, TWO, names[0])
    evidence = model.examine(crops)
    layer = module.layer(planes(crops)).detach().requires_grad_()
    logit = module.head(layer) @ torch.tensor([-1.0, 1])
    (gradient,) = torch.autograd.grad(logit.sum(), layer)
    expected = layer.detach().numpy().transpose(0, 3, 1, 2)
    np.testing.assert_allclose(evidence.activation, expected, atol=1e-4)
    np.testing.assert_allclose(evidence.gradient, gradient.numpy().transpose(0, 3, 1, 2), atol=1e-5)
    np.testing.assert_allclose(model.head(evidence.activation), evidence.logit, atol=1e-5)
    assert "channels, which come last" in model.notes[-1]
    with pytest.raises(ModelError, match="state that layout"):
        adapt(data, TWO, names[0], LayerLayout("channels_first"))
    assert adapt(data, TWO).examine(crops).activation.shape == (3, 12, 4, 4)


class Tokens(nn.Module):
    """A small transformer on 4 x 4 patches; the class token decides, or the mean."""

    def __init__(self, class_tokens: int) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.count = class_tokens
        self.patches, self.linear = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 2)
        self.token = nn.Parameter(torch.randn(1, max(class_tokens, 1), 8))
        self.norm = nn.LayerNorm(8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)

    def layer(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        if self.count:
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        return self.norm(x)

    def head(self, y: torch.Tensor) -> torch.Tensor:
        y = self.block(y)
        return self.linear(y[:, 0] if self.count else y.mean(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tokens_become_a_map(count: int) -> None:
    module, crops = Tokens(count).eval(), random_crops(3, SIDE)
    data = export(module, SIDE)
    with pytest.raises(ModelError, match=f"a grid of 4 x 4 and {count} class tokens"):
        adapt(data, TWO)
    name = next(x.name for x in list_layers(data, TWO, SIDE) if x.kind == "LayerNormalization")
    with pytest.raises(ModelError, match="state the token grid"):
        adapt(data, TWO, name)
    model = adapt(data, TWO, name, LayerLayout("tokens", (4, 4), count))
    evidence = model.examine(crops)
    layer = module.layer(planes(crops)).detach().requires_grad_()
    logit = module.head(layer) @ torch.tensor([-1.0, 1])
    (gradient,) = torch.autograd.grad(logit.sum(), layer)
    np.testing.assert_allclose(evidence.logit, logit.detach().numpy(), atol=1e-5)
    for found, tokens in ((evidence.activation, layer.detach()), (evidence.gradient, gradient)):
        expected = tokens[:, count:].transpose(1, 2).reshape(3, 8, 4, 4).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4)
    if count:
        with pytest.raises(ModelError, match="does not depend on the explained layer alone"):
            model.head(evidence.activation)
    else:
        np.testing.assert_allclose(model.head(evidence.activation), evidence.logit, atol=1e-5)


def test_layers_are_named_by_tensor_or_node() -> None:
    data = export(Small(2), SIDE)
    layers = list_layers(data, TWO, SIDE)
    assert [(layer.kind, layer.shape) for layer in layers] == [
        ("Conv", (5, 7, 7)),
        ("Relu", (5, 7, 7)),
    ]
    node = load(data).graph.node[0]
    for name in (node.output[0], node.name):
        assert adapt(data, TWO, name).card.layer == layers[0].name
    with pytest.raises(UsageError, match=r"has no layer 'Relv'.* such as .*Relu_output_0"):
        adapt(data, TWO, "Relv")


def test_names_that_evidence_models_need_are_free() -> None:
    model = load(export(Small(2), SIDE))
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [
                {"/Relu_output_0": "activation", "scores": "logit", "images": "crops"}.get(n, n)
                for n in names
            ]
    model.graph.input[0].name, model.graph.output[0].name = "crops", "logit"
    crops = random_crops(2, SIDE)
    found = adapt(model.SerializeToString(), TWO, "activation").examine(crops)
    wanted = adapt(Small(2), TWO, "/Relu_output_0").examine(crops)
    np.testing.assert_array_equal(found.logit, wanted.logit)
    np.testing.assert_array_equal(found.gradient, wanted.gradient)


def test_auto_skips_maps_without_a_gradient() -> None:
    class Dead(Small):
        def logits(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.conv(x))
            return super().logits(x) + torch.relu(y * 0 - 1).mean((2, 3))[:, :1]

    assert adapt(Dead(2), TWO).examine(random_crops(1, SIDE)).gradient.any()


def test_the_evidence_graph_can_be_saved(tmp_path: Path) -> None:
    data, crops = export(Small(2), SIDE), random_crops(2, SIDE)
    card = make_card(SIDE, "auto")
    graph = evidence_graph(data, card, TWO, None)
    card = replace(card, layer=graph.layer.name)
    save_evidence_model(graph.model, card, tmp_path / "saved.onnx")
    saved = load_evidence_model(tmp_path / "saved.onnx").examine(crops)
    expected = adapt(data, TWO).examine(crops)
    np.testing.assert_array_equal(saved.gradient, expected.gradient)
    np.testing.assert_array_equal(saved.logit, expected.logit)
    onnx.checker.check_model(onnx.load(tmp_path / "saved.onnx"))
