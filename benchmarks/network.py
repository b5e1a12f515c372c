"""Milliseconds per face of evidence networks on one thread, with and without the evidence."""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

OUTPUTS = {"logit only": ["logit"], "with evidence": ["logit", "activation", "gradient"]}
BATCHES = (1, 8, 32)
LEVELS = {
    "plain": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "blocked": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def open_session(path: Path, layout: str) -> ort.InferenceSession:
    """A session of one thread."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = LEVELS[layout]
    return ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])


def main() -> None:
    """Measure all networks in turn and print medians; the file's own layout is marked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", type=Path, nargs="+", help=".onnx files")
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    sessions = {
        (path, layout): open_session(path, layout) for path in options.networks for layout in LEVELS
    }
    times: dict[tuple[Path, str, str, int], list[float]] = {}
    rng = np.random.default_rng(0)
    for _ in range(options.repeat):
        for batch in BATCHES:
            for (path, layout), session in sessions.items():
                side = session.get_inputs()[0].shape[1]
                crops = rng.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
                for name, outputs in OUTPUTS.items():
                    began = time.perf_counter()
                    session.run(outputs, {"crops": crops})
                    seconds = time.perf_counter() - began
                    times.setdefault((path, layout, name, batch), []).append(1000 * seconds / batch)
    print("| network | layout | outputs | " + " | ".join(f"batch {b}" for b in BATCHES) + " |")
    print("|---|---|---|" + "---|" * len(BATCHES))
    for (path, layout), session in sessions.items():
        metadata = session.get_modelmeta().custom_metadata_map
        own = " (its own)" if metadata.get("fakelens.layout", "plain") == layout else ""
        for name in OUTPUTS:
            medians = (f"{statistics.median(times[path, layout, name, b]):.1f}" for b in BATCHES)
            print(f"| {path.stem} | {layout}{own} | {name} | " + " | ".join(medians) + " |")


if __name__ == "__main__":
    main()
