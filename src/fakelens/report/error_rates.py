"""How often a model was right and wrong on labelled clips, in words and as a table.

These figures stand beside every verdict: a score cannot be weighed without them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fakelens.records.findings import Verdict
from fakelens.records.models import ErrorRecord, ModelCard, Thresholds, VerdictCounts

NOT_MEASURED = "How often this model is wrong was not measured."

_Z = 1.959964  # two-sided 95 % quantile of the normal distribution
_NOTE = "evidence, not proof"


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of the table of errors.

    Attributes:
        counts: the verdicts.
        judged: clips with a verdict, *inconclusive* included.
        wrong: clips called *likely fake* that are real, or *likely real* that are fake.
        share: ``wrong`` divided by ``judged``, 0..1; ``None`` if no clip was judged.
        interval: 95 % interval of that share, see ``wilson_interval``.
    """

    counts: VerdictCounts
    judged: int
    wrong: int
    share: float | None
    interval: tuple[float, float]


def error_rate_sentence(card: ModelCard, used: Thresholds | None = None) -> str:
    """Say on one line how often a model was wrong, by the first of its error records.

    Args:
        card: of the model.
        used: thresholds of the report; the counts hold for the model's own.
    """
    record = first_record(card)
    if record is None:
        return NOT_MEASURED
    genuine, fakes = _total(record.counts, "real"), _total(record.counts, "fake")
    clauses, rest = [], ""
    if genuine:
        clauses.append(_on_genuine_clips(genuine, record))
    else:
        rest += " How often it calls genuine clips fake was not measured."
    if fakes:
        clauses.append(_on_fakes(fakes, record, first=not genuine))
    else:
        rest += " How often it calls fakes real was not measured."
    if _differ(card.thresholds, used):
        rest += " These counts hold for the model's own thresholds, not for the ones used here."
    return f"{'; '.join(clauses)}.{rest}"


def error_rate_for(card: ModelCard, verdict: Verdict, used: Thresholds | None = None) -> str:
    """Say how often a model was wrong with one verdict, or with both if the verdict is open.

    For *likely fake* that is the number of genuine clips called fake, for *likely real* the number
    of fakes called real.

    Args:
        card: of the model.
        verdict: on a person.
        used: thresholds of the report; the counts hold for the model's own.
    """
    record = first_record(card)
    if record is None:
        return NOT_MEASURED
    genuine, fakes = _total(record.counts, "real"), _total(record.counts, "fake")
    wrong = []
    if genuine and verdict is not Verdict.REAL:
        wrong.append(f"{genuine.fake} of {genuine.clips} genuine ones fake")
    if fakes and verdict is not Verdict.FAKE:
        wrong.append(f"{fakes.real} of {_number(fakes.clips, 'fake')} real")
    if not wrong:
        return "How often this model is wrong with this verdict was not measured."
    origin = "new clips" if record.independent else "clips it was tuned on"
    own = " (at its own thresholds)" if _differ(card.thresholds, used) else ""
    return f"On {origin} the model called {' and '.join(wrong)}{own}."


def error_rate_caption(card: ModelCard, used: Thresholds | None = None) -> str:
    """Return the short form of ``error_rate_sentence`` for pictures and videos, in ASCII.

    Clips of a label of which none could be judged are left out.
    """
    record = first_record(card)
    totals = [_total(record.counts, label) for label in ("real", "fake")] if record else []
    judged = [total for total in totals if total and total.clips > total.not_judged]
    if record is None or not judged:
        return f"{_NOTE} - error rate not measured"
    kinds = {"real": "genuine clip", "fake": "fake"}
    called = [f"{one.fake} of {_number(one.clips, kinds[one.label])}" for one in judged]
    words = f"called {' and '.join(called)} fake"
    if not record.independent:
        words += ", tuned on these clips"
    if _differ(card.thresholds, used):
        words += " (at its own thresholds)"
    return f"{_NOTE} - {words}"


def first_record(card: ModelCard) -> ErrorRecord | None:
    """Return the most independent error record with any clips; ``None`` if there is none."""
    with_clips = (r for r in card.error_records if any(one.clips for one in r.counts))
    return next(with_clips, None)


def error_rows(record: ErrorRecord) -> list[ErrorRow]:
    """Return the rows of a record's table: one per dataset and label, and the sums."""
    rows = [error_row(counts) for counts in record.counts]
    for label in ("real", "fake"):
        total = _total(record.counts, label)
        if total and sum(counts.label == label for counts in record.counts) > 1:
            rows.append(error_row(total))
    return rows


def error_row(counts: VerdictCounts) -> ErrorRow:
    """Compute the share of wrong verdicts among the clips with a verdict."""
    judged = counts.clips - counts.not_judged
    wrong = counts.fake if counts.label == "real" else counts.real
    share = wrong / judged if judged else None
    return ErrorRow(counts, judged, wrong, share, wilson_interval(wrong, judged))


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Compute the 95 % interval of a share (Wilson, JASA 22, 1927), 0..1.

    Unlike the interval of the normal approximation it has a width above 0 for no hits, or only
    hits. Without trials it is 0..1.
    """
    if trials == 0:
        return 0.0, 1.0
    share, square = hits / trials, _Z * _Z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    root = math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    half = _Z * root / (1 + square / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def _total(counts: Sequence[VerdictCounts], label: Literal["real", "fake"]) -> VerdictCounts | None:
    """Add up the verdicts on all clips of a label; ``None`` without such clips."""
    ours = [one for one in counts if one.label == label]
    if not sum(one.clips for one in ours):
        return None
    return VerdictCounts(
        dataset="all datasets",
        label=label,
        clips=sum(one.clips for one in ours),
        fake=sum(one.fake for one in ours),
        real=sum(one.real for one in ours),
        inconclusive=sum(one.inconclusive for one in ours),
        not_judged=sum(one.not_judged for one in ours),
    )


def _origin(record: ErrorRecord, number: int) -> str:
    """Say what the model has to do with a number of a record's clips."""
    if not record.independent:
        return "that its thresholds were chosen with"
    return f"that {'was' if number == 1 else 'were'} not used to train or choose it"


def _on_genuine_clips(total: VerdictCounts, record: ErrorRecord) -> str:
    number = _number(total.clips, "genuine clip")
    start = f"On {number} {_origin(record, total.clips)}, this model"
    if total.clips == 1:
        if total.not_judged:
            return f"{start} could not judge it"
        return f"{start} {'called' if total.fake else 'did not call'} it fake"
    called = f"{start} called {_share(total.fake, total.clips)} fake"
    return f"{called} and could not judge {total.not_judged}" if total.not_judged else called


def _on_fakes(total: VerdictCounts, record: ErrorRecord, *, first: bool) -> str:
    """Say how fakes were called; ``first`` if no clause about genuine clips comes before."""
    number, origin = _number(total.clips, "fake"), _origin(record, total.clips)
    if total.clips == 1:  # "of 1 fake it called 1 fake" would be hard to read
        start = f"On {number} {origin}, this model" if first else f"on {number} it"
        if total.not_judged:
            return f"{start} reached no verdict"
        verdict = "fake" if total.fake else "real" if total.real else "inconclusive"
        return f"{start} gave the verdict {verdict}"
    start = f"Of {number} {origin}, this model" if first else f"of {number} it"
    fake, real = _share(total.fake, total.clips), _share(total.real, total.clips)
    called = f"{start} called {fake} fake and {real} real"
    return f"{called}, and could not judge {total.not_judged}" if total.not_judged else called


def _share(part: int, whole: int) -> str:
    return "none" if part == 0 else "all" if part == whole else str(part)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _differ(own: Thresholds, used: Thresholds | None) -> bool:
    return used is not None and (own.fake, own.real) != (used.fake, used.real)
