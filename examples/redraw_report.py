"""Draw a saved report in another style, without running the model.

Usage: python examples/redraw_report.py [REPORT.json [FOLDER]]
"""

import sys
from pathlib import Path

import fakelens

path, folder = Path("demo/report.json"), Path("example-drawings")
if len(sys.argv) > 1:
    path = Path(sys.argv[1])
if len(sys.argv) > 2:
    folder = Path(sys.argv[2])

report = fakelens.read_report(path)
style = fakelens.Style(evidence="both", colormap="turbo", opacity=0.8, side_by_side=True)
for file in fakelens.save_drawings(report, folder, style=style, force=True):
    print(file)
