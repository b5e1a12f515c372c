"""``fakelens models calibrate``: fit the thresholds of a model on labelled clips."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fakelens.cli.options import Force, Quiet, one_sentence
from fakelens.cli.printing import say
from fakelens.errors import UsageError
from fakelens.records.settings import AUTO_PER_SECOND, EXAMINE_EVERY, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fakelens.evaluation.labels import LabelledFile
    from fakelens.evaluation.thresholds import ErrorLimits
    from fakelens.records.findings import Finding
    from fakelens.records.models import ErrorRecord

_ORIGIN = "labelled clips"
_RATES, _RECORD = "Thresholds", "Error record"


def calibrate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Evidence model (.onnx) or model file (.toml).")
    ],
    labels: Annotated[
        Path,
        typer.Argument(metavar="LABELS.csv", help="Table of clips: path,label[,group][,dataset]."),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Write the model to FILE.")
    ],
    false_alarms: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Largest probability that a new genuine clip is called likely fake. "
            "Default: 0.05.",
            rich_help_panel=_RATES,
        ),
    ] = None,
    misses: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Largest probability that a new fake is called likely real. Default: 0.1.",
            rich_help_panel=_RATES,
        ),
    ] = None,
    independent: Annotated[
        bool,
        typer.Option(
            "--independent",
            help="Leave the thresholds as they are and only count errors: the clips played no part "
            "in training the model or choosing it, its thresholds or the rules for verdicts.",
            rich_help_panel=_RECORD,
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the set of clips. Default: the name of the table.",
            rich_help_panel=_RECORD,
        ),
    ] = None,
    origin: Annotated[
        str,
        typer.Option(
            metavar="WORDS", help="What the clips are, in words.", rich_help_panel=_RECORD
        ),
    ] = _ORIGIN,
    every: Annotated[
        str,
        typer.Option(metavar="N|auto", help="Examine every n-th frame; auto: about 5 per second."),
    ] = str(EXAMINE_EVERY),
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Fit the thresholds of a model on labelled clips, and record how often it is wrong.

    The thresholds and the error record are written into a copy of the model.
    Each clip that sets a threshold is judged by thresholds that were fitted without it.
    """
    with one_sentence():
        if independent and (false_alarms, misses) != (None, None):
            raise UsageError(
                "--independent leaves the thresholds as they are: leave out --false-alarms and "
                "--misses"
            )
        settings = _settings(every)

        import numpy as np

        from fakelens.cli.calibration_tables import score_plot, threshold_table, verdict_table
        from fakelens.cli.console import print_table, progress_bar
        from fakelens.evaluation import calibrate as calibration
        from fakelens.evaluation import thresholds as fitting
        from fakelens.evaluation.error_records import build_record
        from fakelens.evaluation.labels import read_labels
        from fakelens.evaluation.save_card import check_output, find_model_file, save_calibrated
        from fakelens.models.loading import load_model

        limits = fitting.ErrorLimits(
            fitting.FALSE_ALARMS if false_alarms is None else false_alarms,
            fitting.MISSES if misses is None else misses,
        )
        source = find_model_file(model)
        check_output(source, output, force=force)
        clips = read_labels(labels)
        if not independent:  # a long analysis must not end with a sentence that is known now
            _, fake, groups = calibration.arrays(clips, [None] * len(clips))
            fitting.check_groups(fake, groups, limits, spare=1)
        loaded = load_model(source)
        if loaded.card.calibration is not None:
            limits = replace(limits, neutral=0.5)
        frames = calibration.count_frames(clips)
        with progress_bar("scoring clips", quiet=quiet) as progress:
            findings = calibration.find_decisive(
                loaded,
                clips,
                frames,
                settings=replace(settings, trust=independent),
                progress=progress,
            )
        fitted = loaded.card.thresholds
        verdicts = findings
        if not independent:
            scores, fake, groups = calibration.arrays(clips, findings)
            known = ~np.isnan(scores)
            with progress_bar("judging clips", quiet=quiet) as progress:
                verdicts = calibration.cross_fit(
                    loaded, clips, findings, frames, limits, settings=settings, progress=progress
                )
            fitted = fitting.fit_thresholds(scores[known], fake[known], groups[known], limits)
        record = build_record(
            clips,
            verdicts,
            loaded.card,
            name=name or labels.stem,
            independent=independent,
            command=_command_line(source, limits, every, name, origin, independent=independent),
            origin=origin,
        )
        if not independent:
            record = replace(record, data=f"{record.data}; {calibration.CROSS_FITTED}")
        records = _joined(record, loaded.card.error_records) if independent else (record,)
        save_calibrated(source, output, fitted, records)
    if not quiet:
        if not independent:
            print_table(threshold_table(loaded.card.thresholds, fitted))
        print_table(verdict_table(record))
        if any(finding is not None for finding in findings):
            print_table(score_plot(clips, findings, fitted))
        for line in _figures(clips, findings, record):
            say(line)
        say(str(output))


def _settings(every: str) -> Settings:
    if every == "auto":
        return Settings(per_second=AUTO_PER_SECOND)
    if not every.isdecimal():
        raise UsageError(f"--every takes a number of frames or auto, not {every!r}")
    return Settings(every=int(every))


def _joined(record: "ErrorRecord", others: "Sequence[ErrorRecord]") -> "tuple[ErrorRecord, ...]":
    """Put a record before those of other names, the independent ones first."""
    joined = [record, *(other for other in others if other.name != record.name)]
    return tuple(sorted(joined, key=lambda one: not one.independent))


def _figures(
    clips: "Sequence[LabelledFile]", findings: "Sequence[Finding | None]", record: "ErrorRecord"
) -> list[str]:
    """Say how well the scores separate the labels, whatever the thresholds."""
    import numpy as np

    from fakelens.evaluation.auc import bootstrap
    from fakelens.evaluation.calibrate import arrays

    scores, fake, groups = arrays(clips, findings)
    known = ~np.isnan(scores)
    lines = []
    if len(set(fake[known].tolist())) == 2:
        names = groups[known].tolist()
        auc = bootstrap(scores[known], fake[known], ["all"] * len(names), names)
        lines.append(
            f"AUC {auc.value:.3f}, 95 % interval {auc.low:.3f} - {auc.high:.3f} by bootstrap over "
            f"{len(set(names))} groups"
        )
        if auc.high < 0.5:
            lines.append(
                "Fakes have lower scores than genuine clips: check the polarity of the model"
            )
    if record.cllr is not None:
        lines.append(f"Cllr {record.cllr:.2f} bits: 0 is perfect, 1 means no information")
    return lines


def _command_line(
    source: Path,
    limits: "ErrorLimits",
    every: str,
    name: str | None,
    origin: str,
    *,
    independent: bool,
) -> str:
    """Write the command that makes the record, without any path of this machine."""
    file = f"FILE{source.suffix.lower()}"
    words = ["fakelens", "models", "calibrate", file, "LABELS.csv", "-o", file]
    if independent:
        words += ["--independent"]
    else:
        words += ["--false-alarms", f"{limits.false_alarms:g}", "--misses", f"{limits.misses:g}"]
    for option, value, usual in (
        ("--name", name, None),
        ("--origin", origin, _ORIGIN),
        ("--every", every, str(EXAMINE_EVERY)),
    ):
        words += [option, value] if value is not None and value != usual else []
    return shlex.join(words)
