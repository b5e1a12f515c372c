"""Build the yardstick set: ``python -m training.yardstick.build --data DATA``."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from fakelens.faces.yunet import YuNet
from training.yardstick.blends import held_out_blends
from training.yardstick.items import Item, ItemWriter
from training.yardstick.sources import dfdc_crops, genuine_tracks, photographs, validation_faces
from training.yardstick.tracks import forged_tracks

DEFAULT_FOLDER = Path(__file__).parents[1] / "runs" / "yardstick"

_DFDC_GROUPS = 400
_FORGERIES_PER_TRACK = 2
# Genuine faces that blends are made from; there are half as many blends of each kind of hull.
_STILL_BASES, _DFDC_BASES = 240, 80


def all_items(data: Path, seed: int) -> Iterator[Item]:
    """Yield every item of the set, part by part.

    Args:
        data: folder of ``manifest.csv``, ``real_faces`` and ``dfdc_crops``.
        seed: random seed of the forgeries.
    """
    detector = YuNet()
    tracks = list(genuine_tracks(data, detector))
    yield from tracks
    yield from forged_tracks(tracks, _FORGERIES_PER_TRACK, seed)
    stills = list(validation_faces(data, detector))
    yield from stills
    yield from photographs(data, detector)
    crops = list(dfdc_crops(data, YuNet(min_confidence=0.5), _DFDC_GROUPS))
    yield from crops
    real = [crop for crop in crops if not crop.fake]
    bases = _pick_evenly(stills, _STILL_BASES) + _pick_evenly(real, _DFDC_BASES)
    yield from held_out_blends(bases, seed)


def main(
    data: Annotated[Path, typer.Option(help="Folder of the development data.")],
    output: Annotated[
        Path, typer.Option(help="Folder to write.", show_default="training/runs/yardstick")
    ] = DEFAULT_FOLDER,
    seed: Annotated[int, typer.Option(help="Random seed of the forgeries.")] = 0,
) -> None:
    """Write the set and print the number of its items."""
    # One core, since training may run at the same time.
    cv2.setNumThreads(1)
    count: Counter[tuple[str, str, str]] = Counter()
    with ItemWriter(output) as writer:
        for item in all_items(data, seed):
            writer.add(item)
            count[item.part, item.origin, item.kind] += 1
    for (part, origin, kind), items in count.items():
        typer.echo(f"{part:8} {origin:40} {kind:12} {items}")


def _pick_evenly(items: list[Item], count: int) -> list[Item]:
    rows = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[row] for row in rows]


if __name__ == "__main__":
    typer.run(main)
