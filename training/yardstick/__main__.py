"""Measure models on the yardstick: ``python -m training.yardstick MODEL... --set PLACE``."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from fakelens.records.faces import CropGeometry
from training.yardstick.aggregations import compare
from training.yardstick.build import DEFAULT_PLACE
from training.yardstick.figures import measure
from training.yardstick.items import read_items, third
from training.yardstick.report import aggregation_text, plot, text
from training.yardstick.scoring import face_logits, load_scorer


def main(  # noqa: PLR0913, PLR0917 - one parameter per option
    models: Annotated[list[str], typer.Argument(help="names, files, or .pt states in training")],
    place: Annotated[Path, typer.Option("--set", help="folder of the set")] = DEFAULT_PLACE,
    scale: Annotated[
        list[float] | None, typer.Option(help="margin; repeatable; default: the model's own crop")
    ] = None,
    mirror: Annotated[bool, typer.Option(help="average with the mirror image")] = False,
    aggregations: Annotated[bool, typer.Option(help="compare ways from faces to a person")] = False,
    quick: Annotated[bool, typer.Option(help="a fixed third of the items")] = False,
    threads: Annotated[int, typer.Option(help="on the CPU")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="file to write")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="picture to write")] = None,
) -> None:
    """Print the figures of each model at each margin."""
    items = read_items(place)
    items = third(items) if quick else items
    faces = sum(len(item.views) for item in items)
    written, titles, columns = [], [], []
    for name in models:
        scorer = load_scorer(name, threads)
        crops = [CropGeometry("box", margin) for margin in scale or []] or [scorer.crop]
        pooled = []
        for crop in crops:
            begin = time.monotonic()
            logits = face_logits(scorer, items, crop)
            if mirror or aggregations:
                mirrored = face_logits(scorer, items, crop, mirror=True)
            means = (
                [(a + b) / 2 for a, b in zip(logits, mirrored, strict=True)] if mirror else logits
            )
            scores = np.array([float(some.mean()) for some in means])
            figures = measure(items, scores, scorer.fake_logit)
            pooled.append(figures.pooled.value)
            title = f"{Path(name).name}, {crop.reference} {crop.scale:g}"
            titles.append(title)
            columns.append(scores)
            typer.echo(text(title, figures))
            entry = {"model": name, "crop": asdict(crop), "mirror": mirror, **asdict(figures)}
            if aggregations:
                aucs = compare(items, logits, mirrored)
                typer.echo(aggregation_text(title, aucs))
                entry["aggregations"] = {way: asdict(auc) for way, auc in aucs.items()}
            written.append(entry)
            seconds = time.monotonic() - begin
            typer.echo(f"  {len(items)} items, {faces} faces, {seconds:.0f} s")
        if len(pooled) > 1:
            change = max(pooled) - min(pooled)
            typer.echo(f"{Path(name).name}: pooled AUC changes by {change:.3f} between the margins")
    if json_file is not None:
        json_file.write_text(json.dumps(written, indent=1))
    if plot_file is not None:
        plot(titles, items, columns, plot_file)


if __name__ == "__main__":
    typer.run(main)
