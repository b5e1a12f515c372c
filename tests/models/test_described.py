"""Classifiers of model files: where weights and code are found, and what the card says."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from fakelens.errors import MissingExtraError, ModelError, UsageError
from fakelens.models.described import list_layers
from fakelens.models.factories import call_factory
from fakelens.models.loading import load_model
from support.meso_reference import random_crops
from support.model_files import write_model_file

ARCHITECTURE = """
import torch
from torch import nn

def build(width=4, fail=False):
    if fail:
        raise KeyError("width")
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, 1),
    )

def text():
    return "no module"

def stop():
    raise SystemExit(3)
"""

FACTORY = 'factory = "own_arch:build"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_arch.py").write_text(ARCHITECTURE)
    return tmp_path


@pytest.fixture
def weights(folder: Path) -> Path:
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Identity(), nn.Identity(), nn.Linear(4, 1)
    )
    path = folder / "mine.pth"
    torch.save(module.state_dict(), path)
    return path


def test_the_report_says_what_is_known_and_no_more(folder: Path, weights: Path) -> None:
    path = write_model_file(folder / "mine.toml", f'file = "mine.pth"\n{FACTORY}')
    model = load_model(path)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert model.sha256 == sha256
    assert model.card.version == sha256[:12]
    assert model.card.polarity == "outputs: fake; fake: fake"
    assert model.card.thresholds.source.startswith("not calibrated")
    alone = load_model(write_model_file(folder / "alone.toml", FACTORY, outputs=("real",)))
    assert (alone.card.version, alone.sha256) == ("unknown", "")
    assert alone.card.polarity == "outputs: real; fake: none of them (inverted on load)"
    stated = write_model_file(folder / "v.toml", FACTORY, card='version = "7"\npolarity = "p"')
    assert (load_model(stated).card.version, load_model(stated).card.polarity) == ("7", "p")


def test_files_are_found_beside_the_model_file(
    folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model_file(folder / "mine.toml", f'file = "mine.pth"\n{FACTORY}')
    crops = random_crops(2, 64)
    wanted = load_model(path).examine(crops).logit
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    absolute = write_model_file(folder / "absolute.toml", f"file = '{weights}'\n{FACTORY}")
    for name in (os.path.relpath(path), absolute):
        assert (load_model(name).examine(crops).logit == wanted).all()
    for name in ("mine.toml", "mine.pth", "own_arch.py"):
        (elsewhere / name).symlink_to(folder / name)
    assert (load_model("mine.toml").examine(crops).logit == wanted).all()
    (elsewhere / "mine.pth").unlink()
    with pytest.raises(ModelError, match=r"mine\.pth does not exist"):
        load_model("mine.toml")


def test_another_hash_is_refused(folder: Path, weights: Path) -> None:
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest().upper()
    lines = f'file = "mine.pth"\n{FACTORY}\nsha256 = "{sha256}"'
    path = write_model_file(folder / "mine.toml", lines)
    load_model(path)
    weights.write_bytes(weights.read_bytes() + b"?")
    with pytest.raises(
        ModelError, match=r"mine\.pth: its SHA-256 is not the one that .*mine\.toml"
    ):
        load_model(path)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('factory = "no_such_module_x:build"', "cannot be imported: No module named"),
        ('factory = "own_arch:nothing"', "does not exist: own_arch has no nothing"),
        ('factory = "own_arch:stop"', "own_arch:stop failed: SystemExit 3"),
        ('factory = "own_arch:text"', "returns an object of the type str: it must be a torch"),
        (f"{FACTORY}\narguments = {{ fail = true }}", "failed: KeyError 'width'"),
        (f"{FACTORY}\narguments = {{ depth = 3 }}", "failed: .*unexpected keyword argument"),
        (f'{FACTORY}\nmodules = ["no_such_module_x"]', "the module no_such_module_x cannot be imp"),
        (f'{FACTORY}\nfile = "none.pth"', r"none\.pth does not exist"),
        (f'{FACTORY}\nfile = "."', "cannot be read: Is a directory"),
        ('factory = "json:build"', "another module json is in use already"),
        ('factory = "exits:build"', "exits:build cannot be imported: SystemExit 2"),
    ],
)  # fmt: skip
def test_mistakes_about_code_are_one_sentence(folder: Path, lines: str, words: str) -> None:
    (folder / "json.py").write_text(ARCHITECTURE)
    (folder / "exits.py").write_text("raise SystemExit(2)")
    path = write_model_file(folder / "mine.toml", lines)
    before = list(sys.path)
    with pytest.raises(ModelError, match=words) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert sys.path == before


def test_two_model_files_with_modules_of_the_same_name_do_not_share_code(tmp_path: Path) -> None:
    """The second would otherwise get the architecture of the first without a word."""
    for folder, width in (("one", 5), ("two", 6)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own_parts.py").write_text(f"WIDTH = {width}")
        code = f"from own_parts import WIDTH\n{ARCHITECTURE}".replace("width=4", "width=WIDTH")
        (tmp_path / folder / "own_arch.py").write_text(code)
        write_model_file(tmp_path / folder / "m.toml", FACTORY)
    for folder, width in (("one", 5), ("two", 6), ("one", 5)):
        evidence = load_model(tmp_path / folder / "m.toml").examine(random_crops(1, 64))
        assert evidence.activation.shape[1] == width


def test_a_device_of_another_kind_is_refused(folder: Path) -> None:
    path = write_model_file(folder / "mine.toml", FACTORY)
    for device in ("openvino", "cuda"):
        with pytest.raises(UsageError, match=device):
            load_model(path, device=device)


def test_a_missing_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch_file = write_model_file(folder / "mine.toml", FACTORY)
    for name in ("fakelens.models.torch", "fakelens.models.torch_files"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    for call in (load_model, list_layers):
        with pytest.raises(MissingExtraError, match="needs the extra 'torch'"):
            call(torch_file)
    monkeypatch.setitem(sys.modules, "keras", None)
    (folder / "k.keras").write_bytes(b"")
    keras_file = write_model_file(folder / "k.toml", 'file = "k.keras"')
    for call in (load_model, list_layers):
        with pytest.raises(MissingExtraError, match="needs the extra 'keras'"):
            call(keras_file)


def test_a_factory_that_changes_the_folder_leaves_it(tmp_path: Path) -> None:
    code = "import os\ndef build():\n    os.chdir('..')\n    return 3\n"
    (tmp_path / "wandering_x.py").write_text(code)
    before = Path.cwd()
    assert call_factory("wandering_x:build", {}, tmp_path) == 3
    assert Path.cwd() == before
