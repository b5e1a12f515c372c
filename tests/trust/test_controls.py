"""Controls: outcome, location and false alarms."""

import numpy as np
import pytest

from fakelens.records.arrays import sigmoid
from fakelens.records.trust import ControlOutcome
from fakelens.trust.controls import measure_controls
from support.builders import THRESHOLDS

FORGED = np.pad(np.ones((6, 2, 2), np.bool_), ((0, 0), (1, 1), (1, 1)))


@pytest.mark.parametrize(
    ("person", "changes", "outcome"),
    [
        (-2, [2.6] * 6, ControlOutcome.DETECTED),
        (-2, [1.0] * 6, ControlOutcome.PARTIAL),
        # Only one of the recipes raises the score: two of six forgeries.
        (-2, [1.5, 0, 0, 0, 1.5, 0], ControlOutcome.PARTIAL),
        (-2, [0.05, 0, 0, 0.05, 0.05, 0.05], ControlOutcome.MISSED),
        (-2, [-1.0] * 6, ControlOutcome.MISSED),
        (0.5, [0] * 6, ControlOutcome.UNKNOWN),
    ],
)
def test_the_outcome_depends_on_the_score_and_the_best_recipe(
    person: float, changes: list[float], outcome: ControlOutcome
) -> None:
    array = np.array(changes, np.float32)
    found = measure_controls(person, person, array, None, FORGED, (THRESHOLDS, THRESHOLDS))
    assert found.outcome is outcome
    assert found.forged_score == pytest.approx(float(sigmoid(person + array.mean())))
    assert found.evidence_inside is None
    assert found.faces == 3


def test_evidence_inside_is_the_share_of_the_increase() -> None:
    increases = np.zeros((6, 4, 4), np.float32)
    increases[:, 1, 1], increases[:, 0, 0], increases[:, 3, 3] = 3, 1, -9
    found = measure_controls(
        0, 0, np.ones(6, np.float32), increases, FORGED, (THRESHOLDS, THRESHOLDS)
    )
    assert (found.evidence_inside, found.area_inside) == (0.75, 0.25)


@pytest.mark.parametrize(
    ("person", "recompressed", "false_alarm"),
    [(-1, 0.6, True), (-1, 0.3, False), (0.5, 2, False), (0.38, 0.42, False)],
)
def test_recompression_that_reaches_likely_fake_is_a_false_alarm(
    person: float, recompressed: float, false_alarm: bool
) -> None:
    """The threshold is a logit of 0.405."""
    changes = np.ones(6, np.float32)
    found = measure_controls(person, recompressed, changes, None, FORGED, (THRESHOLDS, THRESHOLDS))
    assert found.recompression_false_alarm is false_alarm
