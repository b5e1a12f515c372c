"""Judge networks on labelled videos: one score per video, AUC with a bootstrap interval.

``python -m training.videos`` prints a table. Videos choose a recipe or a margin, they never train.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.special import logit
from tqdm import tqdm

from fakelens.benchmark.localisation import auc
from fakelens.crops import crop_area, cut
from fakelens.data import CropGeometry, Face, Network, NetworkCard, RGBImage, sigmoid
from fakelens.faces import YuNet
from fakelens.findings import trimmed_mean
from fakelens.networks import load_network
from fakelens.video import open_video
from training.evaluate import bootstrap_auc

_FRAMES = 15
"""Looked at per video, spread evenly."""

AGGREGATIONS: dict[str, Callable[[NDArray[np.float32]], float]] = {
    "trimmed mean": lambda logits: float(trimmed_mean(logits)),
    "mean": lambda logits: float(logits.mean()),
    "median": lambda logits: float(np.median(logits)),
    "top third": lambda logits: float(np.sort(logits)[-max(1, len(logits) // 3) :].mean()),
    "mean score": lambda logits: float(logit(sigmoid(logits.astype(np.float64)).mean())),
}
"""From the logits of one person's faces to that of the person; the first is fakelens' own."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled video of the manifest; ``group`` is shared by copies of one source clip."""

    path: Path
    fake: bool
    dataset: str
    group: str


def read_manifest(folder: Path, use: str) -> list[Clip]:
    """The labelled videos of ``manifest.csv`` whose column ``use`` says so."""
    with (folder / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Clip(folder / row["path"], row["label"] == "fake", row["dataset"], row["group"])
        for row in rows
        if row["use"] == use and row["label"] in {"real", "fake"}
    ]


def largest_faces(path: Path) -> list[tuple[RGBImage, Face]]:
    """The largest face of each of some frames, with the frame; frames without a face left out."""
    detector = YuNet()
    found = []
    with open_video(path) as reader:
        every = max(1, (reader.info.frame_estimate or _FRAMES) // _FRAMES)
        for frame in reader.frames(every=every):
            faces = detector.detect([frame.image])[0]
            if faces:
                largest = max(faces, key=lambda face: face.box.width * face.box.height)
                found.append((frame.image, largest))
    return found


def face_logits(
    networks: Sequence[Network], scales: Sequence[float | None], clips: Sequence[Clip]
) -> list[NDArray[np.float32]]:
    """Logits of each clip's faces: one array (networks, scales, faces) float32 per clip.

    Args:
        networks: to be judged.
        scales: margins, as the crop's side over the longer side of YuNet's box; ``None`` is the
            crop that a network asks for.
        clips: videos; one without a face gives an array without faces.
    """
    logits = []
    for clip in tqdm(clips, desc="clips", disable=None):
        faces = largest_faces(clip.path)
        found = np.empty((len(networks), len(scales), len(faces)), np.float32)
        for row, network in enumerate(networks):
            for layer, scale in enumerate(scales) if faces else ():
                crop = network.card.crop if scale is None else CropGeometry("box", scale)
                size = network.card.input_size
                crops = [cut(image, crop_area(face, crop), size) for image, face in faces]
                found[row, layer] = network.examine(np.stack(crops)).logit
        logits.append(found)
    return logits


def main(
    networks: Annotated[list[str], typer.Argument(help="names or files")],
    data: Annotated[Path, typer.Option(help="folder of manifest.csv")],
    use: Annotated[str, typer.Option(help="which clips: choose or test")] = "choose",
    scale: Annotated[list[float] | None, typer.Option(help="margin; repeatable")] = None,
    aggregations: Annotated[bool, typer.Option(help="compare ways from faces to a person")] = False,
) -> None:
    """Print video AUCs, all clips together and by data set, and the score of each clip."""
    clips = read_manifest(data, use)
    scales: list[float | None] = [None, *(scale or [])]
    loaded = [load_network(name) for name in networks]
    logits = face_logits(loaded, scales, clips)
    for clip, faces in zip(clips, logits, strict=True):
        if not faces.size:
            typer.echo(f"no face found, left out: {clip.path.name}")
    clips = [clip for clip, faces in zip(clips, logits, strict=True) if faces.size]
    logits = [faces for faces in logits if faces.size]
    parts = _by_dataset(clips)
    ways = list(AGGREGATIONS) if aggregations else list(AGGREGATIONS)[:1]
    for row, name in enumerate(networks):
        for way in ways:
            persons = np.array(
                [[AGGREGATIONS[way](layer) for layer in faces[row]] for faces in logits]
            )
            for layer, margin in enumerate(scales):
                typer.echo(f"{Path(name).name}, margin {margin or 'its own'}, {way}:")
                for part, rows in parts.items():
                    line = _auc_line([clips[index] for index in rows], persons[rows, layer])
                    typer.echo(f"  {part:24} {line}")
            if way == ways[0]:
                _echo_verdicts(clips, persons[:, 0], loaded[row].card)
                for clip, person in zip(clips, persons[:, 0], strict=True):
                    label = "fake" if clip.fake else "real"
                    typer.echo(f"  {label} {sigmoid(float(person)):.2f} {clip.path.name}")


def likelihood_ratio_cost(logits: NDArray[np.floating], fake: NDArray[np.bool_]) -> float:
    """What likelihood ratios are worth, in bits: 0 all true, 1 as good as none, more misleads.

    Cllr of Bruemmer & du Preez, "Application-independent evaluation of speaker detection", 2006.

    Args:
        logits: (N,) natural logarithms of the ratios, fake over real.
        fake: (N,) labels.
    """
    bits = np.logaddexp(0, np.where(fake, -logits, logits)) / np.log(2)
    return float(0.5 * (bits[fake].mean() + bits[~fake].mean()))


def _by_dataset(clips: Sequence[Clip]) -> dict[str, list[int]]:
    """Row numbers of all clips and of each data set with both labels."""
    parts = defaultdict(list, {"all": list(range(len(clips)))})
    for row, clip in enumerate(clips):
        parts[clip.dataset.split(" (")[0].split(" c23")[0]].append(row)
    return {
        name: rows for name, rows in parts.items() if len({clips[row].fake for row in rows}) == 2
    }


def _auc_line(clips: Sequence[Clip], logits: NDArray[np.floating]) -> str:
    fake = np.array([clip.fake for clip in clips])
    low, high = bootstrap_auc(logits, fake, [clip.group for clip in clips])
    value = auc(logits[~fake], logits[fake])
    return f"AUC {value:.2f} ({low:.2f}-{high:.2f})  {(~fake).sum()} real, {fake.sum()} fake"


def _echo_verdicts(clips: Sequence[Clip], logits: NDArray[np.floating], card: NetworkCard) -> None:
    """By the score of all faces; ``fakelens analyze`` leaves poor ones out, says inconclusive where
    its interval is wide, and gives no ratio where it has seen little."""
    thresholds, scores = card.thresholds, sigmoid(logits.astype(np.float64))
    fake = np.array([clip.fake for clip in clips])
    for label, rows in (("real", ~fake), ("fake", fake)):
        typer.echo(
            f"  of {rows.sum()} {label}: likely fake {(scores[rows] >= thresholds.fake).sum()}, "
            f"likely real {(scores[rows] <= thresholds.real).sum()}; "
            f"score quartiles {np.percentile(scores[rows], [25, 50, 75]).round(2).tolist()}"
        )
    if card.calibration is not None:
        most = card.calibration.limit * np.log(10)
        cost = likelihood_ratio_cost(np.clip(logits, -most, most), fake)
        typer.echo(f"  likelihood ratios: Cllr {cost:.2f} (0 all true, 1 worth nothing)")


if __name__ == "__main__":
    typer.run(main)
