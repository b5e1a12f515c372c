"""Locates, downloads and verifies the files of known models."""

import hashlib
import os
import tempfile
from importlib import resources
from pathlib import Path

import platformdirs

from fakelens.errors import ModelError, OutputError, UsageError, WeightsMissingError
from fakelens.models.registry import Download, KnownModel


def cache_folder() -> Path:
    """Return the folder of downloaded weights.

    It is ``$FAKELENS_CACHE/weights`` if that variable is set, or ``weights`` in the user's cache
    folder of fakelens.
    """
    root = os.environ.get("FAKELENS_CACHE")
    return (Path(root) if root else platformdirs.user_cache_path("fakelens")) / "weights"


def locate(model: KnownModel) -> Path:
    """Return the path of a model's file, after verifying the file.

    Raises:
        WeightsMissingError: the file has not been downloaded yet.
        ModelError: the file is damaged, or missing from the installation.
    """
    if model.download is None:
        path = Path(str(resources.files("fakelens.models"))) / "weights" / model.file
        if not path.is_file():
            raise ModelError(f"{path}: the file of {model.name} is missing: reinstall fakelens")
        return path
    path = cache_folder() / model.file
    if not path.exists():
        raise WeightsMissingError(
            f"the weights of {model.name} have not been downloaded yet: "
            f"run 'fakelens models pull {model.name}'"
        )
    if hashlib.sha256(read(path)).hexdigest() != model.download.sha256:
        raise ModelError(
            f"{path}: damaged, its SHA-256 is not that of {model.name}: "
            f"run 'fakelens models pull {model.name}' again"
        )
    return path


def fetch(model: KnownModel, source: Path | None = None) -> Path:
    """Store the file of a published model in the cache.

    Args:
        model: entry of the registry.
        source: file to copy; ``None`` downloads it.

    Returns:
        The path of the file in the cache.

    Raises:
        UsageError: the model is bundled with fakelens.
        ModelError: the file cannot be fetched or is not the published one; the cache is not
            changed.
        OutputError: the cache cannot be written.
    """
    if model.download is None:
        raise UsageError(f"{model.name} is bundled with fakelens and need not be downloaded")
    path = cache_folder() / model.file
    data = _download(model.name, model.download) if source is None else read(source)
    if hashlib.sha256(data).hexdigest() != model.download.sha256:
        raise ModelError(_wrong_file(source or model.download.url, model.name))
    write_atomically(path, data)
    return path


def _download(name: str, download: Download) -> bytes:
    import pooch  # noqa: PLC0415 - slow to load

    pooch.get_logger().setLevel("WARNING")
    try:
        with tempfile.TemporaryDirectory() as folder:
            expected = f"sha256:{download.sha256}"
            return Path(pooch.retrieve(download.url, expected, path=folder)).read_bytes()
    except OSError as error:  # base class of all errors of requests
        raise ModelError(
            f"{download.url} cannot be downloaded ({type(error).__name__}): check the connection, "
            f"or run 'fakelens models pull {name} --from FILE' with a copy of the file"
        ) from error
    except ValueError as error:
        raise ModelError(_wrong_file(download.url, name)) from error


def _wrong_file(origin: str | Path, name: str) -> str:
    return f"{origin} is not the published file of {name}: its SHA-256 differs; it was not stored"


def read(path: Path) -> bytes:
    """Read a model's file.

    Raises:
        ModelError: the file does not exist or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"the model file {path} does not exist") from error
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file completely or not at all; overwrite an existing one.

    Raises:
        OutputError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
