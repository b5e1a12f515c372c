"""Reports of models with error records, and of heatmaps that were compared with genuine faces."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from fakelens.records.findings import DomainCheck
from fakelens.records.models import ErrorRecord, VerdictCounts
from fakelens.records.report import Report
from fakelens.records.trust import Assessment, Faithfulness, Specificity, SpecificityMark, TrustMark


def counts(
    label: str,
    *,
    fake: int = 0,
    real: int = 0,
    inconclusive: int = 0,
    not_judged: int = 0,
    dataset: str = "one",
) -> VerdictCounts:
    clips = fake + real + inconclusive + not_judged
    return VerdictCounts(dataset, label, clips, fake, real, inconclusive, not_judged)  # type: ignore[arg-type]


def record(
    *rows: VerdictCounts, independent: bool = True, cllr: float | None = None, name: str = "clips"
) -> ErrorRecord:
    return ErrorRecord(name, "Clips of two origins.", independent, rows, cllr, "make errors")


SEALED = record(
    counts("real", fake=1, real=6, inconclusive=8),
    counts("fake", fake=2, inconclusive=6),
    cllr=0.87,
    name="the sealed clips",
)
"""15 genuine clips, of which 1 is called fake; 8 fakes, of which 2 are called fake, none real."""


def with_records(report: Report, *records: ErrorRecord) -> Report:
    return replace(report, model=replace(report.model, error_records=records))


def specificity(
    baseline: ArrayLike,
    mark: SpecificityMark = SpecificityMark.SPECIFIC,
    *,
    similarity: float = 0.12,
    parts: tuple[str, ...] = (),
) -> Specificity:
    rows = np.asarray(baseline, dtype=np.float64).tolist()
    cells = tuple(tuple(row) for row in rows)
    return Specificity(mark, similarity, 1.9, 0.8, 0.9, parts, cells, 6)


def assessed(specificity: Specificity | None = None, mark: TrustMark | None = None) -> Assessment:
    """Return an assessment with nothing but the answers on the heatmap."""
    faithful = mark and Faithfulness(mark, "features", 2, 0, 0.01, 1, None, None, 3, None)
    return Assessment(faithful or None, None, None, None, None, (), (), specificity)


def compared(report: Report, *found: Specificity | None, mark: TrustMark | None = None) -> Report:
    """Return the report with these comparisons, one per person."""
    findings = tuple(
        replace(finding, assessment=assessed(one, mark))
        for finding, one in zip(report.findings, found, strict=True)
    )
    return replace(report, findings=findings)


def in_domain(report: Report, domain: DomainCheck | None) -> Report:
    """Return the report with this check for every person."""
    return replace(
        report, findings=tuple(replace(finding, domain=domain) for finding in report.findings)
    )
