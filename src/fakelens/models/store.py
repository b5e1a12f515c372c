"""Where the files of known models lie, and how they get there undamaged."""

import hashlib
import os
import tempfile
from importlib import resources
from pathlib import Path

import platformdirs

from fakelens.errors import ModelError, OutputError, UsageError, WeightsMissingError
from fakelens.models.registry import Download, KnownModel


def cache_folder() -> Path:
    """Where pulled weights are kept: ``$FAKELENS_CACHE/weights`` or the user's cache folder."""
    root = os.environ.get("FAKELENS_CACHE")
    return (Path(root) if root else platformdirs.user_cache_path("fakelens")) / "weights"


def locate(model: KnownModel) -> Path:
    """The file of a model, verified.

    Raises:
        WeightsMissingError: it has not been pulled yet.
        ModelError: it is damaged, or missing from the installation.
    """
    if model.download is None:
        path = Path(str(resources.files("fakelens.models"))) / "weights" / model.file
        if not path.is_file():
            raise ModelError(
                f"the installation lacks {path}, the file of {model.name}: reinstall fakelens"
            )
        return path
    path = cache_folder() / model.file
    if not path.exists():
        raise WeightsMissingError(
            f"the weights of {model.name} are not on this machine yet: "
            f"run 'fakelens models pull {model.name}'"
        )
    if hashlib.sha256(read(path)).hexdigest() != model.download.sha256:
        raise ModelError(
            f"{path} is damaged, its SHA-256 is not that of {model.name}: "
            f"run 'fakelens models pull {model.name}' again"
        )
    return path


def fetch(model: KnownModel, source: Path | None = None) -> Path:
    """Put the file of a published model into the cache, from its address or from ``source``.

    Raises:
        UsageError: the model comes with the package.
        ModelError: the file cannot be fetched or is not the published one; the cache is
            as it was.
        OutputError: the cache cannot be written.
    """
    if model.download is None:
        raise UsageError(f"{model.name} comes with fakelens: there is nothing to pull")
    path = cache_folder() / model.file
    data = _download(model.name, model.download) if source is None else read(source)
    if hashlib.sha256(data).hexdigest() != model.download.sha256:
        raise ModelError(_not_the_file(source or model.download.url, model.name))
    write_atomically(path, data)
    return path


def _download(name: str, download: Download) -> bytes:
    import pooch  # noqa: PLC0415 - slow to load

    pooch.get_logger().setLevel("WARNING")
    try:
        with tempfile.TemporaryDirectory() as folder:
            known = f"sha256:{download.sha256}"
            return Path(pooch.retrieve(download.url, known, path=folder)).read_bytes()
    except OSError as error:  # the base of all that requests raises
        raise ModelError(
            f"{download.url} cannot be downloaded ({type(error).__name__}): check the connection, "
            f"or run 'fakelens models pull {name} --from FILE' with a copy"
        ) from error
    except ValueError as error:
        raise ModelError(_not_the_file(download.url, name)) from error


def _not_the_file(origin: str | Path, name: str) -> str:
    return f"{origin} is not the published file of {name}: its SHA-256 differs, nothing was stored"


def read(path: Path) -> bytes:
    """The bytes of a model's file.

    Raises:
        ModelError: it does not exist or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"the model file {path} does not exist") from error
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there completely or not at all.

    Raises:
        OutputError: the folder cannot be written.
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
