"""Analyze a video, print a line per person, and write the report.

Usage: python examples/analyze_video.py [VIDEO [FOLDER]]
"""

import sys
from pathlib import Path

import fakelens

video, folder = Path("demo/demo.mp4"), Path("example-report")
if len(sys.argv) > 1:
    video = Path(sys.argv[1])
if len(sys.argv) > 2:
    folder = Path(sys.argv[2])

report = fakelens.analyze(video)
for finding in report.findings:
    score = "no score" if finding.score is None else f"score {finding.score:.2f}"
    print(f"Person {finding.person}: {finding.verdict}, {score}")
    for reason in finding.reasons:
        print(f"  {reason}")

# The score of single frames is in the tracks.
for track in report.tracks:
    highest = max(track, key=lambda observation: observation.logit)
    print(f"Person {track.person}: highest frame score {highest.score:.2f} at {highest.time:.2f} s")

fakelens.save_report(report, folder, force=True)
print(f"Open {folder / 'report.html'}")
