"""Plots of the benchmark's outcomes: dots with intervals, one panel for each measure."""

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fakelens.evaluation.outcomes import BY_FILTER, BY_REGION, MEASURES, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = (
    "inside",
    "pixel_auc",
    "hits",
    BY_REGION,
    BY_FILTER,
    "deletion",
    "insertion",
    "ablation",
    "attack_score_drop_3",
    "random_weights",
    "next_frame",
)
_BASELINES = {
    "inside": "inside_uniform",
    "hits": "hits_random",
    "attack_score_drop_3": "attack_score_drop_3_random",
}
_HINTS = {"high": "higher is better", "low": "closer to 0 is better", "neither": ""}
_COLUMNS = 3


def can_plot() -> bool:
    """Return whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def plot(outcomes: Sequence[Outcome], path: Path) -> None:
    """Plot the outcomes of one model as a PNG: methods as rows, datasets in colours.

    A dashed line is the value of an uninformative heatmap. Where it differs between datasets, the
    line has the dataset's colour.

    Args:
        outcomes: of one model, at least one.
        path: of the PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional

    methods = list(dict.fromkeys(one.method for one in outcomes))
    datasets = list(dict.fromkeys(one.dataset for one in outcomes))
    panel_rows = math.ceil(len(_SHOWN) / _COLUMNS)
    height = 1.2 + panel_rows * (0.5 + 0.28 * len(methods))
    figure = Figure(figsize=(12, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(panel_rows, _COLUMNS, sharey=True).ravel()
    for axis in axes[len(_SHOWN) :]:
        axis.set_axis_off()
    for axis, key in zip(axes[: len(_SHOWN)], _SHOWN, strict=True):
        for turn, dataset in enumerate(datasets):
            # The datasets of a row are spread over six tenths of its height.
            offset = 0.6 * ((turn + 0.5) / len(datasets) - 0.5)
            rows = {
                methods.index(one.method) + offset: one
                for one in outcomes
                if one.dataset == dataset
            }
            _draw_dataset(axis, key, rows, f"C{turn}")
        _describe(axis, key)
    axes[0].set_yticks(range(len(methods)), methods)
    axes[0].invert_yaxis()
    for turn, dataset in enumerate(datasets):
        axes[0].plot([], [], "o-", color=f"C{turn}", markersize=4, label=dataset)
    figure.legend(loc="outside lower center", ncols=len(datasets), fontsize=9)
    figure.suptitle(outcomes[0].model)
    figure.savefig(path, dpi=100)


def _draw_dataset(axis: "Axes", key: str, rows: dict[float, Outcome], colour: str) -> None:
    """Draw the dots of one dataset; ``rows`` maps heights to outcomes."""
    measured = {row: one.measures for row, one in rows.items() if key in one.measures}
    if measured and key in _BASELINES:
        baseline = next(iter(measured.values()))[_BASELINES[key]].value
        axis.axvline(baseline, color=colour, linestyle="--", linewidth=1)
    for row, measures in measured.items():
        found = measures[key]
        axis.plot(found.value, row, "o", color=colour, markersize=4)
        if found.low is not None and found.high is not None:
            axis.plot([found.low, found.high], [row, row], color=colour, linewidth=1.5)


def _describe(axis: "Axes", key: str) -> None:
    measure = MEASURES[key]
    axis.set_title(f"{measure.title} ({_HINTS[measure.better]})", fontsize=9)
    if measure.neutral is not None:
        axis.axvline(measure.neutral, color="grey", linestyle="--", linewidth=1)
    axis.grid(axis="x", alpha=0.3)
    axis.tick_params(labelsize=8)
