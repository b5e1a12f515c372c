"""Meso4 and MesoInception4 in Keras 3, written from the paper: factories for model files.

The output is the probability of the class real: 0 = fake.
"""

from typing import Any

from fakelens.models.keras import import_keras

keras = import_keras()
layers = keras.layers


def meso4(side: int = 256) -> Any:
    crops = keras.Input((side, side, 3))
    x = _stage(_conv(8, 3)(crops), 2)
    x = _stage(_conv(8, 5)(x), 2)
    return _end(crops, x)


def mesoinception4(side: int = 256) -> Any:
    crops = keras.Input((side, side, 3))
    x = _stage(_inception(crops, 1, 4, 4, 2), 2)
    x = _stage(_inception(x, 2, 4, 4, 2), 2)
    return _end(crops, x)


def _conv(filters: int, side: int, dilation: int = 1) -> Any:
    return layers.Conv2D(
        filters, side, padding="same", dilation_rate=dilation, activation="relu", strides=1
    )


def _inception(x: Any, one: int, two: int, three: int, four: int) -> Any:
    branches = [_conv(one, 1)(x)]
    for dilation, filters in enumerate((two, three, four), 1):
        branches.append(_conv(filters, 3, dilation)(_conv(filters, 1)(x)))
    return layers.Concatenate()(branches)


def _stage(x: Any, pool: int) -> Any:
    return layers.MaxPooling2D(pool, padding="same")(layers.BatchNormalization(epsilon=1e-3)(x))


def _end(crops: Any, x: Any) -> Any:
    x = _stage(_conv(16, 5)(x), 2)
    x = _stage(_conv(16, 5)(x), 4)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.Dropout(0.5)(layers.LeakyReLU(0.1)(layers.Dense(16)(x)))
    return keras.Model(crops, layers.Dense(1, activation="sigmoid")(x))
