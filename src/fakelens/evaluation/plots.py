"""The benchmark's outcomes as pictures: dots with intervals, one panel for each measure."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fakelens.evaluation.outcomes import MEASURES, Outcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = (
    "inside",
    "auc",
    "hits",
    "deletion",
    "insertion",
    "ablation",
    "push_3",
    "randomised",
    "neighbours",
)
_YARDSTICKS = {"inside": "uniform", "hits": "chance", "push_3": "push_3_random"}
_HINTS = {"high": "more is better", "low": "nearer 0 is better", "neither": ""}
_ACROSS = 3


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def plot(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw the outcomes of one model as a PNG: methods as rows, materials in colours.

    A dashed line is a map that knows nothing; where that differs between materials, it has the
    material's colour.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional

    methods = list(dict.fromkeys(one.method for one in outcomes))
    materials = list(dict.fromkeys(one.material for one in outcomes))
    down = len(_SHOWN) // _ACROSS
    figure = Figure(figsize=(12, 1.2 + down * (0.5 + 0.28 * len(methods))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, _ACROSS, sharey=True).ravel()
    for axis, key in zip(axes, _SHOWN, strict=True):
        for turn, material in enumerate(materials):
            # The materials of a row one below the other, within six tenths of it.
            below = 0.6 * ((turn + 0.5) / len(materials) - 0.5)
            rows = {
                methods.index(one.method) + below: one
                for one in outcomes
                if one.material == material
            }
            _draw_material(axis, key, rows, f"C{turn}")
        _describe(axis, key)
    axes[0].set_yticks(range(len(methods)), methods)
    axes[0].invert_yaxis()
    for turn, material in enumerate(materials):
        axes[0].plot([], [], "o-", color=f"C{turn}", markersize=4, label=material)
    figure.legend(loc="outside lower center", ncols=len(materials), fontsize=9)
    figure.suptitle(outcomes[0].model)
    figure.savefig(path, dpi=100)


def _draw_material(axis: "Axes", key: str, rows: dict[float, Outcome], colour: str) -> None:
    """The dots of one material, at their heights."""
    told = {row: one.measures for row, one in rows.items() if key in one.measures}
    yardsticks = [found[_YARDSTICKS[key]].value for found in told.values() if key in _YARDSTICKS]
    for yardstick in yardsticks[:1]:
        axis.axvline(yardstick, color=colour, linestyle="--", linewidth=1)
    for row, measures in told.items():
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
