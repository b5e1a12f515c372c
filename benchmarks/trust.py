"""Measure how often the trust mark is right, on faces of the validation split.

Every face that a model calls fake is treated as a person of its own, the hardest case. Its heatmap
is tested, and then other heatmaps: its negative, noise, a constant, the heatmap of another face,
the mean heatmap of all faces, and the heatmap of the model with permuted weights. Last, models with
permuted weights are tested with their own heatmaps. A second table shows the effect of each
ablation on real faces, in which there is no forgery to remove.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fakelens.explain.cam import METHODS, CamMethod
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.yunet import YuNet
from fakelens.models.loading import load_model
from fakelens.models.onnx import OnnxModel
from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.models import Evidence, Model
from fakelens.records.trust import Ablation, Faithfulness, TrustMark
from fakelens.trust.ablation import select_rows
from fakelens.trust.faithfulness import measure_faithfulness
from training.yardstick.items import Item
from training.yardstick.sources import dfdc_crops

_GROUPS = 800
_RANDOM_MODELS = 20


def extract_crops(model: Model, items: Sequence[Item]) -> NDArray[np.uint8]:
    """Extract the model's crop of the first face of each item."""
    views = [item.views[0] for item in items]
    size = model.card.input_size
    areas = [crop_area(view.face, model.card.crop) for view in views]
    return np.stack(
        [extract_crop(view.picture, area, size) for view, area in zip(views, areas, strict=True)]
    )


def examine(model: Model, crops: NDArray[np.uint8]) -> Evidence:
    """Examine crops in batches."""
    parts = [model.examine(crops[at : at + 16]) for at in range(0, len(crops), 16)]
    return Evidence(
        np.concatenate([part.logit for part in parts]),
        np.concatenate([part.activation for part in parts]),
        np.concatenate([part.gradient for part in parts]),
    )


def test_each(
    model: Model, crops: NDArray[np.uint8], evidence: Evidence, maps: FloatArray, method: CamMethod
) -> Iterator[Faithfulness]:
    """Yield the faithfulness of each heatmap, tested on its face alone."""
    for row in range(len(crops)):
        one = slice(row, row + 1)
        found = measure_faithfulness(
            model, crops[one], select_rows(evidence, one), maps[one], method
        )
        if found is not None:
            yield found


def print_row(title: str, found: Sequence[Faithfulness]) -> None:
    """Print the shares of the marks and the quartiles of the effect."""
    marks = [each.mark for each in found]
    shares = " | ".join(f"{marks.count(mark) / len(marks):.0%}" for mark in TrustMark)
    low, middle, high = np.percentile([each.effect for each in found], [25, 50, 75])
    print(f"| {title} | {len(marks)} | {shares} | {middle:.2f} ({low:.2f} to {high:.2f}) |")


def other_heatmaps(maps: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Yield names and heatmaps that are not those of the face."""
    rng = np.random.default_rng(0)
    yield "its negative", -maps
    yield "noise", rng.normal(size=maps.shape).astype(np.float32)
    yield "a constant", np.ones_like(maps)
    yield "another face's", np.roll(maps, 1, axis=0)
    yield "the mean of all faces'", np.repeat(maps.mean(axis=0, keepdims=True), len(maps), axis=0)


def print_marks(model: Model, fakes: NDArray[np.uint8], max_faces: int) -> None:
    """Print the table of trust marks."""
    evidence = examine(model, fakes)
    rows = np.flatnonzero(sigmoid(evidence.logit) >= model.card.thresholds.fake)[:max_faces]
    crops, evidence = fakes[rows], select_rows(evidence, rows)
    card, method = model.card, METHODS[model.card.cam]
    maps = method.function(evidence)
    print(
        f"\n| {card.name}, {len(crops)} faces called fake | tests | {' | '.join(TrustMark)} |"
        " effect, median (quartiles) |"
    )
    print("|---" * (len(TrustMark) + 3) + "|")
    for name, other in METHODS.items():
        title = f"{other.title}{' (its own)' if name == card.cam else ''}"
        own = other.function(evidence)
        print_row(title, list(test_each(model, crops, evidence, own, other)))
    for title, others in other_heatmaps(maps):
        print_row(title, list(test_each(model, crops, evidence, others, method)))
    if not isinstance(model, OnnxModel):
        return
    few = slice(max(1, 10 * max_faces // _RANDOM_MODELS // 10))
    on_trained: list[Faithfulness] = []
    on_random: list[Faithfulness] = []
    for seed in tqdm(range(_RANDOM_MODELS), desc="random models", disable=None):
        random = model.randomised(seed)
        random_evidence = random.examine(crops[few])
        random_maps = method.function(random_evidence)
        on_trained += test_each(model, crops[few], select_rows(evidence, few), random_maps, method)
        on_random += test_each(random, crops[few], random_evidence, random_maps, method)
    print_row("random weights' heatmap, trained model", on_trained)
    print_row("random weights' heatmap, random model", on_random)


def print_ablations(model: Model, reals: NDArray[np.uint8]) -> None:
    """Print the table of ablations on real faces."""
    evidence = examine(model, reals)
    rows = np.flatnonzero(sigmoid(evidence.logit) <= model.card.thresholds.real)[:20]
    method = METHODS[model.card.cam]
    maps = method.function(evidence)
    print(
        f"\n| {model.card.name}, {len(rows)} real faces called real | drop of the logit, top "
        "fifth (quartiles) | random fifths |"
    )
    print("|---|---|---|")
    for ablation in get_args(Ablation):
        found = []
        for row in rows:
            one = slice(row, row + 1)
            tested = measure_faithfulness(
                model, reals[one], select_rows(evidence, one), maps[one], method, ablation
            )
            if tested is not None:
                found.append((tested.drop, tested.random_drop))
        low, middle, high = np.percentile(np.array(found)[:, 0], [25, 50, 75])
        random = np.median(np.array(found)[:, 1])
        print(f"| {ablation} | {middle:+.2f} ({low:+.2f} to {high:+.2f}) | {random:+.2f} |")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="names or files")
    parser.add_argument("--data", type=Path, required=True, help="folder of the development data")
    parser.add_argument("--tries", type=int, default=200, help="largest number of faces")
    options = parser.parse_args()
    items = list(dfdc_crops(options.data, YuNet(min_confidence=0.5), _GROUPS))
    for name in options.models:
        model = load_model(name)
        print_marks(model, extract_crops(model, [i for i in items if i.fake]), options.tries)
        print_ablations(model, extract_crops(model, [i for i in items if not i.fake][:400]))


if __name__ == "__main__":
    main()
