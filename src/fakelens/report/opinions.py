"""Second opinions: where the reports of several models lie, and whether the models agree, in words.

Nothing here combines scores: each model answers for itself.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fakelens.errors import UsageError
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report, SecondOpinion

FOLDER = "second_opinions"
"""Folder beside the report of the first model, with a folder for each other model."""

NOT_INDEPENDENT = (
    "Agreement is not independent confirmation: models that were trained on the same data, or are "
    "built alike, can be wrong together."
)

_UP = "../.."  # from the report of another model to that of the first
_IS_FOLDER = re.compile(rf"({re.escape(_UP)}|({FOLDER}|\.\.)/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_MAX_NAME = 60  # characters


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model says about a person.

    Attributes:
        label: of the model, see ``model_labels``.
        finding: its verdict and score.
    """

    label: str
    finding: Finding


def place_reports(report: Report, others: Sequence[Report]) -> tuple[Report, ...]:
    """Return reports of one analysis whose second opinions name the folders of each other.

    Args:
        report: of the first model.
        others: of the other models, as ``analyze_models`` returned them.

    Raises:
        UsageError: the reports are not about the same people of the same input.
    """
    if not others:
        alone = tuple(replace(opinion, folder="") for opinion in report.second_opinions)
        return (replace(report, second_opinions=alone),)
    reports = (report, *others)
    if len({(one.provenance.input_sha256, _persons(one)) for one in reports}) > 1:
        raise UsageError("the reports of the other models are not of the same analysis")
    names = _folder_names([one.model.name for one in others])
    from_first = ["", *(f"{FOLDER}/{name}" for name in names)]
    from_other = [_UP, *(f"../{name}" for name in names)]

    def seen_from(viewer: Report) -> tuple[SecondOpinion, ...]:
        folders = from_first if viewer is report else from_other
        return tuple(
            replace(one.opinion, folder=folder)
            for one, folder in zip(reports, folders, strict=True)
            if one is not viewer
        )

    return tuple(replace(one, second_opinions=seen_from(one)) for one in reports)


def is_folder(folder: str) -> bool:
    """Return whether this can be the folder of a second opinion; it may be empty."""
    return _IS_FOLDER.fullmatch(folder) is not None


def model_labels(report: Report) -> list[str]:
    """Return names for the report's model and those of its second opinions, all different.

    Models of equal names are told apart by the SHA-256 of their weights.
    """
    models = [
        (report.model.name, report.provenance.model_sha256),
        *((opinion.model.name, opinion.model_sha256) for opinion in report.second_opinions),
    ]
    uses = Counter(name for name, _ in models)
    return [f"{name} ({sha256[:8]})" if uses[name] > 1 else name for name, sha256 in models]


def answers(report: Report) -> list[tuple[Answer, ...]]:
    """Return the answers on each person whom any model scored, those of the report's model first.

    Empty without second opinions.
    """
    if not report.second_opinions:
        return []
    labels = model_labels(report)
    columns = [report.findings, *(opinion.findings for opinion in report.second_opinions)]
    rows = [tuple(map(Answer, labels, row)) for row in zip(*columns, strict=True)]
    return [row for row in rows if any(answer.finding.score is not None for answer in row)]


def are_opposed(row: Sequence[Answer]) -> bool:
    """Return whether one model says *likely fake* and another one *likely real*."""
    return {answer.finding.verdict for answer in row} >= {Verdict.FAKE, Verdict.REAL}


def agreement_sentence(row: Sequence[Answer]) -> str:
    """Say whether the models agree on a person."""
    person = f"person {row[0].finding.person}"
    if _agree(row):
        models = _all_models(len(row))
        verdict = row[0].finding.verdict
        if verdict is Verdict.INCONCLUSIVE:
            return f"{models} are inconclusive on {person}."
        return f"{models} call {person} {verdict}."
    said = [_said(answer) for answer in row]
    if are_opposed(row):
        return f"The models disagree on {person}: {', '.join(said)}. Treat it as inconclusive."
    return f"{person.capitalize()}: {'; '.join(said)}."


def overview(report: Report) -> str | None:
    """Say in one sentence how far the models agree; ``None`` if there is nothing to compare."""
    rows = answers(report)
    if len(rows) < 2:
        return agreement_sentence(rows[0]) if rows else None
    agreed, opposed = sum(map(_agree, rows)), sum(map(are_opposed, rows))
    models = _all_models(len(report.second_opinions) + 1)
    sentence = f"{models} give the same verdict on {agreed or 'none'} of {len(rows)} people"
    if opposed:
        sentence += f", and contradict each other on {opposed}"
    return f"{sentence}."


def _agree(row: Sequence[Answer]) -> bool:
    unscored = any(answer.finding.score is None for answer in row)
    return not unscored and len({answer.finding.verdict for answer in row}) == 1


def _said(answer: Answer) -> str:
    if answer.finding.score is None:
        return f"{answer.label} gives no score"
    if answer.finding.verdict is Verdict.INCONCLUSIVE:
        return f"{answer.label} is inconclusive"
    return f"{answer.label} says {answer.finding.verdict}"


def _all_models(number: int) -> str:
    return "Both models" if number == 2 else f"All {number} models"


def _persons(report: Report) -> tuple[int, ...]:
    return tuple(finding.person for finding in report.findings)


def _folder_names(models: Sequence[str]) -> list[str]:
    """Return a folder name for each model: safe on all systems, and all different."""
    names: list[str] = []
    for model in models:
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", model)[:_MAX_NAME].strip("-._") or "model"
        taken = {name.lower() for name in names}
        free = (name for n in range(len(models)) if (name := safe + f"-{n + 1}" * (n > 0)))
        names.append(next(name for name in free if name.lower() not in taken))
    return names
