"""Error records: verdicts on labelled clips, counted for the model card."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakelens.analysis.verdicts import judge_track
from fakelens.evaluation.error_records import build_record
from fakelens.evaluation.labels import LabelledFile
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Calibration, ErrorRecord, ModelCard, VerdictCounts
from support.builders import CARD, THRESHOLDS, make_track

LIMIT = 1.2
CALIBRATED = replace(CARD, calibration=Calibration("m", "d", LIMIT, ()))


def finding(verdict: Verdict, score: float | None = 0.5) -> Finding:
    judged = judge_track(make_track(np.zeros(100)), THRESHOLDS, still=False)
    return replace(judged, verdict=verdict, score=score)


def clip(dataset: str, fake: bool) -> LabelledFile:
    return LabelledFile(Path("clip.mp4"), fake, "group", dataset)


def record_of(
    clips: Sequence[LabelledFile], findings: Sequence[Finding | None], card: ModelCard = CARD
) -> ErrorRecord:
    return build_record(
        clips, findings, card, name="n", independent=True, command="c", origin="clips of us"
    )


FAKE, REAL, OPEN = Verdict.FAKE, Verdict.REAL, Verdict.INCONCLUSIVE
# Dataset, label, and verdict on each clip.
CASES: list[tuple[str, bool, list[Verdict | None]]] = [
    ("c23", True, [FAKE, FAKE, None]),
    ("c23", True, [OPEN]),
    ("c40", True, [REAL]),
    ("c23", False, [REAL]),
    ("two", False, [OPEN, OPEN, OPEN, FAKE]),
    ("two", False, [None, REAL]),
]


def test_counts_of_a_record_equal_those_by_hand() -> None:
    # Taking turns between the data sets, so that their clips are not consecutive.
    rows = [
        (clip(dataset, fake), verdicts[turn] and finding(verdicts[turn]))
        for turn in range(4)
        for dataset, fake, verdicts in CASES
        if turn < len(verdicts)
    ]
    record = record_of([row[0] for row in rows], [row[1] for row in rows])
    assert record.counts == (
        VerdictCounts("c23", "real", clips=1, fake=0, real=1, inconclusive=0, not_judged=0),
        VerdictCounts("c23", "fake", clips=4, fake=2, real=0, inconclusive=1, not_judged=1),
        VerdictCounts("c40", "fake", clips=1, fake=0, real=1, inconclusive=0, not_judged=0),
        VerdictCounts("two", "real", clips=6, fake=1, real=1, inconclusive=3, not_judged=1),
    )
    assert sum(count.clips for count in record.counts) == len(rows) == 12
    assert record.data == "12 clips of us of 3 datasets"
    assert (record.name, record.independent, record.command) == ("n", True, "c")
    assert record_of([clip("one", True)], [None]).data == "1 clips of us of 1 dataset"


def test_clips_and_findings_must_correspond() -> None:
    with pytest.raises(ValueError, match="shorter"):
        record_of([clip("one", True)] * 2, [None])


def test_cost_of_a_record_is_that_of_the_limited_ratios() -> None:
    scores = {True: [0.999, 0.7, 0.2], False: [0.001, 0.4]}
    rows = [(clip("d", fake), finding(OPEN, s)) for fake in scores for s in scores[fake]]
    rows += [(clip("d", False), None), (clip("d", True), finding(OPEN, None))]
    record = record_of([row[0] for row in rows], [row[1] for row in rows], CALIBRATED)

    def ratio(score: float) -> float:
        return min(max(score / (1 - score), 10**-LIMIT), 10**LIMIT)

    # Bruemmer and du Preez: the mean penalty in bits, of the fakes and of the real clips.
    of_fake = [math.log2(1 + 1 / ratio(score)) for score in scores[True]]
    of_real = [math.log2(1 + ratio(score)) for score in scores[False]]
    cost = (sum(of_fake) / 3 + sum(of_real) / 2) / 2
    assert record.cllr == pytest.approx(cost, abs=6e-4)


@pytest.mark.parametrize(
    ("card", "labels"), [(CARD, [True, False]), (CALIBRATED, [True, True])], ids=["card", "label"]
)
def test_cost_needs_a_calibration_and_both_labels(card: ModelCard, labels: list[bool]) -> None:
    clips = [clip("d", fake) for fake in labels]
    # A real clip without a score does not make up for a missing label.
    assert record_of(
        [*clips, clip("d", False)], [finding(OPEN), finding(OPEN), None], card
    ).cllr is (None)


def test_clips_without_a_dataset_are_counted_under_the_name_of_the_set() -> None:
    record = record_of([clip("", True), clip("one", True)], [None, finding(FAKE)])
    assert [(one.dataset, one.clips) for one in record.counts] == [("n", 1), ("one", 1)]
