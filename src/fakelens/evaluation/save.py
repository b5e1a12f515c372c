"""Puts the benchmark's results into a folder: JSON, CSV, a Markdown table and plots, or nothing."""

import csv
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from fakelens import __version__
from fakelens.errors import OutputError
from fakelens.evaluation.forgeries import Material
from fakelens.evaluation.measure import BenchmarkSettings
from fakelens.evaluation.methods import HeatmapMethod
from fakelens.evaluation.outcomes import MEASURES, Outcome
from fakelens.evaluation.plots import can_plot, plot
from fakelens.evaluation.tables import markdown
from fakelens.records.models import Model

SCHEMA_VERSION = 1
_FILES = ("explain.json", "explain.csv", "explain.md")
_PLOTS = "explain-*.png"


def check_free(folder: Path, *, force: bool) -> None:
    """Make sure that the results can go into a folder; nothing is made or changed.

    Raises:
        OutputError: it holds results already, or is not a folder, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; name a folder for the results")
    taken = [name for name in _FILES if (folder / name).exists()]
    if taken and not force:
        raise OutputError(f"{folder}: holds {taken[0]} already; --force replaces it")
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: cannot write there: {error.strerror}") from error


def describe(
    models: Mapping[str, Model],
    materials: Sequence[Material],
    methods: Sequence[HeatmapMethod],
    settings: BenchmarkSettings,
    notes: Sequence[str],
) -> dict[str, object]:
    """What is needed to understand and repeat the results, for ``save``."""
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
        "materials": [
            {
                "name": material.name,
                "faces": len(material.forgeries),
                "groups": sorted({forgery.group for forgery in material.forgeries}),
            }
            for material in materials
        ],
        "methods": [
            {"name": method.name, "title": method.title, "reference": method.reference}
            for method in methods
        ],
        "measures": {
            key: {"meaning": measure.meaning, "better": measure.better}
            for key, measure in MEASURES.items()
        },
        "notes": [*notes, settings.push.note],
    }


def save(
    outcomes: Sequence[Outcome],
    description: Mapping[str, object],
    folder: Path,
    *,
    force: bool = False,
) -> list[Path]:
    """Write everything.

    Args:
        outcomes: at least one.
        description: see ``describe``.
        folder: made if it does not exist; other files in it are left alone.
        force: replace results that lie there.

    Returns:
        The files written; plots only where matplotlib is installed.

    Raises:
        OutputError: the folder holds results already, or cannot be written.
    """
    check_free(folder, force=force)
    try:
        place = _existing(folder)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.partial-", dir=place) as name:
            staging = Path(name)
            document = {**description, "results": [asdict(one) for one in outcomes]}
            text = json.dumps(document, indent=1, allow_nan=False)
            (staging / "explain.json").write_text(text + "\n", encoding="utf-8")
            _write_csv(outcomes, staging / "explain.csv")
            (staging / "explain.md").write_text(markdown(outcomes), encoding="utf-8")
            for model, some in groupby(outcomes, lambda one: one.model):
                if can_plot():
                    plot(list(some), staging / f"explain-{model}.png")
            return _move(staging, folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot write the results: {error.strerror}") from error


def _write_csv(outcomes: Sequence[Outcome], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["model", "material", "method", "measure", "value", "low", "high", "faces"])
        for one in outcomes:
            names = [one.model, one.material, one.method]
            for key, found in one.measures.items():
                writer.writerow([*names, key, found.value, found.low, found.high, found.faces])
            writer.writerow([*names, "milliseconds", one.milliseconds, None, None, one.faces])


def _move(staging: Path, folder: Path) -> list[Path]:
    """Move the finished files into place and take away plots of other models."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted(staging.iterdir()):
        written.append(folder / source.name)
        source.replace(written[-1])
    for stale in set(folder.glob(_PLOTS)) - set(written):
        stale.unlink()
    return written


def _existing(folder: Path) -> Path:
    """The folder, or what there is of the path to it: on the same disk, with the same rights."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())
