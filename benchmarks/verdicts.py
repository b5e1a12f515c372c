"""Measure how robustness and controls change verdicts, on labelled clips.

For the main person of each clip: the verdict by the score and its interval alone, the final
verdict, the score range under perturbations, and the outcome of the control.
"""

import argparse
from collections import Counter
from pathlib import Path

from tqdm import tqdm

import fakelens
from fakelens.analysis.verdicts import judge_track
from training.clips import read_manifest


def main() -> None:
    """Analyze and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="name or file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the development data")
    parser.add_argument("--use", default="choose", help="which clips of the manifest")
    options = parser.parse_args()
    model = fakelens.load_model(options.model)
    counts: Counter[tuple[str, str, str]] = Counter()
    print("| clip | truth | by score | final | score | score range | control | heatmap | reason |")
    print("|---" * 9 + "|")
    for clip in tqdm(read_manifest(options.data, options.use), desc="clips", disable=None):
        report = fakelens.analyze(clip.path, model=model)
        judged = list(zip(report.findings, report.tracks, strict=True))
        if not judged:
            continue
        finding, track = max(judged, key=lambda pair: pair[0].usable)
        assessment = finding.assessment
        if assessment is None or assessment.robustness is None:
            continue
        before = judge_track(track, report.thresholds, model.card.calibration, still=False).verdict
        truth = "fake" if clip.fake else "real"
        counts[truth, before.value, finding.verdict.value] += 1
        low, high = assessment.robustness.score_range
        outcome = assessment.controls.outcome.value if assessment.controls else "-"
        print(
            f"| {clip.path.name} | {truth} | {before} | {finding.verdict} | {finding.score:.2f} | "
            f"{low:.2f}-{high:.2f} | {outcome} | {finding.trust_mark} | {finding.reasons[0]} |"
        )
    print("\n| truth | by score | final | clips |\n|---|---|---|---|")
    for (truth, before, final), clips in sorted(counts.items()):
        print(f"| {truth} | {before} | {final} | {clips} |")


if __name__ == "__main__":
    main()
