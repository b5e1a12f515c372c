"""Loads Keras models as torch modules: Keras 3 with torch as its backend (extra ``keras``)."""

import io
import os
import re
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import h5py

from fakelens.errors import MissingExtraError, ModelError, UsageError
from fakelens.models.factories import first_line
from fakelens.models.model_file import Weights
from fakelens.records.conventions import Convention

BACKEND = "torch"

SUFFIXES = (".keras", ".h5", ".hdf5")
"""Of the files that Keras writes."""

_ARCHIVED_WEIGHTS = "model.weights.h5"  # in a .keras file
_OPTIMIZERS = ("optimizer", "optimizer_weights")
_UNKNOWN_CLASS = re.compile(r"(?:Could not locate (?:class|function)|Unknown \w+:) '([^']+)'")
_LONGEST_REASON = 200
# A layer that divides by about 255 expects pixels from 0 to 255.
_DIVIDES, _SMALL_INPUT = 1 / 64, 16


def choose_backend(device: str) -> None:
    """Have Keras run on torch and on a device once it is imported, by whichever code."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = BACKEND
        os.environ.setdefault("KERAS_TORCH_DEVICE", device)  # Keras itself takes any GPU it finds


def import_keras(device: str = "cpu") -> Any:
    """Import Keras with torch as its backend.

    Args:
        device: ``"cpu"`` or ``"cuda"``; the same for all models of a process.

    Raises:
        MissingExtraError: Keras or torch is not installed.
        ModelError: Keras has been imported with another backend.
        UsageError: Keras has been imported for another device.
    """
    choose_backend(device)
    try:
        with nullcontext() if "keras" in sys.modules else _leaving_nothing():
            import keras  # noqa: PLC0415 - of the extra, and the backend is chosen at import
    except ImportError as error:
        raise MissingExtraError("a Keras model", "keras") from error
    if keras.backend.backend() != BACKEND:
        raise ModelError(
            f"Keras runs on {keras.backend.backend()}, but fakelens needs it on torch: set the "
            "environment variable KERAS_BACKEND=torch"
        )
    found = keras.ops.zeros(1).device.type
    if found != device:
        raise UsageError(
            f"Keras runs on {found}, not on {device}: set the environment variable "
            f"KERAS_TORCH_DEVICE={device}"
        )
    return keras


@contextmanager
def _leaving_nothing() -> Iterator[None]:
    """Keep the import of Keras from writing to the home folder.

    Keras would save its settings there, and import matplotlib, which saves a list of fonts.
    """
    saved = "KERAS_HOME" in os.environ or _has_settings()
    with tempfile.TemporaryDirectory() as folder:
        hidden = "matplotlib" not in sys.modules
        if not saved:
            os.environ["KERAS_HOME"] = folder
        if hidden:
            sys.modules["matplotlib"] = None  # type: ignore[assignment]
        try:
            yield
        finally:
            if not saved:
                del os.environ["KERAS_HOME"]
            if hidden:
                del sys.modules["matplotlib"]


def _has_settings() -> bool:
    try:
        return (Path.home() / ".keras" / "keras.json").exists()
    except (OSError, RuntimeError):  # a user without a home folder
        return False


def restart_names() -> None:
    """Have Keras count the layers that get no name from 1 again.

    Otherwise their names depend on the models that were made before, and a model file cannot state
    them.
    """
    keras = sys.modules["keras"]
    policy = keras.config.dtype_policy()
    keras.utils.clear_session(free_memory=False)
    keras.config.set_dtype_policy(policy)


def load_keras_model(
    path: Path | None,
    weights: Weights,
    architecture: object,
    convention: Convention,
    side: int,
    example: object,
) -> Any:
    """Load a Keras model.

    Args:
        path: whole model (``.keras`` or ``.h5``), or weights of the architecture (``.weights.h5``,
            ``.h5``, or those in ``.keras``); ``None`` if the architecture has them.
        weights: what the model file says about them.
        architecture: what the factory returned; ``None`` if the file contains it.
        convention: stated; checked against the input of the model.
        side: stated side of the crops, likewise.
        example: input (2, ...) of the model, to create the weights of one that waits for an input.

    Returns:
        A Keras model, which is a torch module.

    Raises:
        ModelError: the file is damaged, contains code and is not trusted, or does not fit the
            architecture, or the input of the model is not as stated.
        MissingExtraError: Keras or torch is not installed.
    """
    keras = sys.modules["keras"]
    where = str(path or weights.factory)
    if architecture is None:
        model = _load_whole(keras, path, weights)
    elif isinstance(architecture, keras.Model):
        model = architecture
    else:
        raise ModelError(
            f"the factory {weights.factory} returns an object of the type "
            f"{type(architecture).__name__}, not a keras.Model"
        )
    _check_input(model, convention, side, where)
    _build(model, example, where)
    if path is not None and architecture is not None:
        _load_weights(model, path)
    return model


def describe_rescaling(model: Any, convention: Convention) -> Iterator[str]:
    """Yield a sentence if the model scales pixels from 0 to 255 itself, but gets smaller ones."""
    largest = max(
        (1 - mean) / std for mean, std in zip(convention.mean, convention.std, strict=True)
    )
    for layer in _layers_of(model):
        scale = getattr(layer, "scale", None)
        if type(layer).__name__ != "Rescaling" or not isinstance(scale, int | float):
            continue
        if 0 < scale < _DIVIDES and largest < _SMALL_INPUT:
            yield (
                f"its layer {layer.name} seems to expect pixels from 0 to 255, but as stated it "
                f"gets {largest:.3g} at most: unless it was trained so, state mean = [0, 0, 0] and "
                "std = [0.00392157, 0.00392157, 0.00392157]"
            )
        return


def _layers_of(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers_of(layer)


def _load_whole(keras: Any, path: Path | None, weights: Weights) -> Any:
    if path is not None and path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is damaged or not a Keras model")
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
        if unknown := _UNKNOWN_CLASS.search(text):
            raise ModelError(
                f"{path} contains {unknown[1]}, which Keras does not know: register it with "
                "keras.saving.register_keras_serializable in a module, and state that module as "
                "modules in the model file"
            ) from error
        if "No model config" in text:
            raise ModelError(
                f"{path} contains weights alone: state the factory of their architecture"
            ) from error
        if _contains_architecture(path):
            raise ModelError(
                f"{path} contains an architecture that Keras {keras.__version__} cannot rebuild "
                f"({_reason(error)}): state the factory of the architecture, and it gets the "
                "weights of the file"
            ) from error
        raise ModelError(f"{path} is damaged or not a Keras model: {_reason(error)}") from error


def _contains_architecture(path: Path | None) -> bool:
    """Return whether a .h5 file describes an architecture, such as one of an older Keras."""
    try:
        with h5py.File(path, "r") as file:
            return "model_config" in file.attrs
    except (OSError, RuntimeError, TypeError):
        return False


def _build(model: Any, example: object, where: str) -> None:
    """Create the weights of a model that waits for an input."""
    if all(layer.built for layer in (model, *model.layers)):
        return
    try:
        model(example)
    except Exception as error:  # the model is the user's, and may raise anything
        raise ModelError(f"{where} cannot run on the crops as stated: {_reason(error)}") from error


def _load_weights(model: Any, path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(f"{path}: the weights of a Keras model are a .keras or .h5 file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(path)
        found = _count_weights(path)
    except Exception as error:  # of many kinds, depending on what is damaged
        raise ModelError(
            f"{path} does not fit the architecture, or is damaged: {_reason(error)}"
        ) from error
    # Keras itself refuses a file with less, but not one with more.
    used = sum("float" in str(weight.dtype) for weight in model.weights)
    if found > used:
        raise ModelError(
            f"{path} does not fit the architecture: it contains {found} weights, of which the "
            f"architecture uses {used}"
        )


def _count_weights(path: Path) -> int:
    names = []

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            names.append(name)

    source: Path | io.BytesIO = path
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            source = io.BytesIO(archive.read(_ARCHIVED_WEIGHTS))
    with h5py.File(source, "r") as file:
        file.visititems(collect)
    return sum(name.partition("/")[0] not in _OPTIMIZERS for name in names)


def _reason(error: Exception) -> str:
    """Return the start of an error's message, on one line."""
    text = " ".join(str(error).split()) or first_line(error)
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def _check_input(model: Any, convention: Convention, side: int, where: str) -> None:
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if not shapes:  # not known before it runs
        return
    if len(shapes) > 1:
        raise ModelError(f"{where} takes {len(shapes)} inputs, but fakelens has only the crops")
    shape = shapes[0][1:]
    if len(shape) != 3:
        sizes = " x ".join("any" if size is None else str(size) for size in shape)
        raise ModelError(f"{where} takes an input of {sizes} numbers, not pictures")
    places = {"first": shape[0], "last": shape[-1]}
    found = places.pop(convention.channels)
    if found not in (3, None):
        ((other, colours),) = places.items()
        if colours == 3:
            raise ModelError(
                f"{where}: takes pictures with the channels {other}, not {convention.channels} as "
                f'stated: state channels = "{other}"'
            )
        raise ModelError(
            f"{where}: takes pictures with {found} channel{'s' * (found != 1)}, not with 3 colours"
        )
    height, width = shape[:2] if convention.channels == "last" else shape[1:]
    if {height, width} - {None, side}:
        raise ModelError(
            f"{where}: takes pictures of {height} x {width} pixels, not {side} as stated"
        )
