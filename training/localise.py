"""Does the heatmap point at the forgery? ``python -m training.localise`` prints a table.

Two kinds of fakes whose forged area is known: self-blends of faces kept apart from training, and
videos whose real original shows the same frames. What is asked of each face, and what *uniform*,
*another's* and *chance* are, says ``fakelens.benchmark.localisation``; faithfulness and other
methods are measured on the same material by ``benchmarks/explain.py``.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from fakelens.benchmark.differences import forged_frames
from fakelens.benchmark.forgeries import Cut, Forgery, cut_forgery
from fakelens.benchmark.localisation import Pointing, bootstrap_mean, compare
from fakelens.crops import cut as cut_from_frame
from fakelens.data import Box, Face, FloatArray, Network
from fakelens.explain import Method, find_method
from fakelens.faces import YuNet
from fakelens.networks import load_network
from training.augment import Square
from training.augment import cut as cut_augmented
from training.blends import self_blend, set_apart
from training.data import Pair, load_pairs
from training.evaluate import degrade_in_turn
from training.videos import Clip, read_manifest

_FRAMES = 20
_BATCH = 16


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
            found = cut_forgery(forgery, network.card.crop, size, cut)
            if found is not None:
                seen.append(found[0])
                truths.append(found[1])
                groups.append(forgery.group)
        if seen:
            maps.extend(method.function(network.examine(np.stack(seen))))
    return compare(maps, truths, groups)


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
        forgeries = forged_frames(real.path, fake.path, YuNet(), _FRAMES)
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


if __name__ == "__main__":
    typer.run(main)
