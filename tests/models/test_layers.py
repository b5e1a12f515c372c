"""The choice of a layer by shapes and types alone."""

import pytest

from fakelens.errors import ModelError
from fakelens.models.layers import Layer, before_last_pool, check_map, find_layout, guess_grid
from fakelens.records.conventions import LayerLayout


@pytest.mark.parametrize(
    ("shape", "axis", "kind"),
    [
        ((512, 7, 7), None, "channels_first"),
        ((7, 7, 768), None, "channels_last"),
        ((7, 7, 768), -1, "channels_last"),
        ((768, 7, 7), 0, "channels_first"),
        ((16, 8, 8), None, "channels_first"),
        ((8, 8, 16), None, "channels_last"),
        ((8, 8, 8), 0, "channels_first"),
        ((8, 8, 8), -1, "channels_last"),
        ((8, 8, 8), None, None),
        ((16, 8, 8), -1, "channels_last"),
        ((7, 7, 768), 0, None),
        ((512, 1, 1), None, None),
        ((512, 7, 1), None, None),
        ((3, 8, 5), None, "channels_first"),
        ((197, 768), None, None),
        ((1,), None, None),
    ],
)
def test_layouts(shape: tuple[int, ...], axis: int | None, kind: str | None) -> None:
    found = find_layout(Layer("a", "X", shape, axis))
    assert (found.kind if found else None) == kind


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (196, ((14, 14), 0)),
        (197, ((14, 14), 1)),
        (201, ((14, 14), 5)),
        (50, ((7, 7), 1)),
        (224, None),
        (1, None),
    ],
)
def test_grids(tokens: int, expected: object) -> None:
    assert guess_grid(tokens) == expected


def names(*layers: tuple[str, tuple[int, ...]]) -> list[str]:
    found = before_last_pool([Layer(str(n), *layer) for n, layer in enumerate(layers)])
    return [layer.name for layer in found]


def test_a_final_pool_and_what_follows_it_is_cut_off() -> None:
    conv, relu = ("Conv2d", (8, 6, 6)), ("ReLU", (8, 6, 6))
    pool, gone = ("MaxPool2d", (8, 3, 3)), ("Sequential", (8, 3, 3))
    flat, gate = ("Linear", (2,)), ("AdaptiveAvgPool2d", (8, 1, 1))
    assert names(conv, relu, pool, gone, flat) == ["0", "1"]
    assert names(conv, relu, gate, ("Dropout", (8, 1, 1)), flat) == ["0", "1"]
    assert len(names(conv, pool, ("Conv2d", (8, 3, 3)), flat)) == 4
    # A gate inside a block, and a mixer that is called a pool, are not the end of the map.
    assert len(names(conv, gate, ("Linear", (8,)), ("Block", (8, 6, 6)), flat)) == 5
    assert len(names(conv, ("Norm", (8, 6, 6)), ("PoolFormerBlock", (8, 6, 6)), flat)) == 4
    assert len(names(pool, flat)) == 2


@pytest.mark.parametrize(
    ("shape", "layout", "message"),
    [
        ((7, 7, 768), LayerLayout("channels_first"), "7 x 768 cannot be .* seem to come last"),
        ((768, 7, 7), LayerLayout("channels_last"), "768 x 7 cannot be .* seem to come first"),
        ((768, 1, 1), LayerLayout("channels_first"), "1 x 1 cannot be .*; choose another layer"),
        ((10,), LayerLayout("channels_first"), "returns 10 per crop, which is not a map"),
        ((), LayerLayout("channels_first"), "returns one number per crop, which is not a map"),
        ((197, 768), LayerLayout("channels_first"), "state the token grid .* 14 x 14 and 1 class"),
        ((197, 768), LayerLayout("tokens", (14, 14)), "not 0 class tokens and a grid of 14 x 14;"),
        ((768, 7, 7), LayerLayout("tokens", (7, 7)), "not tokens x channels: it has no token grid"),
        ((48, 768), LayerLayout("tokens", (4, 12)), "4 x 12 cannot be that of a square crop"),
    ],
)
def test_maps_that_make_no_sense(shape: tuple[int, ...], layout: LayerLayout, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_map(Layer("a", "X", shape), layout, "model")


def test_sizes_of_maps() -> None:
    assert check_map(Layer("a", "X", (9, 7, 6)), LayerLayout("channels_first"), "m") == (7, 6)
    assert check_map(Layer("a", "X", (7, 6, 9)), LayerLayout("channels_last"), "m") == (7, 6)
    tokens = LayerLayout("tokens", (14, 14), 5)
    assert check_map(Layer("a", "X", (201, 9)), tokens, "m") == (14, 14)
