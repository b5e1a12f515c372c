"""The model check finds planted mistakes in models whose truth is known."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.errors import ModelError
from fakelens.evaluation.check_results import Check
from fakelens.evaluation.check_statistics import Resamples, layer_distances
from fakelens.evaluation.labelled_faces import LabelledFace
from fakelens.evaluation.model_check import check_model
from fakelens.evaluation.sample_faces import sample_faces
from fakelens.records.conventions import Convention
from fakelens.records.faces import CropGeometry
from fakelens.records.models import Evidence, NormStatistics
from support.builders import CARD

SIDE, CELLS = 32, 4
ROUGH = CropGeometry("box", 1.2)


class ColourModel:
    """Takes faces for fake by their red, scaled as stated; the truth is RGB of 0 to 1.

    The only normalisation has the statistics of ``draw``, so a wrong scale or order is seen in it.
    """

    sha256, notes = "", ("a note",)

    def __init__(
        self,
        convention: Convention,
        logit: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda value: value,
        gradient: float = 1 / CELLS**2,
    ) -> None:
        self.card = replace(CARD, crop=ROUGH)
        self.convention, self._logit, self._gradient = convention, logit, gradient

    def with_convention(self, convention: Convention) -> "ColourModel":
        return ColourModel(convention, self._logit, self._gradient)

    def _planes(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        scaled = (crops / 255 - self.convention.mean) / self.convention.std
        return scaled[..., ::-1] if self.convention.colour == "bgr" else scaled

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        planes = self._planes(crops)
        cells = planes.reshape(-1, CELLS, SIDE // CELLS, CELLS, SIDE // CELLS, 3).mean(axis=(2, 4))
        # Clipped as by layers that saturate: outside 0 to 1 the classes are not told apart.
        layer = 20 * (np.clip(cells[..., 0], 0.2, 0.8) - 0.5)[:, None].astype(np.float32)
        logit = np.asarray(self._logit(layer.mean(axis=(1, 2, 3))), np.float32)
        return Evidence(logit, layer, np.full_like(layer, self._gradient))

    def head(self, activation: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._logit(activation.mean(axis=(1, 2, 3))), np.float32)

    def norm_statistics(self, crops: NDArray[np.uint8]) -> list[NormStatistics]:
        planes = self._planes(crops)
        means, squares = planes.mean(axis=(1, 2)), (planes**2).mean(axis=(1, 2))
        trained = np.array([0.5, 0.45, 0.3]), np.array([0.02, 0.01, 0.01])
        return [NormStatistics("norm", means, squares, *trained)]


class BareModel:
    """A ``ColourModel`` without all that is optional."""

    sha256 = "6" * 64

    def __init__(self, model: ColourModel) -> None:
        self.card, self.examine = model.card, model.examine


def draw(fake: bool, seed: int) -> NDArray[np.uint8]:
    """Draw a picture whose red is higher if it is fake; blue tells nothing."""
    rng = np.random.default_rng(seed)
    colour = np.array([150 if fake else 110, 115, 77]) + rng.normal(0, 15, 3)
    spots = np.kron(rng.normal(0, 20, (8, 8, 3)), np.ones((4, 4, 1)))
    return np.clip(colour + spots, 0, 255).astype(np.uint8)


FACES = [
    LabelledFace(crop, fake, str(seed // 2), (crop, np.roll(crop, 4, axis=0)))
    for seed in range(60)
    for fake in (False, True)
    for crop in (draw(fake, 2 * seed + fake),)
]
TRUE = Convention(("fake",), values="logits")


def check(model: ColourModel | BareModel, *, labelled: bool = True) -> dict[str, Check]:
    return {found.name: found for found in check_model(model, FACES, labelled=labelled)}


def wrong(found: dict[str, Check]) -> set[str]:
    return {name for name, result in found.items() if result.outcome == "wrong"}


@pytest.mark.parametrize("bare", [False, True])
def test_a_sound_model_passes(bare: bool) -> None:
    model = ColourModel(TRUE)
    found = check(BareModel(model) if bare else model)
    assert wrong(found) == set()
    assert list(found) == [
        "loads",
        "answers",
        "saturation",
        "polarity",
        "colour order",
        "mean and std",
        "layer statistics",
        "margin",
        "heatmaps",
        "head",
        "speed",
    ]
    assert found["polarity"].outcome == "ok"
    assert found["margin"].outcome == "ok"
    assert found["head"].outcome == ("caution" if bare else "ok")
    assert ("a note" in found["loads"].finding) != bare


def test_swapped_polarity_is_wrong() -> None:
    found = check(ColourModel(TRUE, lambda value: -value))
    assert "polarity" in wrong(found)
    assert "swapped" in found["polarity"].finding


@pytest.mark.parametrize("bare", [False, True])
def test_reversed_colours_are_wrong(bare: bool) -> None:
    model = ColourModel(replace(TRUE, colour="bgr"))
    found = check(BareModel(model) if bare else model)
    assert "colour order" in wrong(found)
    advice = "inside the model" if bare else 'colour = "rgb"'
    assert advice in found["colour order"].advice


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CENTRED = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("stated", [IMAGENET, CENTRED])
@pytest.mark.parametrize("labelled", [False, True])
def test_another_scale_is_wrong_and_the_right_one_is_named(
    stated: tuple[tuple[float, ...], tuple[float, ...]], labelled: bool
) -> None:
    """Without labels, by the layer statistics alone."""
    mean, std = stated
    found = check(ColourModel(replace(TRUE, mean=mean, std=std)), labelled=labelled)
    result = found["mean and std"]
    assert result.outcome == "wrong"
    assert "0 to 1" in result.finding
    assert "mean = [0, 0, 0], std = [1, 1, 1]" in result.advice


@pytest.mark.parametrize(("value", "score"), [(0.0, ".50"), (3.0, ".95")])
def test_a_model_that_is_stuck_is_wrong(value: float, score: str) -> None:
    found = check(ColourModel(TRUE, lambda logits: np.full_like(logits, value)))
    assert wrong(found) == {"answers"}
    assert score in found["answers"].finding
    assert "speed" not in found


def test_values_that_are_not_finite_are_wrong() -> None:
    found = check(ColourModel(TRUE, lambda logits: logits * np.nan))
    assert wrong(found) == {"answers"}


def probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(
    "inside",
    [probability, lambda logits: -probability(logits), lambda x: 2 * probability(4 * x) - 1],
)
def test_probabilities_taken_for_logits_are_wrong(
    inside: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> None:
    found = check(ColourModel(TRUE, inside))
    assert "saturation" in wrong(found)
    assert 'values = "probabilities"' in found["saturation"].advice


class SigmoidModel(ColourModel):
    """Ends in a sigmoid, as its adapter has found out."""

    def with_convention(self, convention: Convention) -> "SigmoidModel":
        if convention.values == "logits":
            raise ModelError("its outputs are probabilities, not logits as stated")
        return SigmoidModel(convention, self._logit, self._gradient)


@pytest.mark.parametrize("values", ["auto", "probabilities"])
def test_an_undecided_model_is_not_told_to_state_what_is_known(values: str) -> None:
    inside = replace(TRUE, values=values)
    found = check(SigmoidModel(inside, lambda logits: -0.8 * probability(logits)))
    assert found["saturation"].outcome == "caution"
    assert "undecided" in found["saturation"].finding
    assert "probabilities" not in found["saturation"].sentence


class LogitModel(ColourModel):
    """Several outputs that do not add up to 1, as its adapter has found out."""

    def with_convention(self, convention: Convention) -> "LogitModel":
        if convention.values == "probabilities":
            raise ModelError("its outputs are not probabilities as stated")
        return LogitModel(convention, self._logit, self._gradient)


def test_an_undecided_model_is_not_told_to_state_what_its_adapter_refuses() -> None:
    model = LogitModel(TRUE, lambda logits: 0.9 * probability(logits))
    found = check(model)
    assert found["saturation"].outcome == "caution"
    assert "undecided" in found["saturation"].finding
    assert "probabilities" not in found["saturation"].sentence


def test_a_second_sigmoid_is_wrong() -> None:
    inside = replace(TRUE, values="auto")
    found = check(SigmoidModel(inside, lambda logits: probability(8 * logits)))
    assert "saturation" in wrong(found)
    assert "remove one of the two" in found["saturation"].advice


def test_too_few_labels_are_not_taken_for_none() -> None:
    model = BareModel(ColourModel(TRUE))
    few = {found.name: found for found in check_model(model, FACES[:8], labelled=True)}
    none = {found.name: found for found in check_model(model, FACES[:8], labelled=False)}
    assert (
        few["colour order"].finding
        == "cannot tell from so few people: give more files of each label"
    )
    assert "--labelled" in none["colour order"].finding


def test_certain_scores_call_for_caution() -> None:
    found = check(ColourModel(TRUE, lambda logits: 10 * logits))
    assert found["saturation"].outcome == "caution"


def test_chance_calls_for_caution() -> None:
    found = check(ColourModel(TRUE, lambda logits: np.sin(1e4 * logits) * 3))
    assert found["polarity"].outcome == "caution"
    assert "cannot tell" in found["polarity"].finding


def test_empty_heatmaps_are_wrong() -> None:
    found = check(ColourModel(TRUE, gradient=0.0))
    assert "heatmaps" in wrong(found)


class TransposedModel(BareModel):
    """Returns the explained layer with rows and columns swapped, or of another shape."""

    def __init__(self, rows: int) -> None:
        super().__init__(ColourModel(TRUE))
        plain = self.examine

        def examine(crops: NDArray[np.uint8]) -> Evidence:
            evidence = plain(crops)
            maps = (evidence.activation, evidence.gradient)
            changed = (part.swapaxes(2, 3).reshape(len(part), -1, rows, CELLS) for part in maps)
            return Evidence(evidence.logit, *changed)

        self.examine = examine


def test_a_map_that_is_not_square_is_wrong() -> None:
    found = check(TransposedModel(rows=2))
    assert "heatmaps" in wrong(found)
    assert "2 x 4" in found["heatmaps"].finding


def test_a_map_that_does_not_follow_the_picture_calls_for_caution() -> None:
    found = check(TransposedModel(rows=CELLS))
    assert found["heatmaps"].outcome == "caution"


def test_without_labels_polarity_is_not_checked() -> None:
    found = check(BareModel(ColourModel(TRUE)), labelled=False)
    for name in ("colour order", "mean and std"):
        assert found[name].outcome == "not checked"
        assert "--labelled" in found[name].finding


def test_sample_faces_are_portraits_and_their_forgeries() -> None:
    pytest.importorskip("skimage")
    faces = sample_faces(CARD)
    assert [face.fake for face in faces].count(False) == 2
    assert len(faces) == 14
    assert all(face.crop.shape == (32, 32, 3) and len(face.at_margins) == 2 for face in faces)


def test_without_the_portraits_colours_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    faces = sample_faces(CARD)
    assert len({face.crop.tobytes() for face in faces}) == len(faces) > 8


# Statistics


def auc(real: Sequence[float], fake: Sequence[float]) -> float:
    pairs = [(f > r) + 0.5 * (f == r) for f in fake for r in real]
    return sum(pairs) / len(pairs)


def test_auc_equals_the_share_of_pairs() -> None:
    scores = np.random.default_rng(1).integers(0, 6, 40).astype(float)
    fake = np.arange(40) % 3 == 0
    found = Resamples([str(number // 4) for number in range(40)], fake).auc(scores)
    assert found[0] == pytest.approx(auc(list(scores[~fake]), list(scores[fake])))
    assert found[1:].min() < found[0] < found[1:].max()


def test_layer_distance_is_the_divergence_of_normal_distributions() -> None:
    """Formula: ln(s/t) + (t^2 + d^2) / (2 s^2) - 1/2 for deviations s (trained) and t."""
    layer = NormStatistics(
        "x", np.full((2, 1), 3.0), np.full((2, 1), 13.0), np.array([1.0]), np.array([9.0])
    )
    (value,) = layer_distances([layer], np.ones((1, 2)))[0]
    assert value == pytest.approx(np.log(3 / 2) + (4 + 4) / 18 - 0.5)
