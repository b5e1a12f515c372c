"""Measure the cost of a second opinion: an analysis with two models over one with the first.

Processor time is given as well as time passed: it depends less on what else the machine does.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fakelens.analysis.pipeline import analyze_models
from fakelens.faces.detectors import load_detector
from fakelens.models.loading import load_model
from fakelens.records.models import Model
from fakelens.records.settings import Settings
from fakelens.report.save import save_report


def main() -> None:
    """Run the analyses in turn and print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default="fakelens-patch", help="name or file of the first model")
    parser.add_argument("--second", required=True, help="name or file of the second model")
    parser.add_argument("--no-trust", action="store_true", help="without trust measures")
    parser.add_argument("--write", action="store_true", help="also write all results")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each task")
    options = parser.parse_args()
    first, second = load_model(options.model), load_model(options.second)
    tasks = ([first], [second], [first, second])
    settings = Settings(trust=not options.no_trust)
    print("| clip | s first alone | s second alone | s both | both over first | processor time |")
    print("|---|---|---|---|---|---|")
    for clip in options.clips:
        runs = [
            [_seconds(clip, models, settings, write=options.write) for models in tasks]
            for _ in range(options.repeat)
        ]
        medians = [
            statistics.median(passed for passed, _ in column) for column in zip(*runs, strict=True)
        ]
        times = " | ".join(f"{seconds:.2f}" for seconds in medians)
        ratios = [
            statistics.median(both[kind] / one[kind] for one, _, both in runs) for kind in (0, 1)
        ]
        print(f"| {clip.name} | {times} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


def _seconds(
    clip: Path, models: Sequence[Model], settings: Settings, *, write: bool
) -> tuple[float, float]:
    """Return the time passed and the processor time of an analysis."""
    began, worked = time.perf_counter(), time.process_time()
    report, *others = analyze_models(
        clip, models=models, detector=load_detector("yunet"), settings=settings
    )
    if write:
        with tempfile.TemporaryDirectory() as folder:
            save_report(report, Path(folder) / "out", others=others)
    return time.perf_counter() - began, time.process_time() - worked


if __name__ == "__main__":
    main()
