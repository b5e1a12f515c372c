"""Detector models: a table of known ones, and loaders for files and torch modules.

* ``load_model``: by name or by file;
* ``pull``: puts published weights into the cache;
* ``models.onnx``: evidence models, the format of our own files;
* ``models.mesonet``: the published Keras files of MesoNet;
* ``models.torch``: adapts any torch module (extra ``torch``).
"""

from pathlib import Path

from fakelens.errors import WeightsMissingError
from fakelens.models import store
from fakelens.models.registry import DEFAULT, KNOWN, Download, KnownModel, find_known
from fakelens.records.models import Model, ModelCard

__all__ = [
    "DEFAULT",
    "KNOWN",
    "Download",
    "KnownModel",
    "find_card",
    "find_weights",
    "load_model",
    "pull",
]

_SUFFIXES = (".onnx", ".h5")


def load_model(
    name_or_path: str | Path, *, threads: int | None = None, device: str = "cpu"
) -> Model:
    """Load a model by its name in ``KNOWN``, or from an evidence model or MesoNet file.

    Args:
        name_or_path: a name, or a path that ends in ``.onnx`` or ``.h5``.
        threads: for one run; ``None`` takes one per core.
        device: ``"cpu"``, the reference; ``"cuda"``, ``"coreml"``, ``"directml"``, ``"openvino"``,
            if the installed onnxruntime has it; or ``"auto"``, the first of these that it has.

    Raises:
        UsageError: no such name, and not the path of such a file; or no such device.
        WeightsMissingError: published weights that have not been pulled.
        ModelError: the file is missing, damaged or of another kind.
    """
    from fakelens.models.devices import find_device  # noqa: PLC0415 - slow to load

    device = find_device(device)
    path = Path(name_or_path)
    if path.suffix.lower() not in _SUFFIXES:
        path = store.locate(find_known(str(name_or_path)))
    if path.suffix.lower() == ".onnx":
        from fakelens.models.onnx import load_evidence_model  # noqa: PLC0415 - slow to load

        return load_evidence_model(path, threads=threads, device=device)
    from fakelens.models.mesonet import load_mesonet_h5  # noqa: PLC0415 - slow to load

    return load_mesonet_h5(path, threads=threads, device=device)


def find_card(name: str) -> ModelCard:
    """What the model of that name says of itself; its weights need not have been pulled.

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
    """The file of the model of that name, verified; ``None`` if it has not been pulled.

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
        name: in ``KNOWN``.
        source: a file to copy instead of downloading.

    Returns:
        The file in the cache, verified.

    Raises:
        UsageError: no such name, or the model comes with fakelens.
        ModelError: the file cannot be fetched or is not the published one; the cache stays
            as it was.
        OutputError: the cache cannot be written.
    """
    return store.fetch(find_known(name), source)
