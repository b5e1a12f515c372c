"""Does the heatmap point at the forgery? ``python -m training.localise`` prints a table.

Two kinds of fakes whose forged area is known: self-blends of faces kept apart from training, and
videos whose real original shows the same frames. Asked of each face:

* *inside*: the share of the positive evidence that lies in the forged area;
* *AUC*: the chance that a forged pixel of the crop has more evidence than an untouched one (ties
  count half), whatever its sign;
* *hits*, the pointing game (Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV
  2016): whether the strongest cell lies in it, or no more than 15 of 224 pixels away.

*Uniform* and *chance* are what a map without any knowledge gets: its share is the forged area's,
its chance of a hit that area with the tolerance around it. A map that always lights up the middle
of the face beats this; what only a map that follows the forgery can beat is *another's*: the share
inside of the map of another face.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, TypeAlias

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from fakelens.crops import crop_area
from fakelens.crops import cut as cut_from_frame
from fakelens.data import Box, CropGeometry, Face, FaceDetector, FloatArray, Network, RGBImage
from fakelens.explain import Method, find_method
from fakelens.faces import YuNet
from fakelens.networks import load_network
from fakelens.video import open_video
from training.augment import Square
from training.augment import cut as cut_augmented
from training.blends import self_blend, set_apart
from training.data import Pair, load_pairs
from training.evaluate import auc, degrade_in_turn
from training.masks import EVERYWHERE, changed_mask
from training.videos import Clip, read_manifest

TOLERANCE = 15 / 224
"""Of the pointing game, over the side of the crop."""

_FRAMES = 20
# Where a pair of frames is compared: a square of this times the face's box. Wide enough for the
# whole forgery, and the same for every network.
_COMPARED = CropGeometry("box", 1.3)
_BATCH = 16

Cut: TypeAlias = Callable[[NDArray[np.uint8], Box, int], NDArray[np.uint8]]
"""Cuts a square out of a picture, (H, W, 3) or (H, W) uint8, and brings it to a size."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """A fake picture, and where it is forged.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, 0 = untouched, the higher the more of the pixel is forged.
        face: the forged face.
        group: shared by pictures of one origin.
    """

    image: RGBImage
    mask: NDArray[np.uint8]
    face: Face
    group: str


class Pointing(NamedTuple):
    """What the heatmap of one forged face shows; shares and areas are 0..1 of the crop's.

    Attributes:
        group: as of ``Forgery``.
        share: of the positive evidence, inside the forged area.
        area: the forged area.
        other: share inside the forged area of the positive evidence of the next face of another
            group; NaN if there is none.
        auc: the chance that a forged pixel has more evidence than an untouched one; NaN where all
            are forged.
        hit: 1 if the strongest cell is inside or within the tolerance, else 0.
        chance: the area in which a cell counts as a hit.
    """

    group: str
    share: float
    area: float
    other: float
    auc: float
    hit: float
    chance: float


def self_blends(pairs: Sequence[Pair], seed: int, degraded: bool = False) -> list[Forgery]:
    """A self-blend of each pair's real crop; to be cut with ``cut_mirrored``.

    Args:
        pairs: of the validation split.
        seed: of the self-blends.
        degraded: by turns as it is, as JPEG, as H.264, at half the resolution, see ``evaluate``.
    """
    forgeries = []
    for index, pair in enumerate(pairs):
        rng = np.random.default_rng([seed, index])
        real = pair.real.decode()
        (target,), change = set_apart([real], rng)
        image, mask = self_blend(target, real, pair.real.landmarks, rng, change)
        image = degrade_in_turn(image, index) if degraded else image
        (x, y), half = pair.real.center.tolist(), pair.real.side / 2
        face = Face(Box(x - half, y - half, x + half, y + half), pair.real.landmarks, 1.0)
        forgeries.append(Forgery(image, np.rint(255 * mask).astype(np.uint8), face, pair.group))
    return forgeries


def cut_mirrored(picture: NDArray[np.uint8], area: Box, size: int) -> NDArray[np.uint8]:
    """Cut as for training: crops that end at the face go on as their mirror image."""
    return cut_augmented(picture, Square(*area.center, area.width), size)


def aligned_pairs(clips: Sequence[Clip]) -> list[tuple[Clip, Clip]]:
    """The real and the fake clip of each FaceForensics++ group: the same frames, one forged."""
    groups: defaultdict[str, dict[bool, Clip]] = defaultdict(dict)
    for clip in clips:
        if clip.dataset.startswith("FF++"):
            groups[clip.group][clip.fake] = clip
    return [(both[False], both[True]) for _, both in sorted(groups.items()) if len(both) == 2]


def forged_frames(real: Path, fake: Path, detector: FaceDetector) -> list[Forgery]:
    """Frames of a fake video whose largest face differs visibly from the real video's.

    Args:
        real: the original.
        fake: shows the same frames.
        detector: finds the face, in the real frame.
    """
    forgeries = []
    with open_video(real) as original, open_video(fake) as forged:
        every = max(1, (original.info.frame_estimate or _FRAMES) // _FRAMES)
        for before, after in zip(original.frames(every), forged.frames(every), strict=True):
            faces = detector.detect([before.image])[0]
            if not faces:
                continue
            face = max(faces, key=lambda face: face.box.width * face.box.height)
            mask = _measure(before.image, after.image, crop_area(face, _COMPARED))
            if mask is not None:
                forgeries.append(Forgery(after.image, mask, face, real.stem))
    return forgeries


def _measure(real: RGBImage, fake: RGBImage, area: Box) -> NDArray[np.uint8] | None:
    """Where two frames differ within an area, as ``Forgery.mask``; ``None`` if unclear."""
    left, top = (max(0, round(value)) for value in (area.x1, area.y1))
    window = np.s_[top : round(area.y2), left : round(area.x2)]
    changed = changed_mask(real[window], fake[window])
    if changed is None or changed.mean() > EVERYWHERE:
        return None
    mask = np.zeros(real.shape[:2], np.uint8)
    mask[window] = np.rint(255 * changed)
    return mask


def localise(
    network: Network, method: Method, forgeries: Sequence[Forgery], cut: Cut
) -> list[Pointing | None]:
    """Compare a network's heatmaps with where its crops are forged.

    Args:
        network: to be judged, by the crops it asks for.
        method: one whose positive cells speak for FAKE.
        forgeries: those whose forged area lies outside of the crop are left out.
        cut: for pictures and masks.

    Returns:
        Of each face; ``None`` where the heatmap has no positive evidence.
    """
    maps: list[FloatArray] = []
    truths: list[NDArray[np.bool_]] = []
    groups: list[str] = []
    size = network.card.input_size
    for start in range(0, len(forgeries), _BATCH):
        seen = []
        for forgery in forgeries[start : start + _BATCH]:
            area = crop_area(forgery.face, network.card.crop)
            mask = cut(forgery.mask, area, size)
            if mask.any():
                seen.append(cut(forgery.image, area, size))
                truths.append(mask > 0.5 * mask.max())
                groups.append(forgery.group)
        if seen:
            maps.extend(method.function(network.examine(np.stack(seen))))
    return compare(maps, truths, groups)


def compare(
    maps: Sequence[FloatArray], truths: Sequence[NDArray[np.bool_]], groups: Sequence[str]
) -> list[Pointing | None]:
    """Compare heatmaps with forged areas.

    Args:
        maps: N of (h, w), any unit, positive = speaks for FAKE.
        truths: N of (side, side), the forged pixels of the crop; at least one.
        groups: N names.
    """
    pointing = [index for index, cells in enumerate(maps) if cells.max() > 0]
    found: list[Pointing | None] = [None] * len(maps)
    for turn, index in enumerate(pointing):
        truth, group = truths[index], groups[index]
        others = pointing[turn + 1 :] + pointing[:turn]
        other = next((other for other in others if groups[other] != group), None)
        near = _within_tolerance(truth)
        found[index] = Pointing(
            group,
            _share_inside(maps[index], truth),
            float(truth.mean()),
            np.nan if other is None else _share_inside(maps[other], truth),
            _pixel_auc(maps[index], truth),
            float(near[_strongest_cell(maps[index], truth.shape[0])]),
            float(near.mean()),
        )
    return found


def bootstrap_mean(
    values: NDArray[np.floating], groups: Sequence[str], draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean of (N,) values under resampling of whole groups (N names)."""
    _, member = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(member, values), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(draws, len(sums)))
    low, high = np.percentile(sums[drawn].sum(1) / sizes[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def main(
    networks: Annotated[list[str], typer.Argument(help="name or file, and :METHOD if not its own")],
    data: Annotated[Path, typer.Option(help="folder of dfdc_crops/ and manifest.csv")],
    limit: Annotated[int, typer.Option(help="self-blends")] = 400,
    use: Annotated[str, typer.Option(help="which clips: choose or test")] = "choose",
    seed: Annotated[int, typer.Option(help="of the self-blends and the intervals")] = 0,
) -> None:
    """Print how well heatmaps point at forged areas."""
    judged = [_parse(name) for name in networks]
    faces_file = Path(__file__).parent / "runs" / "faces-val.npz"
    pairs = load_pairs(data / "dfdc_crops", "val", faces_file)[:limit]
    materials: list[tuple[str, list[Forgery], Cut]] = [
        ("held-out self-blends", self_blends(pairs, seed), cut_mirrored),
        ("the same, degraded", self_blends(pairs, seed, degraded=True), cut_mirrored),
    ]
    for real, fake in aligned_pairs(read_manifest(data, use)):
        forgeries = forged_frames(real.path, fake.path, YuNet())
        materials.append((f"{fake.dataset}, {real.group}", forgeries, cut_from_frame))
    width = max(len(f"{Path(name).name} {method.name}") for name, _, method in judged)
    for title, forgeries, cut in materials:
        typer.echo(
            f"{title}\n  {'':{width}}  faces  none  inside            "
            "uniform  another's  AUC               hits              chance"
        )
        for name, network, method in judged:
            found = localise(network, method, forgeries, cut)
            label = f"{Path(name).name} {method.name}"
            typer.echo(f"  {label:{width}}  {_cells(found, seed)}")
    typer.echo(
        "inside, AUC and hits with 95 % intervals over faces of different people; the frames of "
        "one clip give a plain mean. none: faces without positive evidence, left out of the rest."
    )


def _parse(text: str) -> tuple[str, Network, Method]:
    """A network and the method after the colon; without one, the network's own."""
    name, _, method = text.partition(":")
    network = load_network(name)
    return name, network, find_method(method or network.card.cam)


def _cells(found: Sequence[Pointing | None], seed: int) -> str:
    """One line of the table, from "faces" on."""
    shown = [pointing for pointing in found if pointing is not None]
    counts = f"{len(found):5}  {len(found) - len(shown):4}"
    if not shown:
        return counts
    groups = [pointing.group for pointing in shown]
    values = np.array([pointing[1:] for pointing in shown])
    # All pixels of a crop can be forged.
    share, area, other, _, hit, chance = values.mean(0)
    area_under = float(np.nanmean(values[:, 3])) if not np.isnan(values[:, 3]).all() else np.nan
    intervals = ["", "", ""]
    if len(set(groups)) > 1:
        intervals = []
        for column in (0, 3, 4):
            told = ~np.isnan(values[:, column])
            names = [group for group, here in zip(groups, told, strict=True) if here]
            low, high = bootstrap_mean(values[told, column], names, seed=seed)
            intervals.append(f"({low:.2f}-{high:.2f})")
    stranger = "-" if np.isnan(other) else f"{other:.2f}"
    return (
        f"{counts}  {share:.2f} {intervals[0]:11}  {area:7.2f}  {stranger:>9}  "
        f"{area_under:.2f} {intervals[1]:11}  {hit:.2f} {intervals[2]:11}  {chance:6.2f}"
    )


def _share_inside(cells: FloatArray, truth: NDArray[np.bool_]) -> float:
    # Negative cells first: between cells they would take from the evidence of their neighbours.
    fine = _enlarge(np.maximum(cells, 0), truth)
    return float(fine[truth].sum(dtype=np.float64) / fine.sum(dtype=np.float64))


def _pixel_auc(cells: FloatArray, truth: NDArray[np.bool_]) -> float:
    if truth.all():
        return np.nan
    fine = _enlarge(cells, truth)
    return auc(fine[~truth], fine[truth])


def _enlarge(cells: FloatArray, truth: NDArray[np.bool_]) -> FloatArray:
    fine = cv2.resize(cells.astype(np.float32), truth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return fine.astype(np.float32, copy=False)


def _within_tolerance(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    away = cv2.distanceTransform((~truth).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= TOLERANCE * truth.shape[0])


def _strongest_cell(cells: FloatArray, side: int) -> tuple[int, int]:
    """Row and column of the pixel in the middle of the strongest cell."""
    row, column = np.unravel_index(np.argmax(cells), cells.shape)
    height, width = cells.shape
    return int((row + 0.5) * side / height), int((column + 0.5) * side / width)


if __name__ == "__main__":
    typer.run(main)
