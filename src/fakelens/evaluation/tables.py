"""Tables of the benchmark's outcomes, for the terminal and as Markdown."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from fakelens.evaluation.outcomes import (
    BY_FILTER,
    BY_REGION,
    CHANCE,
    TOPS,
    Estimate,
    Outcome,
    part_key,
)
from fakelens.explain.baseline import PARTS

LOCALISATION = (
    "method",
    "inside",
    "another's",
    "AUC",
    "hits",
    "random weights",
    "next frame",
    "ms",
    "none",
)
"""Headings of the table of localisation and stability."""

FAITHFULNESS = (
    "method",
    "deletion",
    "insertion",
    "ablation",
    *(f"attack {top}" for top in TOPS),
    f"logits {TOPS[-1]}",
    *(f"flipped {top}" for top in TOPS),
)
"""Headings of the table of faithfulness."""

NAMED_PARTS = ("method", "by", "all", *PARTS)
"""Headings of the table of named parts."""

_WAYS = {"region": BY_REGION, "filter": BY_FILTER}

LEGEND = (
    "inside, another's: share of the positive evidence inside the forged area, and the same for "
    "another face's heatmap. AUC, hits: whether forged pixels have more evidence, and whether the "
    "strongest cell is forged. Intervals are 95 %, over faces of different origin. random weights, "
    "next frame: rank correlation with the heatmap of the model with permuted weights, and with "
    "that of the next frame. ms: time for one heatmap. none: heatmaps without positive evidence, "
    "which do not count for inside, AUC, hits and named parts. deletion, insertion, ablation: in "
    "logits, less the value of random heatmaps of the same power spectrum. attack, logits, "
    "flipped: drop of the score, the same in logits, and share of faces then called real, when an "
    "adversarial attack with a small part of the published budget changes the heatmap's top one, "
    "two or three segments. Named parts: share of the faces whose forged part the heatmap names, "
    "over all faces and by the forged part; by region: it is the one of four parts with the "
    "highest mean; by filter: it has the strongest matched filter of the model's baseline, of five "
    "with the whole face."
)
"""Explains the headings of all tables."""


class Table(NamedTuple):
    """Some outcomes of one model on one dataset.

    Attributes:
        title: model, dataset, number of faces, subject.
        headings: ``LOCALISATION``, ``NAMED_PARTS`` or ``FAITHFULNESS``.
        rows: one for each method, with a cell for each heading; of named parts, one more for the
            method of the model's baseline.
        baselines: a sentence with the values that are the same for all methods, or on what was not
            measured.
    """

    title: str
    headings: Sequence[str]
    rows: list[list[str]]
    baselines: str


def tables(outcomes: Sequence[Outcome]) -> Iterator[Table]:
    """Yield three tables for each model and dataset, in the order of the outcomes."""
    for (model, dataset), some in groupby(outcomes, lambda one: (one.model, one.dataset)):
        group = list(some)
        first = group[0]
        origins = f"{first.groups} origins" if first.groups > 1 else "one origin"
        faces = "one face" if first.faces == 1 else f"{first.faces} faces"
        title = f"{model}, {dataset}, {faces} of {origins}"
        # Baselines are means over the faces with evidence, which differ a little between methods.
        fullest = min(group, key=lambda one: one.without_evidence)
        uniform, random = (_plain(fullest, key) for key in ("inside_uniform", "hits_random"))
        yield Table(
            f"{title}: localisation and stability",
            LOCALISATION,
            [_localisation_row(one) for one in group],
            f"An uninformative heatmap has {uniform} inside and {random} hits.",
        )
        yield Table(
            f"{title}: named parts",
            NAMED_PARTS,
            [row for one in group for row in _named_parts_rows(one)],
            _named_parts_baselines(group),
        )
        yield Table(
            f"{title}: faithfulness",
            FAITHFULNESS,
            [_faithfulness_row(one) for one in group],
            _attack_baselines(fullest),
        )


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Format all tables as Markdown."""
    lines = []
    for table in tables(outcomes):
        lines += [f"**{table.title}.** {table.baselines}", ""]
        lines += [_line(table.headings), "|---" * len(table.headings) + "|"]
        lines += [_line(row) for row in table.rows]
        lines.append("")
    return "\n".join([*lines, LEGEND, ""])


def _localisation_row(outcome: Outcome) -> list[str]:
    return [
        outcome.method,
        _with_interval(outcome, "inside"),
        _plain(outcome, "inside_other_face"),
        *(
            _with_interval(outcome, key)
            for key in ("pixel_auc", "hits", "random_weights", "next_frame")
        ),
        f"{outcome.milliseconds:.0f}",
        str(outcome.without_evidence),
    ]


def _named_parts_rows(outcome: Outcome) -> Iterator[list[str]]:
    for way, key in _WAYS.items():
        # Only the method of the model's baseline has filters.
        if key == BY_REGION or key in outcome.measures:
            keys = (key, *(part_key(key, part) for part in PARTS))
            yield [outcome.method, way, *(_with_interval(outcome, each) for each in keys)]


def _named_parts_baselines(outcomes: Sequence[Outcome]) -> str:
    if not any(key in one.measures for one in outcomes for key in _WAYS.values()):
        return (
            "Not measured: it is not known which part of a face is forged, or no heatmap has "
            "positive evidence."
        )
    chance = " and ".join(f"{_number(CHANCE[key])} by {way}" for way, key in _WAYS.items())
    return f"A random choice has {chance}."


def _faithfulness_row(outcome: Outcome) -> list[str]:
    return [
        outcome.method,
        *(_with_interval(outcome, key) for key in ("deletion", "insertion", "ablation")),
        *(_plain(outcome, f"attack_score_drop_{top}") for top in TOPS),
        _plain(outcome, f"attack_logit_drop_{TOPS[-1]}"),
        *(_plain(outcome, f"attack_flipped_{top}") for top in TOPS),
    ]


def _attack_baselines(outcome: Outcome) -> str:
    random = outcome.measures.get("attack_score_drop_1_random")
    if random is None:
        return "No face was attacked."
    score, logit, flipped = (
        " / ".join(_plain(outcome, f"attack_{name}_{top}_random") for top in TOPS)
        for name in ("score_drop", "logit_drop", "flipped")
    )
    return (
        f"Attacked faces: {random.faces}; random segments: attack {score}, logits {logit}, "
        f"flipped {flipped}."
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(outcome: Outcome, key: str) -> str:
    found = outcome.measures.get(key)
    return _number(found.value) if found else "-"


def _with_interval(outcome: Outcome, key: str) -> str:
    found: Estimate | None = outcome.measures.get(key)
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return _number(found.value)
    dash = " to " if found.low < 0 else "-"
    return f"{_number(found.value)} ({_number(found.low)}{dash}{_number(found.high)})"


def _number(value: float) -> str:
    """Format with two decimals and without the 0 before the point."""
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
