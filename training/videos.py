"""Judge networks on labelled videos: one score per video, AUC with a bootstrap interval.

``python -m training.videos`` prints a table. Videos choose a recipe or a margin, they never train.
"""

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from fakelens.crops import crop_area, cut
from fakelens.data import CropGeometry, Face, Network, RGBImage, Thresholds
from fakelens.faces import YuNet
from fakelens.networks import load_network
from fakelens.video import open_video
from training.evaluate import auc, bootstrap_auc

_FRAMES = 15
"""Looked at per video, spread evenly."""


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


def video_logits(
    networks: Sequence[Network], scales: Sequence[float | None], clips: Sequence[Clip]
) -> NDArray[np.float32]:
    """Mean logit over the faces: (clips, networks, scales) float32, NaN without a face.

    Args:
        networks: to be judged.
        scales: margins, as the crop's side over the longer side of YuNet's box; ``None`` is the
            crop that a network asks for.
        clips: videos.
    """
    logits = np.full((len(clips), len(networks), len(scales)), np.nan, np.float32)
    for row, clip in enumerate(clips):
        faces = largest_faces(clip.path)
        if not faces:
            continue
        for column, network in enumerate(networks):
            for layer, scale in enumerate(scales):
                crop = network.card.crop if scale is None else CropGeometry("box", scale)
                size = network.card.input_size
                crops = [cut(image, crop_area(face, crop), size) for image, face in faces]
                logits[row, column, layer] = network.examine(np.stack(crops)).logit.mean()
    return logits


def main(
    networks: Annotated[list[str], typer.Argument(help="names or files")],
    data: Annotated[Path, typer.Option(help="folder of manifest.csv")],
    use: Annotated[str, typer.Option(help="which clips: choose or test")] = "choose",
    scale: Annotated[list[float] | None, typer.Option(help="margin; repeatable")] = None,
) -> None:
    """Print video AUCs, all clips together and by data set."""
    clips = read_manifest(data, use)
    scales: list[float | None] = [None, *(scale or [])]
    loaded = [load_network(name) for name in networks]
    logits = video_logits(loaded, scales, clips)
    seen = ~np.isnan(logits[:, 0, 0])
    for clip in (clip for clip, face in zip(clips, seen, strict=True) if not face):
        typer.echo(f"no face found, left out: {clip.path.name}")
    clips = [clip for clip, face in zip(clips, seen, strict=True) if face]
    logits = logits[seen]
    parts = _by_dataset(clips)
    for column, name in enumerate(networks):
        for layer, margin in enumerate(scales):
            typer.echo(f"{Path(name).name}, margin {margin or 'its own'}:")
            for part, rows in parts.items():
                line = _auc_line([clips[row] for row in rows], logits[rows, column, layer])
                typer.echo(f"  {part:24} {line}")
        _echo_verdicts(clips, logits[:, column, 0], loaded[column].card.thresholds)


def _by_dataset(clips: Sequence[Clip]) -> dict[str, list[int]]:
    """Row numbers of all clips and of each data set with both labels."""
    parts = defaultdict(list, {"all": list(range(len(clips)))})
    for row, clip in enumerate(clips):
        parts[clip.dataset.split(" (")[0].split(" c23")[0]].append(row)
    return {
        name: rows for name, rows in parts.items() if len({clips[row].fake for row in rows}) == 2
    }


def _auc_line(clips: Sequence[Clip], logits: NDArray[np.float32]) -> str:
    fake = np.array([clip.fake for clip in clips])
    low, high = bootstrap_auc(logits, fake, [clip.group for clip in clips])
    value = auc(logits[~fake], logits[fake])
    return f"AUC {value:.2f} ({low:.2f}-{high:.2f})  {(~fake).sum()} real, {fake.sum()} fake"


def _echo_verdicts(
    clips: Sequence[Clip], logits: NDArray[np.float32], thresholds: Thresholds
) -> None:
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    fake = np.array([clip.fake for clip in clips])
    for label, rows in (("real", ~fake), ("fake", fake)):
        typer.echo(
            f"  of {rows.sum()} {label}: likely fake {(scores[rows] >= thresholds.fake).sum()}, "
            f"likely real {(scores[rows] <= thresholds.real).sum()}; "
            f"score quartiles {np.percentile(scores[rows], [25, 50, 75]).round(2).tolist()}"
        )


if __name__ == "__main__":
    typer.run(main)
