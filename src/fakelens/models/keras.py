"""Loads Keras models as torch modules: Keras 3 with torch as its backend (extra ``keras``)."""

import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py

from fakelens.errors import MissingExtraError, ModelError
from fakelens.models.factories import first_line
from fakelens.models.model_file import Weights
from fakelens.records.conventions import Convention

BACKEND = "torch"


def import_keras() -> Any:
    """Import Keras with torch as its backend.

    Raises:
        MissingExtraError: Keras or torch is not installed.
        ModelError: Keras has been imported with another backend.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = BACKEND
    try:
        import keras  # noqa: PLC0415 - of the extra, and the backend is chosen at import
    except ImportError as error:
        raise MissingExtraError("a Keras model", "keras") from error
    if keras.backend.backend() != BACKEND:
        raise ModelError(
            f"Keras runs on {keras.backend.backend()}, but fakelens needs it on torch: set the "
            "environment variable KERAS_BACKEND=torch"
        )
    return keras


def load_keras_model(
    path: Path | None, weights: Weights, architecture: object, convention: Convention, side: int
) -> Any:
    """Load a Keras model.

    Args:
        path: whole model (``.keras`` or ``.h5``), or weights of the architecture (``.weights.h5``
            or ``.h5``); ``None`` if the architecture has them.
        weights: what the model file says about them.
        architecture: what the factory returned; ``None`` if the file contains it.
        convention: stated; checked against the input of the model.
        side: stated side of the crops, likewise.

    Returns:
        A Keras model, which is a torch module.

    Raises:
        ModelError: the file is damaged, contains code and is not trusted, or does not fit the
            architecture, or the input of the model is not as stated.
        MissingExtraError: Keras or torch is not installed.
    """
    keras = import_keras()
    model = architecture if architecture is not None else _load_whole(keras, path, weights)
    if path is not None and architecture is not None:
        _load_weights(model, path)
    shape = tuple(getattr(model, "input_shape", ()) or ())
    if len(shape) == 4:
        _check_input(shape, convention, side, path or Path(weights.factory))
    return model


def _load_whole(keras: Any, path: Path | None, weights: Weights) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the state of optimizers, and older formats
            return keras.saving.load_model(path, compile=False, safe_mode=not weights.trusted)
    except Exception as error:  # of many kinds, depending on what is damaged
        text = " ".join(str(error).split())
        if "safe_mode" in text or "unsafe" in text.lower():
            raise ModelError(
                f"{path} contains Python code, which could do anything: state trusted = true if "
                "you made the file yourself"
            ) from error
        if "Could not locate" in text or "Unknown layer" in text:
            raise ModelError(
                f"{path} contains a layer that Keras does not know ({text[:200]}): register it "
                "with keras.saving.register_keras_serializable in a module, and state that module "
                "as modules in the model file"
            ) from error
        raise ModelError(
            f"{path} is damaged or not a Keras model: {first_line(error)[:200]}"
        ) from error


def _load_weights(model: Any, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(path)
        found = _count_weights(path)
    except Exception as error:  # of many kinds, depending on what is damaged
        raise ModelError(
            f"{path} does not fit the architecture, or is damaged: {first_line(error)[:200]}"
        ) from error
    # Keras itself refuses a file with less, but not one with more.
    if found > len(model.weights):
        raise ModelError(
            f"{path} does not fit the architecture: it contains {found} weights, of which the "
            f"architecture uses {len(model.weights)}"
        )


def _count_weights(path: Path) -> int:
    names = []

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and "optimizer" not in name:
            names.append(name)

    with h5py.File(path, "r") as file:
        file.visititems(collect)
    return len(names)


def _check_input(
    shape: Iterable[int | None], convention: Convention, side: int, where: Path
) -> None:
    _, *sizes = shape
    channels = "last" if sizes[-1] == 3 else "first"
    if channels != convention.channels:
        raise ModelError(
            f"{where}: takes pictures with the channels {channels}, not {convention.channels} as "
            f'stated: state channels = "{channels}"'
        )
    height, width = sizes[:2] if channels == "last" else sizes[1:]
    if {height, width} - {None, side}:
        raise ModelError(
            f"{where}: takes pictures of {height} x {width} pixels, not {side} as stated"
        )
