"""Quantize and calibrate a state and write the model file: ``python -m training.export``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import typer
from numpy.typing import NDArray

from fakelens.models.onnx import OnnxModel, save_evidence_model
from fakelens.models.quantize import quantized
from fakelens.records.faces import CropGeometry
from fakelens.records.models import ModelCard, Thresholds
from training.augment import AugmentSettings, BatchRng, make_batch
from training.calibration import (
    ScoredPersons,
    build_calibration,
    choose_thresholds,
    fit_platt,
    is_person,
    is_visible,
)
from training.faces.bank import load_bank
from training.network import PatchNet, load_state
from training.objective import REAL
from training.onnx_graph import LAYER, build_graph, calibrate
from training.yardstick.items import Item, read_items
from training.yardstick.scoring import Scorer, face_logits

SIZE = 256
"""Side of the model's input, pixels."""
SMALLEST_FACE = 80.0
"""Pixels. On narrower faces, the pilot runs were at chance level on a separate set of clips."""
TOLERANCE = 5e-2
"""Tolerance of the self-test: runtimes round integers differently, or compute in floating point."""
_FACES_PER_BANK = 32
_BATCH = 16
_LIMITS = (
    "A score is evidence, not proof.",
    "Other people, cameras and forgeries than those it was trained on can be judged wrongly, also "
    "with a high score.",
    "It sees single faces, neither motion nor sound, and cannot know forgeries without blending, "
    "such as wholly generated faces and talking heads.",
    "Lip-sync and expression transfer are mostly missed.",
    "Strong compression, blur, darkness and faces under 80 pixels hide what it looks for.",
)


def make_card(scale: float, trained_on: str) -> ModelCard:
    """Make the model card, without calibration.

    Args:
        scale: margin: side of the crop relative to the longer side of YuNet's box.
        trained_on: training data and runs, in words.
    """
    return ModelCard(
        name="fakelens-patch",
        version="5",
        description="EfficientNet-Lite2, in 8-bit integers, and one map of evidence whose mean is "
        "the logit, trained on blends of genuine faces of many origins and on DFDC fakes.",
        licence="Apache-2.0 (the weights; the data they were trained on has research terms)",
        source="training/ in the fakelens repository; trunk: Tan and Le, ICML 2019, Lite variant, "
        "ImageNet weights; patch networks: Chai et al., ECCV 2020; blends: Shiohara and Yamasaki, "
        "CVPR 2022, and Li et al., CVPR 2020",
        input_size=SIZE,
        crop=CropGeometry("box", scale),
        layer=LAYER,
        cam="hirescam",
        polarity="one logit, positive = fake",
        thresholds=Thresholds(0.5, 0.5, "not calibrated"),
        trained_on=trained_on,
        limits=_LIMITS,
        smallest_face=SMALLEST_FACE,
    )


def quantization_crops(data: Path, names: Sequence[str]) -> NDArray[np.uint8]:
    """Make training crops, from which quantization takes the ranges of values.

    Args:
        data: folder of packed faces.
        names: names of the packed folders; one with surroundings first, see ``training.recipe``.

    Returns:
        (N, 256, 256, 3) uint8 RGB.
    """
    crops, surroundings = [], None
    for name in names:
        bank = load_bank(data, name, "train", "cpu", _FACES_PER_BANK)
        for start in range(0, len(bank), _BATCH):
            rows = torch.arange(start, min(start + _BATCH, len(bank)))
            rng = BatchRng(0, "cpu", start)
            batch = make_batch(bank, rows, AugmentSettings(size=SIZE), rng, surroundings)
            crops.append((batch.crops.flatten(0, 1) * 255).round().byte())
            if bank.has_surroundings:
                surroundings = batch.crops[REAL]
    return torch.cat(crops).movedim(1, -1).contiguous().numpy()


def build_quantized(network: PatchNet, crops: NDArray[np.uint8]) -> onnx.ModelProto:
    """Build the graph with a quantized trunk; ``crops`` (N, S, S, 3) uint8 RGB set the ranges."""
    graph, kept = build_graph(network, SIZE)
    return quantized(graph, crops, kept)


def person_logits(model: OnnxModel, items: Sequence[Item]) -> list[float]:
    """Compute the mean logit of each item's faces, with the model's own crop geometry."""
    card = model.card
    scorer = Scorer(lambda crops: model.examine(crops).logit, card.input_size, card.crop, 0.0)
    return [float(logits.mean()) for logits in face_logits(scorer, items, card.crop)]


def main(
    state: Annotated[Path, typer.Argument(help="State file of the network.")],
    data: Annotated[Path, typer.Option(help="Folder of packed faces.")],
    yardstick: Annotated[Path, typer.Option(help="Folder of the yardstick set.")],
    scale: Annotated[float, typer.Option(help="Margin: crop side / longer side of YuNet's box.")],
    trained_on: Annotated[str, typer.Option(help="Training data and runs, for the model card.")],
    output: Annotated[Path, typer.Option(help="Model file to write, .onnx.")],
    faces: Annotated[
        list[str], typer.Option(help="Packed folder to take value ranges from; repeatable.")
    ] = [  # noqa: B006
        "real_faces",
        "dfdc_crops",
    ],
) -> None:
    """Quantize a network, calibrate it on the yardstick and write the model file."""
    network = load_state(state)
    card = make_card(scale, trained_on)
    graph = build_quantized(network, quantization_crops(data, faces))
    model = OnnxModel(graph.SerializeToString(), card, "", layout="blocked")
    items = [item for item in read_items(yardstick) if is_person(item)]
    logits = person_logits(model, items)
    persons = ScoredPersons.from_items(items, logits)
    factor, offset = fit_platt(persons)
    persons = persons.scaled(factor, offset)
    pairs = [pair for pair in zip(items, logits, strict=True) if is_visible(pair[0])]
    visible = ScoredPersons.from_items(*zip(*pairs, strict=True)).scaled(factor, offset)
    card = replace(
        card,
        thresholds=choose_thresholds(visible),
        calibration=build_calibration(persons, factor, offset),
    )
    calibrate(graph, factor, offset)
    save_evidence_model(graph, card, output, layout="blocked", tolerance=TOLERANCE)
    typer.echo(f"calibration: {card.calibration}")
    typer.echo(f"thresholds: {card.thresholds}")
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
