"""The labels of the people on a picture: what they say, and where they are."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fakelens.media.planes import Plane
from fakelens.records.trust import SpecificityMark, TrustMark
from fakelens.render.lettering import draw_lines
from fakelens.render.overlay import Mark
from fakelens.render.placing import Rectangle, find_place
from fakelens.render.stamp import Colour, Stamp

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_GROUND = 200  # opacity of the black behind the letters, 0..255
_SMALL = 0.75  # size of a number alone, of the size of a label
_KEPT = 1024  # a film has thousands of people, some hundreds of them visible at a time


class Labels:
    """Draws labels in one size.

    Args:
        encode: converts (n, 3) uint8 RGB colours to (n, 3) uint8 values of the three planes.
        line: unit of the margins, pixels.
        size: of the typeface, pixels.
    """

    def __init__(
        self, encode: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], line: int, size: int
    ) -> None:
        self._encode, self._line, self._size = encode, line, size
        self._stamp = lru_cache(_KEPT)(self._make_stamp)

    def paint(
        self,
        planes: Sequence[Plane],
        people: Sequence[tuple[Mark, Rectangle, Colour]],
        taken: Sequence[Rectangle],
    ) -> None:
        """Draw the labels of all people on a picture in place; none covers another.

        A label that does not fit beside the others is shortened to a line, then to the number,
        then left out.

        Args:
            planes: three of the picture; some may be of half size.
            people: marks in full come first, each with its box in pixels and its colour.
            taken: rectangles without labels.
        """
        picture = (planes[0].shape[0], planes[0].shape[1])
        faces = [box for mark, box, _ in people if mark.in_full]
        occupied = np.empty((len(taken) + len(people), 4), dtype=np.int64)
        occupied[: len(taken)] = np.reshape(taken, (-1, 4))
        used = len(taken)
        for mark, box, colour in sorted(people, key=lambda one: not one[0].in_full):
            labels = around = occupied[:used]
            if mark.in_full:
                others = [face for face in faces if face is not box]
                around = np.array([*labels.tolist(), *others], dtype=np.int64).reshape(-1, 4)
            for lines in _versions(mark):
                stamp = self._stamp(lines, colour, mark.in_full)
                place = find_place(stamp.shape, box, picture, around)
                place = place or find_place(stamp.shape, box, picture, labels)
                if place:
                    stamp.paint(planes, place[0], place[1])
                    occupied[used] = place
                    used += 1
                    break

    def _make_stamp(self, lines: tuple[str, ...], colour: Colour, in_full: bool) -> Stamp:
        padding = 2 * self._line if in_full else self._line
        size = self._size if in_full else round(_SMALL * self._size)
        letters = draw_lines(lines, size, (2 * padding, padding, 2 * padding, padding))
        ground, bar = np.full_like(letters, _GROUND), np.zeros_like(letters)
        bar[:, :padding] = 255
        return Stamp([(ground, _BLACK), (bar, colour), (letters, _WHITE)], self._encode)


def _versions(mark: Mark) -> Iterator[tuple[str, ...]]:
    """Yield what a label says, then shorter versions of it."""
    number = f"#{mark.person}"
    if mark.in_full:
        verdict = f"{number} {'not judged' if mark.score is None else mark.verdict}"
        if answers := _answers(mark):
            yield verdict, f"heatmap: {', '.join(answers)}"
        yield (verdict,)
    yield (number,)


def _answers(mark: Mark) -> list[str]:
    """Return the short forms of the two answers on a heatmap, as far as they are known."""
    # Where the heatmap is not better than chance, how it differs from others means nothing.
    if mark.trust is TrustMark.CHANCE or not mark.specificity:
        return [mark.trust] if mark.trust else []
    specific = mark.specificity is SpecificityMark.SPECIFIC
    return [*([mark.trust] if mark.trust else []), "specific" if specific else "not specific"]
