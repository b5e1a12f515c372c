"""Quantize and calibrate a state and write the model's file: ``python -m training.export``."""

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
from fakelens.records.faces import CropGeometry
from fakelens.records.models import ModelCard, Thresholds
from training.augment import AugmentSettings, Chance, make_batch
from training.calibration import Scored, choose_thresholds, describe, platt
from training.faces.bank import load_bank
from training.network import PatchNet, load_state
from training.objective import REAL
from training.onnx_graph import LAYER, build_graph, calibrate
from training.quantize import quantized
from training.yardstick.items import Item, read_items
from training.yardstick.scoring import Scorer, face_logits

SIZE = 256
"""Side of the crops, pixels."""
SMALLEST_FACE = 80.0
"""Pixels: on narrower faces the pilot network was at chance, on a set of clips kept apart."""
TOLERANCE = 5e-2
"""Of the self-test: answers by integers, by floating point in their place, and with other roundings
in between differ."""
_RANGED = 32
_AT_ONCE = 16
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
    """The model's card, not calibrated yet.

    Args:
        scale: margin, the crop's side over the longer side of YuNet's box.
        trained_on: data and runs, in words.
    """
    return ModelCard(
        name="fakelens-patch",
        version="4",
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


def ranging_crops(data: Path, names: Sequence[str]) -> NDArray[np.uint8]:
    """Training crops, from which the ranges of integers are taken: (N, 256, 256, 3) uint8 RGB.

    Args:
        data: folder of packed faces.
        names: of the packed folders; one with surroundings first, see ``training.recipe``.
    """
    crops, surroundings = [], None
    for name in names:
        bank = load_bank(data, name, "train", "cpu", _RANGED)
        for start in range(0, len(bank), _AT_ONCE):
            rows = torch.arange(start, min(start + _AT_ONCE, len(bank)))
            chance = Chance(0, "cpu", start)
            batch = make_batch(bank, rows, AugmentSettings(size=SIZE), chance, surroundings)
            crops.append((batch.crops.flatten(0, 1) * 255).round().byte())
            if bank.surrounded:
                surroundings = batch.crops[REAL]
    return torch.cat(crops).movedim(1, -1).contiguous().numpy()


def build(model: PatchNet, crops: NDArray[np.uint8]) -> onnx.ModelProto:
    """The graph with a trunk in integers; ``crops`` (N, S, S, 3) uint8 RGB give their ranges."""
    graph, kept = build_graph(model, SIZE)
    return quantized(graph, crops, kept)


def person_logits(network: OnnxModel, items: Sequence[Item]) -> list[float]:
    """The mean logit of each item's faces, as the model wants them cut."""
    card = network.card
    scorer = Scorer(lambda crops: network.examine(crops).logit, card.input_size, card.crop, 0.0)
    return [float(logits.mean()) for logits in face_logits(scorer, items, card.crop)]


def main(
    state: Annotated[Path, typer.Argument(help="state file of the model")],
    data: Annotated[Path, typer.Option(help="folder of packed faces")],
    yardstick: Annotated[Path, typer.Option(help="set of training.yardstick.build")],
    scale: Annotated[float, typer.Option(help="margin: crop side over YuNet's longer box side")],
    trained_on: Annotated[str, typer.Option(help="data and runs, for the card")],
    output: Annotated[Path, typer.Option(help="the .onnx file")],
    faces: Annotated[list[str], typer.Option(help="packed folders, for the ranges")] = [  # noqa: B006
        "real_faces",
        "dfdc_crops",
    ],
) -> None:
    """Quantize a model, calibrate it on the yardstick's persons and write its file."""
    model = load_state(state)
    card = make_card(scale, trained_on)
    graph = build(model, ranging_crops(data, faces))
    network = OnnxModel(graph.SerializeToString(), card, "", layout="blocked")
    items = read_items(yardstick)
    persons = Scored.of(items, person_logits(network, items))
    factor, offset = platt(persons)
    persons = persons.scaled(factor, offset)
    card = replace(
        card,
        thresholds=choose_thresholds(persons),
        calibration=describe(persons, factor, offset),
    )
    calibrate(graph, factor, offset)
    save_evidence_model(graph, card, output, layout="blocked", tolerance=TOLERANCE)
    typer.echo(f"calibration: {card.calibration}")
    typer.echo(f"thresholds: {card.thresholds}")
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    typer.run(main)
