"""Keras models, their files and model files."""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakelens.models.keras import import_keras
from fakelens.models.loading import load_model
from fakelens.models.torch import TorchModel
from support.meso_reference import random_crops
from support.model_files import write_model_file

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
