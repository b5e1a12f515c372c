"""Weights files of torch."""

import pickle
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fakelens.errors import ModelError
from fakelens.models.model_file import Weights
from fakelens.models.torch_files import load_module
from support.torch_models import SIDE, pooled_head

pytestmark = pytest.mark.usefixtures("one_thread")

EXAMPLE = torch.rand(2, 3, SIDE, SIDE)


def make(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return pooled_head().eval()


def load(path: Path, module: nn.Module | None = None, **weights) -> nn.Module:
    architecture = make(1) if module is None else module
    weights = {"factory": "a:b", **weights}
    return load_module(path, Weights(file=path.name, **weights), architecture, EXAMPLE).eval()


def same(found: nn.Module, expected: nn.Module, tolerance: float = 0) -> None:
    with torch.no_grad():
        torch.testing.assert_close(
            found(EXAMPLE), expected.float()(EXAMPLE), atol=tolerance, rtol=tolerance
        )


def states(module: nn.Module) -> dict[str, object]:
    state = module.state_dict()
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    return {
        "plain": state,
        "nested": {"state_dict": state, "epoch": 3, "optimizer": {"state": {}, "groups": [1]}},
        "parallel": wrapped,
        "nested, parallel": {"net": wrapped, "args": {"lr": 0.1}},
        "compiled": {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
        "both": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
        "inside": {f"model.backbone.{name}": tensor for name, tensor in state.items()},
        "no counters": {name: t for name, t in state.items() if "num_batches" not in name},
    }


@pytest.mark.parametrize("name", states(make(0)))
def test_states(name: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    for old in (False, True):
        torch.save(states(make(0))[name], path, _use_new_zipfile_serialization=not old)
        same(load(path), make(0))


def test_one_of_several_states(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"model": make(0).state_dict(), "ema": make(2).state_dict(), "epoch": 3}, path)
    same(load(path, key="ema"), make(2))
    with pytest.raises(ModelError, match="contains several: model, ema: state key"):
        load(path)
    with pytest.raises(ModelError, match="has no key 'net', only model, ema, epoch"):
        load(path, key="net")
    with pytest.raises(ModelError, match=r"key 'epoch' does not contain weights.*: model, ema"):
        load(path, key="epoch")


def test_half_precision_and_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(make(0).state_dict(), path)
    same(load(path), make(0))
    save_file({f"module.{n}": t for n, t in make(0).half().state_dict().items()}, path)
    same(load(path), make(0).half())
    torch.save(make(0).bfloat16().state_dict(), tmp_path / "w.pth")
    same(load(tmp_path / "w.pth"), make(0).bfloat16())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"w\.safetensors is damaged or not a safetensors file"):
        load(path)


def change(**tensors: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = make(0).state_dict() | {name.replace("_", "."): t for name, t in tensors.items()}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (change(**{"1_weight": None}), r"1 weights of the architecture are missing.* 1\.weight"),
        (change(**{"6_weight": None, "6_bias": None}), r"2 weights of the .* as 6\.weight"),
        (change(**{"7_weight": torch.ones(2)}), r"1 weights in it are not part .* 7\.weight"),
        (change(**{"6_weight": torch.ones(1, 9)}), r"6\.weight has the shape \(1, 9\) instead of"),
        (change(**{"6_weight": torch.ones(1, 160, dtype=torch.int8)}), "type torch.int8 instead"),
        ({}, "must contain one set of weights, but contains none"),
        ([1, 2], "contains an object of the type list"),
        ({1: torch.ones(2)}, "but contains none"),
    ],
)
def test_weights_that_do_not_fit_are_refused(state: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(state, path)
    module = make(1)
    with pytest.raises(ModelError, match=message):
        load(path, module)
    same(module, make(1))


def test_layers_that_share_a_weight(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        module[1].weight = module[0].weight
        return module

    saved, path = tied(), tmp_path / "w.safetensors"
    state = saved.state_dict()
    del state["1.weight"]  # as safetensors does
    save_file(state, path)
    torch.testing.assert_close(load(path, tied()).state_dict(), saved.state_dict())
    del state["1.bias"]
    save_file(state, path)
    with pytest.raises(ModelError, match="1 weights of the architecture are missing"):
        load(path, tied())


def test_names_of_an_architecture_that_is_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    module = nn.ModuleDict({"module": nn.Linear(2, 2)})
    torch.save(module.state_dict(), path)
    load(path, nn.ModuleDict({"module": nn.Linear(2, 2)}))


class Planted:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".pt2"])
@pytest.mark.parametrize("whole", [True, False])
def test_code_in_a_file_does_not_run(suffix: str, whole: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / f"w{suffix}", tmp_path / "ran"
    architecture = None if whole else make(1)
    for protocol in (2, 4):
        torch.save({"w": Planted(trace)}, path, pickle_protocol=protocol)
        with pytest.raises(ModelError, match=r"can run any code|is damaged"):
            load_module(path, Weights(file="w", factory="a:b"), architecture, EXAMPLE)
        path.write_bytes(pickle.dumps({"w": Planted(trace)}, protocol))
        with pytest.raises(ModelError, match=r"can run any code|is damaged"):
            load_module(path, Weights(file="w", factory="a:b"), architecture, EXAMPLE)
    assert not trace.exists()


def test_a_pickled_module_needs_trust(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(make(0), path)
    for architecture in (make(1), None):
        weights = Weights(file="w", factory="a:b")
        with pytest.raises(ModelError, match=r"trusted = true if you made"):
            load_module(path, weights, architecture, EXAMPLE)
        trusted = Weights(file="w", factory="a:b", trusted=True)
        same(load_module(path, trusted, architecture, EXAMPLE).eval(), make(0))


def test_a_pickled_module_whose_code_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, code = tmp_path / "w.pth", ModuleType("lost_module_x")
    code.Net = type("Net", (nn.Linear,), {"__module__": code.__name__})
    monkeypatch.setitem(sys.modules, code.__name__, code)
    torch.save(code.Net(2, 2), path)
    trusted = Weights(file="w", trusted=True)
    delattr(code, "Net")
    with pytest.raises(ModelError, match=r"not found \(.*Net.*: name its modules as weights"):
        load_module(path, trusted, None, EXAMPLE)
    monkeypatch.delitem(sys.modules, code.__name__)
    with pytest.raises(ModelError, match=r"not found \(.*lost_module_x.*: name its modules as"):
        load_module(path, trusted, None, EXAMPLE)


def test_a_name_before_weights_of_another_architecture_stays(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({f"net.conv.{name}": t for name, t in make(0).state_dict().items()}, path)
    with pytest.raises(ModelError, match=r"in it are not part of .* such as net\.conv\.0"):
        load(path, nn.ModuleDict({"other": nn.Linear(2, 2)}))


def test_weights_without_an_architecture(tmp_path: Path) -> None:
    for suffix, trusted, message in (
        (".pth", False, "contains weights alone: state the factory"),
        (".pth", True, "contains weights alone: state the factory"),
        (".ckpt", False, "contains weights alone: state the factory"),
    ):
        path = tmp_path / f"w{suffix}"
        torch.save(make(0).state_dict(), path)
        with pytest.raises(ModelError, match=message):
            load_module(path, Weights(file="w", trusted=trusted), None, EXAMPLE)
    with pytest.raises(ModelError, match="neither an architecture nor a file"):
        load_module(None, Weights(factory="a:b"), None, EXAMPLE)
    with pytest.raises(ModelError, match="a:b returns an object of the type int: it must be"):
        load_module(None, Weights(factory="a:b"), 3, EXAMPLE)


@pytest.mark.parametrize("old", [False, True])
def test_damaged_files_are_refused(old: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(make(0).state_dict(), path, _use_new_zipfile_serialization=not old)
    data = path.read_bytes()
    for content in (data[: len(data) // 2], data[:-7], data[:30], b"", b"no weights", b"\x80\x02"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=re.escape(str(path)) + " (is|contains)"):
            load(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_has_no_factory(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.jit.script(make(0)).save(path)
    with pytest.raises(ModelError, match=r"is TorchScript, .* leave out the factory"):
        load(path)
