"""Print the score that each model gives to the main person of each clip."""

import argparse
from pathlib import Path

import fakelens
from fakelens.errors import MediaError


def main() -> None:
    """Analyze the clips and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", action="append", required=True, help="name or file; repeatable")
    parser.add_argument("--every", type=int, default=10, help="examine every n-th frame")
    options = parser.parse_args()
    models = [fakelens.load_model(name) for name in options.model]
    settings = fakelens.Settings(every=options.every)
    print("| clip | " + " | ".join(model.card.name for model in models) + " |")
    print("|---|" + "---|" * len(models))
    for clip in options.clips:
        cells = []
        for model in models:
            try:
                report = fakelens.analyze(clip, model=model, settings=settings)
            except MediaError:
                cells.append("cannot be read")
                continue
            judged = [finding for finding in report.findings if finding.score is not None]
            if not judged:
                cells.append("no person judged")
                continue
            main_person = max(judged, key=lambda finding: finding.usable)
            cells.append(f"{main_person.score:.2f} {main_person.verdict}")
        print(f"| {clip.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
