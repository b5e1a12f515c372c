"""The trust mark on two models: told apart are maps that are true and maps that are not.

Fakes of known origin: planted into two portraits that come with other packages, and, where the
development data is, faces of the validation split.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.explain.cam import METHODS
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.yunet import YuNet
from fakelens.models.loading import load_model
from fakelens.models.onnx import OnnxModel
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import Box
from fakelens.records.models import Evidence, Model
from fakelens.records.trust import TrustMark
from fakelens.trust.ablation import select_rows
from fakelens.trust.faithfulness import measure_faithfulness
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, forge

Maps = NDArray[np.float32]
TRIES = 200


def planted(model: Model, count: int) -> NDArray[np.uint8]:
    """Crops of forged portraits, each cut out, mirrored and lit otherwise."""
    portrait = pytest.importorskip("skimage.data").astronaut()
    face = max(YuNet().detect([portrait])[0], key=lambda face: face.confidence)
    assert face.landmarks is not None
    rng, crops = np.random.default_rng(0), []
    for number in range(count):
        image, _ = forge(portrait, face.landmarks, FORGERY_RECIPES[number % len(FORGERY_RECIPES)])
        area = crop_area(face, model.card.crop)
        x, y = rng.uniform(-0.06, 0.06, 2) * area.width
        half = area.width * rng.uniform(0.45, 0.55)
        middle_x, middle_y = area.center[0] + x, area.center[1] + y
        area = Box(middle_x - half, middle_y - half, middle_x + half, middle_y + half)
        crop = extract_crop(image, area, model.card.input_size)
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        lit = crop * rng.uniform(0.85, 1.1) + rng.uniform(-8, 8, 3) + rng.normal(0, 2, crop.shape)
        crops.append(np.clip(lit, 0, 255).astype(np.uint8))
    return np.stack(crops)


def confident(model: Model, crops: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Evidence]:
    """Those that are called fake."""
    parts = [model.examine(crops[at : at + 16]) for at in range(0, len(crops), 16)]
    evidence = Evidence(
        np.concatenate([part.logit for part in parts]),
        np.concatenate([part.activation for part in parts]),
        np.concatenate([part.gradient for part in parts]),
    )
    rows = np.flatnonzero(sigmoid(evidence.logit) >= model.card.thresholds.fake)
    return crops[rows], select_rows(evidence, rows)


def marks(
    model: Model, crops: NDArray[np.uint8], evidence: Evidence, maps: Maps
) -> list[TrustMark]:
    """Each face is a person of its own: the hardest case."""
    method = METHODS[model.card.cam]
    found = []
    for row in range(len(crops)):
        one = slice(row, row + 1)
        said = measure_faithfulness(
            model, crops[one], select_rows(evidence, one), maps[one], method
        )
        assert said is not None
        found.append(said.mark)
    return found


FALSE: dict[str, Callable[[Maps, np.random.Generator], Maps]] = {
    "negative": lambda maps, _: -maps,
    "noise": lambda maps, rng: rng.normal(size=maps.shape).astype(np.float32),
    "constant": lambda maps, _: np.ones_like(maps),
}


def check_true_and_false(
    model: Model, crops: NDArray[np.uint8], evidence: Evidence, least: float = 0.95
) -> None:
    maps = METHODS[model.card.cam].function(evidence)
    found = marks(model, crops, evidence, maps)
    assert found.count(TrustMark.SUPPORTED) >= least * len(crops)
    for name, change in FALSE.items():
        said = marks(model, crops, evidence, change(maps, np.random.default_rng(1)))
        assert said.count(TrustMark.CHANCE) >= 0.95 * len(crops), name


@pytest.fixture(scope="module")
def patch() -> OnnxModel:
    model = load_model("fakelens-patch")
    assert isinstance(model, OnnxModel)
    return model


@pytest.fixture(scope="module")
def portraits(patch: OnnxModel) -> tuple[NDArray[np.uint8], Evidence]:
    crops, evidence = confident(patch, planted(patch, 240))
    assert len(crops) >= TRIES
    return crops[:TRIES], select_rows(evidence, slice(TRIES))


@pytest.mark.slow
def test_planted_portraits_are_marked_rightly(
    patch: OnnxModel, portraits: tuple[NDArray[np.uint8], Evidence]
) -> None:
    check_true_and_false(patch, *portraits)


@pytest.mark.slow
def test_a_randomised_model_supports_nothing(
    patch: OnnxModel, portraits: tuple[NDArray[np.uint8], Evidence]
) -> None:
    """Neither its own map of its own answer, nor its map laid over the trained one's answer."""
    crops = portraits[0][:: TRIES // 20]
    own: list[TrustMark] = []
    laid_over: list[TrustMark] = []
    for seed in range(12):
        model = patch.randomised(seed)
        evidence = model.examine(crops)
        maps = METHODS["hirescam"].function(evidence)
        own += marks(model, crops, evidence, maps)
        laid_over += marks(patch, crops, patch.examine(crops), maps)
    assert own.count(TrustMark.SUPPORTED) <= 0.05 * len(own)
    # Crops of one portrait are much alike, so these are hardly more than twelve tries.
    assert laid_over.count(TrustMark.SUPPORTED) <= 0.2 * len(laid_over)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"), [("fakelens-patch", 0.95), ("MesoInception_DF.h5", 0.8)]
)
def test_validation_fakes_are_marked_rightly(name: str, least: float, shared_data: Path) -> None:
    """Single faces do not always tell MesoInception_DF from random weights."""
    from training.yardstick.sources import dfdc_crops  # noqa: PLC0415 - the extra [train]

    path = shared_data / "weights" / name
    model = load_model(path if path.exists() else name)
    crops = []
    for item in dfdc_crops(shared_data, YuNet(min_confidence=0.5), 280):
        if item.fake:
            view = item.views[0]
            area = crop_area(view.face, model.card.crop)
            crops.append(extract_crop(view.picture, area, model.card.input_size))
    check_true_and_false(model, *confident(model, np.stack(crops)), least)
