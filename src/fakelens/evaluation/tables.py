"""The benchmark's outcomes as rows of text, for the terminal and for Markdown."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from fakelens.evaluation.outcomes import TOPS, Estimate, Outcome

WHERE = (
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
WHAT = (
    "method",
    "deletion",
    "insertion",
    "ablation",
    *(f"push {top}" for top in TOPS),
    f"logits {TOPS[-1]}",
    *(f"turned {top}" for top in TOPS),
)

LEGEND = (
    "inside, AUC, hits: does the map point at the forged area; with 95 % intervals over faces of "
    "different origin. random weights, next frame: rank correlation with the map of the model "
    "with its weights shuffled, and with that of the next frame. ms: for one map. none: maps "
    "without positive evidence, which do not count for inside, AUC and hits. deletion, insertion, "
    "ablation: logits beyond a random map of the same power spectrum. push, logits, turned: fall "
    "of the score, the same in logits, and share of faces called real, when an adversary with a "
    "small part of the published budget may change the map's first one, two or three segments."
)


class Table(NamedTuple):
    """Some outcomes of one model on one material.

    Attributes:
        title: model, material, how many faces.
        headings: ``WHERE`` the evidence lies, or ``WHAT`` it is worth.
        rows: of as many cells.
        yardsticks: what is the same for all methods, a sentence.
    """

    title: str
    headings: Sequence[str]
    rows: list[list[str]]
    yardsticks: str


def tables(outcomes: Sequence[Outcome]) -> Iterator[Table]:
    """Two tables for each model and material, in their order."""
    for (model, material), some in groupby(outcomes, lambda one: (one.model, one.material)):
        group = list(some)
        first = group[0]
        origins = f"{first.groups} origins" if first.groups > 1 else "one origin"
        faces = "one face" if first.faces == 1 else f"{first.faces} faces"
        title = f"{model}, {material}, {faces} of {origins}"
        # Faces with evidence differ from method to method, and so does their forged area, a little.
        fullest = min(group, key=lambda one: one.without_evidence)
        uniform, chance = (_plain(fullest, key) for key in ("uniform", "chance"))
        yield Table(
            f"{title}: where",
            WHERE,
            [_where(one) for one in group],
            f"A map that knows nothing has {uniform} inside and {chance} hits.",
        )
        yield Table(
            f"{title}: what it is worth",
            WHAT,
            [_what(one) for one in group],
            _pushed(fullest),
        )


def markdown(outcomes: Sequence[Outcome]) -> str:
    """All tables as Markdown."""
    lines = []
    for table in tables(outcomes):
        lines += [f"**{table.title}.** {table.yardsticks}", ""]
        lines += [_line(table.headings), "|---" * len(table.headings) + "|"]
        lines += [_line(row) for row in table.rows]
        lines.append("")
    return "\n".join([*lines, LEGEND, ""])


def _where(outcome: Outcome) -> list[str]:
    return [
        outcome.method,
        _with_interval(outcome, "inside"),
        _plain(outcome, "others"),
        *(_with_interval(outcome, key) for key in ("auc", "hits", "randomised", "neighbours")),
        f"{outcome.milliseconds:.0f}",
        str(outcome.without_evidence),
    ]


def _what(outcome: Outcome) -> list[str]:
    return [
        outcome.method,
        *(_with_interval(outcome, key) for key in ("deletion", "insertion", "ablation")),
        *(_plain(outcome, f"push_{top}") for top in TOPS),
        _plain(outcome, f"fall_{TOPS[-1]}"),
        *(_plain(outcome, f"turned_{top}") for top in TOPS),
    ]


def _pushed(outcome: Outcome) -> str:
    random = outcome.measures.get("push_1_random")
    if random is None:
        return "No face was pushed."
    drops, falls, turned = (
        " / ".join(_plain(outcome, f"{name}_{top}_random") for top in TOPS)
        for name in ("push", "fall", "turned")
    )
    return (
        f"Pushed faces: {random.faces}; random segments: {drops}, logits {falls}, turned {turned}."
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
    """Two digits, without the 0 before the point."""
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
