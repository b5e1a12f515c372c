"""The bundled model: its map sums to its logit, and its graph agrees with torch."""

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
from fakelens.models.loading import find_card, find_weights, load_model
from fakelens.models.onnx import OnnxModel
from fakelens.models.quantize import quantized
from fakelens.models.registry import DEFAULT
from fakelens.records.models import Evidence, Model
from support.meso_reference import make_card, random_crops
from support.patch_models import drawn_crops, planes, random_patchnet
from training.network import load_imagenet, predict
from training.onnx_graph import build_graph, calibrate

_SIDE = 256
_TOLERANCE = 1e-4


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(DEFAULT, threads=1)


def _assert_complete(evidence: Evidence) -> None:
    """Check that the heatmaps sum to the logit."""
    for name in ("hirescam", "gradcam"):
        sums = METHODS[name].function(evidence).sum(axis=(1, 2), dtype=np.float64)
        np.testing.assert_allclose(sums, evidence.logit, atol=_TOLERANCE, err_msg=name)


def _pattern(kind: str, seed: int, side: int) -> np.ndarray:
    """Make a picture of one kind: saturated, flat and noisy pictures are hard cases for sums."""
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
def test_map_sums_to_the_logit(model: Model, kind: str, seed: int, count: int) -> None:
    side = model.card.input_size
    crops = np.stack([_pattern(kind, seed + index, side) for index in range(count)])
    _assert_complete(model.examine(crops))


@pytest.mark.shared
def test_map_sums_to_the_logit_on_faces(model: Model, shared_data: Path) -> None:
    side = model.card.input_size
    crops = np.stack([cv2.resize(crop, (side, side)) for crop in _faces(shared_data, 64)])
    evidence = model.examine(crops)
    _assert_complete(evidence)
    # The logits are not constant.
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


def test_all_cam_methods_agree_for_the_mean_of_one_map(model: Model) -> None:
    evidence = model.examine(random_crops(2, model.card.input_size))
    expected = evidence.activation[:, 0] / evidence.activation[0, 0].size
    for name in ("hirescam", "gradcam"):
        np.testing.assert_allclose(METHODS[name].function(evidence), expected, atol=1e-6)
    np.testing.assert_allclose(
        METHODS["layercam"].function(evidence), np.maximum(expected, 0), atol=1e-6
    )


def test_logit_of_a_crop_does_not_depend_on_its_batch(model: Model) -> None:
    crops = random_crops(5, model.card.input_size)
    alone = [model.examine(crop[None]).logit[0] for crop in crops]
    np.testing.assert_allclose(model.examine(crops).logit, alone, atol=1e-4)


def test_graph_agrees_with_torch() -> None:
    network = random_patchnet(5)
    graph = build_graph(network, _SIDE)[0].SerializeToString()
    crops = np.stack([_pattern(kind, 3, _SIDE) for kind in ("blobs", "ramp", "noise")])
    output = network(planes(crops))
    (gradient,) = torch.autograd.grad(output.logits.sum(), output.cells)
    logits, cells = output.logits.detach().numpy(), output.cells.detach().numpy()
    assert cells.std() > 0.1
    for layout in ("plain", "blocked"):
        model = OnnxModel(graph, make_card(_SIDE), "", threads=1, layout=layout)
        evidence = model.examine(crops)
        np.testing.assert_allclose(evidence.activation[:, 0], cells, atol=_TOLERANCE)
        np.testing.assert_allclose(evidence.logit, logits, atol=_TOLERANCE)
        np.testing.assert_allclose(evidence.gradient[:, 0], gradient.numpy(), rtol=1e-6)


def test_quantized_graph_agrees_closely_with_torch() -> None:
    # ImageNet weights: with random weights, rounding errors grow from layer to layer.
    network = random_patchnet(5)
    load_imagenet(network)
    crops = drawn_crops(3, _SIDE)
    graph, head = build_graph(network, _SIDE)
    integers = quantized(graph, crops, kept=head)
    _, cells = predict(network, crops)

    model = OnnxModel(integers.SerializeToString(), make_card(_SIDE), "", layout="blocked")
    evidence = model.examine(crops)

    _assert_complete(evidence)
    assert _integer_weights(integers) > 0.9 * sum(p.numel() for p in network.blocks.parameters())
    assert np.corrcoef(evidence.activation.ravel(), cells.ravel())[0, 1] > 0.95


def test_calibration_is_folded_into_logit_and_map() -> None:
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
    """Count the weights in 8-bit integers, and check that they use only 7 bits."""
    count = 0
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8:
            values = onnx.numpy_helper.to_array(tensor)
            # The sum of two products of an unsigned byte and such a weight is below 2 ** 15.
            assert np.abs(values.astype(int)).max() <= 64
            count += values.size
    return count


def test_integer_weights_do_not_overflow_on_old_processors() -> None:
    """Old processors add pairs of products in 16 bits, which overflow with larger weights."""
    path = find_weights(DEFAULT)
    assert path is not None
    assert _integer_weights(onnx.load(path)) > 500_000


def test_quantized_file_agrees_with_unfused_floating_point(model: Model) -> None:
    """Compare with the same file, computed operator by operator in floating point."""
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


def test_reliability_table_agrees_with_the_scores() -> None:
    card = load_model(DEFAULT).card
    assert card.calibration is not None
    assert 0 < card.calibration.limit < 4
    scores = [part.score for part in card.calibration.bins]
    assert scores == sorted(scores)
    assert 0 < card.thresholds.real < card.thresholds.fake < 1
    for part in card.calibration.bins:
        # Four standard errors; twice the variance, since the faces are not independent.
        assert abs(part.fake - part.score) < 4 * np.sqrt(0.5 / part.faces)


def test_package_is_small() -> None:
    folder = Path(fakelens.__file__).parent
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 15e6


def test_bundled_file_is_small_and_has_a_complete_card() -> None:
    weights = find_weights(DEFAULT)
    assert weights is not None
    assert weights.stat().st_size < 8e6
    card = find_card(DEFAULT)
    assert (card.version, card.input_size) == ("5", 256)
    assert card.smallest_face == 80
    assert card.calibration is not None
    assert 0 < card.thresholds.real < 0.5 < card.thresholds.fake < 1
