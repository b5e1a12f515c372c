"""Tables that ``fakelens models`` prints."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from fakelens.models.layers import Layer, find_layout, guess_grid
from fakelens.models.loading import find_card, find_weights
from fakelens.models.registry import DEFAULT, KNOWN


def model_table() -> Table:
    """Build the list of models that have a name: a block of lines for each."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for number, name in enumerate(KNOWN):
        card, weights, download = find_card(name), find_weights(name), KNOWN[name].download
        size = download.size if download else weights.stat().st_size if weights else 0
        if number:
            table.add_row()
        table.add_row("model", f"[bold]{name}[/]{' (default)' if name == DEFAULT else ''}")
        for heading, text in (
            ("description", card.description),
            ("licence", card.licence),
            ("input", f"{card.input_size} x {card.input_size} RGB"),
            ("crop", f"{card.crop.scale:g} x {card.crop.reference}"),
            ("original output", card.polarity),
            ("size", f"{size / 1000:.0f} kB"),
            ("weights", str(weights) if weights else f"not installed: fakelens models pull {name}"),
        ):
            table.add_row(heading, escape(text))
    return table


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
