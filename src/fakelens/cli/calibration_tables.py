"""The tables that ``fakelens models calibrate`` prints."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from fakelens.evaluation.error_records import finding_logits
from fakelens.evaluation.labels import LabelledFile
from fakelens.records.arrays import log_odds, sigmoid
from fakelens.records.findings import Finding
from fakelens.records.models import ErrorRecord, Thresholds

_ROWS = 12
_LONGEST_BAR = 30
_LABELS = {"real": "genuine", "fake": "fake"}


def threshold_table(before: Thresholds, after: Thresholds) -> Table:
    """Build the table of the thresholds before and after."""
    table = _table("Thresholds", after.source)
    for heading in ("", "likely fake from", "likely real up to"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, thresholds in (("before", before), ("after", after)):
        table.add_row(name, f"{thresholds.fake:.7g}", f"{thresholds.real:.7g}")
    return table


def verdict_table(record: ErrorRecord) -> Table:
    """Build the table of verdicts by label."""
    table = _table("Verdicts", record.data)
    table.add_column("clips")
    for heading in ("likely fake", "likely real", "inconclusive", "not judged", "all"):
        table.add_column(heading, justify="right")
    for label, name in _LABELS.items():
        rows = [one for one in record.counts if one.label == label]
        cells = [(one.fake, one.real, one.inconclusive, one.not_judged, one.clips) for one in rows]
        table.add_row(name, *(str(sum(column)) for column in zip(*cells, strict=True)))
    return table


def score_plot(
    clips: Sequence[LabelledFile], findings: Sequence[Finding | None], thresholds: Thresholds
) -> Table:
    """Build a histogram of the scores of each label, with the thresholds.

    The bins are equally wide in logits, so that scores near 0 and 1 remain apart.

    Args:
        clips: labelled clips.
        findings: decisive finding of each clip, at least one with a score.
        thresholds: to mark.
    """
    logits, fake = finding_logits(findings), np.array([clip.fake for clip in clips], bool)
    marks = {
        log_odds(thresholds.fake): f"likely fake from {thresholds.fake:.7g}",
        log_odds(thresholds.real): f"likely real up to {thresholds.real:.7g}",
    }
    if thresholds.fake == thresholds.real:
        marks = {log_odds(thresholds.fake): f"threshold {thresholds.fake:.7g}"}
    known = np.append(logits[~np.isnan(logits)], list(marks))
    edges = np.linspace(known.min(), known.max(), _ROWS + 1)
    bars = [_bars(logits[which], edges) for which in (~fake, fake)]
    marked = {_bin(logit, edges): text for logit, text in marks.items()}
    if len(marked) < len(marks):
        marked = dict.fromkeys(marked, ", ".join(marks.values()))
    table = _table("Scores")
    table.add_column("score", justify="right")
    for heading in (*_LABELS.values(), ""):
        table.add_column(heading, no_wrap=bool(heading))
    for row in reversed(range(_ROWS)):
        score = f"{_short(edges[row])} - {_short(edges[row + 1])}"
        table.add_row(
            score, bars[0][row], bars[1][row], f"< {marked[row]}" if row in marked else ""
        )
    return table


def _table(title: str, caption: str = "") -> Table:
    return Table(
        title=title, title_justify="left", caption=escape(caption) or None, caption_justify="left"
    )


def _bars(logits: NDArray[np.float64], edges: NDArray[np.float64]) -> list[str]:
    known = logits[~np.isnan(logits)]
    counts = np.bincount([_bin(logit, edges) for logit in known], minlength=_ROWS)
    unit = max(1.0, counts.max() / _LONGEST_BAR)
    return [f"{'#' * math.ceil(count / unit)} {count}" if count else "" for count in counts]


def _bin(logit: float, edges: NDArray[np.float64]) -> int:
    return int(np.clip(np.searchsorted(edges, logit, side="right") - 1, 0, _ROWS - 1))


def _short(logit: float) -> str:
    """Write the score of a logit with one digit of its distance from 0 or 1, or two decimals."""
    score = float(sigmoid(logit))
    tail = max(min(score, 1 - score), 1e-7)
    return f"{score:.{max(2, -math.floor(math.log10(tail)))}f}"
