"""What a score hangs on that should not matter: ``python -m training.sensitivity``.

The same faces of labelled videos are cut with another margin, shifted, compressed once more, and
shown with less resolution. Printed and plotted: how well the scores still tell fakes from real
videos, and how far they move.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import cv2
import numpy as np
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.models.loading import load_model
from fakelens.records.arrays import RGBImage, sigmoid
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.models import Model, ModelCard
from training.codecs import as_video
from training.videos import largest_faces, read_manifest
from training.yardstick.figures import bootstrap

_FRAMES = 8
# What is kept of a frame, over the longer side of the face's box: more than any crop shows.
_KEPT = 2.4

Crops: TypeAlias = list[NDArray[np.uint8] | None]


def with_margin(image: RGBImage, face: Face, card: ModelCard, margin: float) -> Crops:
    """A crop around the face's box, of ``margin`` times its longer side."""
    return [extract_crop(image, crop_area(face, CropGeometry("box", margin)), card.input_size)]


def shifted(image: RGBImage, face: Face, card: ModelCard, part: float) -> Crops:
    """The model's crop moved by a part of the box's longer side: left, right, up, down."""
    area, step = crop_area(face, card.crop), part * _longer_side(face)
    return [
        extract_crop(
            image, Box(area.x1 + x, area.y1 + y, area.x2 + x, area.y2 + y), card.input_size
        )
        for x, y in ((-step, 0), (step, 0), (0, -step), (0, step))
    ]


def recompressed(image: RGBImage, face: Face, card: ModelCard, crf: float) -> Crops:
    """The model's crop after H.264; see ``as_video``."""
    return [_own_crop(as_video(image, int(crf)), face, card)]


def reduced(image: RGBImage, face: Face, card: ModelCard, pixels: float) -> Crops:
    """The model's crop after the box's longer side was brought down to some pixels and back.

    ``None`` where it has no more than that.
    """
    factor = pixels / _longer_side(face)
    if factor >= 1:
        return [None]
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return [_own_crop(back.astype(np.uint8, copy=False), face, card)]


@dataclass(frozen=True, slots=True)
class Sweep:
    """One thing that is altered, level by level.

    Attributes:
        name: short.
        unit: of the levels, in words.
        levels: values.
        alter: from a picture of even height and width, the face in it, the model's card and a
            level to crops, (input_size, input_size, 3) uint8 RGB, that count alike; ``None`` for
            one that would not be altered.
        crops: how many ``alter`` gives.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    alter: Callable[[RGBImage, Face, ModelCard, float], Crops]
    crops: int = 1


SWEEPS = (
    Sweep(
        "margin",
        "side of the crop / longer side of the face",
        (0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.45, 1.6),
        with_margin,
    ),
    Sweep("shift", "shift / longer side of the face", (0, 0.05, 0.1, 0.15), shifted, crops=4),
    Sweep("compression", "constant rate factor of H.264", (18, 23, 28, 33, 38), recompressed),
    Sweep("resolution", "longer side of the face, pixels", (200, 150, 100, 70, 50), reduced),
)


def _number() -> dict[tuple[str, float], list[int]]:
    column = itertools.count(1)
    return {
        (sweep.name, level): [next(column) for _ in range(sweep.crops)]
        for sweep in SWEEPS
        for level in sweep.levels
    }


COLUMNS = _number()
"""Where ``clip_scores`` has the crops of a sweep's level; in column 0 nothing is altered."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one level of a sweep does to the scores of some clips.

    Attributes:
        auc: over all clips; one that is not altered has the score of its unaltered faces.
        low: of the AUC's 95 % interval.
        high: of the AUC's 95 % interval.
        change: mean absolute difference from the unaltered score, over the altered clips.
        drift: the mean difference, positive = towards fake.
        clips: how many are altered.
    """

    auc: float
    low: float
    high: float
    change: float
    drift: float
    clips: int


def sighted(path: Path) -> list[tuple[RGBImage, Face]]:
    """The largest face of some eight frames of a video, in the part of the frame around it.

    The parts are of even height and width.
    """
    found = largest_faces(path)
    # Where a file does not tell how many frames it has, there may be any number of them.
    spread = np.linspace(0, max(0, len(found) - 1), _FRAMES).round().astype(int)
    return [surroundings(*found[index]) for index in np.unique(spread) if found]


def surroundings(image: RGBImage, face: Face) -> tuple[RGBImage, Face]:
    """The part of a frame around a face, of even height and width, and the face in it."""
    area = crop_area(face, CropGeometry("box", _KEPT))
    height, width = image.shape[:2]
    # Even corners, so that nothing is lost at the edge of a frame and chroma stays in its place.
    left, top = (max(0, round(corner)) // 2 * 2 for corner in (area.x1, area.y1))
    right, bottom = min(width, round(area.x2)), min(height, round(area.y2))
    part = image[top : bottom - (bottom - top) % 2, left : right - (right - left) % 2]
    box = face.box
    moved = Box(box.x1 - left, box.y1 - top, box.x2 - left, box.y2 - top)
    landmarks = (
        None if face.landmarks is None else face.landmarks - np.array([left, top], np.float32)
    )
    return part.copy(), Face(moved, landmarks, face.confidence)


def clip_scores(model: Model, faces: Sequence[tuple[RGBImage, Face]]) -> NDArray[np.float64]:
    """One clip's scores, 0..1: unaltered, then of each crop of each level, see ``COLUMNS``.

    A score is the sigmoid of the mean logit over the faces. A face that is not altered takes part
    as it is; where none is altered the score is NaN.

    Args:
        model: to be judged.
        faces: one or more, as ``sighted`` gives them.
    """
    card = model.card
    logits = np.full((len(faces), 1 + sum(map(len, COLUMNS.values()))), np.nan)
    for row, (image, face) in enumerate(faces):
        crops: Crops = [_own_crop(image, face, card)]
        for sweep in SWEEPS:
            for level in sweep.levels:
                crops += sweep.alter(image, face, card, level)
        altered = [crop is not None for crop in crops]
        seen = np.stack([crop for crop in crops if crop is not None])
        logits[row, altered] = model.examine(seen).logit
    untouched = np.isnan(logits)
    means = np.where(untouched, logits[:, :1], logits).mean(0)
    return np.where(untouched.all(0), np.nan, sigmoid(means))


def measure(
    scores: NDArray[np.float64],
    columns: Sequence[int],
    fake: NDArray[np.bool_],
    groups: Sequence[str],
) -> Effect:
    """What a level does to the scores of N clips.

    Args:
        scores: (N, columns), of ``clip_scores``.
        columns: the level's; the AUC is that of all their scores together.
        fake: (N,) labels.
        groups: N names; clips of one group are drawn together for the interval.
    """
    unaltered, altered = scores[:, :1], scores[:, columns]
    touched = ~np.isnan(altered[:, 0])
    change = (altered - unaltered)[touched]
    pooled = np.where(np.isnan(altered), unaltered, altered).ravel()
    labels, names = np.repeat(fake, len(columns)), np.repeat(groups, len(columns)).tolist()
    auc = bootstrap(pooled, labels, ["all"] * len(names), names)
    return Effect(
        auc.value,
        auc.low,
        auc.high,
        float(np.abs(change).mean()) if touched.any() else np.nan,
        float(change.mean()) if touched.any() else np.nan,
        int(touched.sum()),
    )


def margin_gap(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Mean absolute difference of the scores, (N, columns), between the margins 1.6 and 1.0.

    Returns:
        The difference; and over the clips' standard deviation at one margin: a model that says
        the same of everything does not move either.
    """
    wide, narrow = (scores[:, COLUMNS["margin", margin]] for margin in (1.6, 1.0))
    gap = float(np.abs(wide - narrow).mean())
    spread = float(np.sqrt((wide.var() + narrow.var()) / 2))
    return gap, gap / spread if spread > 0 else np.nan


def main(
    models: Annotated[list[str], typer.Argument(help="names or files")],
    data: Annotated[Path, typer.Option(help="folder of manifest.csv")],
    output: Annotated[Path, typer.Option(help="picture to write")],
    use: Annotated[str, typer.Option(help="which clips: choose or test")] = "choose",
) -> None:
    """Print and plot what scores hang on."""
    loaded = [load_model(name) for name in models]
    names = [Path(name).name for name in models]
    clips, rows = [], []
    for clip in tqdm(read_manifest(data, use), desc="clips", disable=None):
        if faces := sighted(clip.path):
            clips.append(clip)
            rows.append([clip_scores(model, faces) for model in loaded])
        else:
            typer.echo(f"no face found, left out: {clip.path.name}")
    tables = np.array(rows).swapaxes(0, 1)
    fake, groups = np.array([clip.fake for clip in clips]), [clip.group for clip in clips]
    effects = []
    for name, scores in zip(names, tables, strict=True):
        plain = measure(scores, [0], fake, groups)
        typer.echo(
            f"{name}, {len(clips)} clips: AUC {plain.auc:.2f} ({plain.low:.2f}-{plain.high:.2f})"
        )
        found = {key: measure(scores, columns, fake, groups) for key, columns in COLUMNS.items()}
        for sweep in SWEEPS:
            typer.echo(_table(sweep, [found[sweep.name, level] for level in sweep.levels]))
        effects.append(found)
    typer.echo("mean |score(margin 1.6) - score(margin 1.0)|, in standard deviations of the scores")
    gaps = [margin_gap(scores) for scores in tables]
    for name, (gap, relative) in zip(names, gaps, strict=True):
        typer.echo(
            f"  {name}: {relative:.2f}, {relative / gaps[0][1]:.2f} times {names[0]}'s "
            f"({gap:.3f} of the score)"
        )
    plot(names, effects, output)


def plot(
    names: Sequence[str], effects: Sequence[dict[tuple[str, float], Effect]], output: Path
) -> None:
    """Draw AUC with its interval, and change, by level: one line per model.

    Args:
        names: of the models.
        effects: of each model, by the keys of ``COLUMNS``.
        output: picture to write, 1600 x 800 pixels.
    """
    figure = Figure(figsize=(16, 8))
    axes = figure.subplots(2, len(SWEEPS), sharey="row", sharex="col")
    for (upper, lower), sweep in zip(axes.T, SWEEPS, strict=True):
        for name, found in zip(names, effects, strict=True):
            line = [found[sweep.name, level] for level in sweep.levels]
            upper.plot(sweep.levels, [effect.auc for effect in line], "o-", label=name)
            low, high = [effect.low for effect in line], [effect.high for effect in line]
            upper.fill_between(sweep.levels, low, high, alpha=0.12)
            lower.plot(sweep.levels, [effect.change for effect in line], "o-")
        upper.axhline(0.5, color="grey", linestyle=":")
        upper.set_title(sweep.name)
        lower.set_xlabel(sweep.unit)
        lower.set_xticks(sweep.levels, [f"{level:g}" for level in sweep.levels])
    axes[0, -1].invert_xaxis()
    axes[0, 0].set_ylabel("AUC, 95 % interval")
    axes[1, 0].set_ylabel("mean absolute change of the score")
    axes[1, 0].set_ylim(bottom=0)
    lines, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="upper center", ncols=len(names), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(output, dpi=100)


def _table(sweep: Sweep, effects: Sequence[Effect]) -> str:
    lines = [f"  {sweep.name:12}" + "".join(f"{level:7g}" for level in sweep.levels)]
    rows = {"AUC": "auc", "from": "low", "to": "high", "change": "change", "drift": "drift"}
    for label, attribute in rows.items():
        values = (getattr(effect, attribute) for effect in effects)
        lines.append(f"    {label:10}" + "".join(f"{value:7.2f}" for value in values))
    clips = "".join(f"{effect.clips:7}" for effect in effects)
    return "\n".join([*lines, f"    {'clips':10}{clips}"])


def _own_crop(image: RGBImage, face: Face, card: ModelCard) -> NDArray[np.uint8]:
    return extract_crop(image, crop_area(face, card.crop), card.input_size)


def _longer_side(face: Face) -> float:
    return max(face.box.width, face.box.height)


if __name__ == "__main__":
    typer.run(main)
