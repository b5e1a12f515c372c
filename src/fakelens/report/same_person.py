"""Who may be the same person, in words: the hints of ``analysis.fragments``."""

from collections import defaultdict
from collections.abc import Sequence

from fakelens.records.findings import Finding


def possibly_same(findings: Sequence[Finding]) -> dict[int, tuple[int, ...]]:
    """Return the others who may be the same person, by number of the person.

    Everybody is in it, also who is like nobody else.
    """
    groups = defaultdict[int, list[int]](list)
    for finding in findings:
        groups[finding.possibly_same_as or finding.person].append(finding.person)
    return {
        person: tuple(other for other in sorted(group) if other != person)
        for group in groups.values()
        for person in group
    }


def seen_again(findings: Sequence[Finding]) -> str:
    """Say how many people may be earlier ones who came back, a sentence; empty for none."""
    count = sum(finding.possibly_same_as is not None for finding in findings)
    if not count:
        return ""
    if count == 1:
        return "1 of them is possibly an earlier person who came back."
    return f"{count} of them are possibly earlier people who came back."
