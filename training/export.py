"""Calibrate a trained network and write its file: ``python -m training.export``."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import typer
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from fakelens.data import (
    Calibration,
    CalibrationBin,
    CropGeometry,
    FloatArray,
    NetworkCard,
    Thresholds,
    sigmoid,
)
from fakelens.networks.graph import LAYER as MESO_LAYER
from fakelens.networks.graph import MesoWeights, build_graph
from fakelens.networks.onnx import Layout, OnnxNetwork, save_evidence_network
from training.data import load_pairs
from training.evaluate import crop_logits
from training.mesoinception import MesoInception4, to_tensors
from training.patchnet import PatchNet
from training.patchnet_graph import LAYER as PATCH_LAYER
from training.patchnet_graph import build_patchnet
from training.quantize import quantized
from training.train import Run

FALSE_ALARMS = 0.05
"""Share of real validation crops above the threshold of *likely fake*."""
MISSES = 0.1
"""Share of fake validation crops below the threshold of *likely real*."""
RANGED = 100
"""Training groups from which the ranges of integers are taken."""
TOLERANCE = 5e-2
"""Of the self-test. Answers by integers, by floating point in their place, and with other roundings
in between were seen to be up to 0.011 apart."""
BINS = 10
"""Of the score, in the table of what became of it."""


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


def fold_in(model: PatchNet | MesoInception4, scale: float, offset: float) -> None:
    """Make the model's logit ``scale * logit + offset``; every cell of a patch network likewise."""
    last = model.evidence if isinstance(model, PatchNet) else model.dense2
    with torch.no_grad():
        last.weight.mul_(scale)
        last.bias.mul_(scale).add_(offset)
        if isinstance(model, PatchNet):
            model.contrast.weight.mul_(scale)


def choose_thresholds(logits: NDArray[np.float32]) -> Thresholds:
    """Thresholds from the error rates on calibrated logits (N, 3), see :func:`calibrate`."""
    scores = sigmoid(logits.astype(np.float64))
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


def supported_limit(logits: NDArray[np.floating]) -> float:
    """The largest log10 likelihood ratio, fake over real, that so few crops bear out; either way.

    To go by a ratio of at least t must not be worse than to know nothing, even if one more group
    misled: the hits have to be t times as frequent as the false alarms. The limit is the first t,
    from 1 outwards, for which they are not (the empirical lower and upper bounds of Vergeer et
    al., "Numerical likelihood ratios outputted by LR systems are often based on extrapolation: when
    to stop extrapolating?", Science & Justice 2016).

    Args:
        logits: (N, 3) calibrated, of the real crop and two fakes of each group.
    """
    real, fakes = logits[:, :1], logits[:, 1:]
    return min(_borne_out(fakes, real), _borne_out(-real, -fakes)) / math.log(10)


def _borne_out(right: NDArray[np.floating], wrong: NDArray[np.floating]) -> float:
    """The limit on one side, as a natural logarithm.

    Args:
        right: (N, kinds) logarithms of ratios that should be high.
        wrong: (N, kinds) of those that should not.
    """
    # Between two neighbours of these the rates stay the same.
    steps = np.unique(np.concatenate([right.ravel(), wrong.ravel()]))
    steps = steps[(steps > 0) & (steps <= right.max())]
    hits = (right.size - np.searchsorted(np.sort(right.ravel()), steps)) / right.size
    alarms = wrong.size - np.searchsorted(np.sort(wrong.ravel()), steps) + wrong.shape[1]
    bounds = np.log(hits / (alarms / (wrong.size + wrong.shape[1])))
    failing = np.flatnonzero(bounds < steps)
    if len(failing) == 0:
        return float(steps[-1]) if len(steps) else 0.0
    first = failing[0]
    return max(float(bounds[first]), float(steps[first - 1]) if first else 0.0)


def describe_calibration(logits: NDArray[np.float32], factor: float, offset: float) -> Calibration:
    """What calibrated logits (N, 3), see :func:`calibrate`, are worth.

    Args:
        logits: calibrated.
        factor: that made them so.
        offset: likewise.
    """
    scores = sigmoid(logits.astype(np.float64).ravel())
    fake = np.tile([False, True, True], len(logits))
    weights = np.tile([1.0, 0.5, 0.5], len(logits))
    numbers = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = tuple(
        CalibrationBin(
            round(float(np.average(scores[here], weights=weights[here])), 3),
            round(float(np.average(fake[here], weights=weights[here])), 3),
            int(here.sum()),
        )
        for number in range(BINS)
        if (here := numbers == number).any()
    )
    return Calibration(
        method=f"logistic (Platt 1999): {factor:.4f} * logit {offset:+.4f}, folded into the file",
        data=f"{len(logits)} real DFDC crops, a self-blend and a DFDC fake of each, of groups kept "
        "apart from training; other material can be worth less",
        limit=math.floor(100 * supported_limit(logits)) / 100,
        bins=bins,
    )


_LIMITS = (
    "A score is evidence, not proof.",
    "Other people, cameras and forgeries than those it was trained on can be judged wrongly, also "
    "with a high score.",
    "It sees single faces, neither motion nor sound, and cannot know forgeries without blending, "
    "such as wholly generated faces and talking heads.",
    "Strong compression, blur, darkness and small faces hide what it looks for.",
)
_DATA = (
    "7,700 real face crops of DFDC (Dolhansky et al., 2020), one DFDC fake for each, and blends "
    "made from the real ones and the fakes; {steps} steps of {samples} times four crops"
)


def make_card(scale: float, run: Run) -> NetworkCard:
    """The card of a run's network, not calibrated yet.

    Args:
        scale: margin, the crop's side over the longer side of YuNet's box.
        run: finished.
    """
    data = _DATA.format(steps=run.step, samples=run.recipe.samples)
    blends = "blends: Shiohara and Yamasaki, CVPR 2022, and Li et al., CVPR 2020"
    card = NetworkCard(
        name="fakelens-patch",
        version="3",
        description="EfficientNet-Lite0's trunk, in 8-bit integers, and one map of "
        "evidence whose mean is the logit, trained on blended faces and DFDC fakes.",
        licence="Apache-2.0 (the weights; the data they were trained on has research terms)",
        source="training/ in the fakelens repository; trunk: Tan and Le, ICML 2019, Lite "
        f"variant, ImageNet weights; patch networks: Chai et al., ECCV 2020; {blends}",
        input_size=run.model.input_size,
        crop=CropGeometry("box", scale),
        layer=PATCH_LAYER,
        cam="hirescam",
        polarity="one logit, positive = fake",
        thresholds=Thresholds(0.5, 0.5, "not calibrated"),
        trained_on=f"{data}; before that, {run.recipe.start}",
        limits=_LIMITS,
    )
    if isinstance(run.model, PatchNet):
        return card
    return replace(
        card,
        name="fakelens-meso",
        description="MesoInception4, started from the published weights, trained on blended faces "
        "and DFDC fakes.",
        source="training/ in the fakelens repository; started from MesoInception_DF.h5 of Afchar "
        f"et al., WIFS 2018 (github.com/DariusAf/MesoNet, Apache-2.0); {blends}",
        layer=MESO_LAYER,
        trained_on=f"{data}; before that, by its first authors, faces of 175 forged videos and of "
        "real ones from the web",
        limits=(
            *_LIMITS,
            "It is a weak detector: of the fakes it was measured on, it is sure of few.",
        ),
    )


def build(
    model: PatchNet | MesoInception4, crops: NDArray[np.uint8]
) -> tuple[onnx.ModelProto, Layout]:
    """The model's graph and the layout that suits it.

    Args:
        model: a patch network's trunk will be in integers.
        crops: (N, S, S, 3) uint8 RGB, which their ranges are taken from.
    """
    if isinstance(model, PatchNet):
        graph, head = build_patchnet(model)
        return quantized(graph, crops, kept=head), "blocked"
    return build_graph(MesoWeights("mesoinception4", to_tensors(model))), "plain"


def _training_crops(data: Path, runs: Path, size: int, scale: float) -> NDArray[np.uint8]:
    """Real crops, self-blends and DFDC fakes of the training split, degraded by turns."""
    seen = []

    def see(crops: NDArray[np.uint8]) -> FloatArray:
        seen.append(crops)
        return np.zeros(len(crops), np.float32)

    pairs = load_pairs(data, "train", runs / "faces-train.npz")
    crop_logits(see, pairs[:: max(1, len(pairs) // RANGED)], size, scale)
    return np.concatenate(seen)


def main(
    name: Annotated[str, typer.Argument(help="of the run")],
    data: Annotated[Path, typer.Option(help="folder of index.csv and the shards")],
    scale: Annotated[float, typer.Option(help="margin: crop side over YuNet's longer box side")],
    output: Annotated[Path, typer.Option(help="the .onnx file")],
) -> None:
    """Calibrate the network of a run on the validation split and write it."""
    runs = Path(__file__).parent / "runs"
    run = Run.load(runs / name / "run.pt")
    model = run.averaged.eval()
    card = make_card(scale, run)
    ranging = _training_crops(data, runs, model.input_size, scale)
    graph, layout = build(model, ranging)
    network = OnnxNetwork(graph.SerializeToString(), card, "", layout=layout)

    def score(crops: NDArray[np.uint8]) -> FloatArray:
        return network.examine(crops).logit

    validation = load_pairs(data, "val", runs / "faces-val.npz")
    logits = crop_logits(score, validation, model.input_size, scale)
    factor, offset = calibrate(logits)
    fold_in(model, factor, offset)
    logits = factor * logits + offset
    card = replace(
        card,
        thresholds=choose_thresholds(logits),
        calibration=describe_calibration(logits, factor, offset),
    )
    graph, layout = build(model, ranging)  # the same, but for what was folded into the head
    save_evidence_network(graph, card, output, layout=layout, tolerance=TOLERANCE)
    typer.echo(f"calibration: {card.calibration}")
    typer.echo(f"thresholds: {card.thresholds}")
    typer.echo(f"{output}: {output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
