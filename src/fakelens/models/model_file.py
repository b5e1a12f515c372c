"""Model files: TOML that states what the weights of a classifier do not.

::

    [weights]
    file = "mine.pth"            # relative to this file
    factory = "my_module:build"  # makes the architecture

    [card]                       # the ModelCard, as in the metadata of an evidence model
    input_size = 224
    crop = { reference = "box", scale = 1.3 }

    [convention]
    outputs = ["real", "fake"]
    mean = [0.485, 0.456, 0.406]
    std = [0.229, 0.224, 0.225]

    [layout]                     # only for layers of tokens, or where shapes do not tell
    kind = "tokens"
    grid = [14, 14]
    class_tokens = 1

The schema is published as ``docs/reference/model-file.schema.json``.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from fakelens.errors import ModelError, UsageError
from fakelens.records.conventions import Convention, LayerLayout
from fakelens.records.models import ModelCard

_NEEDED = {"card": ("input_size", "crop"), "convention": ("outputs", "mean", "std")}


@dataclass(frozen=True, slots=True)
class Weights:
    """Where the weights and the architecture of a classifier come from.

    Attributes:
        file: of the weights, relative to the model file; empty if the factory loads them.
        sha256: that the file must have, hexadecimal; empty if any is accepted.
        factory: ``module:function`` that returns the architecture: a torch module or a Keras
            model. The module is searched beside the model file first. Empty if the file contains
            the architecture: ONNX, TorchScript, ``torch.export``, ``.keras``.
        arguments: keyword arguments of the factory.
        modules: Python modules to import first, such as those that register layers with Keras.
        key: of the weights in a checkpoint that contains other things as well.
        trusted: whether the file may run code while it is loaded, as pickles and some Keras layers
            do. Only for files that you made yourself.

    Raises:
        UsageError: neither a file nor a factory is given, or the factory is not
            ``module:function``.
    """

    file: str = ""
    sha256: str = ""
    factory: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    key: str = ""
    trusted: bool = False

    def __post_init__(self) -> None:
        if not (self.file or self.factory):
            raise UsageError("weights need a file or a factory")
        module, _, function = self.factory.partition(":")
        if self.factory and not (module and function):
            raise UsageError(f"a factory is given as module:function, not {self.factory!r}")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The content of a model file.

    Attributes:
        weights: where they come from.
        card: description of the model. Its name is that of the file if none is stated.
        convention: preprocessing and outputs.
        layout: of the output of the explained layer; ``None`` to find out.
    """

    weights: Weights
    card: ModelCard
    convention: Convention
    layout: LayerLayout | None = None


_MODEL_FILE = TypeAdapter(ModelFile)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of model files."""
    return _MODEL_FILE.json_schema()


def read_model_file(path: Path) -> ModelFile:
    """Read a model file.

    Raises:
        ModelError: it is missing or not TOML, or a value is missing, unknown or not valid; the
            message names the value.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"the model file {path} does not exist") from error
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise ModelError(f"{path} is not a TOML file: {error}") from error
    for place in _unknown(content, ModelFile):
        raise ModelError(f"{path}: the value {place} is not known; check its spelling")
    for table, names in _NEEDED.items():
        for name in names:
            if name not in content.get(table, {}):
                raise ModelError(f"{path}: the value {table}.{name} is missing: it must be stated")
    content["card"].setdefault("name", path.stem)
    try:
        return _MODEL_FILE.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelError(f"{path}: the value {place} is not valid: {first['msg']}") from error
    except UsageError as error:
        raise ModelError(f"{path}: {error}") from error


def _unknown(content: object, kind: Any, place: str = "") -> Iterator[str]:
    """Yield the places of keys that a record of this type does not have."""
    if get_origin(kind) in (Union, UnionType, tuple):
        for part in get_args(kind):
            if isinstance(content, list) == (get_origin(kind) is tuple):
                for item in content if isinstance(content, list) else [content]:
                    yield from _unknown(item, part, place)
    elif is_dataclass(kind) and isinstance(content, Mapping):
        hints = get_type_hints(kind)
        known = {field.name for field in fields(kind)}
        for key, value in content.items():
            if key in known:
                yield from _unknown(value, hints[key], f"{place}{key}.")
            else:
                yield f"{place}{key}"
