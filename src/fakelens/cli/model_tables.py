"""Tables that ``fakelens models`` prints."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from fakelens.models.layers import Layer, find_layout, guess_grid


def layer_table(layers: Sequence[Layer]) -> Table:
    """Build the table of a classifier's layers, with what a heatmap of each would look like."""
    table = Table(box=None, title_justify="left")
    for title in ("layer", "type", "output per crop", "heatmap"):
        table.add_column(title, overflow="fold")
    for layer in layers:
        table.add_row(
            escape(layer.name),
            escape(layer.kind),
            " x ".join(map(str, layer.shape)),
            _heatmap_of(layer),
        )
    return table


def _heatmap_of(layer: Layer) -> str:
    layout = find_layout(layer)
    if layout is not None:
        height, width = layer.shape[1:] if layout.kind == "channels_first" else layer.shape[:2]
        return f"{height} x {width}, {layout.kind.replace('_', ' ')}"
    guess = guess_grid(layer.shape[0]) if len(layer.shape) == 2 else None
    if guess is None:
        return "-"
    (height, width), extra = guess
    return f"state grid = [{height}, {width}], class_tokens = {extra}"
