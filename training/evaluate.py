"""How well a network tells crops: ``python -m training.evaluate`` prints AUCs by margin."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from fakelens.benchmark.localisation import auc
from fakelens.data import RGBImage
from fakelens.networks import load_network
from training.augment import Square, as_jpeg, as_video, cut
from training.blends import self_blend, set_apart
from training.data import Pair, load_pairs


def _smaller(image: RGBImage) -> RGBImage:
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8)


# A yardstick must not move with the augmentation of training, so it has its own.
DEGRADATIONS: dict[str, Callable[[RGBImage], RGBImage]] = {
    "as it is": lambda image: image,
    "JPEG 60": lambda image: as_jpeg(image, 60),
    "H.264 at 30": lambda image: as_video(image, 30),
    "half the resolution": _smaller,
}
"""What is done to validation crops, by turns: each to every fourth."""

# Column of the logits, kind of fake.
_FAKES = {1: "self-blend", 2: "DFDC fake"}

Scorer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From crops (N, side, side, 3) uint8 RGB to logits (N,), positive = fake."""


def crop_logits(
    score: Scorer, pairs: Sequence[Pair], size: int, scale: float, seed: int = 0
) -> NDArray[np.float32]:
    """Logits of each pair's real crop, a self-blend of it, and its DFDC fake: (pairs, 3) float32.

    The three are degraded alike, every fourth pair not at all, and cut with the same margin.

    Args:
        score: the network.
        pairs: of the validation split.
        size: side of the crops, pixels.
        scale: the crop's side over the longer side of YuNet's box.
        seed: of the self-blends.
    """
    rows = []
    for index, pair in enumerate(pairs):
        rng = np.random.default_rng([seed, index])
        real, fake = pair.real.decode(), pair.fake.decode()
        (target, fake), change = set_apart((real, fake), rng)
        blend, _ = self_blend(target, real, pair.real.landmarks, rng, change)
        x, y = pair.real.center.tolist()
        square = Square(x, y, pair.real.side * scale)
        crops = [
            cut(degrade_in_turn(image, index), square, size) for image in (target, blend, fake)
        ]
        rows.append(score(np.stack(crops)))
    return np.stack(rows)


def degrade_in_turn(image: RGBImage, index: int) -> RGBImage:
    """The picture after the degradation that is number ``index``'s turn."""
    return list(DEGRADATIONS.values())[index % len(DEGRADATIONS)](image)


def bootstrap_auc(
    scores: NDArray[np.floating],
    fake: NDArray[np.bool_],
    groups: Sequence[str],
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of the AUC under resampling of whole groups.

    Args:
        scores: (N,) higher = more fake.
        fake: (N,) labels.
        groups: N names; items of one group (copies, a real clip and its fakes) are drawn together.
        draws: number of resamplings; those without both labels are drawn again.
        seed: of the resampling.
    """
    _, member = np.unique(groups, return_inverse=True)
    rows = [np.flatnonzero(member == group) for group in range(member.max() + 1)]
    rng = np.random.default_rng(seed)
    values: list[float] = []
    while len(values) < draws:
        drawn = np.concatenate([rows[group] for group in rng.integers(len(rows), size=len(rows))])
        if 0 < fake[drawn].sum() < len(drawn):
            some, labels = scores[drawn], fake[drawn]
            values.append(auc(some[~labels], some[labels]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def main(
    networks: Annotated[list[str], typer.Argument(help="names or files")],
    data: Annotated[Path, typer.Option(help="folder of index.csv and the shards")],
    scale: Annotated[list[float], typer.Option(help="margin; repeatable")],
) -> None:
    """Print AUCs on the validation crops with 95 % intervals."""
    pairs = load_pairs(data, "val", Path(__file__).parent / "runs" / "faces-val.npz")
    groups = [pair.group for pair in pairs] * 2
    fake = np.repeat([False, True], len(pairs))
    for name in networks:
        network = load_network(name)
        for margin in scale:
            logits = crop_logits(
                lambda crops, n=network: n.examine(crops).logit,
                pairs,
                network.card.input_size,
                margin,
            )
            parts = []
            for column, kind in _FAKES.items():
                scores = np.concatenate([logits[:, 0], logits[:, column]])
                low, high = bootstrap_auc(scores, fake, groups)
                value = auc(logits[:, 0], logits[:, column])
                parts.append(f"{kind} {value:.3f} ({low:.3f}-{high:.3f})")
            typer.echo(f"{Path(name).name}, margin {margin:g}: AUC " + ", ".join(parts))
            for turn, degradation in enumerate(DEGRADATIONS):
                some = logits[turn :: len(DEGRADATIONS)]
                values = [f"{auc(some[:, 0], some[:, column]):.3f}" for column in _FAKES]
                typer.echo(f"  {degradation:20} {values[0]}, {values[1]}")


if __name__ == "__main__":
    typer.run(main)
