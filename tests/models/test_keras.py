"""Keras models: files, architectures, heads, inputs and what is refused."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakelens.errors import ModelError, UsageError
from fakelens.models.described import list_layers
from fakelens.models.loading import load_model
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
