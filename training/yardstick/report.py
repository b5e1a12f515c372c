"""Figures of the yardstick as text and as a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fakelens.evaluation.auc import Auc
from training.yardstick.figures import FALSE_ALARMS, Figures
from training.yardstick.items import Item


def format_figures(title: str, figures: Figures) -> str:
    """Format figures as a paragraph of about ten lines."""
    share = f"{100 * FALSE_ALARMS:g} %"
    lines = [
        f"{title}: pooled AUC {_auc(figures.pooled)}",
        "  by part        " + ", ".join(f"{k} {_auc(v)}" for k, v in figures.parts.items()),
        "  by kind        " + _numbers(figures.kinds),
        "  by origin      " + _numbers(figures.origins),
        f"  detected at {share} false alarms (logit {figures.threshold:.2f})  "
        + _percent(figures.found),
        "  single pictures called fake there            " + _percent(figures.alarms),
        "  single pictures called fake by the model     " + _percent(figures.own_alarms),
        f"  genuine medians, spread {figures.spread:.2f}, range {figures.reach:.2f} "
        "standard deviations: " + _numbers(dict(sorted(figures.medians.items(), key=_value))),
    ]
    return "\n".join(lines)


def format_aggregations(title: str, aucs: Mapping[str, Auc]) -> str:
    """Format the AUC of each aggregation, one per line."""
    return "\n".join(
        [f"{title}: aggregations over the faces of a person, genuine and forged tracks"]
        + [f"  {name:24} {_auc(auc)}" for name, auc in aucs.items()]
    )


def plot_scores(
    titles: Sequence[str],
    items: Sequence[Item],
    scores: Sequence[NDArray[np.floating]],
    output: Path,
) -> None:
    """Draw box plots of the genuine and fake scores of each origin, one panel per title.

    Args:
        titles: titles of the panels.
        items: N items.
        scores: (N,) logits for each panel.
        output: picture to write.
    """
    origins = list(dict.fromkeys(item.origin for item in items))
    figure = Figure(figsize=(6 * len(titles) + 2, 0.45 * len(origins) + 1.5))
    panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    for axes, title, values in zip(panels, titles, scores, strict=True):
        for fake, colour, offset in ((False, "tab:blue", 0.18), (True, "tab:red", -0.18)):
            samples = [
                (
                    position,
                    [
                        value
                        for value, item in zip(values, items, strict=True)
                        if item.origin == origin and item.fake == fake
                    ],
                )
                for position, origin in enumerate(origins)
            ]
            samples = [(position, some) for position, some in samples if some]
            boxes = axes.boxplot(
                [some for _, some in samples],
                positions=[position + offset for position, _ in samples],
                orientation="horizontal",
                widths=0.3,
                whis=(5, 95),
                sym="",
                patch_artist=True,
                medianprops={"color": "black"},
            )
            for box in boxes["boxes"]:
                box.set_facecolor(colour)
            axes.plot([], [], "s", color=colour, label="fake" if fake else "genuine")
        axes.set_title(title)
        axes.set_xlabel("logit: box 25-75 %, line 5-95 %")
        axes.axvline(0, color="grey", linestyle=":")
    panels[0].set_yticks(range(len(origins)), origins)
    panels[0].legend(loc="best", frameon=False)
    figure.tight_layout()
    figure.savefig(output, dpi=100)


def _auc(auc: Auc) -> str:
    return f"{auc.value:.3f} ({auc.low:.3f}-{auc.high:.3f})"


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


def _percent(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())


def _value(pair: tuple[str, float]) -> float:
    return pair[1]
