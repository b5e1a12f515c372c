"""What the band and the planted forgeries do to verdicts, on labelled clips.

For each clip's main person: the verdict by the score and its interval alone, the verdict that is
given, the band, and what the model makes of forgeries planted into the clip. Run it as
``python -m benchmarks.verdicts MODEL --data DATA --use choose``.
"""

import argparse
from collections import Counter
from pathlib import Path

from tqdm import tqdm

import fakelens
from fakelens.analysis.verdicts import judge_track
from training.videos import read_manifest


def main() -> None:
    """Analyze and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--use", default="choose")
    options = parser.parse_args()
    model = fakelens.load_model(options.model)
    counts: Counter[tuple[str, str, str]] = Counter()
    print("| clip | truth | by the score | given | score | band | planted | heatmap | why |")
    print("|---" * 9 + "|")
    for clip in tqdm(read_manifest(options.data, options.use), desc="clips", disable=None):
        report = fakelens.analyze(clip.path, model=model)
        judged = list(zip(report.findings, report.tracks, strict=True))
        if not judged:
            continue
        finding, track = max(judged, key=lambda pair: pair[0].usable)
        measured = finding.assessment
        if measured is None:
            continue
        before = judge_track(track, report.thresholds, model.card.calibration, still=False).verdict
        truth = "fake" if clip.fake else "real"
        counts[truth, before.value, finding.verdict.value] += 1
        low, high = measured.robustness.score_range
        outcome = measured.controls.outcome.value if measured.controls else "-"
        print(
            f"| {clip.path.name} | {truth} | {before} | {finding.verdict} | {finding.score:.2f} | "
            f"{low:.2f}-{high:.2f} | {outcome} | {finding.trust_mark} | {finding.reasons[0]} |"
        )
    print("\n| truth | by the score | given | clips |\n|---|---|---|---|")
    for (truth, before, given), clips in sorted(counts.items()):
        print(f"| {truth} | {before} | {given} | {clips} |")


if __name__ == "__main__":
    main()
