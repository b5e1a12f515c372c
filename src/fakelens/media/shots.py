"""Detects shot changes: cuts from one camera shot to the next."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.media.pixels import luma
from fakelens.records.arrays import RGBImage
from fakelens.records.media import Frame, Pixels

# On 16,300 frames of real clips with 7 cuts, in a film and a concert, the change was
# 0.6 or more at each cut and 0.38 or less elsewhere. At the cuts it was at least 7 times the mean
# of the ten changes before.
_MIN_CHANGE = 0.48
_MIN_RATIO = 3.0
_NEIGHBOURS = 10  # previous changes that a change is compared with
_BLOCKS = 4  # per side of the picture
_BLACK = 4  # luma up to which a pixel may belong to the bars of a letterbox
_FLAT = 4.0  # standard deviation, in grey levels, below which a block has no texture to compare


def with_shot_changes(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Yield each frame, and whether a shot begins with it.

    A cut is a change (see ``_change``) that is large, stands out from the changes just before it
    (the idea of PySceneDetect's AdaptiveDetector) and lasts. A candidate frame is therefore held
    back until the next frame shows whether it was only a flash. A new frame size is also a cut.
    """
    recent: deque[float] = deque(maxlen=_NEIGHBOURS)
    previous: _Thumbnail | None = None
    candidate: tuple[Frame, _Thumbnail] | None = None
    for frame in frames:
        current = _thumbnail(frame.pixels)
        if candidate is not None and previous is not None:
            lasts = current.shape != previous.shape or _change(previous, current) > _threshold(
                recent
            )
            yield candidate[0], lasts
            if lasts:
                previous = candidate[1]
                recent.clear()
            candidate = None
        if previous is None or current.shape != previous.shape:
            yield frame, True
            recent.clear()
        else:
            change = _change(previous, current)
            if change > _threshold(recent):
                candidate = frame, current
                continue
            recent.append(change)
            yield frame, False
        previous = current
    if candidate is not None:
        yield candidate[0], True


def _threshold(recent: Sequence[float] | deque[float]) -> float:
    """Compute the change above which a frame may be a cut, given the changes before it."""
    mean = sum(recent) / len(recent) if recent else 0.0
    return max(_MIN_CHANGE, _MIN_RATIO * mean)


class _Thumbnail(NamedTuple):
    """Luma of a picture at low resolution, to compare it with the next picture.

    Attributes:
        blocks: (_BLOCKS ** 2, cells) mean luma of each cell, 0..255.
        lit: (_BLOCKS ** 2, cells) whether no part of the cell is black.
        shape: of the picture.
    """

    blocks: NDArray[np.float32]
    lit: NDArray[np.bool_]
    shape: tuple[int, ...]


def _thumbnail(image: RGBImage | Pixels) -> _Thumbnail:
    height, width = image.shape[:2]
    down, across = max(1, height // 72), max(1, width // 128)
    sample = luma(image, down, across)
    # A cell on the border of a letterbox bar would look similar in all pictures.
    lit = _cell_means((sample > _BLACK).astype(np.float32)) > 0.9
    return _Thumbnail(_cell_means(sample).astype(np.float32), lit, image.shape)


def _cell_means(plane: cv2.typing.MatLike) -> cv2.typing.MatLike:
    """Compute the means of 12 x 8 cells in each block, (_BLOCKS ** 2, 96)."""
    cells = cv2.resize(plane, (_BLOCKS * 12, _BLOCKS * 8), interpolation=cv2.INTER_AREA)
    return cells.reshape(_BLOCKS, 8, _BLOCKS, 12).swapaxes(1, 2).reshape(_BLOCKS**2, -1)


def _change(before: _Thumbnail, after: _Thumbnail) -> float:
    """Measure how much two pictures differ: 0 for equal, about 1 for unrelated pictures.

    The measure is one minus the correlation of a block with the same block of the other picture,
    and the median over all blocks. Fades, flashes and exposure changes do not affect the
    correlation; an inset, a hand or a passer-by changes fewer than half of the blocks. Cells that
    are black in both pictures (the bars of a letterbox) and blocks that are flat in both are
    ignored.
    """
    lit = before.lit | after.lit
    count = np.maximum(lit.sum(axis=1), 1)
    a, texture_a = _standardized(before.blocks, lit, count)
    b, texture_b = _standardized(after.blocks, lit, count)
    comparable = (4 * count >= lit.shape[1]) & (np.maximum(texture_a, texture_b) >= _FLAT)
    if not comparable.any():
        return 0.0
    difference = ((a - b) ** 2).sum(axis=1) / count / 2
    return float(np.median(difference[comparable]))


def _standardized(
    blocks: NDArray[np.float32], lit: NDArray[np.bool_], count: NDArray[np.int_]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Standardise the lit cells of each block; also return the standard deviation of each block.

    Flat blocks are divided by ``_FLAT`` instead of their deviation.
    """
    mean = (blocks * lit).sum(axis=1) / count
    centred = (blocks - mean[:, None]) * lit
    deviation = np.sqrt((centred**2).sum(axis=1) / count)
    return centred / np.maximum(deviation, _FLAT)[:, None], deviation
