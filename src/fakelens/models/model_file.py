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

import json
import math
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

_NEEDED = {
    "weights": (),
    "card": ("input_size", "crop"),
    "convention": ("outputs", "mean", "std"),
}
_RECORDS = {"weights": "Weights", "card": "ModelCard", "convention": "Convention"}  # of the tables
_SIDES = (8, 4096)  # of crops, in pixels
_MAX_SCALE = 10
_SHA256_DIGITS = 64
_KINDS = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list in brackets",
    "dict_type": "a table",
    "dataclass_type": "a table",
}
"""What a value must be, by the type of pydantic's error."""
_UNION_TAGS = ("str", "int")  # in the places of pydantic's errors


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
        UsageError: neither a file nor a factory is given, the factory is not ``module:function``,
            or something is stated about a file or factory that is not.
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
        if self.factory and not (module and function and not module.startswith(".")):
            raise UsageError(f"a factory is given as module:function, not {self.factory!r}")
        if self.factory and self.file.lower().endswith(".onnx"):
            raise UsageError(
                f"{self.file} contains its architecture, as all ONNX files do: leave out "
                f"weights.factory ({self.factory})"
            )
        if self.arguments and not self.factory:
            raise UsageError("weights.arguments are those of a factory, but none is stated")
        for name in ("sha256", "key"):
            if getattr(self, name) and not self.file:
                raise UsageError(f"weights.{name} is about a file, but no weights.file is stated")
        if self.sha256 and not _is_sha256(self.sha256):
            raise UsageError(
                f"weights.sha256 must have {_SHA256_DIGITS} hexadecimal digits, not {self.sha256!r}"
            )


def _is_sha256(text: str) -> bool:
    return len(text) == _SHA256_DIGITS and set(text.lower()) <= set("0123456789abcdef")


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
    """Return the JSON Schema of model files.

    The table ``card`` is that of evidence models, except that its name need not be stated.
    """
    schema = _MODEL_FILE.json_schema()
    records = schema["$defs"]
    for record in (schema, *records.values()):
        if "properties" in record:
            record["additionalProperties"] = False
    for table, names in _NEEDED.items():
        records[_RECORDS[table]]["required"] = list(names)
    records["Weights"]["anyOf"] = [{"required": ["file"]}, {"required": ["factory"]}]
    return schema


def read_model_file(path: Path) -> ModelFile:
    """Read a model file.

    Raises:
        ModelError: it is missing or not TOML, or a value is missing, unknown or not valid; the
            message names the value.
    """
    content = _read_toml(path)
    for place in _unknown(content, ModelFile):
        raise ModelError(f"{path}: the value {place} is not known; check its spelling")
    for table, names in _NEEDED.items():
        found = content.get(table)
        if table not in content:
            raise ModelError(f"{path}: the table [{table}] is missing: it must be stated")
        if not isinstance(found, dict):
            raise ModelError(f"{path}: {table} must be one table, [{table}]")
        for name in names:
            if name not in found:
                raise ModelError(f"{path}: the value {table}.{name} is missing: it must be stated")
    for place, number in _numbers(content):
        if not math.isfinite(number):
            raise ModelError(f"{path}: the value {place} is not a finite number")
    content["card"].setdefault("name", path.stem)
    try:
        # As JSON, in which lists are tuples, but no number is a text.
        described = _MODEL_FILE.validate_json(json.dumps(content, default=str), strict=True)
        _check_ranges(described)
    except ValidationError as error:
        raise ModelError(f"{path}: {_describe(error)}") from error
    except UsageError as error:
        raise ModelError(f"{path}: {error}") from error
    return described


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ModelError(f"the model file {path} does not exist") from error
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not a TOML file: it is not text in UTF-8") from error
    except ValueError as error:
        raise ModelError(f"{path} is not a TOML file: {error}") from error
    except RecursionError as error:
        raise ModelError(f"{path} is not a model file: its values are nested too deeply") from error


def _check_ranges(described: ModelFile) -> None:
    """Raise ``UsageError`` if a number cannot be right whatever the model is."""
    card, file = described.card, described.weights.file
    low, high = _SIDES
    if not low <= card.input_size <= high:
        raise UsageError(
            f"the value card.input_size must lie between {low} and {high} pixels, not "
            f"{card.input_size}"
        )
    if not 0 < card.crop.scale <= _MAX_SCALE:
        raise UsageError(
            f"the value card.crop.scale must be positive and at most {_MAX_SCALE}, not "
            f"{card.crop.scale:g}"
        )
    if card.smallest_face < 0:
        raise UsageError("the value card.smallest_face must not be negative")
    if not card.name.strip() or "\0" in file:
        name = "weights.file" if "\0" in file else "card.name"
        raise UsageError(f"the value {name} is not valid: it is empty or has a zero character")


def _describe(error: ValidationError) -> str:
    """Say in words what is wrong with the first wrong value."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in _UNION_TAGS)
    kind, context = first["type"], first.get("ctx", {})
    if kind == "missing" and isinstance(first["loc"][-1], int):
        whole, _, last = place.rpartition(".")
        return f"the value {whole} has too few parts: number {int(last) + 1} is missing"
    if kind == "missing":
        return f"the value {place} is missing: it must be stated"
    if kind == "value_error":
        return f"the value {place} is not valid: {context['error']}"
    if kind == "literal_error":
        wanted = str(context["expected"])
    elif kind == "too_long":
        return (
            f"the value {place} has {context['actual_length']} parts, not {context['max_length']}"
        )
    elif kind in _KINDS:
        wanted = _KINDS[kind]
    else:
        return f"the value {place} is not valid: {first['msg']}"
    given = json.dumps(first["input"], ensure_ascii=False)
    return f"the value {place} must be {wanted}, not {given[:40]}{'...' * (len(given) > 40)}"


def _numbers(content: object, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield the places and values of all numbers that are not whole."""
    if isinstance(content, float):
        yield place, content
    elif isinstance(content, Mapping | list):
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in items:
            yield from _numbers(value, f"{place}.{key}" if place else str(key))


def _unknown(content: object, kind: Any, place: str = "") -> Iterator[str]:
    """Yield the places of keys that a record of this type does not have."""
    if get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from _unknown(content, part, place)
    elif get_origin(kind) is tuple and isinstance(content, list):
        for number, item in enumerate(content):
            yield from _unknown(item, get_args(kind)[0], f"{place}{number}.")
    elif is_dataclass(kind) and isinstance(content, Mapping):
        hints = get_type_hints(kind)
        known = {field.name for field in fields(kind)}
        for key, value in content.items():
            if key in known:
                yield from _unknown(value, hints[key], f"{place}{key}.")
            else:
                yield f"{place}{key}"
