"""Measure the cost of the trust measures: time of an analysis with them over one without."""

import argparse
import statistics
from pathlib import Path

from benchmarks.speed import measure

PAIRS = {
    "analysis": ("analysis only", "analysis, no trust"),
    "triage": ("triage", "triage, no trust"),
}


def main() -> None:
    """Measure each run in a new process and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default="fakelens-patch", help="name or file")
    parser.add_argument("--repeat", type=int, default=9, help="runs of each task")
    options = parser.parse_args()
    print("| clip | task | s with | s without | with over without (quartiles) |")
    print("|---|---|---|---|---|")
    for clip in options.clips:
        for name, (with_trust, without) in PAIRS.items():
            runs = [
                [measure(task, clip, options.model, 1)[0] for task in (with_trust, without)]
                for _ in range(options.repeat)
            ]
            low, middle, high = statistics.quantiles([one / other for one, other in runs], n=4)
            own, bare = (statistics.median(column) for column in zip(*runs, strict=True))
            print(
                f"| {clip.name} | {name} | {own:.2f} | {bare:.2f} | "
                f"{middle:.2f} ({low:.2f}-{high:.2f}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
