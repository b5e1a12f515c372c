"""Measure the cost of a heatmap beyond the score, in fakelens and in other libraries.

All run the architecture of the default model with the same weights on one thread, in turn: the
evidence model of fakelens in onnxruntime, with and without its heatmap, in floating point and in
8-bit integers as it is bundled; and the same model in torch, alone, with Grad-CAM by torchcam and,
if it is installed, with Grad-CAM by pytorch-grad-cam (package grad-cam).
"""

import argparse
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from itertools import chain
from pathlib import Path

import numpy as np
import onnx.utils
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchcam.methods import GradCAM as TorchCam

from fakelens.explain.cam import METHODS
from fakelens.models.quantize import quantized
from fakelens.records.models import Evidence
from training.network import PatchNet, load_imagenet
from training.onnx_graph import build_graph

Task = Callable[[NDArray[np.uint8]], object]

_SIDE = 256
_EVIDENCE = ["logit", "activation", "gradient"]


class Logits(nn.Module):
    """The model with the interface that the libraries need: (N, 3, H, W) -> (N, 1)."""

    def __init__(self, model: PatchNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, planes: Tensor) -> Tensor:
        """Compute the logits (N, 1) of planes (N, 3, H, W), float 0..1."""
        logits: Tensor = self.model(planes).logits
        return logits[:, None]


def to_planes(crops: NDArray[np.uint8]) -> Tensor:
    """Convert crops (N, S, S, 3) uint8 to planes (N, 3, S, S), float 0..1."""
    return torch.from_numpy(crops).movedim(-1, -3).float().div_(255)


def by_fakelens(graph: onnx.ModelProto, name: str) -> dict[str, Task]:
    """Return tasks that compute the score alone, and the score and its heatmap."""
    return {
        f"{name}, score alone": _make_task(graph, ["logit"]),
        f"{name}, score and heatmap": _make_task(graph, _EVIDENCE),
    }


def _make_task(graph: onnx.ModelProto, outputs: list[str]) -> Task:
    """Return a task that computes some outputs of a graph, and the heatmap if they suffice."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder) / "whole.onnx", Path(folder) / "part.onnx"
        onnx.save(graph, whole)
        # onnxruntime computes all outputs of a file, whichever are requested.
        onnx.utils.extract_model(str(whole), str(part), ["crops"], outputs)
        session = ort.InferenceSession(str(part), options, providers=["CPUExecutionProvider"])

    def run(crops: NDArray[np.uint8]) -> object:
        values = session.run(outputs, {"crops": crops})
        return METHODS["hirescam"].function(Evidence(*values)) if outputs == _EVIDENCE else values

    return run


def by_libraries(model: PatchNet) -> dict[str, Task]:
    """Return tasks for the score alone, torchcam, and grad-cam if it is installed."""
    plain = Logits(model)

    @torch.inference_mode()
    def score(crops: NDArray[np.uint8]) -> object:
        return plain(to_planes(crops))

    tasks: dict[str, Task] = {"torch, score alone": score}
    model = Logits(deepcopy(model))  # so that each library hooks a model of its own
    extractor = TorchCam(model, target_layer="model.mix", input_shape=(3, _SIDE, _SIDE))

    def with_torchcam(crops: NDArray[np.uint8]) -> object:
        scores = model(to_planes(crops).requires_grad_())
        return extractor([0] * len(crops), scores)

    tasks["torchcam, Grad-CAM"] = with_torchcam
    try:
        # Not a dependency of fakelens, because it requires torchvision.
        cam = importlib.import_module("pytorch_grad_cam")
        targets = importlib.import_module("pytorch_grad_cam.utils.model_targets")
    except ImportError as error:
        print(f"grad-cam is not measured: {error}")
        return tasks
    other = Logits(deepcopy(model))
    library = cam.GradCAM(other, [other.model.mix])
    tasks["grad-cam, Grad-CAM"] = lambda crops: library(
        to_planes(crops), [targets.RawScoresOutputTarget()] * len(crops)
    )
    return tasks


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8, help="crops per call")
    parser.add_argument("--repeat", type=int, default=15, help="calls of each task")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = PatchNet().eval()
    load_imagenet(model)
    crops = np.random.default_rng(0).integers(0, 256, (options.batch, _SIDE, _SIDE, 3), np.uint8)
    graph, head = build_graph(model, _SIDE)
    # The first task of each group is the reference for the others.
    groups = (
        by_fakelens(graph, "fakelens"),
        by_fakelens(quantized(graph, crops, head), "fakelens in integers"),
        by_libraries(model),
    )
    times: dict[str, list[float]] = {name: [] for tasks in groups for name in tasks}
    for turn in range(options.repeat + 2):
        for name, task in chain.from_iterable(tasks.items() for tasks in groups):
            began = time.perf_counter()
            task(crops)
            if turn >= 2:  # the first calls allocate
                times[name].append(1000 * (time.perf_counter() - began) / options.batch)
    print("| | ms a face | over the score alone, same runtime (quartiles) |")
    print("|---|---|---|")
    for tasks in groups:
        plain, *others = tasks
        print(f"| {plain} | {statistics.median(times[plain]):.1f} | |")
        for name in others:
            ratios = [a / b for a, b in zip(times[name], times[plain], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            own = statistics.median(times[name])
            print(f"| {name} | {own:.1f} | {middle:.2f} ({low:.2f}-{high:.2f}) |")


if __name__ == "__main__":
    main()
