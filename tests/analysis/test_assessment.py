"""What is measured of a verdict: its robustness, forgeries planted into the footage, parts."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.analysis.assessment import Assessor
from fakelens.analysis.verdicts import apply_assessment, judge_track
from fakelens.explain.cam import METHODS
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.explain.regions import REGION_NAMES, region_of_cells
from fakelens.faces.sampler import FaceSample
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import Box, Face
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Evidence, Thresholds
from fakelens.records.trust import Assessment, ControlOutcome, Controls, Robustness, TrustMark
from fakelens.trust.controls import FORGERIES_PER_SAMPLE, measure_controls
from fakelens.trust.region_ablation import _elsewhere
from fakelens.trust.robustness import PERTURBATIONS, RECOMPRESSED, measure_robustness, variants
from support.builders import CARD, THRESHOLDS, make_track
from support.toys import RedModel

FACE = np.array([(52, 50), (88, 50), (70, 72), (56, 90), (84, 90)], np.float32)
BOX = Box(30, 20, 110, 110)


def sample(
    red: float = 0,
    seed: int = 0,
    landmarks: NDArray[np.float32] | None = FACE,
    noise: float = 3,
) -> FaceSample:
    """A noisy grey picture with a face's landmarks, redder by so many levels."""
    rng = np.random.default_rng(seed)
    image = np.full((140, 140, 3), 120.0) + rng.normal(0, noise, (140, 140, 3))
    image[..., 0] += red / 2
    image[..., 2] -= red / 2
    return FaceSample(np.clip(image, 0, 255).astype(np.uint8), Face(BOX, landmarks, 1.0))


def assessed(
    model: RedModel, *samples: FaceSample, logit: float, thresholds: Thresholds = THRESHOLDS
) -> Finding:
    """A person of a steady logit, with samples; the track's maps are those of the first."""
    maps = METHODS["hirescam"].function(model.examine(samples[0].crop(CARD)[None]))
    track = make_track(np.full(100, logit), heatmaps=np.zeros(100))
    track.landmarks[:], track.areas[:] = FACE, (22, 17, 118, 113)
    store = HeatmapStore()
    store.append(maps)
    finding = judge_track(track, thresholds, still=False)
    assessor = Assessor(model, METHODS["hirescam"], thresholds)
    return assessor.assess(finding, track, store, samples)


def logit_of(model: RedModel, one: FaceSample) -> float:
    return float(model.examine(one.crop(CARD)[None]).logit[0])


class Sharp(RedModel):
    """Fake is what has detail: the logit is a share of the horizontal differences, less 2."""

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        detail = np.abs(np.diff(crops.astype(np.float32), axis=2)).mean(axis=3)
        cells = np.pad(detail, ((0, 0), (0, 0), (0, 1)), mode="edge")
        side = crops.shape[1] // 8
        cells = cells.reshape(-1, 8, side, 8, side).mean(axis=(2, 4))[:, None] - 2
        return Evidence(cells.mean(axis=(1, 2, 3)), cells, np.full_like(cells, 1 / 64))


def test_a_model_that_looks_at_colour_alone_is_steady_under_every_way() -> None:
    model, one = RedModel(), sample(red=60)
    finding = assessed(model, one, logit=logit_of(model, one))
    assert finding.assessment is not None
    low, high = finding.assessment.robustness.score_range
    assert high - low < 0.03
    assert finding.verdict is Verdict.FAKE
    assert set(finding.assessment.robustness.scores) == set(PERTURBATIONS)


def test_a_model_that_looks_at_detail_is_not() -> None:
    model, one = Sharp(), sample(noise=15)
    logit = logit_of(model, one)
    finding = assessed(model, one, logit=logit)
    assert finding.assessment is not None
    steady = finding.assessment.robustness
    assert steady.scores["half the resolution"] < sigmoid(logit) - 0.05
    assert steady.score_range[0] == min(steady.scores.values())


def test_the_band_is_made_of_the_mean_moves_from_the_persons_score() -> None:
    logits = np.array([1.0, 3.0], np.float32)
    moved = np.tile(logits, (len(PERTURBATIONS), 1))
    moved[2] += (0.5, 1.5)
    moved[4] -= 2
    found = measure_robustness(0.0, logits, moved.ravel())
    assert found.score_range == pytest.approx((float(sigmoid(-2)), float(sigmoid(1))))
    assert found.scores[list(PERTURBATIONS)[2]] == pytest.approx(float(sigmoid(1)))
    assert found.faces == 2


def test_every_way_shows_the_same_face_otherwise() -> None:
    rng = np.random.default_rng(1)
    rough = FaceSample(rng.integers(0, 256, (140, 140, 3), np.uint8), Face(BOX, FACE, 1.0))
    own = rough.crop(CARD)
    made = dict(zip(PERTURBATIONS, variants([rough], CARD), strict=True))
    assert all(crop.shape == own.shape and (crop != own).any() for crop in made.values())
    np.testing.assert_array_equal(made["mirrored"][:, ::-1], own)
    # More margin shows what the crop's edge cuts off, so its middle is the crop, smaller.
    spot = FaceSample(np.zeros((140, 140, 3), np.uint8), Face(BOX, FACE, 1.0))
    spot.image[62:69, 67:74] = 255  # in the middle of the box
    sizes = {
        way: float(crop.mean())
        for way, crop in zip(PERTURBATIONS, variants([spot], CARD), strict=True)
    }
    assert sizes["a tenth more margin"] < sizes["mirrored"] < sizes["a tenth less margin"]
    # A twentieth of 32 pixels, either way, and the spot goes the other way.
    for way, sign in (("moved up and left", 1), ("moved down and right", -1)):
        crop = dict(zip(PERTURBATIONS, variants([spot], CARD), strict=True))[way].mean(axis=2)
        rows, columns = np.indices(crop.shape)
        middle = [float((place * crop).sum() / crop.sum()) for place in (columns, rows)]
        assert middle == pytest.approx([15.5 + 1.6 * sign] * 2, abs=0.4)


def test_compression_is_strong_enough_to_be_seen() -> None:
    """A quality of 40 leaves an error of some 6 grey levels in noise of 15; of 90, under 3."""
    one = FaceSample(sample(noise=15).image, Face(BOX, FACE, 1.0))
    made = dict(zip(PERTURBATIONS, variants([one], replace(CARD, input_size=96)), strict=True))
    error = made[RECOMPRESSED].astype(float) - one.crop(replace(CARD, input_size=96))
    assert 4 < error.std() < 15


def test_elsewhere_is_beside_the_part() -> None:
    rng = np.random.default_rng(0)
    area = np.zeros((14, 14), np.bool_)
    area[3:8, 4:9] = True
    others = _elsewhere(area, rng.normal(size=(19, 14, 14)), rng.random((14, 14)))
    assert len(others) == 19
    for other in others:
        assert other.sum() == 25
        assert not (other & area).any()
    assert len({other.tobytes() for other in others}) == 19


def test_a_forgery_that_the_model_sees_is_told_with_its_place() -> None:
    """Planted faces are softer, so a model that takes softness for fake sees them."""

    class Soft(Sharp):
        def examine(self, crops: NDArray[np.uint8]) -> Evidence:
            found = super().examine(crops)
            return Evidence(-4 * found.logit, -4 * found.activation, found.gradient)

        def head(self, activation: NDArray[np.float32]) -> NDArray[np.float32]:
            return activation.mean(axis=(1, 2, 3))

    model = Soft()
    finding = assessed(model, *(sample(seed=seed, noise=15) for seed in range(3)), logit=-2)
    assert finding.assessment is not None
    tested = finding.assessment.controls
    assert tested is not None
    assert tested.outcome in (ControlOutcome.DETECTED, ControlOutcome.PARTIAL)
    assert tested.forged_score > sigmoid(-2)
    assert tested.evidence_inside is not None
    assert tested.evidence_inside > 2 * tested.area_inside
    assert tested.faces == 3


def test_a_model_that_sees_no_forgery_is_blind_here_and_its_real_is_worth_nothing() -> None:
    class Careless(RedModel):
        def examine(self, crops: NDArray[np.uint8]) -> Evidence:
            found = super().examine(crops)
            return Evidence(0 * found.logit - 2, 0 * found.activation - 2, found.gradient)

    finding = assessed(Careless(), sample(), sample(seed=1), logit=-2)
    assert finding.assessment is not None
    assert finding.assessment.controls is not None
    assert finding.assessment.controls.outcome is ControlOutcome.MISSED
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "blind here" in finding.reasons[0]
    assert finding.trust_mark is not TrustMark.SUPPORTED


FORGED = np.zeros((6, 4, 4), np.bool_)
FORGED[:, 1:3, 1:3] = True


@pytest.mark.parametrize(
    ("person", "moves", "outcome"),
    [
        (-2, [2.6] * 6, ControlOutcome.DETECTED),
        (-2, [1.0] * 6, ControlOutcome.PARTIAL),
        # The mouth is not seen, the face is: two of six, by one recipe.
        (-2, [1.5, 0, 0, 0, 1.5, 0], ControlOutcome.PARTIAL),
        (-2, [0.05, 0, 0, 0.05, 0.05, 0.05], ControlOutcome.MISSED),
        (-2, [-1.0] * 6, ControlOutcome.MISSED),
        (0.5, [0] * 6, ControlOutcome.UNKNOWN),
    ],
)
def test_blind_is_who_sees_no_kind_of_forgery(
    person: float, moves: list[float], outcome: ControlOutcome
) -> None:
    array = np.array(moves, np.float32)
    found = measure_controls(person, person, array, None, FORGED, (THRESHOLDS, THRESHOLDS))
    assert found.outcome is outcome
    assert found.forged_score == pytest.approx(float(sigmoid(person + array.mean())))
    assert found.evidence_inside is None
    assert found.faces == 3


def test_what_the_heatmap_gains_is_told_by_its_place() -> None:
    rises = np.zeros((6, 4, 4), np.float32)
    rises[:, 1, 1], rises[:, 0, 0], rises[:, 3, 3] = 3, 1, -9
    found = measure_controls(0, 0, np.ones(6, np.float32), rises, FORGED, (THRESHOLDS, THRESHOLDS))
    assert (found.evidence_inside, found.area_inside) == (0.75, 0.25)


@pytest.mark.parametrize(
    ("person", "recompressed", "happy"),
    [(-1, 0.6, True), (-1, 0.3, False), (0.5, 2, False), (0.38, 0.42, False)],
)
def test_trigger_happy_is_who_takes_compression_for_forgery(
    person: float, recompressed: float, happy: bool
) -> None:
    """The threshold lies at a logit of .405."""
    moves = np.ones(6, np.float32)
    found = measure_controls(person, recompressed, moves, None, FORGED, (THRESHOLDS, THRESHOLDS))
    assert found.recompression_false_alarm is happy


def test_forgeries_are_held_against_their_own_faces() -> None:
    """Faces of very different scores: moves taken between two of them would be large."""
    finding = assessed(RedModel(), *(sample(red=red) for red in (-80, -40, 0, 40, -60)), logit=-2)
    assert finding.assessment is not None
    assert finding.assessment.controls is not None
    assert finding.assessment.controls.forged_score == pytest.approx(float(sigmoid(-2)), abs=0.06)
    assert finding.assessment.robustness is not None
    low, high = finding.assessment.robustness.score_range
    assert high - low < 0.03


def test_a_glimpse_is_tested_for_its_heatmap_alone() -> None:
    model = RedModel()
    track = make_track(np.full(20, 1.0), heatmaps=np.zeros(20))
    store = HeatmapStore()
    store.append(np.ones((1, 8, 8), np.float32))
    assessor = Assessor(model, METHODS["hirescam"], THRESHOLDS)
    found = assessor.assess(judge_track(track, THRESHOLDS, still=False), track, store, [sample()])
    assert found.assessment is not None
    assert found.assessment.faithfulness is not None
    assert found.assessment.robustness is None
    assert found.assessment.controls is None
    assert sum(model.calls) == 1


def test_maps_that_do_not_speak_for_fake_name_no_parts() -> None:
    model, one = RedModel(), sample(red=60)
    track = make_track(np.full(100, 1.8), heatmaps=np.zeros(100))
    track.landmarks[:], track.areas[:] = FACE, (22, 17, 118, 113)
    store = HeatmapStore()
    store.append(np.ones((1, 8, 8), np.float32))
    assessor = Assessor(model, METHODS["tf2cam"], THRESHOLDS)
    found = assessor.assess(judge_track(track, THRESHOLDS, still=False), track, store, [one])
    assert found.verdict is Verdict.FAKE
    assert found.assessment is not None
    assert found.assessment.regions is None
    assert found.assessment.controls is not None
    assert found.assessment.controls.evidence_inside is None
    assert any("does not show what speaks for fake" in note for note in found.assessment.notes)


def test_half_the_resolution_is_that_of_the_frame() -> None:
    """Of a face that was kept at a third of its size nothing more is taken away."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (140, 140, 3), np.uint8)
    whole, third = (FaceSample(image, Face(BOX, FACE, 1.0), shrunk) for shrunk in (1.0, 0.3))
    names = list(PERTURBATIONS)
    for one, changed in ((whole, True), (third, False)):
        made = dict(zip(names, variants([one], CARD), strict=True))["half the resolution"]
        assert bool(np.abs(made.astype(int) - one.crop(CARD)).max() > 2) is changed


def test_who_is_fake_already_says_nothing_about_planted_forgeries() -> None:
    model, one = RedModel(), sample(red=60)
    finding = assessed(model, one, logit=logit_of(model, one))
    assert finding.assessment is not None
    assert finding.assessment.controls is not None
    assert finding.assessment.controls.outcome is ControlOutcome.UNKNOWN


def test_parts_are_named_on_faces_that_look_fake_and_on_no_others() -> None:
    model = RedModel()
    one = sample(red=40)
    area = Box(22, 17, 118, 113)
    mouth = region_of_cells(FACE, Box(0, 0, 140, 140), (140, 140)) == REGION_NAMES.index("mouth")
    one.image[mouth] = (255, 60, 0)
    logit = logit_of(model, one)
    finding = assessed(model, one, logit=logit)
    assert finding.verdict is Verdict.FAKE
    assert finding.assessment is not None
    regions = finding.assessment.regions
    assert regions is not None
    parts = {part.name: part for part in regions.parts}
    assert max(parts, key=lambda name: parts[name].fake / parts[name].area) == "mouth"
    assert "removing the mouth changes the score" in regions.sentences[0]
    # The toy's logit is a mean of cells: what hiding leaves can be computed.
    cells = model.examine(one.crop(CARD)[None]).activation[0, 0]
    labels = region_of_cells(FACE, area, (8, 8))
    left = float(np.where(labels == REGION_NAMES.index("mouth"), 0, cells).mean())
    assert parts["mouth"].ablated_score == pytest.approx(float(sigmoid(left)), abs=0.01)
    elsewhere = parts["mouth"].control_score
    assert elsewhere is not None
    assert elsewhere > float(sigmoid(left)) + 0.02

    honest = assessed(model, replace(one), logit=0.0)
    assert honest.verdict is Verdict.INCONCLUSIVE
    assert honest.assessment is not None
    assert honest.assessment.regions is None


def test_without_landmarks_what_needs_them_is_left_out_and_said() -> None:
    model = RedModel()
    finding = assessed(model, sample(red=60, landmarks=None), logit=1.8)
    assert finding.assessment is not None
    assert finding.assessment.controls is None
    assert finding.assessment.regions is None
    assert finding.assessment.faithfulness is not None
    assert any("no landmarks" in note for note in finding.assessment.notes)


def test_without_a_head_faithfulness_is_left_out_and_said() -> None:
    class Headless(RedModel):
        head = None  # type: ignore[assignment]

    model = Headless()
    finding = assessed(model, sample(red=60), logit=1.8)
    assert finding.assessment is not None
    assert finding.assessment.faithfulness is None
    assert finding.trust_mark is None
    assert any("explained layer" in note for note in finding.assessment.notes)
    assert finding.assessment.regions is not None
    assert finding.assessment.regions.sentences == ()


def test_without_specimens_nothing_is_claimed() -> None:
    track = make_track(np.full(100, 2.0))
    finding = judge_track(track, THRESHOLDS, still=False)
    assessor = Assessor(RedModel(), METHODS["hirescam"], THRESHOLDS)
    assert assessor.assess(finding, track, HeatmapStore(), []) is finding


def assessment(
    band: tuple[float, float], outcome: ControlOutcome = ControlOutcome.DETECTED
) -> Assessment:
    scores = dict.fromkeys(PERTURBATIONS, band[0]) | {RECOMPRESSED: band[1]}
    tested = Controls(outcome, 0.3, 0.5, 0.2, band[1], recompression_false_alarm=False, faces=2)
    return Assessment(None, Robustness(band, scores, 2), tested, None, None, (), ())


@pytest.mark.parametrize(
    ("logit", "band", "outcome", "verdict"),
    [
        (2.0, (0.7, 0.9), ControlOutcome.UNKNOWN, Verdict.FAKE),
        (2.0, (0.55, 0.9), ControlOutcome.UNKNOWN, Verdict.INCONCLUSIVE),
        (-2.0, (0.1, 0.3), ControlOutcome.DETECTED, Verdict.REAL),
        (-2.0, (0.1, 0.3), ControlOutcome.PARTIAL, Verdict.REAL),
        (-2.0, (0.1, 0.3), ControlOutcome.MISSED, Verdict.INCONCLUSIVE),
        (-2.0, (0.1, 0.45), ControlOutcome.DETECTED, Verdict.INCONCLUSIVE),
        (0.0, (0.0, 1.0), ControlOutcome.MISSED, Verdict.INCONCLUSIVE),
    ],
)
def test_a_verdict_stands_if_its_band_and_its_controls_bear_it_out(
    logit: float, band: tuple[float, float], outcome: ControlOutcome, verdict: Verdict
) -> None:
    finding = judge_track(make_track(np.full(100, logit)), THRESHOLDS, still=False)
    tempered = apply_assessment(replace(finding, assessment=assessment(band, outcome)), THRESHOLDS)
    assert tempered.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE and logit:
        assert tempered.reasons != finding.reasons
        limit = "0.60" if logit > 0 else "0.40"
        assert limit in tempered.reasons[0] or "blind" in tempered.reasons[0]
    else:
        assert tempered.reasons == finding.reasons


def test_the_strongest_frames_are_apart_and_usable() -> None:
    logits = np.zeros(100)
    logits[[10, 11, 50, 90]] = (5, 6, 4, 9)
    quality_flags = np.zeros(100, np.uint8)
    quality_flags[90] = 1
    track = make_track(logits, quality_flags=quality_flags, heatmaps=np.zeros(100))
    store = HeatmapStore()
    store.append(np.ones((1, 8, 8), np.float32))
    finding = judge_track(track, THRESHOLDS, still=False)
    assessor = Assessor(RedModel(), METHODS["hirescam"], THRESHOLDS)
    found = assessor.assess(finding, track, store, [sample(landmarks=None)])
    assert found.assessment is not None
    assert found.assessment.strongest[:2] == (11, 50)
    assert 90 not in found.assessment.strongest
    assert len(found.assessment.strongest) == 5
    assert min(np.diff(sorted(found.assessment.strongest))) >= 0.5 * 25 - 1


def test_as_many_crops_as_promised_are_run() -> None:
    model = RedModel()
    assessed(model, *(sample(seed=seed) for seed in range(5)), logit=0.1)
    # Beyond the one of the test itself: each face, three in every way, and their forgeries.
    assert sum(model.calls) - 1 == 5 + 3 * (len(PERTURBATIONS) + FORGERIES_PER_SAMPLE)
