"""Measure milliseconds per face of evidence models on one thread, with and without evidence."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx.utils
import onnxruntime as ort

OUTPUTS = {"logit only": ["logit"], "with evidence": ["logit", "activation", "gradient"]}
"""Each is measured on a file with only these outputs; onnxruntime computes all that there are."""

BATCHES = (1, 8, 32)
LEVELS = {
    "plain": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "blocked": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def open_session(path: Path, outputs: list[str], layout: str) -> ort.InferenceSession:
    """Open a session with one thread that computes only some of the outputs."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = LEVELS[layout]
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / path.name
        onnx.utils.extract_model(str(path), str(part), ["crops"], outputs)
        return ort.InferenceSession(str(part), settings, providers=["CPUExecutionProvider"])


def main() -> None:
    """Measure all models in turn and print medians; the layout of the file itself is marked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+", help=".onnx files")
    parser.add_argument("--repeat", type=int, default=20, help="calls of each session")
    options = parser.parse_args()
    sessions = {
        (path, layout, name): open_session(path, outputs, layout)
        for path in options.models
        for layout in LEVELS
        for name, outputs in OUTPUTS.items()
    }
    times: dict[tuple[Path, str, str, int], list[float]] = {}
    rng = np.random.default_rng(0)
    for _ in range(options.repeat):
        for batch in BATCHES:
            for key, session in sessions.items():
                side = session.get_inputs()[0].shape[1]
                crops = rng.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
                began = time.perf_counter()
                session.run(None, {"crops": crops})
                seconds = time.perf_counter() - began
                times.setdefault((*key, batch), []).append(1000 * seconds / batch)
    print("| model | layout | outputs | " + " | ".join(f"batch {b}" for b in BATCHES) + " |")
    print("|---|---|---|" + "---|" * len(BATCHES))
    for path, layout, name in sessions:
        entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        own = " (of the file)" if entries.get("fakelens.layout", "plain") == layout else ""
        medians = (f"{statistics.median(times[path, layout, name, b]):.1f}" for b in BATCHES)
        print(f"| {path.stem} | {layout}{own} | {name} | " + " | ".join(medians) + " |")


if __name__ == "__main__":
    main()
