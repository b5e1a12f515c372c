"""Milliseconds per face of an evidence network on one thread, with and without the evidence."""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

OUTPUTS = {"logit only": ["logit"], "with evidence": ["logit", "activation", "gradient"]}
BATCHES = (1, 8, 32)


def main() -> None:
    """Measure in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", type=Path, help="an .onnx file of an evidence network")
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    session = ort.InferenceSession(
        str(options.network), settings, providers=["CPUExecutionProvider"]
    )
    side = session.get_inputs()[0].shape[1]
    rng = np.random.default_rng(0)
    print("| outputs | " + " | ".join(f"batch {batch}" for batch in BATCHES) + " |")
    print("|---|" + "---|" * len(BATCHES))
    times: dict[tuple[str, int], list[float]] = {}
    for batch in BATCHES:
        crops = rng.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
        for _ in range(options.repeat):
            for name, outputs in OUTPUTS.items():
                began = time.perf_counter()
                session.run(outputs, {"crops": crops})
                seconds = time.perf_counter() - began
                times.setdefault((name, batch), []).append(1000 * seconds / batch)
    for name in OUTPUTS:
        medians = (f"{statistics.median(times[name, batch]):.2f}" for batch in BATCHES)
        print(f"| {name} | " + " | ".join(medians) + " |")


if __name__ == "__main__":
    main()
