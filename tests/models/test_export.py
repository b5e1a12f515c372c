"""Export of torch and Keras classifiers as evidence models: the file gives the same evidence."""

import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fakelens.errors import MissingExtraError, ModelError, OutputError
from fakelens.explain.cam import METHODS
from fakelens.models.checks import varied_crops
from fakelens.models.export import Exported, export_model
from fakelens.models.onnx import OnnxModel, load_evidence_model
from fakelens.models.torch import Convention, TorchModel
from fakelens.models.torch_graphs import ScriptedModule
from fakelens.records.conventions import LayerLayout
from fakelens.records.faces import CropGeometry
from fakelens.records.models import Evidence, ModelCard

SIDE = 32
PLAIN = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}


class Pooled(nn.Module):
    """Convolutions, mean, linear; ``end`` is applied to the scores."""

    def __init__(self, outputs: int = 2, end: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1)
        )
        self.last = nn.ReLU()
        self.linear = nn.Linear(24, outputs)
        self.end = end or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.linear(self.last(self.trunk(x)).mean((2, 3))))


class Flattened(Pooled):
    """With a normalisation, a max-pooling and a dense layer after the map."""

    def __init__(self) -> None:
        super().__init__(1, nn.Sigmoid())
        self.norm, self.pool = nn.BatchNorm2d(24), nn.MaxPool2d(4)
        self.dense = nn.Linear(24 * 4, 8)
        self.out = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.norm(self.last(self.trunk(x)))).flatten(1)
        return self.end(self.out(nn.functional.leaky_relu(self.dense(x), 0.1)))


class InPlace(nn.Module):
    """Changes the output of its last layer in place, as DenseNets do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last, self.out = nn.Conv2d(3, 6, 4, stride=4), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(nn.functional.relu(self.last(x), inplace=True).mean((2, 3)))


class Tokens(nn.Module):
    """A transformer with a class token, which counts its crops with ``len``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.first = nn.Parameter(torch.randn(1, 1, 16))
        self.norm = nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.linear = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = self.norm(torch.cat([self.first.expand(len(x), -1, -1), tokens], 1))
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return {"scores": self.linear(tokens[:, 0])}


def adapt(
    module: nn.Module,
    *outputs: str,
    layer: str = "auto",
    layout: LayerLayout | None = None,
    **convention: object,
) -> TorchModel:
    card = ModelCard("planted", SIDE, CropGeometry("box", 1.2), layer=layer)
    return TorchModel(module, card, Convention(outputs, **(PLAIN | convention)), layout=layout)


def traced(module: nn.Module) -> ScriptedModule:
    example = torch.rand(2, 3, SIDE, SIDE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return ScriptedModule(torch.jit.trace(module.eval(), example), example)


CASES = {
    "two logits": lambda: adapt(Pooled(), "real", "fake"),
    "softmax": lambda: adapt(Pooled(2, nn.Softmax(1)), "fake", "real", colour="bgr"),
    "three classes": lambda: adapt(Pooled(3), "live", "swap", "puppet", fake=("swap", "puppet")),
    "changed in place": lambda: adapt(InPlace(), "real", "fake", layer="last"),
    "traced": lambda: adapt(traced(InPlace()), "real", "fake"),
    "sigmoid, flattened": lambda: adapt(Flattened(), "real"),
    "tokens": lambda: adapt(
        Tokens(),
        "a",
        "b",
        "fake",
        layer="norm",
        layout=LayerLayout("tokens", (4, 4), 1),
        field="scores",
    ),
}


def check_equal(found: Evidence, expected: Evidence) -> None:
    np.testing.assert_allclose(found.logit, expected.logit, atol=1e-4)
    for name in ("activation", "gradient"):
        wanted = getattr(expected, name)
        largest = np.abs(wanted).max()
        assert largest > 0
        np.testing.assert_allclose(getattr(found, name), wanted, atol=1e-4 * largest)


Exporter = Callable[[str], tuple[TorchModel, Exported, Path]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporter:
    """Export a case, once for all tests."""

    @cache
    def export(case: str) -> tuple[TorchModel, Exported, Path]:
        model, path = CASES[case](), tmp_path_factory.mktemp("exported") / "out.onnx"
        return model, export_model(model, path), path

    return export


@pytest.mark.parametrize("case", CASES)
def test_the_file_gives_the_same_evidence(case: str, exported: Exporter) -> None:
    model, done, path = exported(case)
    assert done.difference < 1e-4
    assert done.size == path.stat().st_size
    written = load_evidence_model(path)
    assert written.card == model.card
    rng = np.random.default_rng(5)  # not the crops of the export's own check
    for count in (1, 3):
        crops = rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
        check_equal(written.examine(crops), model.examine(crops))
    maps = METHODS["gradcam"].function(written.examine(crops))
    np.testing.assert_allclose(maps, METHODS["gradcam"].function(model.examine(crops)), atol=1e-4)


def test_the_head_of_the_file_runs_on_its_own(exported: Exporter) -> None:
    model, _, path = exported("sigmoid, flattened")
    written = load_evidence_model(path)
    activation = np.random.default_rng(2).normal(size=(2, 24, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(written.head(activation), model.head(activation), atol=1e-4)


def test_integers_change_scores_little_and_shrink_the_file(tmp_path: Path) -> None:
    torch.manual_seed(3)
    module = Pooled()
    module.trunk.append(nn.ReLU())
    module.trunk.append(nn.Conv2d(24, 256, 3, padding=1))
    module.linear = nn.Linear(256, 2)
    model = adapt(module, "real", "fake")
    crops = varied_crops(SIDE, 24)
    sizes = {}
    for name, faces in (("float", None), ("integers", crops)):
        done = export_model(model, tmp_path / f"{name}.onnx", faces=faces)
        sizes[name] = done.size
    logits = load_evidence_model(tmp_path / "integers.onnx").examine(crops).logit
    expected = model.examine(crops).logit
    assert 0 < np.abs(logits - expected).max() < 0.2 * np.ptp(expected)
    assert done.difference == pytest.approx(np.abs(logits - expected).max(), abs=1e-2)
    assert sizes["integers"] < 0.5 * sizes["float"]


def test_a_model_without_convolutions_is_not_quantized(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no convolutions that could compute with integers"):
        export_model(CASES["tokens"](), tmp_path / "out.onnx", faces=varied_crops(SIDE, 2))
    assert not list(tmp_path.iterdir())


class Refusing(Pooled):
    """Asks for the value of a score, which a graph cannot know."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = super().forward(x)
        return scores if scores.sum().item() > 0 else -scores


class Unknown(Pooled):
    """Sorts its features, an operator whose derivative is not in the table."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.last(self.trunk(x)).mean((2, 3))
        return self.linear(torch.cumsum(features, 1))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Refusing(), "planted cannot be exported: torch cannot turn it into an ONNX graph"),
        (Unknown(), "CumSum"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_reason(
    module: nn.Module, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        export_model(adapt(module, "real", "fake"), tmp_path / "out.onnx")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        export_model(CASES["two logits"](), path)
    assert path.read_bytes() == b"mine"
    with pytest.raises(OutputError, match=r"must have the suffix \.onnx"):
        export_model(CASES["two logits"](), tmp_path / "out.pth")


def test_another_object_is_refused(tmp_path: Path) -> None:
    class Mine:
        card = CASES["two logits"]().card
        sha256 = ""

        def examine(self, crops: np.ndarray) -> Evidence:
            zeros = np.zeros((len(crops), 1, 4, 4), np.float32)
            return Evidence(np.zeros(len(crops), np.float32), zeros, zeros)

    with pytest.raises(ModelError, match="not an object of the type Mine"):
        export_model(Mine(), tmp_path / "out.onnx")


def test_a_missing_exporter_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[export\]'"):
        export_model(CASES["two logits"](), tmp_path / "out.onnx")


def test_an_evidence_model_can_be_written_again(exported: Exporter, tmp_path: Path) -> None:
    _, _, first = exported("two logits")
    second = tmp_path / "second.onnx"
    second.write_bytes(b"replaced with force")
    model = load_evidence_model(first)
    assert isinstance(model, OnnxModel)
    export_model(model, second, force=True)
    check_equal(
        load_evidence_model(second).examine(varied_crops(SIDE, 2)),
        model.examine(varied_crops(SIDE, 2)),
    )
