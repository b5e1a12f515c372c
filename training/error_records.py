"""Files of error records, see ``fakelens.evaluation.error_records``, and their way into a card.

``python -m training.videos --record`` writes such a record as JSON, and ``python -m
training.error_records`` puts records into the card of a model file.
"""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from fakelens.errors import FakelensError
from fakelens.models.loading import LOADERS
from fakelens.models.onnx import load_evidence_model, replace_card
from fakelens.models.store import write_atomically
from fakelens.records.models import ErrorRecord

ORIGIN = "public research clips"
"""What the clips of the manifest are."""

_RECORD = TypeAdapter(ErrorRecord)


class RecordError(FakelensError):
    """The file of an error record cannot be read, or is not an error record."""


def command_line(model: str, use: str, *, independent: bool, origin: str = ORIGIN) -> str:
    """Write the command that makes a record, without any path of this machine.

    Args:
        model: name or path of the model; a path becomes ``FILE``.
        use: clips used.
        independent: whether ``--independent`` was given.
        origin: value of ``--origin``.
    """
    suffix = Path(model).suffix.lower()
    words = ["python", "-m", "training.videos", f"FILE{suffix}" if suffix in LOADERS else model]
    words += ["--data", "DATA", "--use", use, "--record", "FILE.json"]
    words += ["--independent"] if independent else []
    words += ["--origin", origin] if origin != ORIGIN else []
    return shlex.join(words)


def write_record(record: ErrorRecord, path: Path) -> None:
    """Write a record as JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(path, _RECORD.dump_json(record, indent=2) + b"\n")


def read_record(path: Path) -> ErrorRecord:
    """Read a record.

    Raises:
        RecordError: the file cannot be read, is not a record, or its verdicts do not add up.
    """
    try:
        return _RECORD.validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise RecordError(f"{path} is not an error record: {first}") from error


def main(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Model file to change.")],
    records: Annotated[
        list[Path], typer.Argument(metavar="RECORD.json...", help="Records of this model.")
    ],
) -> None:
    """Put error records into the card of a model file, in place of those it has.

    The independent records come first, otherwise they keep the order of the arguments. Nothing
    else in the file changes.
    """
    try:
        # A stable sort: the card lists the most independent records first.
        found = sorted(map(read_record, records), key=lambda record: not record.independent)
        card = load_evidence_model(model).card
        replace_card(model, replace(card, error_records=tuple(found)))
    except FakelensError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{model}: {', '.join(record.name for record in found)}")


if __name__ == "__main__":
    typer.run(main)
