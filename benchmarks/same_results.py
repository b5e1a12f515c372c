"""Whether two versions of fakelens give the same results for the same inputs.

Analyze the inputs with each version, every input to a folder of its own, then compare::

    python -m benchmarks.same_results BEFORE AFTER

Compares times, boxes, logits and quality of every observation, every heatmap, and the verdict,
score, interval and spans of every person. Names and words may differ. Exits with 1 if anything
else does.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

_NUMBERS = ("frame", "time", "person", "x1", "y1", "x2", "y2", "logit", "score", "usable")
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
    """What differs between the results of one input, in words."""
    found = []
    rows = [_rows(folder / "scores.csv") for folder in (before, after)]
    if rows[0] != rows[1]:
        changed = sum(one != other for one, other in zip(*rows, strict=False))
        found.append(f"{len(rows[0])} and {len(rows[1])} observations, {changed} of them differ")
    heatmaps = [(folder / "heatmaps.f16").read_bytes() for folder in (before, after)]
    if heatmaps[0] != heatmaps[1]:
        found.append("the heatmaps differ")
    for one, other in zip(_findings(before), _findings(after), strict=False):
        found += [
            f"person {one['person']}: {key} was {one[key]} and is {other[key]}"
            for key in _FINDING
            if one[key] != other[key]
        ]
    return found


def _rows(path: Path) -> list[tuple[str, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row[name] for name in _NUMBERS) for row in csv.DictReader(file)]


def _findings(folder: Path) -> list[dict[str, object]]:
    document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return [person["finding"] for person in document["persons"]]


def main() -> None:
    """Compare and print a line per input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args()
    names = sorted(path.parent.name for path in options.before.glob("*/report.json"))
    if not names:
        sys.exit(f"{options.before}: holds no results")
    failed = False
    for name in names:
        found = differences(options.before / name, options.after / name)
        rows = len(_rows(options.after / name / "scores.csv"))
        print(f"{name}: {'; '.join(found) or f'the same ({rows} observations)'}")
        failed |= bool(found)
    sys.exit(failed)


if __name__ == "__main__":
    main()
