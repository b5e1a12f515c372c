"""What each rule that makes a verdict inconclusive costs and saves, on labelled clips.

Analyze the clips first, each to a folder of its own name in RESULTS, then::

    python -m benchmarks.rules RESULTS MANIFEST.csv --use choose

The manifest has the columns path, label (real, fake) and use. The verdict on a clip is that on its
most suspicious person who is seen well enough.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import fakelens
from fakelens import Finding, Report, Thresholds, Verdict
from fakelens.errors import FakelensError
from fakelens.records.trust import ControlOutcome

RULES = ("stretch", "control", "interval", "robustness", "domain")
_SETS = ((), *((rule,) for rule in RULES), RULES[:2], RULES)


def verdict(finding: Finding, thresholds: Thresholds, rules: Iterable[str]) -> Verdict:
    """The verdict by the score, unless one of the rules objects."""
    if finding.score is None or thresholds.real < finding.score < thresholds.fake:
        return Verdict.INCONCLUSIVE
    is_fake = finding.score >= thresholds.fake
    limit = thresholds.fake if is_fake else thresholds.real
    measured = finding.assessment
    ranges = {
        "interval": finding.interval,
        "robustness": measured.robustness.score_range if measured and measured.robustness else None,
    }
    missed = (
        measured is not None
        and measured.controls is not None
        and measured.controls.outcome is ControlOutcome.MISSED
    )
    objects = {
        "stretch": not is_fake and bool(finding.spans),
        "control": not is_fake and missed,
        **{
            name: found is not None and (found[0] < limit if is_fake else found[1] > limit)
            for name, found in ranges.items()
        },
        "domain": finding.domain is not None and not finding.domain.inside,
    }
    if any(objects[rule] for rule in rules):
        return Verdict.INCONCLUSIVE
    return Verdict.FAKE if is_fake else Verdict.REAL


def answer(report: Report, rules: Iterable[str]) -> Verdict | None:
    """The verdict on the most suspicious person seen well enough; ``None`` without one."""
    seen = [finding for finding in report.findings if finding.seen_well]
    judged = [(verdict(one, report.thresholds, rules), one.score or 0.0) for one in seen]
    best = max(judged, key=lambda one: (one[0] is Verdict.FAKE, one[1]), default=None)
    return best[0] if best else None


def main() -> None:
    """Print a row for each set of rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--use", required=True)
    options = parser.parse_args()
    reports: list[tuple[str, Report]] = []
    with options.manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["use"] != options.use or row["label"] not in ("real", "fake"):
                continue
            try:
                report = fakelens.read_report(
                    options.results / Path(row["path"]).stem / "report.json"
                )
            except FakelensError:
                continue  # a picture, or not analyzed
            reports.append((row["label"], report))
    total = Counter(label for label, _ in reports)
    print(f"{total['real']} real, {total['fake']} fake")
    print("| rules | decided | real: fake | fake: fake | real: real | fake: real |")
    print("|---|---|---|---|---|---|")
    for rules in _SETS:
        given = Counter((label, answer(report, rules)) for label, report in reports)
        counts = [
            given[label, said]
            for label, said in (
                ("real", Verdict.FAKE),
                ("fake", Verdict.FAKE),
                ("real", Verdict.REAL),
                ("fake", Verdict.REAL),
            )
        ]
        cells = [f"{sum(counts)} of {len(reports)}", *map(str, counts)]
        print(f"| {' + '.join(rules) or 'none'} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
