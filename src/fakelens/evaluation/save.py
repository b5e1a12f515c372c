"""Writes the benchmark's results to a folder: JSON, CSV, Markdown tables and plots.

Either all files are written or none.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from fakelens import __version__
from fakelens.evaluation.forgeries import Dataset
from fakelens.evaluation.measure import BenchmarkSettings
from fakelens.evaluation.methods import HeatmapMethod
from fakelens.evaluation.outcomes import MEASURES, Outcome
from fakelens.evaluation.plots import can_plot, plot
from fakelens.evaluation.tables import markdown
from fakelens.media.results_folder import check_free
from fakelens.media.staging import move_into_place, staging_folder
from fakelens.records.models import Model

SCHEMA_VERSION = 2
"""Of ``explain.json``; increased when a field is removed, renamed or changes its meaning."""

FILES = ("explain.json", "explain.csv", "explain.md")
"""Written by ``save``, beside the plots."""

_PLOTS = "explain-*.png"


def describe_run(
    models: Mapping[str, Model],
    datasets: Sequence[Dataset],
    methods: Sequence[HeatmapMethod],
    settings: BenchmarkSettings,
    notes: Sequence[str],
) -> dict[str, object]:
    """Return what is needed to understand and repeat the results, for ``save``.

    Args:
        models: by name.
        datasets: that were measured.
        methods: that were measured.
        settings: of the benchmark.
        notes: sentences about what was not measured.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "fakelens": __version__,
        "settings": settings.as_dict(),
        "models": [
            {
                "name": name,
                "version": model.card.version,
                "sha256": model.sha256,
                "layer": model.card.layer,
                "cam": model.card.cam,
            }
            for name, model in models.items()
        ],
        "datasets": [
            {
                "name": dataset.name,
                "faces": len(dataset.forgeries),
                "groups": sorted({forgery.group for forgery in dataset.forgeries}),
                "parts": dict(
                    Counter(forgery.part for forgery in dataset.forgeries if forgery.part)
                ),
            }
            for dataset in datasets
        ],
        "methods": [
            {"name": method.name, "title": method.title, "reference": method.reference}
            for method in methods
        ],
        "measures": {
            key: {
                "meaning": measure.meaning,
                "better": measure.better,
                "neutral": measure.neutral,
            }
            for key, measure in MEASURES.items()
        },
        "notes": [*notes, settings.attack.note],
    }


def save(
    outcomes: Sequence[Outcome],
    description: Mapping[str, object],
    folder: Path,
    *,
    force: bool = False,
) -> list[Path]:
    """Write all results.

    Args:
        outcomes: at least one.
        description: see ``describe_run``.
        folder: created if it does not exist; other files in it are kept.
        force: overwrite existing results.

    Returns:
        The files written; plots only if matplotlib is installed.

    Raises:
        OutputError: the folder contains results, or cannot be written to.
    """
    check_free(folder, FILES, force=force)
    with staging_folder(folder) as staging:
        document = {**description, "results": [asdict(one) for one in outcomes]}
        text = json.dumps(document, indent=1, allow_nan=False)
        (staging / "explain.json").write_text(text + "\n", encoding="utf-8")
        _write_csv(outcomes, staging / "explain.csv")
        (staging / "explain.md").write_text(markdown(outcomes), encoding="utf-8")
        for model, some in groupby(outcomes, lambda one: one.model):
            if can_plot():
                plot(list(some), staging / f"explain-{model}.png")
        return move_into_place(staging, folder, [*FILES, _PLOTS], force=force)


def _write_csv(outcomes: Sequence[Outcome], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["model", "dataset", "method", "measure", "value", "low", "high", "faces"])
        for one in outcomes:
            names = [one.model, one.dataset, one.method]
            for key, found in one.measures.items():
                writer.writerow([*names, key, found.value, found.low, found.high, found.faces])
            writer.writerow([*names, "milliseconds", one.milliseconds, None, None, one.faces])
