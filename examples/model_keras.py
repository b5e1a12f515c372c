"""Train a small Keras model and use it. Needs the extra ``keras``.

It learns to tell smooth pictures from noisy ones within seconds, on pictures that this script
draws. It knows nothing about faces, so the verdicts mean nothing. Put your own training there.

Usage: python examples/model_keras.py [VIDEO]
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np

import fakelens

MODEL_FILE = """
[weights]
file = "keras.keras"

[card]
input_size = 64
crop = { reference = "box", scale = 1.3 }

[convention]
outputs = ["fake"]                         # the class whose probability the sigmoid returns
mean = [0, 0, 0]
std = [1, 1, 1]
channels = "last"                          # as is usual in Keras
"""


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw pictures (N, 64, 64, 3) float32, 0..1, and their labels (N,): 1 for noisy ones."""
    rng = np.random.default_rng(seed)
    colours = rng.uniform(0.2, 0.8, (count, 8, 8, 3)).repeat(8, 1).repeat(8, 2)
    noisy = rng.integers(0, 2, count)
    noise = rng.normal(0, 0.2, colours.shape) * noisy[:, None, None, None]
    return (colours + noise).clip(0, 1).astype(np.float32), noisy.astype(np.float32)


keras.utils.set_random_seed(0)
classifier = keras.Sequential(
    [
        keras.Input((64, 64, 3)),
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="last_map"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
classifier.compile(optimizer=keras.optimizers.Adam(0.01), loss="binary_crossentropy")
classifier.fit(*draw(256, seed=0), epochs=20, verbose=0)
pictures, labels = draw(64, seed=1)
right = (classifier.predict(pictures, verbose=0)[:, 0] > 0.5) == labels
print(f"{right.mean():.0%} of new pictures are recognised")

folder = Path("example-models")
folder.mkdir(exist_ok=True)
classifier.save(folder / "keras.keras")
(folder / "keras.toml").write_text(MODEL_FILE, encoding="utf-8")

model = fakelens.load_model(folder / "keras.toml")
print(f"Explained layer: {model.card.layer}")
video = sys.argv[1] if len(sys.argv) > 1 else "demo/demo.mp4"
settings = fakelens.Settings(per_second=5)
report = fakelens.analyze(video, model=model, settings=settings)
for finding in report.findings:
    mark = finding.trust_mark or "not measured"
    print(f"Person {finding.person}: score {finding.score:.2f}, heatmap faithfulness: {mark}")
