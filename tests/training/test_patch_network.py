"""The default model: its map adds up to its score, and its file computes what torch does."""

import csv
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fakelens
from fakelens.explain.cam import METHODS
from fakelens.models.loading import DEFAULT, find_card, find_weights, load_model
from fakelens.models.onnx import OnnxModel
from fakelens.records.models import Evidence, Model
from support.meso_reference import make_card, random_crops
from support.patch_models import drawn_crops, planes, random_patchnet
from training.network import judge, load_imagenet
from training.onnx_graph import build_graph, calibrate
from training.quantize import quantized

_SIDE = 256
_TOLERANCE = 1e-4


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(DEFAULT, threads=1)


def _assert_complete(evidence: Evidence) -> None:
    for name in ("hirescam", "gradcam"):
        sums = METHODS[name].function(evidence).sum(axis=(1, 2), dtype=np.float64)
        np.testing.assert_allclose(sums, evidence.logit, atol=_TOLERANCE, err_msg=name)


def _pattern(kind: str, seed: int, side: int) -> np.ndarray:
    """A picture of one kind; saturated, flat and noisy ones are where sums go wrong."""
    rng = np.random.default_rng(seed)
    if kind == "flat":
        return np.full((side, side, 3), rng.integers(0, 256, 3), np.uint8)
    if kind == "ramp":
        row = np.linspace(*rng.uniform(0, 255, 2), side)
        return np.broadcast_to(row[None, :, None], (side, side, 3)).astype(np.uint8)
    noise = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
    return noise if kind == "noise" else cv2.GaussianBlur(noise, (0, 0), 9)


@given(
    kind=st.sampled_from(["flat", "ramp", "noise", "blobs"]),
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_the_map_adds_up_to_the_logit(model: Model, kind: str, seed: int, count: int) -> None:
    side = model.card.input_size
    crops = np.stack([_pattern(kind, seed + index, side) for index in range(count)])
    _assert_complete(model.examine(crops))


@pytest.mark.shared
def test_the_map_adds_up_on_faces(model: Model, shared_data: Path) -> None:
    side = model.card.input_size
    crops = np.stack([cv2.resize(crop, (side, side)) for crop in _faces(shared_data, 64)])
    evidence = model.examine(crops)
    _assert_complete(evidence)
    # Not by being always the same: the faces are told apart.
    assert np.ptp(evidence.logit) > 0.5


def _faces(shared_data: Path, count: int) -> Iterator[np.ndarray]:
    folder = shared_data / "dfdc_crops"
    with (folder / "index.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "val"]
    shard = rows[0]["shard"]
    names = [row["file"] for row in rows if row["shard"] == shard][:count]
    with tarfile.open(folder / shard) as tar:
        for name in names:
            member = tar.extractfile(name)
            assert member is not None
            data = np.frombuffer(member.read(), np.uint8)
            yield cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def test_every_cam_of_a_mean_of_one_map_is_that_map(model: Model) -> None:
    evidence = model.examine(random_crops(2, model.card.input_size))
    expected = evidence.activation[:, 0] / evidence.activation[0, 0].size
    for name in ("hirescam", "gradcam"):
        np.testing.assert_allclose(METHODS[name].function(evidence), expected, atol=1e-6)
    np.testing.assert_allclose(
        METHODS["layercam"].function(evidence), np.maximum(expected, 0), atol=1e-6
    )


def test_a_crop_is_judged_alike_alone_and_in_a_batch(model: Model) -> None:
    crops = random_crops(5, model.card.input_size)
    alone = [model.examine(crop[None]).logit[0] for crop in crops]
    np.testing.assert_allclose(model.examine(crops).logit, alone, atol=1e-4)


def test_the_graph_computes_what_torch_computes() -> None:
    network = random_patchnet(5)
    graph = build_graph(network, _SIDE)[0].SerializeToString()
    crops = np.stack([_pattern(kind, 3, _SIDE) for kind in ("blobs", "ramp", "noise")])
    judged = network(planes(crops))
    (gradient,) = torch.autograd.grad(judged.logits.sum(), judged.cells)
    logits, cells = judged.logits.detach().numpy(), judged.cells.detach().numpy()
    assert cells.std() > 0.1
    for layout in ("plain", "blocked"):
        model = OnnxModel(graph, make_card(_SIDE), "", threads=1, layout=layout)
        evidence = model.examine(crops)
        np.testing.assert_allclose(evidence.activation[:, 0], cells, atol=_TOLERANCE)
        np.testing.assert_allclose(evidence.logit, logits, atol=_TOLERANCE)
        np.testing.assert_allclose(evidence.gradient[:, 0], gradient.numpy(), rtol=1e-6)


def test_in_integers_the_graph_says_nearly_the_same() -> None:
    # Rounding grows from layer to layer where weights are random.
    network = random_patchnet(5)
    load_imagenet(network)
    crops = drawn_crops(6, _SIDE)
    graph, head = build_graph(network, _SIDE)
    integers = quantized(graph, crops, kept=head)
    _, cells = judge(network, crops)

    model = OnnxModel(integers.SerializeToString(), make_card(_SIDE), "", layout="blocked")
    evidence = model.examine(crops)

    _assert_complete(evidence)
    assert _integer_weights(integers) > 0.9 * sum(p.numel() for p in network.blocks.parameters())
    assert np.corrcoef(evidence.activation.ravel(), cells.ravel())[0, 1] > 0.95


def test_a_calibration_is_folded_into_logits_and_cells() -> None:
    graph, _ = build_graph(random_patchnet(5), 64)
    crops = random_crops(2, 64)
    evidence = []
    for factor, offset in ((1, 0), (0.6, -1.5)):
        calibrate(graph, factor, offset)
        model = OnnxModel(graph.SerializeToString(), make_card(64), "", threads=1)
        evidence.append(model.examine(crops))
    before, after = evidence
    np.testing.assert_allclose(after.logit, 0.6 * before.logit - 1.5, atol=_TOLERANCE)
    np.testing.assert_allclose(after.activation, 0.6 * before.activation - 1.5, atol=_TOLERANCE)
    np.testing.assert_array_equal(after.gradient, before.gradient)


def _integer_weights(graph: onnx.ModelProto) -> int:
    """Number of weights in 8-bit integers, after a check that they use 7 bits."""
    count = 0
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8:
            values = onnx.numpy_helper.to_array(tensor)
            # Two products of an unsigned byte and such a weight stay below 2 ** 15.
            assert np.abs(values.astype(int)).max() <= 64
            count += values.size
    return count


def test_the_score_does_not_depend_on_the_processor() -> None:
    """Old processors add pairs of products in 16 bits: with larger weights they overflow."""
    path = find_weights(DEFAULT)
    assert path is not None
    assert _integer_weights(onnx.load(path)) > 500_000


def test_integers_are_what_the_file_says(model: Model) -> None:
    """The same file, computed in floating point step by step, without any fused operator."""
    path = find_weights(DEFAULT)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    side = model.card.input_size
    kinds = ("ramp", "noise", "blobs")
    patterns = [_pattern(kind, seed, side) for kind in kinds for seed in range(3)]
    crops = np.stack([*patterns, *drawn_crops(6, side)])
    (expected,) = session.run(["logit"], {"crops": crops})
    np.testing.assert_allclose(model.examine(crops).logit, expected, atol=0.1)
    assert np.ptp(expected) > 1


def test_the_card_says_what_the_score_is_worth() -> None:
    card = load_model(DEFAULT).card
    assert card.calibration is not None
    assert 0 < card.calibration.limit < 4
    scores = [part.score for part in card.calibration.bins]
    assert scores == sorted(scores)
    assert 0 < card.thresholds.real < card.thresholds.fake < 1
    for part in card.calibration.bins:
        # Four standard errors of a share of so many faces that say a little less than each one.
        assert abs(part.fake - part.score) < 4 * np.sqrt(0.5 / part.faces)


def test_the_package_is_small() -> None:
    folder = Path(fakelens.__file__).parent
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 15e6


def test_the_bundled_file_is_small_and_says_what_it_cannot_judge() -> None:
    weights = find_weights(DEFAULT)
    assert weights is not None
    assert weights.stat().st_size < 8e6
    card = find_card(DEFAULT)
    assert (card.version, card.input_size) == ("4", 256)
    assert card.smallest_face == 80
    assert card.calibration is not None
    assert 0 < card.thresholds.real < 0.5 < card.thresholds.fake < 1
