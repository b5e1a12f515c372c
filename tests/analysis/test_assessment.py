"""The assessment of a finding: what is measured, and what is left out."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.analysis.assessment import Assessor
from fakelens.analysis.verdicts import judge_track
from fakelens.explain.baseline import GRID, PARTS
from fakelens.explain.cam import METHODS
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.explain.regions import REGION_NAMES, region_of_cells, region_shares
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import Box
from fakelens.records.findings import Verdict
from fakelens.records.models import Baseline, Calibration, ConditionRange, Domain, Evidence
from fakelens.records.trust import ControlOutcome, SpecificityMark, TrustMark
from fakelens.trust.controls import FORGERIES_PER_SAMPLE
from fakelens.trust.region_ablation import ablate_regions
from fakelens.trust.robustness import PERTURBATIONS
from support.assessing import LANDMARKS, DetailModel, assess, logit_of_sample, make_sample
from support.builders import CARD, THRESHOLDS, make_track
from support.toys import RedModel


def test_a_model_of_colour_is_robust_to_every_perturbation() -> None:
    model, sample = RedModel(), make_sample(red=60)
    finding = assess(model, sample, logit=logit_of_sample(model, sample))
    assert finding.assessment is not None
    low, high = finding.assessment.robustness.score_range
    assert high - low < 0.03
    assert finding.verdict is Verdict.FAKE
    assert set(finding.assessment.robustness.scores) == set(PERTURBATIONS)


def test_a_model_of_detail_is_not_robust() -> None:
    model, sample = DetailModel(), make_sample(noise=15)
    logit = logit_of_sample(model, sample)
    finding = assess(model, sample, logit=logit)
    assert finding.assessment is not None
    robustness = finding.assessment.robustness
    assert robustness.scores["half resolution"] < sigmoid(logit) - 0.05
    assert robustness.score_range[0] == min(robustness.scores.values())


def test_a_detected_forgery_is_located_by_the_heatmap() -> None:
    """Synthetic forgeries are softer, so a model that takes softness for fake detects them."""

    class SoftnessModel(DetailModel):
        def examine(self, crops: NDArray[np.uint8]) -> Evidence:
            found = super().examine(crops)
            return Evidence(-4 * found.logit, -4 * found.activation, found.gradient)

        def head(self, activation: NDArray[np.float32]) -> NDArray[np.float32]:
            return activation.mean(axis=(1, 2, 3))

    model = SoftnessModel()
    finding = assess(model, *(make_sample(seed=seed, noise=15) for seed in range(3)), logit=-2)
    assert finding.assessment is not None
    controls = finding.assessment.controls
    assert controls is not None
    assert controls.outcome in (ControlOutcome.DETECTED, ControlOutcome.PARTIAL)
    assert controls.forged_score > sigmoid(-2)
    assert controls.evidence_inside is not None
    assert controls.evidence_inside > 2 * controls.area_inside
    assert controls.faces == 3


def test_a_missed_control_withdraws_likely_real() -> None:
    class ConstantModel(RedModel):
        def examine(self, crops: NDArray[np.uint8]) -> Evidence:
            found = super().examine(crops)
            return Evidence(0 * found.logit - 2, 0 * found.activation - 2, found.gradient)

    finding = assess(ConstantModel(), make_sample(), make_sample(seed=1), logit=-2)
    assert finding.assessment is not None
    assert finding.assessment.controls is not None
    assert finding.assessment.controls.outcome is ControlOutcome.MISSED
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "control missed" in finding.reasons[0]
    assert finding.trust_mark is not TrustMark.SUPPORTED


def test_forgeries_are_compared_with_their_own_faces() -> None:
    """The faces have very different scores, so changes between two faces would be large."""
    finding = assess(
        RedModel(), *(make_sample(red=red) for red in (-80, -40, 0, 40, -60)), logit=-2
    )
    assert finding.assessment is not None
    assert finding.assessment.controls is not None
    assert finding.assessment.controls.forged_score == pytest.approx(float(sigmoid(-2)), abs=0.06)
    assert finding.assessment.robustness is not None
    low, high = finding.assessment.robustness.score_range
    assert high - low < 0.03


def test_of_a_short_track_no_reliability_is_measured() -> None:
    model = RedModel()
    track = make_track(np.full(20, 1.0), heatmaps=np.zeros(20))
    store = HeatmapStore()
    store.append(np.ones((1, 8, 8), np.float32))
    assessor = Assessor(model, METHODS["hirescam"], THRESHOLDS)
    found = assessor.assess(
        judge_track(track, THRESHOLDS, still=False), track, store, [make_sample()]
    )
    assert found.assessment is not None
    assert found.assessment.faithfulness is None
    assert found.assessment.robustness is None
    assert found.assessment.controls is None
    assert "not seen well enough" in found.assessment.notes[0]
    assert sum(model.calls) == 1


def test_a_method_without_evidence_for_fake_has_no_regions() -> None:
    model, sample = RedModel(), make_sample(red=60)
    track = make_track(np.full(100, 1.8), heatmaps=np.zeros(100))
    track.landmarks[:], track.areas[:] = LANDMARKS, (22, 17, 118, 113)
    store = HeatmapStore()
    store.append(np.ones((1, 8, 8), np.float32))
    assessor = Assessor(model, METHODS["tf2cam"], THRESHOLDS)
    found = assessor.assess(judge_track(track, THRESHOLDS, still=False), track, store, [sample])
    assert found.verdict is Verdict.FAKE
    assert found.assessment is not None
    assert found.assessment.regions is None
    assert found.assessment.controls is not None
    assert found.assessment.controls.evidence_inside is None
    assert any("does not show evidence for fake" in note for note in found.assessment.notes)


def test_the_control_of_a_person_who_scores_as_fake_is_unknown() -> None:
    model, sample = RedModel(), make_sample(red=60)
    finding = assess(model, sample, logit=logit_of_sample(model, sample))
    assert finding.assessment is not None
    assert finding.assessment.controls is not None
    assert finding.assessment.controls.outcome is ControlOutcome.UNKNOWN


def test_regions_are_measured_only_for_likely_fake_persons() -> None:
    model = RedModel()
    sample = make_sample(red=40)
    area = Box(22, 17, 118, 113)
    mouth = region_of_cells(LANDMARKS, Box(0, 0, 140, 140), (140, 140)) == REGION_NAMES.index(
        "mouth"
    )
    sample.image[mouth] = (255, 60, 0)
    logit = logit_of_sample(model, sample)
    finding = assess(model, sample, logit=logit)
    assert finding.verdict is Verdict.FAKE
    assert finding.assessment is not None
    regions = finding.assessment.regions
    assert regions is not None
    parts = {part.name: part for part in regions.parts}
    assert max(parts, key=lambda name: parts[name].fake / parts[name].area) == "mouth"
    assert "removing the mouth changes the score" in regions.sentences[0]
    # The logit of this model is a mean of cells, so the ablated logit can be computed.
    cells = model.examine(sample.crop(CARD)[None]).activation[0, 0]
    labels = region_of_cells(LANDMARKS, area, (8, 8))
    ablated = float(np.where(labels == REGION_NAMES.index("mouth"), 0, cells).mean())
    assert parts["mouth"].ablated_score == pytest.approx(float(sigmoid(ablated)), abs=0.01)
    control = parts["mouth"].control_score
    assert control is not None
    assert control > float(sigmoid(ablated)) + 0.02

    undecided = assess(model, replace(sample), logit=0.0)
    assert undecided.verdict is Verdict.INCONCLUSIVE
    assert undecided.assessment is not None
    assert undecided.assessment.regions is None


def test_without_landmarks_regions_and_controls_are_left_out_with_a_note() -> None:
    model = RedModel()
    finding = assess(model, make_sample(red=60, landmarks=None), logit=1.8)
    assert finding.assessment is not None
    assert finding.assessment.controls is None
    assert finding.assessment.regions is None
    assert finding.assessment.faithfulness is not None
    assert any("no landmarks" in note for note in finding.assessment.notes)


def test_without_a_head_faithfulness_is_left_out_with_a_note() -> None:
    class Headless(RedModel):
        head = None  # type: ignore[assignment]

    model = Headless()
    finding = assess(model, make_sample(red=60), logit=1.8)
    assert finding.assessment is not None
    assert finding.assessment.faithfulness is None
    assert finding.trust_mark is None
    assert any("explained layer" in note for note in finding.assessment.notes)
    assert finding.assessment.regions is not None
    assert finding.assessment.regions.sentences == ()


def test_without_samples_the_finding_is_returned_unchanged() -> None:
    track = make_track(np.full(100, 2.0))
    finding = judge_track(track, THRESHOLDS, still=False)
    assessor = Assessor(RedModel(), METHODS["hirescam"], THRESHOLDS)
    assert assessor.assess(finding, track, HeatmapStore(), []) is finding


def test_the_strongest_frames_are_usable_and_spaced_apart() -> None:
    logits = np.zeros(100)
    logits[[10, 11, 50, 90]] = (5, 6, 4, 9)
    quality_flags = np.zeros(100, np.uint8)
    quality_flags[90] = 1
    track = make_track(logits, quality_flags=quality_flags, heatmaps=np.zeros(100))
    store = HeatmapStore()
    store.append(np.ones((1, 8, 8), np.float32))
    finding = judge_track(track, THRESHOLDS, still=False)
    assessor = Assessor(RedModel(), METHODS["hirescam"], THRESHOLDS)
    found = assessor.assess(finding, track, store, [make_sample(landmarks=None)])
    assert found.assessment is not None
    assert found.assessment.strongest[:2] == (11, 50)
    assert 90 not in found.assessment.strongest
    assert len(found.assessment.strongest) == 5
    assert min(np.diff(sorted(found.assessment.strongest))) >= 0.5 * 25 - 1


def test_the_number_of_examined_crops_is_as_documented() -> None:
    model = RedModel()
    assess(model, *(make_sample(seed=seed) for seed in range(5)), logit=0.1)
    # One crop is run by the test itself; then each face, and three faces with each perturbation
    # and forgery.
    assert sum(model.calls) - 1 == 5 + 3 * (len(PERTURBATIONS) + FORGERIES_PER_SAMPLE)


def test_a_model_with_a_baseline_and_a_domain_gets_specificity_and_a_domain_check() -> None:
    sample = make_sample(red=60)
    side = GRID
    zero = tuple((0.0,) * side for _ in range(side))
    baseline = Baseline(
        cam="hirescam",
        mean=zero,
        parts=PARTS,
        filters=(zero,) * len(PARTS),
        responses=tuple(map(tuple, np.eye(len(PARTS)).tolist())),
        part_limit=1.0,
        excess_limit=1e6,
        faces=100,
        data="made up",
    )
    domain = Domain((ConditionRange("brightness", 200, 255),), (), (), 100, "made up")
    model = RedModel()
    model.card = replace(CARD, baseline=baseline, domain=domain)
    finding = assess(model, sample, logit=2)
    assert finding.assessment is not None
    specificity = finding.assessment.specificity
    assert specificity is not None
    assert specificity.mark is SpecificityMark.USUAL  # no excess reaches the limit
    assert specificity.parts == ()
    assert np.asarray(specificity.baseline).shape == (8, 8)
    assert finding.assessment.controls is not None
    assert finding.assessment.controls.parts_named is not None
    assert finding.domain is not None
    assert not finding.domain.inside
    assert "brightness" in finding.domain.outside[0]
    # A baseline for another heatmap method is not used.
    model.card = replace(CARD, baseline=replace(baseline, cam="gradcam"))
    other = assess(model, sample, logit=2)
    assert other.assessment is not None
    assert other.assessment.specificity is None
    assert other.domain is None


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        (None, True),
        (("mouth",), True),
        (("nose", "mouth"), True),
        (("whole face",), True),
        (("eyes", "jaw and cheeks"), False),
        ((), False),
    ],
)
def test_only_regions_of_the_named_parts_get_a_sentence(
    parts: tuple[str, ...] | None, named: bool
) -> None:
    model, sample = RedModel(), make_sample(red=40)
    whole = region_of_cells(LANDMARKS, Box(0, 0, 140, 140), (140, 140))
    sample.image[whole == REGION_NAMES.index("mouth")] = (255, 60, 0)
    evidence = model.examine(sample.crop(CARD)[None])
    track = make_track(np.full(100, 2.0), heatmaps=np.zeros(100))
    track.landmarks[:], track.areas[:] = LANDMARKS, (22, 17, 118, 113)
    store = HeatmapStore()
    store.append(METHODS["hirescam"].function(evidence))
    shares = region_shares(track, store)
    regions = ablate_regions(model, float(evidence.logit[0]), [sample], evidence, shares, parts)
    sentences = " ".join(regions.sentences)
    assert ("removing the mouth changes the score" in sentences) == named


def test_without_samples_there_is_no_ratio_if_the_domain_would_have_to_be_checked() -> None:
    model = RedModel()
    track = make_track(np.full(200, 2.0))
    calibration = Calibration("Platt", "made up", 1.0, ())
    finding = judge_track(track, THRESHOLDS, calibration, still=False)
    assert finding.log10_likelihood_ratio is not None
    assessor = Assessor(model, METHODS["hirescam"], THRESHOLDS)
    assert assessor.assess(finding, track, HeatmapStore(), []) is finding
    model.card = replace(CARD, domain=Domain((), (), (), 100, "made up"))
    found = assessor.assess(finding, track, HeatmapStore(), [])
    assert found == replace(finding, log10_likelihood_ratio=None)
