"""The trust mark on two networks: told apart are maps that are true and maps that are not.

Fakes of known origin: planted into two portraits that come with other packages, and, where the
development data is, faces of the validation split.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.explain.cam import METHODS
from fakelens.faces.crops import crop_area, cut
from fakelens.faces.yunet import YuNet
from fakelens.models.loading import load_network
from fakelens.models.onnx import OnnxNetwork
from fakelens.records.arrays import sigmoid
from fakelens.records.faces import Box
from fakelens.records.models import Evidence, Network
from fakelens.records.trust import TrustMark
from fakelens.trust.ablation import rows_of
from fakelens.trust.faithfulness import faithfulness
from fakelens.trust.synthetic_forgery import RECIPES, plant

Maps = NDArray[np.float32]
TRIES = 200


def planted(network: Network, count: int) -> NDArray[np.uint8]:
    """Crops of forged portraits, each cut out, mirrored and lit otherwise."""
    portrait = pytest.importorskip("skimage.data").astronaut()
    face = max(YuNet().detect([portrait])[0], key=lambda face: face.confidence)
    assert face.landmarks is not None
    rng, crops = np.random.default_rng(0), []
    for number in range(count):
        image, _ = plant(portrait, face.landmarks, RECIPES[number % len(RECIPES)])
        area = crop_area(face, network.card.crop)
        x, y = rng.uniform(-0.06, 0.06, 2) * area.width
        half = area.width * rng.uniform(0.45, 0.55)
        middle_x, middle_y = area.center[0] + x, area.center[1] + y
        area = Box(middle_x - half, middle_y - half, middle_x + half, middle_y + half)
        crop = cut(image, area, network.card.input_size)
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        lit = crop * rng.uniform(0.85, 1.1) + rng.uniform(-8, 8, 3) + rng.normal(0, 2, crop.shape)
        crops.append(np.clip(lit, 0, 255).astype(np.uint8))
    return np.stack(crops)


def confident(network: Network, crops: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Evidence]:
    """Those that are called fake."""
    parts = [network.examine(crops[at : at + 16]) for at in range(0, len(crops), 16)]
    evidence = Evidence(
        np.concatenate([part.logit for part in parts]),
        np.concatenate([part.activation for part in parts]),
        np.concatenate([part.gradient for part in parts]),
    )
    rows = np.flatnonzero(sigmoid(evidence.logit) >= network.card.thresholds.fake)
    return crops[rows], rows_of(evidence, rows)


def marks(
    network: Network, crops: NDArray[np.uint8], evidence: Evidence, maps: Maps
) -> list[TrustMark]:
    """Each face is a person of its own: the hardest case."""
    method = METHODS[network.card.cam]
    found = []
    for row in range(len(crops)):
        one = slice(row, row + 1)
        said = faithfulness(network, crops[one], rows_of(evidence, one), maps[one], method)
        assert said is not None
        found.append(said.mark)
    return found


FALSE: dict[str, Callable[[Maps, np.random.Generator], Maps]] = {
    "negative": lambda maps, _: -maps,
    "noise": lambda maps, rng: rng.normal(size=maps.shape).astype(np.float32),
    "constant": lambda maps, _: np.ones_like(maps),
}


def check_true_and_false(
    network: Network, crops: NDArray[np.uint8], evidence: Evidence, least: float = 0.95
) -> None:
    maps = METHODS[network.card.cam].function(evidence)
    found = marks(network, crops, evidence, maps)
    assert found.count(TrustMark.SUPPORTED) >= least * len(crops)
    for name, change in FALSE.items():
        said = marks(network, crops, evidence, change(maps, np.random.default_rng(1)))
        assert said.count(TrustMark.CHANCE) >= 0.95 * len(crops), name


@pytest.fixture(scope="module")
def patch() -> OnnxNetwork:
    network = load_network("fakelens-patch")
    assert isinstance(network, OnnxNetwork)
    return network


@pytest.fixture(scope="module")
def portraits(patch: OnnxNetwork) -> tuple[NDArray[np.uint8], Evidence]:
    crops, evidence = confident(patch, planted(patch, 240))
    assert len(crops) >= TRIES
    return crops[:TRIES], rows_of(evidence, slice(TRIES))


@pytest.mark.slow
def test_planted_portraits_are_marked_rightly(
    patch: OnnxNetwork, portraits: tuple[NDArray[np.uint8], Evidence]
) -> None:
    check_true_and_false(patch, *portraits)


@pytest.mark.slow
def test_a_randomised_network_supports_nothing(
    patch: OnnxNetwork, portraits: tuple[NDArray[np.uint8], Evidence]
) -> None:
    """Neither its own map of its own answer, nor its map laid over the trained one's answer."""
    crops = portraits[0][:: TRIES // 20]
    own: list[TrustMark] = []
    laid_over: list[TrustMark] = []
    for seed in range(12):
        network = patch.randomised(seed)
        evidence = network.examine(crops)
        maps = METHODS["hirescam"].function(evidence)
        own += marks(network, crops, evidence, maps)
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
    network = load_network(path if path.exists() else name)
    crops = []
    for item in dfdc_crops(shared_data, YuNet(min_confidence=0.5), 280):
        if item.fake:
            view = item.views[0]
            area = crop_area(view.face, network.card.crop)
            crops.append(cut(view.picture, area, network.card.input_size))
    check_true_and_false(network, *confident(network, np.stack(crops)), least)
