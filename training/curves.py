"""Plot the learning curves of runs: ``python -m training.curves RUN... --output PLOT.png``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure

_PANELS = {
    "validation AUC": (" blend", " fake"),
    "median logit of real faces": (" real median",),
    "training loss": ("label loss", "map loss", "ranking loss"),
}
"""Title of each panel, and the endings of the names of its figures."""


def read_log(run: Path) -> list[dict[str, float]]:
    """Read the validations of a run, in order of the steps."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def draw(runs: list[Path]) -> Figure:
    """Draw one row of panels for each run: the figures by step."""
    figure = Figure(figsize=(4 * len(_PANELS), 2.8 * len(runs)), layout="constrained")
    panels = figure.subplots(len(runs), len(_PANELS), squeeze=False, sharex="row", sharey="col")
    for run, row in zip(runs, panels, strict=True):
        log = read_log(run)
        steps = [line["step"] for line in log]
        for panel, (title, endings) in zip(row, _PANELS.items(), strict=True):
            for name in log[0]:
                if name.endswith(endings):
                    panel.plot(steps, [line[name] for line in log], marker=".", label=name)
            panel.set_title(f"{run.name}: {title}", fontsize=9)
            panel.set_xlabel("step")
            panel.grid(alpha=0.3)
            panel.legend(fontsize=7)
    return figure


def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    output: Annotated[Path, typer.Option(help="Plot to write, PNG or SVG.")],
) -> None:
    """Plot the validations of runs."""
    draw(runs).savefig(output, dpi=110)


if __name__ == "__main__":
    typer.run(main)
