"""How often ``fakelens.analyze`` was right and wrong on labelled clips, as a record for a card."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fakelens.evaluation.labels import LabelledFile
from fakelens.records.arrays import log_odds
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import ErrorRecord, ModelCard, VerdictCounts


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
    clips: Sequence[LabelledFile], findings: Sequence[Finding | None], card: ModelCard
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
    clips: Sequence[LabelledFile],
    findings: Sequence[Finding | None],
    card: ModelCard,
    *,
    name: str,
    independent: bool,
    command: str,
    origin: str,
) -> ErrorRecord:
    """Build the record of one set of clips.

    Args:
        clips: labelled clips, at least one.
        findings: decisive finding of each clip; ``None`` if nobody is seen well enough.
        card: of the model that was measured.
        name: of the set, and of the dataset of clips that name none.
        independent: see ``ErrorRecord``.
        command: that made the figures.
        origin: what the clips are and where the persons come from, without their number.
    """
    verdicts: dict[tuple[str, bool], list[Verdict | None]] = {}
    for clip, finding in zip(clips, findings, strict=True):
        found = finding.verdict if finding else None
        verdicts.setdefault((clip.dataset or name, clip.fake), []).append(found)
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
