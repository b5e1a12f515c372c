"""How often ``fakelens.analyze`` was right and wrong on labelled clips, for the model card.

``python -m training.videos --record`` writes such a record as JSON, and ``python -m
training.error_records`` puts records into the card of a model file.
"""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from fakelens.errors import FakelensError
from fakelens.models.loading import LOADERS
from fakelens.models.onnx import load_evidence_model, replace_card
from fakelens.models.store import write_atomically
from fakelens.records.arrays import log_odds
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import ErrorRecord, ModelCard, VerdictCounts
from training.clips import Clip

ORIGIN = "public research clips"
"""What the clips of the manifest are."""

_RECORD = TypeAdapter(ErrorRecord)


class RecordError(FakelensError):
    """The file of an error record cannot be read, or is not an error record."""


def finding_logits(findings: Sequence[Finding | None]) -> NDArray[np.float64]:
    """Return the logits (N,) of findings, positive = fake; NaN without a score."""
    return np.array(
        [
            np.nan if finding is None or finding.score is None else log_odds(finding.score)
            for finding in findings
        ],
        np.float64,
    )


def likelihood_ratio_cost(logits: NDArray[np.floating], fake: NDArray[np.bool_]) -> float:
    """Compute Cllr, the cost of likelihood ratios in bits.

    0 means perfect ratios, 1 no information, more than 1 misleading ratios (Bruemmer & du Preez,
    "Application-independent evaluation of speaker detection", 2006).

    Args:
        logits: (N,) natural logarithms of the ratios, fake over real.
        fake: (N,) labels.
    """
    bits = np.logaddexp(0, np.where(fake, -logits, logits)) / np.log(2)
    return float(0.5 * (bits[fake].mean() + bits[~fake].mean()))


def measure_cllr(
    clips: Sequence[Clip], findings: Sequence[Finding | None], card: ModelCard
) -> float | None:
    """Compute Cllr of the likelihood ratios, capped at the calibration's limit as by ``analyze``.

    Args:
        clips: labelled clips.
        findings: decisive finding of each clip; clips without a score do not count.
        card: of the model.

    Returns:
        Bits; ``None`` if the model is not calibrated or only one label has scores.
    """
    logits, fake = finding_logits(findings), np.array([clip.fake for clip in clips], bool)
    known = ~np.isnan(logits)
    if card.calibration is None or len(set(fake[known].tolist())) < 2:
        return None
    limit = card.calibration.limit * np.log(10)
    return likelihood_ratio_cost(np.clip(logits[known], -limit, limit), fake[known])


def build_record(
    clips: Sequence[Clip],
    findings: Sequence[Finding | None],
    card: ModelCard,
    *,
    name: str,
    independent: bool,
    command: str,
    origin: str = ORIGIN,
) -> ErrorRecord:
    """Build the record of one set of clips.

    Args:
        clips: labelled clips, at least one.
        findings: decisive finding of each clip; ``None`` if nobody is seen well enough.
        card: of the model that was measured.
        name: of the set.
        independent: see ``ErrorRecord``.
        command: that made the figures, see ``command_line``.
        origin: what the clips are and where the persons come from, without their number.
    """
    verdicts: dict[tuple[str, bool], list[Verdict | None]] = {}
    for clip, finding in zip(clips, findings, strict=True):
        found = finding.verdict if finding else None
        verdicts.setdefault((clip.short_dataset, clip.fake), []).append(found)
    datasets = len({dataset for dataset, _ in verdicts})
    cllr = measure_cllr(clips, findings, card)
    return ErrorRecord(
        name=name,
        data=f"{len(clips)} {origin} of {datasets} dataset{'s' if datasets != 1 else ''}",
        independent=independent,
        counts=tuple(
            _count(dataset, "fake" if fake else "real", verdicts[dataset, fake])
            for dataset, fake in sorted(verdicts)
        ),
        cllr=None if cllr is None else round(cllr, 3),
        command=command,
    )


def _count(
    dataset: str, label: Literal["real", "fake"], verdicts: Sequence[Verdict | None]
) -> VerdictCounts:
    counts = Counter(verdicts)
    return VerdictCounts(
        dataset=dataset,
        label=label,
        clips=len(verdicts),
        fake=counts[Verdict.FAKE],
        real=counts[Verdict.REAL],
        inconclusive=counts[Verdict.INCONCLUSIVE],
        not_judged=counts[None],
    )


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
