"""Read a report with the json module and numpy alone: where on the face is the evidence?

Usage: python examples/read_heatmaps.py [REPORT.json]
"""

import json
import sys
from pathlib import Path

import numpy as np

path = Path(sys.argv[1] if len(sys.argv) > 1 else "demo/report.json")
report = json.loads(path.read_text(encoding="utf-8"))
stored = report["heatmaps"]
shape = (stored["rows"], stored["height"], stored["width"])
heatmaps = np.memmap(path.parent / stored["file"], dtype="<f2", mode="r", shape=shape)
print(f"{stored['method']}, {shape[1]} x {shape[2]} cells, unit: {stored['unit']}")

for person in report["persons"]:
    track = person["track"]
    mean = np.mean(heatmaps[track["heatmaps"]], axis=0, dtype=np.float64)
    row, column = np.unravel_index(mean.argmax(), mean.shape)
    evidence = np.maximum(mean, 0)
    lower = evidence[len(evidence) // 2 :].sum() / max(evidence.sum(), 1e-9)
    print(
        f"Person {person['finding']['person']}: {len(track['frames'])} faces, most evidence for "
        f"fake in row {row}, column {column}; {lower:.0%} of it in the lower half of the crop"
    )
