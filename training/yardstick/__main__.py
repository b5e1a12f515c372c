"""Measure models on the yardstick: ``python -m training.yardstick MODEL... --set FOLDER``."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from fakelens.records.faces import CropGeometry
from training.yardstick.aggregations import compare_aggregations
from training.yardstick.build import DEFAULT_FOLDER
from training.yardstick.figures import compute_figures
from training.yardstick.items import read_items, sample_third
from training.yardstick.report import format_aggregations, format_figures, plot_scores
from training.yardstick.scoring import face_logits, load_scorer


def main(  # noqa: PLR0913, PLR0917 - one parameter per option
    models: Annotated[
        list[str], typer.Argument(help="Names or files of models, or .pt state files.")
    ],
    folder: Annotated[
        Path,
        typer.Option("--set", help="Folder of the set.", show_default="training/runs/yardstick"),
    ] = DEFAULT_FOLDER,
    scale: Annotated[
        list[float] | None,
        typer.Option(help="Margin; repeatable.", show_default="the model's own crop"),
    ] = None,
    mirror: Annotated[
        bool, typer.Option(help="Average the logits with those of the mirror image.")
    ] = False,
    aggregations: Annotated[
        bool, typer.Option(help="Compare ways to combine the faces of a person.")
    ] = False,
    quick: Annotated[bool, typer.Option(help="Use a fixed third of the items.")] = False,
    threads: Annotated[int, typer.Option(help="Number of CPU threads.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File to write the figures to.")
    ] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Plot to write.")] = None,
) -> None:
    """Print the figures of each model at each margin."""
    items = read_items(folder)
    items = sample_third(items) if quick else items
    faces = sum(len(item.views) for item in items)
    entries, titles, columns = [], [], []
    for name in models:
        scorer = load_scorer(name, threads)
        crops = [CropGeometry("box", margin) for margin in scale or []] or [scorer.crop]
        pooled = []
        for crop in crops:
            start = time.monotonic()
            logits = face_logits(scorer, items, crop)
            if mirror or aggregations:
                mirrored = face_logits(scorer, items, crop, mirror=True)
            means = (
                [(a + b) / 2 for a, b in zip(logits, mirrored, strict=True)] if mirror else logits
            )
            scores = np.array([float(some.mean()) for some in means])
            figures = compute_figures(items, scores, scorer.fake_logit)
            pooled.append(figures.pooled.value)
            title = f"{Path(name).name}, {crop.reference} {crop.scale:g}"
            titles.append(title)
            columns.append(scores)
            typer.echo(format_figures(title, figures))
            entry = {"model": name, "crop": asdict(crop), "mirror": mirror, **asdict(figures)}
            if aggregations:
                aucs = compare_aggregations(items, logits, mirrored)
                typer.echo(format_aggregations(title, aucs))
                entry["aggregations"] = {name: asdict(auc) for name, auc in aucs.items()}
            entries.append(entry)
            seconds = time.monotonic() - start
            typer.echo(f"  {len(items)} items, {faces} faces, {seconds:.0f} s")
        if len(pooled) > 1:
            change = max(pooled) - min(pooled)
            typer.echo(f"{Path(name).name}: pooled AUC changes by {change:.3f} between the margins")
    if json_file is not None:
        json_file.write_text(json.dumps(entries, indent=1))
    if plot_file is not None:
        plot_scores(titles, items, columns, plot_file)


if __name__ == "__main__":
    typer.run(main)
