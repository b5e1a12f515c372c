"""Calibrate a trained network and write its file: ``python -m training.export``."""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from fakelens.data import CropGeometry, NetworkCard, Thresholds
from fakelens.networks.graph import LAYER, MesoWeights, build_graph
from fakelens.networks.onnx import save_evidence_network
from training.data import load_pairs
from training.evaluate import crop_logits
from training.model import MesoInception4, to_tensors
from training.train import Run

FALSE_ALARMS = 0.05
"""Share of real validation crops above the threshold of *likely fake*."""
MISSES = 0.1
"""Share of fake validation crops below the threshold of *likely real*."""


def calibrate(logits: NDArray[np.float32]) -> tuple[float, float]:
    """Platt's scale and offset (Platt 1999): ``sigmoid(scale * logit + offset)`` is the chance of
    a fake where half of the crops are real and the fakes are half self-blends, half DFDC's.

    Args:
        logits: (N, 3) of real crops, self-blends and DFDC fakes.
    """
    labels = np.tile([0, 1, 1], len(logits))
    weights = np.tile([1.0, 0.5, 0.5], len(logits))
    platt = LogisticRegression(C=1e6).fit(logits.reshape(-1, 1), labels, weights)
    return float(platt.coef_[0, 0]), float(platt.intercept_[0])


def fold_in(model: MesoInception4, scale: float, offset: float) -> None:
    """Make the model's logit ``scale * logit + offset``."""
    with torch.no_grad():
        model.dense2.weight.mul_(scale)
        model.dense2.bias.mul_(scale).add_(offset)


def choose_thresholds(logits: NDArray[np.float32]) -> Thresholds:
    """Thresholds from the error rates on calibrated logits (N, 3), see :func:`calibrate`."""
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    fake = float(np.quantile(scores[:, 0], 1 - FALSE_ALARMS))
    real = min(fake, float(np.quantile(scores[:, 1:], MISSES)))
    missed = float((scores[:, 1:] < real).mean())
    caught = float((scores[:, 1:] >= fake).mean())
    cleared = float((scores[:, 0] <= real).mean())
    source = (
        f"{len(logits)} real DFDC crops, as many self-blends and as many DFDC fakes of groups kept "
        f"apart from training, one crop each: {FALSE_ALARMS:.0%} of the real ones are called fake, "
        f"{caught:.0%} of the fakes are; {missed:.0%} of the fakes are called real, {cleared:.0%} "
        "of the real ones are; the score is the chance of a fake where half of the crops are real. "
        "On other material these rates do not hold"
    )
    return Thresholds(round(fake, 3), round(real, 3), source)


def make_card(scale: float, thresholds: Thresholds, run: Run) -> NetworkCard:
    """The card of ``fakelens-meso``."""
    return NetworkCard(
        name="fakelens-meso",
        version="1",
        description="MesoInception4, started from the published weights, trained on self-blended "
        "images and DFDC fakes.",
        licence="Apache-2.0 (the weights; the data they were trained on has research terms)",
        source="training/ in the fakelens repository; started from MesoInception_DF.h5 of Afchar "
        "et al., WIFS 2018 (github.com/DariusAf/MesoNet, Apache-2.0); self-blended images: "
        "Shiohara and Yamasaki, CVPR 2022",
        input_size=256,
        crop=CropGeometry("box", scale),
        layer=LAYER,
        cam="hirescam",
        polarity="one logit, positive = fake",
        thresholds=thresholds,
        trained_on="7,700 real face crops of DFDC (Dolhansky et al., 2020), one DFDC fake for each "
        f"and self-blends of the real ones, {run.step} steps of {run.recipe.triples} triples; "
        "before that, by its first authors, faces of 175 forged videos and of real ones from the "
        "web",
        limits=(
            "A score is evidence, not proof.",
            "It is a weak detector: of the fakes it was measured on, it is sure of few.",
            "Other people, cameras and forgeries than those it was trained on can be judged "
            "wrongly, also with a high score.",
            "It sees single faces, neither motion nor sound, and cannot know forgeries without "
            "blending, such as wholly generated faces.",
            "Strong compression, blur, darkness and small faces hide what it looks for.",
        ),
    )


def main(
    name: Annotated[str, typer.Argument(help="of the run")],
    data: Annotated[Path, typer.Option(help="folder of index.csv and the shards")],
    scale: Annotated[float, typer.Option(help="margin: crop side over YuNet's longer box side")],
    output: Annotated[Path, typer.Option(help="the .onnx file")],
) -> None:
    """Calibrate the network of a run on the validation split and write it."""
    runs = Path(__file__).parent / "runs"
    run = Run.load(runs / name / "run.pt")
    model = run.model
    validation = load_pairs(data, "val", runs / "faces-val.npz")
    logits = crop_logits(model.score, validation, scale)
    factor, offset = calibrate(logits)
    fold_in(model, factor, offset)
    thresholds = choose_thresholds(factor * logits + offset)
    card = make_card(scale, thresholds, run)
    weights = MesoWeights("mesoinception4", to_tensors(model))
    save_evidence_network(build_graph(weights), card, output)
    typer.echo(f"calibration: {factor:.3f} * logit {offset:+.3f}; {thresholds}")
    typer.echo(f"{output}: {output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
