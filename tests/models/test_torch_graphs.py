"""TorchScript and programs of torch.export."""

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fakelens.errors import ModelError
from fakelens.models.model_file import Weights
from fakelens.models.torch import Convention, TorchModel
from fakelens.models.torch_files import load_module
from support.meso_reference import make_card, random_crops
from support.torch_models import SIDE, Classifier, Dense, Mobile, Residual, Vit, pooled_head, stem

pytestmark = pytest.mark.usefixtures("one_thread")

TRUSTED = Weights(file="x", trusted=True)
EXAMPLE = torch.zeros(2, 3, SIDE, SIDE)


def save(module: nn.Module, kind: str, folder: Path, dynamic: bool = True) -> Path:
    example = EXAMPLE.to(next(module.parameters()).dtype)
    path = folder / ("model.pt2" if kind == "export" else "model.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about TorchScript, and inside of torch.export
        if kind == "export":
            shapes = ({0: torch.export.Dim("crops")},) if dynamic else None
            torch.export.save(torch.export.export(module, (example,), dynamic_shapes=shapes), path)
        elif kind == "script":
            torch.jit.script(module).save(path)
        else:
            torch.jit.trace(module, example).save(path)
    return path


def adapt(module: nn.Module, *outputs: str, layer: str = "auto") -> TorchModel:
    return TorchModel(module, make_card(SIDE, layer), Convention(outputs))


def load(path: Path) -> nn.Module:
    return load_module(path, TRUSTED, None, EXAMPLE)


MODELS = {
    "plain": (lambda: nn.Sequential(Classifier(stem(), 12), nn.Sigmoid()), ("fake",), "relu_2"),
    "residual": (lambda: Classifier(nn.Sequential(stem(), Residual(12)), 12), ("fake",), "relu_4"),
    "pooled": (pooled_head, ("real",), "relu_3"),
    "dense": (lambda: nn.Sequential(Dense(), nn.Softmax(1)), ("real", "fake"), "relu_3"),
    "mobile": (Mobile, ("fake",), "silu"),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("pooled", "script"), ("dense", "script"), ("plain", "trace"), ("residual", "trace")),
        *(("mobile", "trace"), ("pooled", "export"), ("residual", "export"), ("dense", "export")),
    ],
)
def test_files_equal_the_module_that_they_were_made_of(
    name: str, kind: str, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    make, outputs, layer = MODELS[name]
    module = make().eval()
    model = adapt(load(save(module, kind, tmp_path)), *outputs)
    assert model.card.layer == f"taps.{layer}"
    eager = adapt(module, *outputs)
    for count in (1, 3, 16):
        crops = random_crops(count, SIDE, seed=count)
        found, expected = model.examine(crops), eager.examine(crops)
        np.testing.assert_allclose(found.logit, expected.logit, atol=1e-5)
        np.testing.assert_allclose(model.head(found.activation), found.logit, atol=1e-5)
        cams = [(e.activation * e.gradient).sum(1) for e in (found, expected)]
        if name != "mobile":  # whose activation function is no layer of the module
            np.testing.assert_allclose(*cams, atol=1e-5)
        if name not in ("dense", "mobile"):
            np.testing.assert_allclose(found.activation, expected.activation, atol=1e-5)
            np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-5)


@pytest.mark.parametrize("kind", ["trace", "export"])
def test_the_gradient_of_an_earlier_operation(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = Mobile().eval()
    model = adapt(load(save(module, kind, tmp_path)), "fake", layer="taps.relu_2")
    found = model.examine(random_crops(2, SIDE))
    expected = adapt(module, "fake", layer="features").examine(random_crops(2, SIDE))
    for field in ("logit", "activation", "gradient"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), atol=1e-5)
    assert np.abs(expected.gradient).max() > 1e-4


@pytest.mark.parametrize("kind", ["script", "trace", "export"])
def test_half_precision(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = pooled_head().eval()
    crops = random_crops(3, SIDE)
    expected = adapt(module, "fake").examine(crops)
    model = adapt(load(save(copy.deepcopy(module).half(), kind, tmp_path)), "fake")
    found = model.examine(crops)
    np.testing.assert_allclose(found.logit, expected.logit, atol=3e-3)
    np.testing.assert_allclose(found.gradient, expected.gradient, atol=3e-4)


def test_a_script_moves_with_its_weights(tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = pooled_head().eval()
    loaded = load(save(module, "script", tmp_path))
    model = adapt(loaded.double(), "fake")
    expected = adapt(module, "fake").examine(random_crops(2, SIDE))
    np.testing.assert_allclose(model.examine(random_crops(2, SIDE)).logit, expected.logit, 1e-5)


def test_tokens_need_a_grid_here_too(tmp_path: Path) -> None:
    loaded = load(save(Vit().eval(), "export", tmp_path))
    with pytest.raises(ModelError, match=r"grid = \[8, 8\] and class_tokens = 3"):
        adapt(loaded, "fake")


def test_a_program_of_torch_export_needs_trust(tmp_path: Path) -> None:
    path = save(pooled_head().eval(), "export", tmp_path)
    with pytest.raises(ModelError, match=r"can run any code .* trusted = true .* as TorchScript"):
        load_module(path, Weights(file="x"), None, EXAMPLE)


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    path = save(pooled_head().eval(), "export", tmp_path, dynamic=False)
    with pytest.raises(ModelError, match="for batches of 2 crops: export it with a dynamic batch"):
        load(path)


@pytest.mark.parametrize("kind", ["trace", "export"])
def test_training_mode_that_was_saved_is_refused(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(2)

    class Careless(Mobile):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(nn.functional.dropout(x, 0.5))

    module = Careless().eval()
    nn.init.normal_(module.classifier.weight)
    with pytest.raises(ModelError, match="dropout or batch statistics are in use"):
        adapt(load(save(module, kind, tmp_path)), "fake")


def test_scripts_that_cannot_be_recorded_are_refused(tmp_path: Path) -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.linear = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            if bool(x.mean() > 0):
                x = x * 2
            return self.linear(x.mean((2, 3)))

    path = save(Deciding(), "script", tmp_path)
    with pytest.raises(ModelError, match=r"TorchScript module cannot be recorded .*shape"):
        load(path)
    path = save(pooled_head(), "script", tmp_path)
    with pytest.raises(ModelError, match=r"shape \(2, 3, 32, 32\): the sizes of its layers do not"):
        load_module(path, TRUSTED, None, EXAMPLE[..., :32, :32])


@pytest.mark.parametrize("name", ["model.pt", "model.pt2", "model.torchscript"])
@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_damaged_files_are_refused(name: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / name
    data = save(pooled_head().eval(), "export" if name == "model.pt2" else "script", tmp_path)
    content = data.read_bytes()
    path.write_bytes(
        {"cut": content[: len(content) // 2], "text": b"no model", "empty": b""}[damage]
    )
    for trusted in (True, False):
        with pytest.raises(ModelError, match=r"is damaged|can run any code"):
            load_module(path, Weights(file="x", trusted=trusted), None, EXAMPLE)
