"""The line of text at the bottom left of every frame."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.media.planes import Planes
from fakelens.records.faces import Box
from fakelens.render import caption as captions
from fakelens.render.caption import Caption
from fakelens.render.painter import Canvas, Painter
from fakelens.render.style import Style
from support.painting import changed_pixels, make_mark, noise_picture

TEXT = "evidence, not proof - wrong on 1 of 15 genuine clips"


def with_caption(image: NDArray[np.uint8], text: str = TEXT) -> NDArray[np.uint8]:
    drawn = image.copy()
    canvas = Canvas.from_rgb(drawn)
    Painter(Style(), canvas.encode, image.shape[0], text).paint(canvas, [])
    return drawn


def extent(changed: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the first and last changed row and column."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


@pytest.mark.parametrize("shape", [(360, 640), (540, 960), (1080, 1920), (1920, 1080), (481, 853)])
def test_the_caption_is_at_the_bottom_left_and_small(shape: tuple[int, int]) -> None:
    image = noise_picture(*shape)
    changed = changed_pixels(image, with_caption(image))
    top, bottom, left, right = extent(changed)
    assert (bottom, left) == (shape[0] - 1, 0)
    assert shape[0] - top <= shape[0] / 8 + 1
    assert right < shape[1]
    assert changed.sum() < 0.06 * changed.size
    # White letters on dark ground.
    tile = with_caption(image)[top + 1 :, : right + 1].astype(int)
    assert (tile.min(axis=2) > 180).mean() > 0.03
    assert (tile.max(axis=2) < 80).mean() > 0.5


@pytest.mark.parametrize("shape", [(144, 240), (90, 1920), (1920, 60), (20, 20), (1, 1)])
def test_a_picture_too_small_to_read_it_has_no_caption(shape: tuple[int, int]) -> None:
    image = noise_picture(*shape)
    np.testing.assert_array_equal(with_caption(image), image)


def lines_drawn(
    monkeypatch: pytest.MonkeyPatch, height: int, width: int, text: str = TEXT
) -> list[str]:
    """Return the lines of the caption of a picture, within which they have to be."""
    drawn: list[list[str]] = []
    draw = captions.draw_lines
    monkeypatch.setattr(
        captions, "draw_lines", lambda lines, *rest: (drawn.append(lines), draw(lines, *rest))[1]
    )
    image = noise_picture(height, width)
    changed = changed_pixels(image, with_caption(image, text))
    if not changed.any():
        return []
    top, _, _, right = extent(changed)
    assert right < width
    assert height - top <= height / 8 + 1
    return drawn[-1]


LONG = f"{TEXT}, tuned on these clips (at its own thresholds)"


@pytest.mark.parametrize(
    ("width", "text", "expected"),
    [
        (640, TEXT, [TEXT]),
        (260, TEXT, ["evidence, not proof", "wrong on 1 of 15 genuine clips"]),
        (
            260,
            LONG,
            [
                "evidence, not proof",
                "wrong on 1 of 15 genuine clips, tuned",
                "on these clips (at its own thresholds)",
            ],
        ),
    ],
)
def test_a_caption_wider_than_the_picture_goes_on_in_further_lines(
    width: int, text: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lines_drawn(monkeypatch, 640, width, text) == expected


def test_where_the_whole_caption_does_not_fit_its_first_part_remains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lines_drawn(monkeypatch, 240, 320, LONG) == ["evidence, not proof"]


def test_no_caption_draws_nothing() -> None:
    image = noise_picture(540, 960)
    np.testing.assert_array_equal(with_caption(image, ""), image)


def test_the_letters_are_drawn_once_for_all_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    draw = captions.draw_lines
    monkeypatch.setattr(
        captions, "draw_lines", lambda *given: (calls.append(given), draw(*given))[1]
    )
    caption = Caption(TEXT, lambda colours: colours)
    images = [noise_picture(540, 960, seed) for seed in range(5)]
    for image in images:
        caption.paint([image[:, :, channel] for channel in range(3)])
    assert len(calls) == 1
    assert changed_pixels(images[4], noise_picture(540, 960, 4)).any()
    caption.paint([noise_picture(1080, 1920)[:, :, channel] for channel in range(3)])
    assert len(calls) == 2, "another size of picture"


def test_the_caption_covers_heatmaps_and_boxes() -> None:
    image = noise_picture(540, 960)
    drawn = image.copy()
    canvas = Canvas.from_rgb(drawn)
    mark = make_mark(Box(0, 340, 200, 540))
    painter = Painter(Style(opacity=1), canvas.encode, 540, TEXT)
    painter.paint(canvas, [mark])
    heated = image.copy()
    Painter(Style(opacity=1), canvas.encode, 540).paint(Canvas.from_rgb(heated), [mark])
    corner = slice(530, None), slice(190)
    assert np.median(heated[corner].max(axis=2)) > 200
    assert np.median(drawn[corner].max(axis=2)) < 80


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("shape", [(360, 640), (358, 642), (722, 1280)])
def test_drawing_on_a_video_frame_equals_drawing_on_a_picture(
    shape: tuple[int, int], full_range: bool
) -> None:
    """Blending commutes with the conversion of colours, which is linear."""
    image = np.full((*shape, 3), (200, 40, 90), np.uint8)
    plain = np.zeros((1, 1), np.uint8)
    encode = Planes(plain, plain, plain, "bt709", full_range).encode

    def planes_of(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        full = encode(picture.reshape(-1, 3)).reshape(picture.shape)
        return [full[..., 0].copy(), full[::2, ::2, 1].copy(), full[::2, ::2, 2].copy()]

    planes = planes_of(image)
    Caption(TEXT, encode).paint(planes)
    for drawn, wanted, before in zip(
        planes, planes_of(with_caption(image)), planes_of(image), strict=True
    ):
        assert (wanted != before).any()
        np.testing.assert_allclose(drawn.astype(int), wanted.astype(int), atol=2)
