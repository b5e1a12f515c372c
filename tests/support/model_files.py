"""Writes model files."""

import json
from pathlib import Path


def write_model_file(
    path: Path,
    weights: str,
    *,
    side: int = 64,
    outputs: tuple[str, ...] = ("fake",),
    channels: str = "first",
    card: str = "",
    convention: str = "",
    layout: str = "",
) -> Path:
    """Write a model file of a classifier of pixels from 0 to 1; texts are lines of its tables."""
    path.write_text(
        "\n".join(
            (
                f"[weights]\n{weights}",
                f"[card]\ninput_size = {side}\ncrop = {{ reference = 'box', scale = 1.3 }}\n{card}",
                f"[convention]\noutputs = {json.dumps(outputs)}\nchannels = '{channels}'",
                f"mean = [0, 0, 0]\nstd = [1, 1, 1]\n{convention}",
                f"[layout]\n{layout}" if layout else "",
            )
        ),
        encoding="utf-8",
    )
    return path
