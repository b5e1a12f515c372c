"""Use a plain ONNX classifier that ends in a softmax of two outputs. Needs no extra.

The file here is made with the onnx package, with random weights, so the verdicts mean nothing; such
files are what other frameworks export. fakelens takes the softmax off, adds the preprocessing and
computes the gradient with ordinary nodes of the graph.

Usage: python examples/model_onnx_softmax.py [VIDEO]
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import fakelens

MODEL_FILE = """
[weights]
file = "softmax.onnx"

[card]
input_size = 128
crop = { reference = "box", scale = 1.3 }

[convention]
outputs = ["fake", "real"]                 # here, the first output is the fake
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
colour = "bgr"                             # as after cv2.imread
"""


def classifier() -> onnx.ModelProto:
    """Make a classifier: (N, 3, 128, 128) float32 -> probabilities (N, 2)."""
    rng = np.random.default_rng(0)
    weights = {
        "kernel1": rng.normal(0, 0.2, (16, 3, 5, 5)),
        "kernel2": rng.normal(0, 0.1, (32, 16, 3, 3)),
        "matrix": rng.normal(0, 1, (32, 2)),
        "bias": np.array([0.2, -0.1]),
    }
    nodes = [
        helper.make_node("Conv", ["pictures", "kernel1"], ["conv1"], strides=[4, 4]),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Conv", ["relu1", "kernel2"], ["conv2"], strides=[2, 2]),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("GlobalAveragePool", ["relu2"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "matrix", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["N", 3, 128, 128])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    folder = Path("example-models")
    folder.mkdir(exist_ok=True)
    onnx.save(classifier(), folder / "softmax.onnx")
    (folder / "softmax.toml").write_text(MODEL_FILE, encoding="utf-8")

    model = fakelens.load_model(folder / "softmax.toml")
    print(f"Explained layer: {model.card.layer}")
    video = sys.argv[1] if len(sys.argv) > 1 else "demo/demo.mp4"
    settings = fakelens.Settings(per_second=5)
    report = fakelens.analyze(video, model=model, settings=settings)
    for finding in report.findings:
        mark = finding.trust_mark or "not measured"
        print(f"Person {finding.person}: score {finding.score:.2f}, heatmap faithfulness: {mark}")
