"""Score a folder of clips with several models, as a table; with labels, also their AUC.

Labels are read from ``labels.csv`` in the folder, if it exists: columns ``path,label``, where a
label is ``real`` or ``fake``. Fetch published weights with ``fakelens models pull`` first.

Usage: python examples/compare_models.py [FOLDER [MODEL ...]]
"""

import sys
from pathlib import Path

import numpy as np

import fakelens
from fakelens.evaluation.labels import read_labels

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
names = sys.argv[2:] or ["fakelens-patch"]
results = ("annotated.mp4", "untouched.mp4")  # written by fakelens itself
videos = sorted(video for video in folder.glob("*.mp4") if video.name not in results)
settings = fakelens.Settings(per_second=5, trust=False)
table = folder / "labels.csv"
labelled = read_labels(table) if table.exists() else []
labels = {clip.path: "fake" if clip.fake else "real" for clip in labelled}

print("model", "video", "label", "verdict", "score", sep="\t")
for name in names:
    model = fakelens.load_model(name)
    scores: dict[str, list[float]] = {"real": [], "fake": []}
    for video in videos:
        label = labels.get(video, "")
        finding = fakelens.analyze(video, model=model, settings=settings).decisive
        if finding is None or finding.score is None:
            print(name, video.name, label, "nobody seen well enough", sep="\t")
            continue
        print(name, video.name, label, finding.verdict, f"{finding.score:.3f}", sep="\t")
        if label:
            scores[label].append(finding.score)
    if all(scores.values()):
        fake, real = np.array(scores["fake"])[:, None], np.array(scores["real"])
        auc = (fake > real).mean() + 0.5 * (fake == real).mean()
        print(f"{name}: AUC {auc:.3f} on {len(fake)} fake and {len(real)} real clips")
