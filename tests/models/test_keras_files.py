"""Keras files: damage, other architectures and older versions."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fakelens.errors import ModelError, UsageError
from fakelens.models.described import list_layers
from fakelens.models.keras import import_keras
from support.keras_files import (
    CROPS,
    CUSTOM,
    SIDE,
    factory_module,  # noqa: F401 - a fixture of every test
    keras,
    layers,
    load,
    logits,
    net,
    save,
)
from support.model_files import write_model_file

# Of Keras' own code with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _poison(path: Path) -> None:
    model = net()
    values = model.get_weights()
    values[2][0] = np.nan
    model.set_weights(values)
    save(model, path)


@pytest.mark.parametrize("file", ["m.keras", "m.h5", "m.weights.h5"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [(_truncate, "damaged"), (_empty, "damaged"), (_poison, "values that are not finite")],
)
def test_damage_is_refused(
    tmp_path: Path, file: str, damage: Callable[[Path], None], words: str
) -> None:
    save(net(), tmp_path / file)
    damage(tmp_path / file)
    lines = f'file = "{file}"' + '\nfactory = "own_net:net"' * ("weights" in file)
    with pytest.raises(ModelError, match=words) as caught:
        load(tmp_path, lines)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["m.keras", "m.h5", "m.weights.h5"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("norm = false", "does not fit the architecture"),  # the file has one layer more
        ("width = 9", "does not fit the architecture"),
        ("outputs = 2", "does not fit the architecture"),
    ],
)
def test_weights_of_another_architecture_are_refused(
    tmp_path: Path, file: str, arguments: str, words: str
) -> None:
    save(net(), tmp_path / file)
    lines = f'file = "{file}"\nfactory = "own_net:net"\narguments = {{ {arguments} }}'
    with pytest.raises(ModelError, match=words):
        load(tmp_path, lines)


def test_a_missing_layer_is_refused(tmp_path: Path) -> None:
    save(net(norm=False), tmp_path / "m.weights.h5")
    with pytest.raises(ModelError, match="does not fit the architecture"):
        load(tmp_path, 'file = "m.weights.h5"\nfactory = "own_net:net"')


def test_whole_numbers_do_not_hide_a_weight_too_many(tmp_path: Path) -> None:
    """``Normalization`` counts its pictures, in a weight that is a whole number."""
    model = net(before=(layers.Normalization(),))
    assert any("int" in str(weight.dtype) for weight in model.weights)
    save(model, tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        file["layers/unknown/vars/0"] = np.zeros(3, np.float32)
    (tmp_path / "own_norm.py").write_text(
        "from own_net import layers, net\n\ndef build():\n"
        "    return net(before=(layers.Normalization(),))\n"
    )
    with pytest.raises(ModelError, match=r"contains \d+ weights, of which the architecture uses"):
        load(tmp_path, 'file = "m.weights.h5"\nfactory = "own_norm:build"')


def test_weights_alone_need_a_factory(tmp_path: Path) -> None:
    save(net(), tmp_path / "m.weights.h5")
    with pytest.raises(ModelError, match="contains weights alone: state the factory"):
        load(tmp_path, 'file = "m.weights.h5"')
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("something", "else")
    with pytest.raises(ModelError, match=r"m\.keras is damaged or not a Keras model"):
        load(tmp_path, 'file = "m.keras"')


def _written_by_keras_2(model: Any, path: Path, *, version: str) -> None:
    """Write a whole model as Keras 2 did, with the weights by the names of the layers.

    Args:
        model: in Keras 3.
        path: to write.
        version: of Keras. Before 2.2.3, the layers were a bare list, without the input.
    """
    before = {"name": "input_1", "batch_input_shape": [None, SIDE, SIDE, 3], "dtype": "float32"}
    described: list[dict[str, Any]] = [{"class_name": "InputLayer", "config": before}]
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        for layer in model.layers:
            config = {
                key: value
                for key, value in layer.get_config().items()
                if isinstance(value, bool | int | float | str | list | tuple)
            }
            described.append(
                {"class_name": type(layer).__name__, "config": config | {"dtype": "float32"}}
            )
            inside = group.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            inside.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                inside[name] = keras.ops.convert_to_numpy(weight)
        group.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        layout: object = {"name": "sequential_1", "layers": described}
        if version == "2.1.5":
            described[1]["config"]["batch_input_shape"] = before["batch_input_shape"]
            layout = described[1:]
        whole = {"class_name": "Sequential", "config": layout}
        file.attrs["model_config"] = json.dumps(whole).encode()
        for attributes in (file.attrs, group.attrs):
            attributes["keras_version"] = version.encode()
            attributes["backend"] = b"tensorflow"


@pytest.mark.parametrize("version", ["2.11.0", "2.1.5"])
def test_a_whole_model_of_keras_2(tmp_path: Path, version: str) -> None:
    """Keras 3 cannot rebuild the oldest ones, but an architecture gets their weights."""
    _written_by_keras_2(net(), tmp_path / "m.h5", version=version)
    lines = 'file = "m.h5"'
    if version == "2.1.5":
        with pytest.raises(ModelError, match=r"cannot rebuild .*: state the factory of the archit"):
            load(tmp_path, lines)
        lines += '\nfactory = "own_net:net"'
    found = load(tmp_path, lines).examine(CROPS).logit
    np.testing.assert_allclose(found, logits(net(activation=None))[:, 0], atol=1e-5)


def test_names_of_layers_do_not_depend_on_other_models(tmp_path: Path) -> None:
    """A model file can then state them: Keras numbers them through the life of a process."""
    (tmp_path / "own_layers.py").write_text(CUSTOM)
    path = write_model_file(tmp_path / "m.toml", 'factory = "own_layers:Net"', channels="last")
    names = [layer.name for layer in list_layers(path)]
    layers.Conv2D(3, 3)
    assert [layer.name for layer in list_layers(path)] == names
    assert "conv2d_1" in names
    stated = load(tmp_path, 'factory = "own_layers:Net"', card="layer = 'conv2d'")
    assert stated.examine(CROPS).activation.shape == (3, 6, 31, 31)


def test_another_backend_or_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(
        ModelError, match=r"runs on jax, .* set the environment variable KERAS_BACK"
    ):
        import_keras()
    monkeypatch.undo()
    with pytest.raises(
        UsageError, match=r"runs on cpu, not on cuda: set .* KERAS_TORCH_DEVICE=cuda"
    ):
        import_keras("cuda")


@pytest.mark.slow
def test_the_code_of_an_architecture_finds_keras_on_torch_and_nothing_is_left_at_home(
    tmp_path: Path,
) -> None:
    """Even if the model file does not show that it is about Keras."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "own_layers.py").write_text(CUSTOM)
    save(net(), tmp_path / "m.keras")
    whole = write_model_file(tmp_path / "whole.toml", 'file = "m.keras"', channels="last")
    code = write_model_file(tmp_path / "c.toml", 'factory = "own_layers:Net"', channels="last")
    environment = {key: value for key, value in os.environ.items() if "KERAS" not in key}
    environment |= {"HOME": str(home), "USERPROFILE": str(home)}
    for path, left in ((whole, False), (code, True)):
        program = f"import fakelens; print(fakelens.load_model({str(path)!r}).card.layer)"
        done = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", program],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == 1
        assert any(home.rglob("keras.json")) is left
