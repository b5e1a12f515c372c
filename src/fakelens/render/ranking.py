"""The order in which people matter: the most suspicious first."""

from fakelens.records.report import Report

MOST_IN_FULL = 6
"""Most people on one frame who have a heatmap and a label; all others have a thin box."""


def rank_by_suspicion(report: Report) -> list[int]:
    """Return the indices of the tracks with a score, the most suspicious first.

    People with enough good faces come before all others.
    """
    findings = report.findings
    judged = [n for n, finding in enumerate(findings) if finding.score is not None]
    return sorted(judged, key=lambda n: (not findings[n].seen_well, -(findings[n].score or 0)))


def rank_all(report: Report) -> list[int]:
    """Return the indices of all tracks: those with a score as ranked, then the others."""
    ranked = rank_by_suspicion(report)
    return [*ranked, *sorted(set(range(len(report.tracks))) - set(ranked))]
