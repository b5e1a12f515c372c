"""Sensitivity of scores to margin, shift, compression and resolution.

``python -m training.sensitivity`` changes the crops of the same faces of labelled videos. It prints
and plots the AUC of the changed scores, and how far they move from the unchanged ones.
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

from fakelens.evaluation.auc import bootstrap
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.models.loading import load_model
from fakelens.records.arrays import RGBImage, sigmoid
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.models import Model, ModelCard
from training.clips import read_manifest
from training.codecs import compress_h264
from training.videos import largest_faces

_FRAMES = 8
# Side of the stored part of a frame, relative to the longer side of the face's box: larger than any
# crop.
_STORED_MARGIN = 2.4

Crops: TypeAlias = list[NDArray[np.uint8] | None]


def with_margin(image: RGBImage, face: Face, card: ModelCard, margin: float) -> Crops:
    """Extract a crop around the face's box whose side is ``margin`` times its longer side."""
    return [extract_crop(image, crop_area(face, CropGeometry("box", margin)), card.input_size)]


def shifted(image: RGBImage, face: Face, card: ModelCard, part: float) -> Crops:
    """Extract the model's crop, shifted left, right, up and down.

    ``part`` is the shift relative to the longer side of the face's box.
    """
    area, step = crop_area(face, card.crop), part * _longer_side(face)
    return [
        extract_crop(
            image, Box(area.x1 + x, area.y1 + y, area.x2 + x, area.y2 + y), card.input_size
        )
        for x, y in ((-step, 0), (step, 0), (0, -step), (0, step))
    ]


def recompressed(image: RGBImage, face: Face, card: ModelCard, crf: float) -> Crops:
    """Extract the model's crop after H.264 compression; see ``compress_h264``."""
    return [_own_crop(compress_h264(image, int(crf)), face, card)]


def reduced(image: RGBImage, face: Face, card: ModelCard, pixels: float) -> Crops:
    """Extract the model's crop after the resolution was reduced.

    The longer side of the face's box is reduced to ``pixels`` and enlarged again. ``None`` if it is
    not longer than that.
    """
    factor = pixels / _longer_side(face)
    if factor >= 1:
        return [None]
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return [_own_crop(back.astype(np.uint8, copy=False), face, card)]


@dataclass(frozen=True, slots=True)
class Sweep:
    """One kind of change, at several levels.

    Attributes:
        name: short name.
        unit: unit of the levels, in words.
        levels: levels of the change.
        make_crops: makes changed crops from a picture of even height and width, the face in it, the
            model card and a level: (input_size, input_size, 3) uint8 RGB, all with equal weight;
            ``None`` for a crop that the level does not change.
        crops: number of crops that ``make_crops`` returns.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    make_crops: Callable[[RGBImage, Face, ModelCard, float], Crops]
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


def _number_columns() -> dict[tuple[str, float], list[int]]:
    column = itertools.count(1)
    return {
        (sweep.name, level): [next(column) for _ in range(sweep.crops)]
        for sweep in SWEEPS
        for level in sweep.levels
    }


COLUMNS = _number_columns()
"""Columns of ``clip_scores`` for each sweep and level; column 0 is the unchanged crop."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Effect of one level of a sweep on the scores of some clips.

    Attributes:
        auc: AUC over all clips; a clip that the level does not change keeps its score.
        low: lower end of the AUC's 95 % interval.
        high: upper end of the AUC's 95 % interval.
        change: mean absolute difference from the unchanged score, over the changed clips.
        drift: mean difference from the unchanged score, positive = towards fake.
        clips: number of changed clips.
    """

    auc: float
    low: float
    high: float
    change: float
    drift: float
    clips: int


def sample_faces(path: Path) -> list[tuple[RGBImage, Face]]:
    """Return the largest face in about eight frames of a video, with its surroundings.

    The pictures have an even height and width, see ``crop_surroundings``.
    """
    found = largest_faces(path)
    # If a file does not contain its number of frames, there may be any number of faces.
    spread = np.linspace(0, max(0, len(found) - 1), _FRAMES).round().astype(int)
    return [crop_surroundings(*found[index]) for index in np.unique(spread) if found]


def crop_surroundings(image: RGBImage, face: Face) -> tuple[RGBImage, Face]:
    """Return the part of a frame around a face, of even height and width, and the face in it."""
    area = crop_area(face, CropGeometry("box", _STORED_MARGIN))
    height, width = image.shape[:2]
    # Even corners: nothing is lost at the edge of the frame, and chroma samples stay aligned.
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
    """Compute the scores of one clip: unchanged, then for each crop of each level.

    A score is the sigmoid of the mean logit over the faces. A face that a level does not change is
    included unchanged.

    Args:
        model: model to measure.
        faces: one or more faces from ``sample_faces``.

    Returns:
        (columns,) scores in 0..1, see ``COLUMNS``; NaN where a level changes none of the faces.
    """
    card = model.card
    logits = np.full((len(faces), 1 + sum(map(len, COLUMNS.values()))), np.nan)
    for row, (image, face) in enumerate(faces):
        crops: Crops = [_own_crop(image, face, card)]
        for sweep in SWEEPS:
            for level in sweep.levels:
                crops += sweep.make_crops(image, face, card, level)
        changed = [crop is not None for crop in crops]
        batch = np.stack([crop for crop in crops if crop is not None])
        logits[row, changed] = model.examine(batch).logit
    unchanged = np.isnan(logits)
    means = np.where(unchanged, logits[:, :1], logits).mean(0)
    return np.where(unchanged.all(0), np.nan, sigmoid(means))


def measure_effect(
    scores: NDArray[np.float64],
    columns: Sequence[int],
    fake: NDArray[np.bool_],
    groups: Sequence[str],
) -> Effect:
    """Measure the effect of a level on the scores of N clips.

    Args:
        scores: (N, columns) scores from ``clip_scores``.
        columns: columns of the level; the AUC pools their scores.
        fake: (N,) labels.
        groups: N names; clips of one group are resampled together for the interval.
    """
    original, changed = scores[:, :1], scores[:, columns]
    has_change = ~np.isnan(changed[:, 0])
    change = (changed - original)[has_change]
    pooled = np.where(np.isnan(changed), original, changed).ravel()
    labels, names = np.repeat(fake, len(columns)), np.repeat(groups, len(columns)).tolist()
    auc = bootstrap(pooled, labels, ["all"] * len(names), names)
    return Effect(
        auc.value,
        auc.low,
        auc.high,
        float(np.abs(change).mean()) if has_change.any() else np.nan,
        float(change.mean()) if has_change.any() else np.nan,
        int(has_change.sum()),
    )


def margin_gap(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Compute the mean absolute difference of scores, (N, columns), between margins 1.6 and 1.0.

    Returns:
        The difference, and the difference relative to the standard deviation of the clips' scores
        at one margin: a model with the same score for everything does not move either.
    """
    wide, narrow = (scores[:, COLUMNS["margin", margin]] for margin in (1.6, 1.0))
    gap = float(np.abs(wide - narrow).mean())
    spread = float(np.sqrt((wide.var() + narrow.var()) / 2))
    return gap, gap / spread if spread > 0 else np.nan


def main(
    models: Annotated[list[str], typer.Argument(help="Names or files of models.")],
    data: Annotated[Path, typer.Option(help="Folder of manifest.csv.")],
    output: Annotated[Path, typer.Option(help="Plot to write.")],
    use: Annotated[str, typer.Option(help="Clips to use: choose or test.")] = "choose",
) -> None:
    """Print and plot how scores change with margin, shift, compression and resolution."""
    loaded = [load_model(name) for name in models]
    names = [Path(name).name for name in models]
    clips, rows = [], []
    for clip in tqdm(read_manifest(data, use), desc="clips", disable=None):
        if faces := sample_faces(clip.path):
            clips.append(clip)
            rows.append([clip_scores(model, faces) for model in loaded])
        else:
            typer.echo(f"no face found, clip skipped: {clip.path.name}")
    tables = np.array(rows).swapaxes(0, 1)
    fake, groups = np.array([clip.fake for clip in clips]), [clip.group for clip in clips]
    effects = []
    for name, scores in zip(names, tables, strict=True):
        plain = measure_effect(scores, [0], fake, groups)
        typer.echo(
            f"{name}, {len(clips)} clips: AUC {plain.auc:.2f} ({plain.low:.2f}-{plain.high:.2f})"
        )
        found = {
            key: measure_effect(scores, columns, fake, groups) for key, columns in COLUMNS.items()
        }
        for sweep in SWEEPS:
            typer.echo(_format_table(sweep, [found[sweep.name, level] for level in sweep.levels]))
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
    """Plot AUC with its interval, and change of the score, by level: one line per model.

    Args:
        names: names of the models.
        effects: effects for each model, by the keys of ``COLUMNS``.
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


def _format_table(sweep: Sweep, effects: Sequence[Effect]) -> str:
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
