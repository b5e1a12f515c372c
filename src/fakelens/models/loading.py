"""Loads detector models by name or file, and fetches published weights."""

import re
from importlib import import_module
from pathlib import Path

from fakelens.errors import UsageError, WeightsMissingError
from fakelens.models import store
from fakelens.models.factories import call_factory
from fakelens.models.registry import find_known
from fakelens.records.models import HasDevice, Model, ModelCard

LOADERS = {
    ".onnx": "fakelens.models.onnx:load_evidence_model",
    ".h5": "fakelens.models.mesonet:load_mesonet_h5",
    ".toml": "fakelens.models.described:load_described",
}
"""From the suffix of a file to ``module:function`` of its loader, imported when it is used.

A loader is called as ``loader(path, threads=..., device=...)`` and returns a ``Model``.
"""

_FACTORY = re.compile(r"[\w.]+:\w+")

_KERAS_WEIGHTS = ".weights.h5"
_WEIGHTS_ALONE = (
    *(".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".pt2", ".ts", ".torchscript"),
    *(".keras", _KERAS_WEIGHTS),
)
"""Suffixes of files that do not say how to use what they contain."""


def load_model(
    name_or_path: str | Path, *, threads: int | None = None, device: str = "cpu"
) -> Model:
    """Load a detector model by name, from a file, or from Python code.

    Args:
        name_or_path: a name in ``registry.KNOWN``; a path whose suffix is in ``LOADERS``; or
            ``module:function``, a function that returns a ``Model``, in a module in the current
            folder or an installed one.
        threads: for one run; ``None`` takes one per core.
        device: ``"cpu"``, the reference; ``"cuda"``, ``"coreml"``, ``"directml"`` or
            ``"openvino"``, if the installed onnxruntime supports it; ``"auto"``, the first of
            these that it supports.

    Raises:
        UsageError: no such name, not the path of such a file, or weights without a model file; or
            no such device.
        WeightsMissingError: published weights that have not been pulled.
        ModelError: the file is missing, damaged or of another kind.
    """
    from fakelens.models.devices import find_device  # noqa: PLC0415 - slow to load

    wanted, device = device, find_device(device)
    path = Path(name_or_path)
    is_known = path.suffix.lower() in LOADERS and not path.name.lower().endswith(_KERAS_WEIGHTS)
    if not is_known:
        if path.name.lower().endswith(_WEIGHTS_ALONE):
            raise UsageError(
                f"{path} contains weights, but not how to use them: write a model file (TOML) with "
                "their preprocessing and outputs, and give that instead"
            )
        if _FACTORY.fullmatch(str(name_or_path)):
            return _call(str(name_or_path), device if wanted != "auto" else "cpu")
        path = store.locate(find_known(str(name_or_path)))
    module, _, function = LOADERS[path.suffix.lower()].partition(":")
    model: Model = getattr(import_module(module), function)(path, threads=threads, device=device)
    return model


def _call(factory: str, device: str) -> Model:
    model = call_factory(factory, {}, Path.cwd())
    if not isinstance(model, Model):
        raise UsageError(
            f"the factory {factory} returns an object of the type {type(model).__name__}, which is "
            "no fakelens.Model: return a TorchModel, or state the factory in a model file (TOML)"
        )
    found = model.device if isinstance(model, HasDevice) else "cpu"
    if device not in ("cpu", found):
        raise UsageError(
            f"the factory {factory} returns a model on {found}, not on {device}: move it there in "
            "the factory"
        )
    return model


def find_card(name: str) -> ModelCard:
    """Return the card of a model by name; its weights need not have been pulled.

    Raises:
        UsageError: no such name.
        ModelError: the file of a bundled model is missing or damaged.
    """
    known = find_known(name)
    if known.download is None:
        return load_model(name).card
    from fakelens.models.mesonet import published_card  # noqa: PLC0415 - slow to load

    return published_card(known)


def find_weights(name: str) -> Path | None:
    """Return the verified weights file of a model by name; ``None`` if it has not been pulled.

    Raises:
        UsageError: no such name.
        ModelError: the file is damaged.
    """
    try:
        return store.locate(find_known(name))
    except WeightsMissingError:
        return None


def pull(name: str, *, source: Path | None = None) -> Path:
    """Put the weights of a published model into the cache.

    Args:
        name: in ``registry.KNOWN``.
        source: a file to copy instead of downloading.

    Returns:
        The file in the cache, verified.

    Raises:
        UsageError: no such name, or the model comes with fakelens.
        ModelError: the file cannot be fetched or is not the published one; the cache is left
            unchanged.
        OutputError: the cache cannot be written.
    """
    return store.fetch(find_known(name), source)
