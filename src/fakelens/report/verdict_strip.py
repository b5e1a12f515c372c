"""The verdict strip at the top of the page: the answer on the most suspicious people."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakelens.media.images import decode_image
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report
from fakelens.render.ranking import rank_by_suspicion
from fakelens.report import portraits
from fakelens.report.error_rates import error_rate_for
from fakelens.report.opinions import Answer, answers
from fakelens.report.plain_words import answer, how_sure, main_reason
from fakelens.report.same_person import possibly_same

MAX_PEOPLE = 3
_SIDE = 192  # of a face, pixels; twice its size on the page

SIDES = {Verdict.FAKE: "fake", Verdict.REAL: "real", Verdict.INCONCLUSIVE: "unsure"}
"""Class of an element in the colour of a verdict."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer on one person.

    Attributes:
        person: number of the person.
        verdict: in words; *not judged* if the person is not seen well enough.
        side: class of the verdict's colour.
        sure: what weakens the verdict, a sentence.
        reason: the main reason, a sentence.
        error_rate: how often the model was wrong with this verdict, a sentence; empty for people
            who are not judged.
        second: what the other models say, a few words; empty without second opinions.
        face: data URL; ``None`` without a picture.
        has_card: whether the page has a card of the person.
        same: numbers of the others in the strip who may be the same person.
    """

    person: int
    verdict: str
    side: str
    sure: str
    reason: str
    error_rate: str
    second: str
    face: str | None
    has_card: bool
    same: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """The answers at the top of the page.

    Attributes:
        people: the most suspicious ones who are judged, at most ``MAX_PEOPLE``; if nobody is
            judged, the first ones.
        judged: number of all people who are judged.
        is_complete: whether the answers on these people are the whole result.
    """

    people: list[Answered]
    judged: int
    is_complete: bool


def make_strip(report: Report, folder: Path, faces: Mapping[int, Mapping[int, bytes]]) -> Strip:
    """Return the answers on the most suspicious people, in that order.

    Args:
        report: to show.
        folder: of the page; contains the portraits.
        faces: face crops, as in ``portraits.Portraits``.
    """
    ranked = sorted(range(len(report.findings)), key=lambda n: _rank(report.findings[n]))
    cards = set(rank_by_suspicion(report)[: portraits.MAX_CARDS])
    opinions = {row[0].finding.person: row for row in answers(report)}
    same = possibly_same(report.findings)
    judged = [number for number in ranked if report.findings[number].seen_well]
    chosen = (judged or ranked)[:MAX_PEOPLE]
    shown = {report.findings[number].person for number in chosen}
    people = []
    for number in chosen:
        finding = report.findings[number]
        people.append(
            Answered(
                person=finding.person,
                verdict=answer(finding),
                side=SIDES[finding.verdict],
                sure=how_sure(finding, report.thresholds),
                reason=main_reason(finding, report.thresholds),
                error_rate=error_rate_of(report, finding),
                second=_second(opinions.get(finding.person, ())),
                face=_face(faces.get(number, {}).get(finding.key_frame), folder, finding),
                has_card=number in cards,
                same=tuple(one for one in same[finding.person] if one in shown),
            )
        )
    is_complete = bool(judged) and len(chosen) == len(ranked) and not report.damage
    return Strip(people, len(judged), is_complete)


def error_rate_of(report: Report, finding: Finding) -> str:
    """Say how often the model was wrong with a person's verdict; empty if there is none."""
    if not finding.seen_well:
        return ""
    return error_rate_for(report.model, finding.verdict, report.thresholds)


def _rank(finding: Finding) -> tuple[bool, bool, float]:
    return not finding.seen_well, finding.verdict is not Verdict.FAKE, -(finding.score or 0.0)


def _second(row: tuple[Answer, ...]) -> str:
    others = [
        f"{one.label}: {'no score' if one.finding.score is None else one.finding.verdict}"
        for one in row[1:]
    ]
    return "; ".join(others)


def _face(crop: bytes | None, folder: Path, finding: Finding) -> str | None:
    """Return the untouched face at the key frame: the crop, or the left half of the portrait."""
    if crop:
        return portraits.data_url(decode_image(crop), _SIDE)
    path = folder / portraits.FACES_FOLDER / portraits.face_name(finding.person)
    if not path.exists():
        return None
    both = decode_image(path.read_bytes())
    return portraits.data_url(np.ascontiguousarray(both[:, : both.shape[1] // 2]), _SIDE)
