"""Text in an outline typeface, and what is blended into many frames."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakelens.render.lettering import draw_lines, text_width
from fakelens.render.stamp import Stamp
from support.painting import noise_picture

NO_MARGINS = (0, 0, 0, 0)
MISSING = "\N{CJK UNIFIED IDEOGRAPH-4E00}"  # the typeface has no such letter


def letter(character: str, size: int = 40) -> NDArray[np.uint8]:
    """Return the drawn part of a letter."""
    mask = draw_lines([character], size, (size, 0, size, 0))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_every_ascii_character_has_a_letter_of_its_own() -> None:
    drawn = {character: letter(character) for character in string.printable[:94] + MISSING}
    pictures = {(one.shape, one.tobytes()) for one in drawn.values()}
    assert len(pictures) == len(drawn)


@pytest.mark.parametrize("size", [13, 30, 60])
def test_letters_have_the_given_size_and_widths_of_their_own(size: int) -> None:
    assert letter("H", size).shape[0] == pytest.approx(0.7 * size, abs=1)
    wide, narrow = text_width("MMMM", size), text_width("iiii", size)
    assert wide > 2.5 * narrow


def test_lines_are_below_each_other_within_the_margins() -> None:
    one = draw_lines(["evidence"], 20, NO_MARGINS)
    two = draw_lines(["evidence", "evidence"], 20, (3, 5, 7, 11))
    height, width = one.shape
    assert two.shape == (5 + 2 * height + 11, 3 + width + 7)
    for top in (5, 5 + height):
        np.testing.assert_array_equal(two[top : top + height, 3 : 3 + width], one)
    assert np.count_nonzero(two) == 2 * np.count_nonzero(one)


PLACES = st.tuples(st.integers(-20, 60), st.integers(-20, 60))
COLOURS = st.tuples(*[st.integers(0, 255)] * 3)


@given(PLACES, COLOURS, COLOURS, st.integers(0, 2**32 - 1))
def test_a_stamp_is_its_layers_blended_one_after_the_other(
    place: tuple[int, int],
    below: tuple[int, int, int],
    above: tuple[int, int, int],
    seed: int,
) -> None:
    x, y = place
    random = np.random.default_rng(seed)
    layers = [
        (random.integers(0, 256, (9, 14), dtype=np.uint8), colour) for colour in (below, above)
    ]
    image = noise_picture(41, 53, seed % 1000)
    drawn = image.copy()
    stamp = Stamp(layers, lambda colours: colours)
    stamp.paint([drawn[:, :, channel] for channel in range(3)], x, y)
    padded = np.pad(image.astype(float), ((30, 40), (30, 40), (0, 0)))
    region = padded[y + 30 : y + 39, x + 30 : x + 44]
    for mask, colour in layers:
        opacity = mask[..., None] / 255
        region[:] = (1 - opacity) * region + opacity * np.array(colour)
    np.testing.assert_allclose(drawn, padded[30:71, 30:83], atol=2)


@given(PLACES, st.integers(0, 2**32 - 1))
def test_on_a_plane_of_half_size_a_stamp_changes_the_samples_of_its_pixels(
    place: tuple[int, int], seed: int
) -> None:
    x, y = place
    mask = np.random.default_rng(seed).integers(0, 256, (9, 14), dtype=np.uint8)
    full, half = np.zeros((40, 52), np.uint8), np.zeros((20, 26), np.uint8)
    Stamp([(mask, (255, 255, 255))], lambda colours: colours).paint([full, half, half.copy()], x, y)
    np.testing.assert_array_equal(half, full[::2, ::2])
