"""Use MesoNet weights that you trained yourself, from a Keras ``.h5`` file. Needs no extra.

The published weights have an output of 1 for real. Whoever trains MesoNet again may have chosen the
opposite, and the file does not tell: state it in a model file. Use the published weights by their
names, see 'fakelens models'.

Usage: python examples/model_mesonet_h5.py [WEIGHTS.h5 [VIDEO]]
"""

import sys
from pathlib import Path

import fakelens

weights = Path(sys.argv[1] if len(sys.argv) > 1 else "own.h5").resolve()
model_file = Path("example-mesonet.toml")
model_file.write_text(
    f"""
[weights]
file = '{weights}'

[card]
input_size = 256
crop = {{ reference = "dlib", scale = 1.4 }}

[convention]
outputs = ["fake"]                         # the class whose probability the output is
mean = [0, 0, 0]                           # pixels from 0 to 1
std = [1, 1, 1]
""",
    encoding="utf-8",
)
model = fakelens.load_model(model_file)
print(f"{model.card.name}: {model.card.polarity}")
video = sys.argv[2] if len(sys.argv) > 2 else "demo/demo.mp4"
settings = fakelens.Settings(per_second=5, trust=False)
report = fakelens.analyze(video, model=model, settings=settings)
for finding in report.findings:
    print(f"Person {finding.person}: score {finding.score:.2f}")
