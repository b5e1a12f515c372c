"""Keras models: files, architectures, heads, inputs and what is refused."""

import json
import os
import re
import subprocess
import sys
import warnings
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
from fakelens.models.loading import load_model
from fakelens.models.torch import TorchModel
from support.meso_reference import random_crops
from support.model_files import write_model_file

# Of Keras' own code with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

keras = import_keras()
layers = keras.layers
SIDE = 64
CROPS = random_crops(3, SIDE)

CUSTOM = """
import keras
from keras import layers

@keras.saving.register_keras_serializable("own")
class Scale(layers.Layer):
    def build(self, shape):
        self.factors = self.add_weight(shape=(shape[-1],), initializer="ones", name="factors")

    def call(self, x):
        return x * self.factors

@keras.saving.register_keras_serializable("own")
class Net(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.blocks = [layers.Conv2D(6, 3, strides=2, activation="relu") for _ in range(2)]
        self.pool, self.dense = layers.GlobalAveragePooling2D(), layers.Dense(1)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.dense(self.pool(x))

def scaled():
    return keras.Sequential([
        keras.Input((64, 64, 3)), Scale(), layers.Conv2D(6, 3, strides=4, activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(1),
    ])

def waiting():
    return keras.Sequential([
        layers.Conv2D(6, 3, strides=4, activation="relu"), layers.GlobalAveragePooling2D(),
        layers.Dense(1),
    ])

def layer():
    return layers.Dense(1)
"""


def net(
    outputs: int = 1,
    activation: str | None = "sigmoid",
    *,
    side: int | None = SIDE,
    colours: int = 3,
    first: bool = False,
    before: tuple[Any, ...] = (),
    norm: bool = True,
    width: int = 8,
) -> Any:
    arrangement = "channels_first" if first else "channels_last"
    shape = (colours, side, side) if first else (side, side, colours)
    conv = {"activation": "relu", "data_format": arrangement}
    model = keras.Sequential(
        [
            keras.Input(shape),
            *before,
            layers.Conv2D(8, 3, strides=2, name="early", **conv),
            *([layers.BatchNormalization(axis=1 if first else -1)] if norm else []),
            layers.MaxPooling2D(2, data_format=arrangement),
            layers.Conv2D(width, 3, name="late", **conv),
            layers.GlobalAveragePooling2D(data_format=arrangement),
            layers.Dropout(0.5),
            layers.Dense(outputs, activation=activation),
        ]
    )
    rng = np.random.default_rng(0)  # not at their initial values, and the same in all precisions
    for weight in model.weights:
        if "float" in weight.dtype:
            low, high = (0.5, 1.5) if weight.name in ("gamma", "moving_variance") else (-0.5, 0.5)
            weight.assign(rng.uniform(low, high, weight.shape))
    return model


def save(model: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.name.endswith(".weights.h5"):
            model.save_weights(path)
        else:
            model.save(path)


def load(path: Path, weights: str, **stated: Any) -> TorchModel:
    model = load_model(
        write_model_file(
            path / "mine.toml", weights, channels=stated.pop("channels", "last"), **stated
        )
    )
    assert isinstance(model, TorchModel)
    return model


def logits(model: Any, crops: np.ndarray = CROPS) -> np.ndarray:
    """Compute what Keras itself predicts for pixels 0..1; the model must end in numbers."""
    return keras.ops.convert_to_numpy(model((crops / 255).astype(np.float32), training=False))


@pytest.fixture(scope="module", autouse=True)
def factory_module(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let model files name this module's ``net`` as ``own_net:net``."""
    sys.modules["own_net"] = sys.modules[__name__]
    yield
    del sys.modules["own_net"]


@pytest.mark.parametrize(
    ("file", "factory"),
    [
        ("m.keras", False),
        ("m.h5", False),
        ("m.keras", True),
        ("m.h5", True),
        ("m.weights.h5", True),
    ],
)
def test_files_of_all_kinds_give_the_answers_of_keras(
    tmp_path: Path, file: str, factory: bool
) -> None:
    save(net(), tmp_path / file)
    lines = f'file = "{file}"' + '\nfactory = "own_net:net"' * factory
    model = load(tmp_path, lines)
    evidence = model.examine(CROPS)
    np.testing.assert_allclose(evidence.logit, logits(net(activation=None))[:, 0], atol=1e-5)
    assert model.card.layer == "late"
    assert evidence.activation.shape == (3, 8, 13, 13)
    np.testing.assert_allclose(model.head(evidence.activation), evidence.logit, atol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "activation", "names"),
    [
        (1, "sigmoid", ("real",)),
        (1, None, ("fake",)),
        (2, "softmax", ("real", "fake")),
        (2, None, ("fake", "real")),
        (3, "softmax", ("real", "fake", "none")),
    ],
)
def test_heads(
    tmp_path: Path, outputs: int, activation: str | None, names: tuple[str, ...]
) -> None:
    save(net(outputs, activation), tmp_path / "m.keras")
    found = load(tmp_path, 'file = "m.keras"', outputs=names).examine(CROPS).logit
    scores = logits(net(outputs, None)).astype(np.float64)
    if outputs == 1:
        wanted = scores[:, 0] if names == ("fake",) else -scores[:, 0]
    else:
        fake = names.index("fake")
        others = np.delete(np.exp(scores), fake, axis=1).sum(axis=1)
        wanted = scores[:, fake] - np.log(others)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_channels_first(tmp_path: Path) -> None:
    save(net(first=True), tmp_path / "m.keras")
    evidence = load(tmp_path, 'file = "m.keras"', channels="first").examine(CROPS)
    save(net(), tmp_path / "m.keras")
    last = load(tmp_path, 'file = "m.keras"').examine(CROPS)
    np.testing.assert_allclose(evidence.logit, last.logit, atol=1e-4)
    np.testing.assert_allclose(evidence.activation, last.activation, atol=1e-4)


@pytest.mark.parametrize(
    ("made", "stated", "words"),
    [
        ({}, {"channels": "first"}, r'channels last, not first as stated: state channels = "last"'),
        ({"first": True}, {}, 'state channels = "first"'),
        ({}, {"side": 96}, "takes pictures of 64 x 64 pixels, not 96 as stated"),
        ({"colours": 1}, {}, "takes pictures with 1 channel, not with 3 colours"),
        ({"colours": 4}, {"channels": "last"}, "with 4 channels"),
        ({}, {"outputs": ("real", "fake")}, r"shape \(4, 1\), but 2 outputs per crop"),
        ({}, {"card": "layer = 'none'"}, "has no layer 'none'"),
        ({}, {"card": "layer = 'dense'"}, "not a map"),
    ],
)
def test_wrong_statements_are_refused(
    tmp_path: Path, made: dict[str, Any], stated: dict[str, Any], words: str
) -> None:
    save(net(**made), tmp_path / "m.keras")
    with pytest.raises((ModelError, UsageError), match=words):
        load(tmp_path, 'file = "m.keras"', **stated)


def test_inputs_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    one, two = keras.Input((SIDE, SIDE, 3)), keras.Input((4,))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(one))
    both = layers.Dense(1)(layers.Concatenate()([pooled, two]))
    for model, words in (
        (keras.Model([one, two], both), "takes 2 inputs, but fakelens has only the crops"),
        (keras.Model(two, layers.Dense(1)(two)), "takes an input of 4 numbers, not pictures"),
    ):
        save(model, tmp_path / "m.keras")
        with pytest.raises(ModelError, match=words):
            load(tmp_path, 'file = "m.keras"')


def test_a_picture_of_any_size_is_accepted(tmp_path: Path) -> None:
    save(net(side=None), tmp_path / "m.keras")
    assert load(tmp_path, 'file = "m.keras"', side=96).card.input_size == 96


def test_a_backbone_inside_is_looked_into(tmp_path: Path) -> None:
    inner = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="inside")(inner)
    backbone = keras.Model(inner, layers.Conv2D(8, 3, strides=2, name="end")(x), name="backbone")
    outer = keras.Input((SIDE, SIDE, 3))
    pooled = layers.GlobalAveragePooling2D()(backbone(outer))
    save(keras.Model(outer, layers.Dense(1)(pooled)), tmp_path / "m.keras")
    path = write_model_file(tmp_path / "mine.toml", 'file = "m.keras"', channels="last")
    assert {"inside", "end", "backbone"} <= {layer.name for layer in list_layers(path)}
    assert load_model(path).card.layer in ("backbone", "end")
    model = load(tmp_path, 'file = "m.keras"', card="layer = 'inside'")
    assert model.examine(CROPS).activation.shape == (3, 8, 31, 31)


def test_own_layers_need_their_module(tmp_path: Path) -> None:
    (tmp_path / "own_layers.py").write_text(CUSTOM)
    write_model_file(tmp_path / "f.toml", 'factory = "own_layers:scaled"', channels="last")
    load_model(tmp_path / "f.toml")
    own = sys.modules["own_layers"]
    for suffix in ("keras", "h5"):
        keras.utils.set_random_seed(1)
        save(own.scaled(), tmp_path / f"m.{suffix}")
        registered = keras.saving.get_custom_objects()
        known = dict(registered)
        registered.clear()
        with pytest.raises(
            ModelError, match=r"contains (own>)?Scale, which Keras does not know: re"
        ):
            load(tmp_path, f'file = "m.{suffix}"')
        registered.update(known)
        load(tmp_path, f'file = "m.{suffix}"\nmodules = ["own_layers"]')


@pytest.mark.parametrize("function", ["Net", "waiting"])
def test_an_architecture_that_waits_for_an_input_gets_its_weights(
    tmp_path: Path, function: str
) -> None:
    (tmp_path / "own_layers.py").write_text(CUSTOM)
    load(tmp_path, f'factory = "own_layers:{function}"')
    model = getattr(sys.modules["own_layers"], function)()
    wanted = logits(model)[:, 0]
    save(model, tmp_path / "m.weights.h5")
    loaded = load(tmp_path, f'file = "m.weights.h5"\nfactory = "own_layers:{function}"')
    np.testing.assert_allclose(loaded.examine(CROPS).logit, wanted, atol=1e-5)


def test_a_factory_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own_layers.py").write_text(CUSTOM)
    save(net(), tmp_path / "m.weights.h5")
    for function, words in (("layer", "Dense, not a keras.Model"), ("Net", "a .keras or .h5 file")):
        file = "m.weights.h5" if function == "layer" else "m.pth"
        (tmp_path / "m.pth").write_bytes(b"")
        with pytest.raises(ModelError, match=words):
            load(tmp_path, f'file = "{file}"\nfactory = "own_layers:{function}"')


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_code_in_a_file_runs_only_if_it_is_trusted(tmp_path: Path, suffix: str) -> None:
    marker = tmp_path / "ran"
    code = f"lambda x: (__import__('pathlib').Path({str(marker)!r}).touch(), x * 2)[1]"
    double = layers.Lambda(eval(code))
    save(net(before=(double,)), tmp_path / f"m.{suffix}")
    marker.unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"contains Python code, .* state trusted = true"):
        load(tmp_path, f'file = "m.{suffix}"')
    assert not marker.exists()
    load(tmp_path, f'file = "m.{suffix}"\ntrusted = true')
    assert marker.exists()


@pytest.mark.parametrize("policy", ["float16", "mixed_float16", "bfloat16", "float64"])
def test_other_precisions(tmp_path: Path, policy: str) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        save(net(), tmp_path / "m.keras")
    finally:
        keras.config.set_dtype_policy(before)
    evidence = load(tmp_path, 'file = "m.keras"').examine(CROPS)
    assert evidence.gradient.dtype == np.float32
    coarse = 0.03 if policy == "bfloat16" else 0.003
    np.testing.assert_allclose(evidence.logit, logits(net(activation=None))[:, 0], atol=coarse)


def test_a_model_that_scales_pixels_itself_gets_a_remark(tmp_path: Path) -> None:
    words = r"its layer rescaling\w* seems to expect pixels from 0 to 255, but .* gets 1 at most"
    save(net(before=(layers.Rescaling(1 / 127.5, offset=-1),)), tmp_path / "m.keras")
    assert re.match(words, load(tmp_path, 'file = "m.keras"').notes[-1])
    path = tmp_path / "mine.toml"
    path.write_text(path.read_text().replace("std = [1, 1, 1]", f"std = {[1 / 255] * 3}"))
    assert not any("seems to expect" in note for note in load_model(path).notes)


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
