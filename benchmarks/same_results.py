"""Compare the results of two versions of fakelens for the same inputs.

Analyze the inputs with each version, each input to its own subfolder. Then compare the folders::

    python -m benchmarks.same_results BEFORE AFTER

Compares times, boxes, logits and usability of every observation, every heatmap, and the verdict,
score, interval and spans of every person. Names of fields and sentences may differ. Exits with 1 if
anything else does, or if results are missing.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

_COLUMNS = ("frame", "time", "person", "x1", "y1", "x2", "y2", "logit", "score", "usable")
_FINDING = (
    "person",
    "verdict",
    "score",
    "interval",
    "spans",
    "first",
    "last",
    "examined",
    "usable",
    "key_frame",
    "log10_likelihood_ratio",
    "seen_well",
)


def differences(before: Path, after: Path) -> list[str]:
    """Describe the differences between the results of one input."""
    if not (after / "report.json").exists():
        return [f"{after} has no results"]
    found = []
    rows = [_rows(folder / "scores.csv") for folder in (before, after)]
    if rows[0] != rows[1]:
        changed = sum(one != other for one, other in zip(*rows, strict=False))
        found.append(f"{len(rows[0])} and {len(rows[1])} observations, {changed} of them differ")
    heatmaps = [(folder / "heatmaps.f16").read_bytes() for folder in (before, after)]
    if heatmaps[0] != heatmaps[1]:
        found.append("the heatmaps differ")
    findings = [_findings(folder) for folder in (before, after)]
    if len(findings[0]) != len(findings[1]):
        found.append(f"{len(findings[0])} and {len(findings[1])} persons")
    for one, other in zip(*findings, strict=False):
        found += [
            f"person {one['person']}: {key} was {one[key]} and is {other[key]}"
            for key in _FINDING
            if one[key] != other[key]
        ]
    return found


def _rows(path: Path) -> list[tuple[str, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row[name] for name in _COLUMNS) for row in csv.DictReader(file)]


def _findings(folder: Path) -> list[dict[str, object]]:
    document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return [person["finding"] for person in document["persons"]]


def main() -> None:
    """Compare and print a line for each input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="folder with a subfolder for each input")
    parser.add_argument("after", type=Path, help="folder with the same subfolders")
    options = parser.parse_args()
    names = sorted(path.parent.name for path in options.before.glob("*/report.json"))
    if not names:
        sys.exit(f"{options.before}: has no results")
    failed = False
    for name in names:
        found = differences(options.before / name, options.after / name)
        rows = len(_rows(options.before / name / "scores.csv"))
        print(f"{name}: {'; '.join(found) or f'the same ({rows} observations)'}")
        failed |= bool(found)
    sys.exit(failed)


if __name__ == "__main__":
    main()
