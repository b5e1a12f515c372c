"""Writes a model with other thresholds and error records to a new file."""

import shutil
import tempfile
import tomllib
from collections.abc import MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import TypeAdapter
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Comment, Whitespace

from fakelens.errors import ModelError, OutputError, UsageError
from fakelens.models import store
from fakelens.models.onnx import load_evidence_model, replace_card
from fakelens.models.registry import find_known
from fakelens.records.models import ErrorRecord, Thresholds

_SUFFIXES = (".onnx", ".toml")
_RECORD = TypeAdapter(ErrorRecord)
_THRESHOLDS = TypeAdapter(Thresholds)


def find_model_file(name_or_path: str) -> Path:
    """Return the file of a model that has a card in it.

    Args:
        name_or_path: path of an evidence model or a model file, or the name of a bundled model.

    Raises:
        UsageError: no such name, or the model is of another kind and has no place for thresholds.
    """
    path = Path(name_or_path)
    known = None if path.suffix else find_known(name_or_path)
    if Path(known.file if known else path).suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"{name_or_path} has no place for thresholds: write a model file for it, as described "
            "in docs/how-to/own-model.md"
        )
    return store.locate(known) if known else path


def check_output(source: Path, output: Path, *, force: bool) -> None:
    """Check that ``save_calibrated`` can write a file.

    Args:
        source: file of the model.
        output: file to write.
        force: overwrite an existing file.

    Raises:
        UsageError: the file is of another kind than the model's, or a model file is to leave the
            folder that its paths are relative to.
        OutputError: the file exists and ``force`` is not given.
    """
    suffix = source.suffix.lower()
    if output.suffix.lower() != suffix:
        raise UsageError(f"{output}: the calibrated model must be a {suffix} file, as {source} is")
    if suffix == ".toml" and output.parent.resolve() != source.parent.resolve():
        raise UsageError(
            f"{output}: the calibrated model must be written to the folder of {source}, which the "
            "paths in it are relative to"
        )
    if output.exists() and not force:
        raise OutputError(f"{output}: already exists; use --force to overwrite it")


def save_calibrated(
    source: Path,
    output: Path,
    thresholds: Thresholds,
    records: tuple[ErrorRecord, ...],
) -> None:
    """Write a copy of a model with other thresholds and error records.

    All else stays the same: the graph and other metadata of an evidence model, other keys, tables
    and comments of a model file.

    Args:
        source: file of the model, see ``find_model_file``.
        output: file to write, completely or not at all; it may be the same file.
        thresholds: in place of those of the model.
        records: in place of those of the model, at least one.

    Raises:
        ModelError: the file of the model is missing or damaged.
        OutputError: the file cannot be written.
    """
    if source.suffix.lower() == ".toml":
        store.write_atomically(output, _changed_toml(source, thresholds, records).encode())
        return
    card = load_evidence_model(source).card
    card = replace(card, thresholds=thresholds, error_records=records)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".model.partial-", dir=output.parent) as folder:
            unfinished = Path(folder) / output.name
            shutil.copyfile(source, unfinished)
            replace_card(unfinished, card)
            unfinished.replace(output)
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror}") from error


def _changed_toml(source: Path, thresholds: Thresholds, records: tuple[ErrorRecord, ...]) -> str:
    try:
        document = tomlkit.parse(store.read(source).decode())
    except (UnicodeDecodeError, TOMLKitError) as error:
        raise ModelError(f"{source} is not a TOML file: {error}") from error
    card = document.get("card")
    if not isinstance(card, MutableMapping):
        raise ModelError(f"{source} is not a model file: it has no table card")
    wanted = document.unwrap()
    limits = _THRESHOLDS.dump_python(thresholds)
    wanted["card"] |= {"thresholds": limits, "error_records": [*map(_plain, records)]}
    if isinstance(card.get("thresholds"), MutableMapping):
        card["thresholds"].update(limits)  # keeps its comments
    else:
        card["thresholds"] = limits
    following = _last_comments(card.pop("error_records", None))
    table = tomlkit.aot()
    for record in records:
        table.append(tomlkit.item(_with_lines(_plain(record))))
    for item in following:
        table[-1].add(item)
    card["error_records"] = table
    text = tomlkit.dumps(document)
    if tomllib.loads(text) != wanted:
        raise ModelError(
            f"{source} cannot be changed: put all tables whose names begin with card next to each "
            "other"
        )
    return text


def _last_comments(tables: object) -> list[Whitespace | Comment]:
    """Return what stands between the last of several tables and the header that follows."""
    items: list[Whitespace | Comment] = []
    if isinstance(tables, AoT) and tables:
        for _, item in reversed(tables[-1].value.body):
            if not isinstance(item, Whitespace | Comment):
                break
            items.insert(0, item)
    return items


def _plain(record: ErrorRecord) -> dict[str, Any]:
    """Return a record for TOML, which has no null."""
    fields = _RECORD.dump_python(record, mode="json")
    return {key: value for key, value in fields.items() if value is not None}


def _with_lines(record: dict[str, Any]) -> dict[str, Any]:
    """Let each of the counts have its own line."""
    counts = tomlkit.array()
    for one in record["counts"]:
        row = tomlkit.inline_table()
        row.update(one)
        counts.append(row)
    return record | {"counts": counts.multiline(multiline=True)}
