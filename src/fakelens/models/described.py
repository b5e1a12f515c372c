"""Loads the classifiers that a model file (TOML) describes."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakelens.errors import ModelError, UsageError
from fakelens.models import store
from fakelens.models.checks import check_plausible, varied_crops
from fakelens.models.factories import call_factory, import_modules
from fakelens.models.layers import Layer
from fakelens.models.mesonet import is_mesonet_h5, load_mesonet_h5
from fakelens.models.mesonet_graph import LAYER
from fakelens.models.model_file import ModelFile, read_model_file
from fakelens.records.models import AUTO_LAYER, Model, ModelCard

if TYPE_CHECKING:
    from torch import nn

_TORCH_DEVICES = ("cpu", "cuda")


def load_described(path: Path, *, threads: int | None = None, device: str = "cpu") -> Model:
    """Load a classifier with the weights, card and convention of a model file.

    Args:
        path: of the model file.
        threads: for one run; ``None`` takes one per core.
        device: see ``loading.load_model``.

    Raises:
        ModelError: the model file or the weights are missing, damaged or do not fit each other, the
            SHA-256 differs, or the classifier gives no usable answers.
        MissingExtraError: torch or Keras is needed and not installed.
        UsageError: the classifier cannot run on the device, or has no layer of the stated name.
    """
    described = read_model_file(path)
    file, data = _weights(path, described)
    sha256 = hashlib.sha256(data).hexdigest() if data else ""
    card = _complete(described, sha256)
    model: Model
    if file is not None and file.suffix.lower() == ".onnx":
        from fakelens.models.plain_onnx.classifier import load_classifier  # noqa: PLC0415 - slow to load

        convention, layout = described.convention, described.layout
        model = load_classifier(
            data, card, convention, layout, sha256, threads=threads, device=device
        )
    elif file is not None and _is_mesonet(described, data):
        real = _mesonet_output(path, described)
        model = load_mesonet_h5(file, threads=threads, device=device, card=card, real=real)
    else:
        module, remarks = _torch_module(path, described, file, threads, device)
        from fakelens.models.torch import TorchModel  # noqa: PLC0415 - of an extra

        model = TorchModel(module, card, described.convention, sha256, layout=described.layout)
        model.notes += remarks
    check_plausible(model, path)
    return model


def list_layers(path: Path) -> list[Layer]:
    """List the layers of the classifier of a model file, in the order they run.

    The layer and the layout that the model file states are not used, and may be wrong.

    Raises:
        ModelError: see ``load_described``.
        MissingExtraError: torch or Keras is needed and not installed.
    """
    described = read_model_file(path)
    file, data = _weights(path, described)
    if file is not None and file.suffix.lower() == ".onnx":
        from fakelens.models.plain_onnx import classifier  # noqa: PLC0415 - slow to load

        return classifier.list_layers(data, described.convention, described.card.input_size)
    if file is not None and _is_mesonet(described, data):
        raise ModelError(f"{file} is a MesoNet, of which fakelens explains the last convolution")
    module, _ = _torch_module(path, described, file, None, "cpu")
    from fakelens.models.torch import list_layers as list_torch_layers  # noqa: PLC0415

    return list_torch_layers(module, described.card, described.convention)


def _weights(path: Path, described: ModelFile) -> tuple[Path | None, bytes]:
    """Return the path and the content of the weights file, after verifying its SHA-256."""
    weights = described.weights
    if not weights.file:
        return None, b""
    file = path.parent / weights.file
    data = store.read(file)
    if weights.sha256 and hashlib.sha256(data).hexdigest() != weights.sha256.lower():
        raise ModelError(
            f"{file}: its SHA-256 is not the one that {path} states: it is damaged or another file"
        )
    return file, data


def _complete(described: ModelFile, sha256: str) -> ModelCard:
    """Return the card with what follows from the rest."""
    card, convention = described.card, described.convention
    if card.version == "unknown" and sha256:
        card = replace(card, version=sha256[:12])
    if card.polarity:
        return card
    classes = ", ".join(convention.outputs)
    fakes = [name for name in convention.outputs if name in convention.fake]
    text = f"outputs: {classes}; fake: {', '.join(fakes) or 'none of them (inverted on load)'}"
    return replace(card, polarity=text)


def _is_mesonet(described: ModelFile, data: bytes) -> bool:
    return not described.weights.factory and is_mesonet_h5(data)


def _mesonet_output(path: Path, described: ModelFile) -> bool:
    """Return whether the output of MesoNet weights is the class real."""
    convention, layer = described.convention, described.card.layer
    if layer not in (AUTO_LAYER, LAYER) or described.layout is not None:
        raise ModelError(
            f"{path}: of MesoNet weights, fakelens explains the last convolution ({LAYER}): state "
            "no other layer and no layout, or the factory of the architecture"
        )
    plain = (convention.mean, convention.std, convention.colour)
    if plain != ((0, 0, 0), (1, 1, 1), "rgb") or len(convention.outputs) != 1:
        raise ModelError(
            f"{path}: MesoNet weights have one output and take RGB pixels from 0 to 1: state "
            "mean = [0, 0, 0], std = [1, 1, 1], or the factory of another architecture"
        )
    return not convention.is_fake[0]


def _torch_module(
    path: Path, described: ModelFile, file: Path | None, threads: int | None, device: str
) -> "tuple[nn.Module, tuple[str, ...]]":
    """Return a torch or Keras model, and remarks about it."""
    if device not in _TORCH_DEVICES:
        raise UsageError(f"a torch or Keras model runs on cpu or cuda, not on {device}")
    from fakelens.models import keras  # noqa: PLC0415 - slow to load

    keras.choose_backend(device)  # the user's modules may import it
    is_keras = file is not None and file.suffix.lower() in keras.SUFFIXES
    if is_keras:
        keras.import_keras(device)
    from fakelens.models.torch import prepare  # noqa: PLC0415 - of an extra

    if "keras" in sys.modules:
        keras.restart_names()
    _set_threads(threads)
    weights, folder = described.weights, path.parent
    convention, side = described.convention, described.card.input_size
    import_modules(weights.modules, folder)
    architecture = (
        call_factory(weights.factory, weights.arguments, folder) if weights.factory else None
    )
    import torch  # noqa: PLC0415 - of an extra

    example = prepare(varied_crops(side, 2), convention, torch.empty(0, device=device))
    remarks: tuple[str, ...] = ()
    module: Any
    if is_keras or _is_keras(architecture):
        keras.import_keras(device)
        module = keras.load_keras_model(file, weights, architecture, convention, side, example)
        remarks = tuple(keras.describe_rescaling(module, convention))
    else:
        from fakelens.models.torch_files import load_module  # noqa: PLC0415 - of an extra

        module = load_module(file, weights, architecture, example.cpu())
    return module.to(device), remarks


def _set_threads(threads: int | None) -> None:
    if threads:
        import torch  # noqa: PLC0415 - of an extra

        torch.set_num_threads(threads)


def _is_keras(architecture: object) -> bool:
    return any(kind.__module__.partition(".")[0] == "keras" for kind in type(architecture).__mro__)
