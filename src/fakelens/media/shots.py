"""Detects shot changes: cuts from one camera shot to the next."""

import statistics
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.media.pixels import luma
from fakelens.records.arrays import RGBImage
from fakelens.records.media import Frame, Pixels

# On 16,300 frames of real clips with 7 cuts, in a film and a concert, the change was
# 0.6 or more at each cut and 0.38 or less elsewhere. At the cuts it was at least 7 times the mean
# of the ten changes before. benchmarks/shot_changes.py measures films with more cuts.
_MIN_CHANGE = 0.44
_MIN_RATIO = 5.0
_MIN_RESIDUAL = 0.25
_NEIGHBOURS = 10  # previous changes that a change is compared with
_BLOCKS = 4  # per side of the picture
_CELLS = 12 * 8  # per block
_BLACK = 4  # luma up to which a pixel may belong to the bars of a letterbox
_FLAT = 4.0  # standard deviation, in grey levels, below which a block has no texture to compare
_FLOW_SIZE = (128, 72)  # width and height of the pictures whose motion is estimated


def with_shot_changes(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Yield each frame, and whether a shot begins with it.

    A frame that differs much from the one before (see ``_change``) is held back until the next
    frame. It begins a shot if the change

    - lasts: the next frame does not look like the one before the change, as it does after a flash;
    - is sudden, that is, much larger than the changes just before and after it (the idea of
      PySceneDetect's AdaptiveDetector); or cannot be explained by motion: the pictures still differ
      when the first one is warped by the optical flow. Neither holds for fast pans and zooms.

    A picture without texture, such as a black one, is ignored: the next one is compared with the
    last one before it. A new frame size always begins a shot.

    All frames of a video are needed: pictures that are far apart in time also differ without a cut.
    Use ``every_nth`` on the result to keep only some of the frames.
    """
    shot: _Shot | None = None
    candidate: _Candidate | None = None
    for frame in frames:
        picture = _thumbnail(frame.pixels)
        if shot is None or shot.shape != picture.shape:
            if candidate is not None:
                yield candidate.frame, True
                candidate = None
            shot = _Shot(picture)
            yield frame, True
            continue
        if candidate is not None:
            yield candidate.frame, shot.ends_before(candidate, picture)
            candidate = None
        change = shot.change_to(picture)
        if change > _MIN_CHANGE:
            candidate = _Candidate(frame, picture, change)
        else:
            shot.add(picture, change)
            yield frame, False
    if shot is not None and candidate is not None:
        yield candidate.frame, shot.ends_before(candidate, None)


def every_nth(frames: Iterable[tuple[Frame, bool]], every: int) -> Iterator[tuple[Frame, bool]]:
    """Yield only the frames whose index is a multiple of ``every``.

    Args:
        frames: each with whether a shot begins with it, see ``with_shot_changes``.
        every: 1 or more.

    Yields:
        Each remaining frame, and whether a shot begins with it or with a frame that was left out
        since the previous one.
    """
    begins = False
    for frame, begins_shot in frames:
        begins |= begins_shot
        if frame.index % every == 0:
            yield frame, begins
            begins = False


class _Thumbnail(NamedTuple):
    """Luma of a picture at low resolution, to compare it with the next picture.

    Attributes:
        blocks: (_BLOCKS ** 2, _CELLS) mean luma of each cell, 0..255.
        lit: (_BLOCKS ** 2, _CELLS) whether no part of the cell is black.
        pattern: see ``_pattern``, of the lit cells.
        sample: (h, w) luma of evenly spaced pixels, 0..255.
        shape: of the picture.
    """

    blocks: NDArray[np.float32]
    lit: NDArray[np.bool_]
    pattern: "_Pattern"
    sample: cv2.typing.MatLike
    shape: tuple[int, ...]

    @property
    def has_texture(self) -> bool:
        """Whether any block has texture to compare."""
        return bool(self.pattern.textured.any())


class _Pattern(NamedTuple):
    """The texture of each block, whatever its brightness and contrast.

    Attributes:
        cells: (_BLOCKS ** 2, _CELLS) luma minus the mean of the block, divided by its standard
            deviation, or by ``_FLAT`` if that is more; 0 for cells that are ignored.
        textured: (_BLOCKS ** 2,) whether the block is not flat and has enough cells.
        used: (_BLOCKS ** 2,) number of cells that are not ignored, at least 1.
    """

    cells: NDArray[np.floating]
    textured: NDArray[np.bool_]
    used: NDArray[np.int_]


class _Candidate(NamedTuple):
    """A frame that may begin a shot, and its change from the picture before."""

    frame: Frame
    picture: _Thumbnail
    change: float


class _Shot:
    """A shot up to now: its last picture that has texture, if any has, and the last changes."""

    def __init__(self, picture: _Thumbnail) -> None:
        self._last = picture
        self._changes: deque[float] = deque(maxlen=_NEIGHBOURS)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of its pictures."""
        return self._last.shape

    def change_to(self, picture: _Thumbnail) -> float:
        """Measure the change from the last picture; 0 if one of them has no texture."""
        comparable = self._last.has_texture and picture.has_texture
        return _change(self._last, picture) if comparable else 0.0

    def add(self, picture: _Thumbnail, change: float) -> None:
        """Add the next picture, and its change from the last one."""
        if picture.has_texture:
            self._last = picture
            self._changes.append(change)

    def ends_before(self, candidate: _Candidate, following: _Thumbnail | None) -> bool:
        """Return whether the next shot begins with a candidate; it is added to that shot or this.

        Args:
            candidate: the next frame.
            following: the picture after it, if there is one to compare with.
        """
        change_after = 0.0
        if following is not None and following.has_texture:
            if self.change_to(following) <= _MIN_CHANGE:
                return False  # a flash, which is not added
            change_after = _change(candidate.picture, following)
        usual = sum(self._changes) / len(self._changes) if self._changes else 0.0
        is_sudden = candidate.change > _MIN_RATIO * max(usual, change_after)
        is_cut = is_sudden or _residual(self._last, candidate.picture) > _MIN_RESIDUAL
        self.add(candidate.picture, candidate.change)
        if is_cut:
            self._changes.clear()
        return is_cut


def _thumbnail(image: RGBImage | Pixels) -> _Thumbnail:
    height, width = image.shape[:2]
    down, across = max(1, height // 72), max(1, width // 128)
    return _reduced(luma(image, down, across), image.shape)


def _reduced(sample: cv2.typing.MatLike, shape: tuple[int, ...]) -> _Thumbnail:
    blocks = _cell_means(sample).astype(np.float32)
    # A cell on the border of a letterbox bar would look similar in all pictures.
    lit = _cell_means((sample > _BLACK).astype(np.float32)) > 0.9
    return _Thumbnail(blocks, lit, _pattern(blocks, lit), sample, shape)


def _cell_means(plane: cv2.typing.MatLike) -> cv2.typing.MatLike:
    """Compute the means of 12 x 8 cells in each block, (_BLOCKS ** 2, _CELLS)."""
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
    if np.array_equal(before.lit, after.lit):
        a, b = before.pattern, after.pattern
    else:
        lit = before.lit | after.lit
        a, b = _pattern(before.blocks, lit), _pattern(after.blocks, lit)
    comparable = a.textured | b.textured
    if not comparable.any():
        return 0.0
    difference = ((a.cells - b.cells) ** 2).sum(axis=1) / a.used / 2
    return float(statistics.median(difference[comparable].tolist()))


def _residual(before: _Thumbnail, after: _Thumbnail) -> float:
    """Measure the change that motion does not explain.

    The first picture is warped by the dense optical flow to the second one. Unrelated pictures
    still differ then, because the flow is smooth.
    """
    a, b = (
        cv2.resize(picture.sample, _FLOW_SIZE, interpolation=cv2.INTER_AREA)
        for picture in (before, after)
    )
    width, height = _FLOW_SIZE
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = estimator.calc(b, a, np.zeros((height, width, 2), np.float32))
    rows, columns = np.indices((height, width), np.float32)
    warped = cv2.remap(
        a,
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _change(_reduced(warped, before.shape), _reduced(b, after.shape))


def _pattern(blocks: NDArray[np.float32], lit: NDArray[np.bool_]) -> _Pattern:
    """Compute the texture of each block from its lit cells."""
    count = lit.sum(axis=1)
    enough, count = 4 * count >= _CELLS, np.maximum(count, 1)
    mean = (blocks * lit).sum(axis=1) / count
    centred = (blocks - mean[:, None]) * lit
    deviation = np.sqrt((centred**2).sum(axis=1) / count)
    cells = centred / np.maximum(deviation, _FLAT)[:, None]
    return _Pattern(cells, enough & (deviation >= _FLAT), count)
