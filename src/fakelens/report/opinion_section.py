"""The section of the page that compares the answers of several models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fakelens.media.images import decode_image
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report
from fakelens.report import portraits
from fakelens.report.error_rates import error_rate_sentence
from fakelens.report.opinions import (
    Answer,
    agreement_sentence,
    answers,
    are_opposed,
    model_labels,
    overview,
)

_SIDE = 160  # of a face, pixels


@dataclass(frozen=True, slots=True)
class OpinionFace:
    """One model's answer on a person.

    Attributes:
        answer: verdict and score.
        picture: data URL of the face at the model's key frame, with its heatmap.
    """

    answer: Answer
    picture: str | None


@dataclass(frozen=True, slots=True)
class OpinionRow:
    """The answers on one person.

    Attributes:
        sentence: whether the models agree.
        is_opposed: whether one says *likely fake* and another one *likely real*.
        faces: one per model.
    """

    sentence: str
    is_opposed: bool
    faces: tuple[OpinionFace, ...]


@dataclass(frozen=True, slots=True)
class OpinionModel:
    """One of the models that are compared.

    Attributes:
        label: its name.
        error_rates: how often it was wrong, a sentence.
        link: URL of its report, relative to the page; ``None`` on that page or without a report.
        is_own: whether the page is its report.
    """

    label: str
    error_rates: str
    link: str | None
    is_own: bool


@dataclass(frozen=True, slots=True)
class OpinionSection:
    """What the page says about second opinions.

    Attributes:
        overview: how far the models agree; ``None`` if no person has a score.
        rows: of the most suspicious people, in order of their numbers.
        more: of further people, without pictures.
        omitted: number of people left out, to keep the page small.
        models: that are compared, that of the page first.
    """

    overview: str | None
    rows: list[OpinionRow]
    more: list[OpinionRow]
    omitted: int
    models: list[OpinionModel]


def compare_opinions(report: Report, folder: Path, page_name: str) -> OpinionSection | None:
    """Compare the report with its second opinions; ``None`` if it has none.

    Args:
        report: of the page.
        folder: of the page; contains the portraits, as do the folders of the other models.
        page_name: file name of the other models' pages.
    """
    if not report.second_opinions:
        return None
    folders: list[Path | None] = [folder]
    links: list[str | None] = [None]
    for opinion in report.second_opinions:
        folders.append(folder / opinion.folder if opinion.folder else None)
        links.append(f"{opinion.folder}/{page_name}" if opinion.folder else None)
    ranked = sorted(answers(report), key=lambda row: max(map(_suspicion, row)), reverse=True)
    pictured = _by_number(ranked[: portraits.MAX_FILM_STRIPS])
    more = _by_number(ranked[portraits.MAX_FILM_STRIPS : portraits.MAX_CARDS])
    rates = [
        error_rate_sentence(report.model, report.thresholds),
        *(error_rate_sentence(one.model, one.thresholds) for one in report.second_opinions),
    ]
    labels = model_labels(report)
    return OpinionSection(
        overview=overview(report),
        rows=[_row(row, folders) for row in pictured],
        more=[_row(row, [None] * len(folders)) for row in more],
        omitted=len(ranked[portraits.MAX_CARDS :]),
        models=[
            OpinionModel(label, rate, link, is_own=number == 0)
            for number, (label, rate, link) in enumerate(zip(labels, rates, links, strict=True))
        ],
    )


def _suspicion(answer: Answer) -> tuple[bool, bool, float]:
    finding = answer.finding
    return finding.seen_well, finding.verdict is Verdict.FAKE, finding.score or 0.0


def _by_number(rows: Sequence[tuple[Answer, ...]]) -> list[tuple[Answer, ...]]:
    return sorted(rows, key=lambda row: row[0].finding.person)


def _row(row: tuple[Answer, ...], folders: Sequence[Path | None]) -> OpinionRow:
    faces = (
        OpinionFace(answer, _picture(folder, answer.finding) if folder else None)
        for answer, folder in zip(row, folders, strict=True)
    )
    return OpinionRow(agreement_sentence(row), are_opposed(row), tuple(faces))


def _picture(folder: Path, finding: Finding) -> str | None:
    """Return the half of a portrait that has the heatmap."""
    path = folder / portraits.FACES_FOLDER / portraits.face_name(finding.person)
    if not path.exists():
        return None
    both = decode_image(path.read_bytes())
    return portraits.data_url(both[:, both.shape[1] // 2 :], _SIDE)
