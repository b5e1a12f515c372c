"""Heads and randomised copies of evidence models."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fakelens.errors import ModelError
from fakelens.models.graph_editing import extract_head, randomise
from fakelens.models.loading import load_model
from fakelens.models.onnx import OnnxModel
from fakelens.models.registry import DEFAULT
from support.builders import CARD
from support.meso_reference import TorchMeso, write_keras_h5


@pytest.fixture(params=["a mean", "dense layers"], scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    """The default model, whose head has no weights, and a MesoNet, whose head has dense layers."""
    name: str | Path = DEFAULT
    if request.param == "dense layers":
        name = tmp_path_factory.mktemp("meso") / "random.h5"
        write_keras_h5(TorchMeso("mesoinception4", 256, seed=1), name)
    loaded = load_model(name)
    assert isinstance(loaded, OnnxModel)
    return loaded


def crops(model: OnnxModel, count: int = 3) -> np.ndarray:
    side = model.card.input_size
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, side // 16, side // 16, 3), np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def test_a_head_computes_the_logit_from_its_layer(model: OnnxModel) -> None:
    evidence = model.examine(crops(model))
    np.testing.assert_allclose(model.head(evidence.activation), evidence.logit, atol=1e-5)


def test_the_slope_of_a_head_equals_the_gradient(model: OnnxModel) -> None:
    evidence = model.examine(crops(model, 1))
    step = 1e-3 * np.abs(evidence.activation).max()
    # Zeros of a ReLU are tied in their pooling window, where the head is not differentiable.
    smooth = np.where(evidence.activation != 0, np.abs(evidence.gradient), 0)
    flat = np.argsort(-smooth.ravel())[:5]
    assert smooth.ravel()[flat].min() > 1e-3
    for cell in flat:
        changed = evidence.activation.copy()
        changed.ravel()[cell] += step
        slope = (model.head(changed) - model.head(evidence.activation)) / step
        assert slope == pytest.approx(evidence.gradient.ravel()[cell], rel=0.01)


def skip_connection_model() -> bytes:
    """Build a graph whose logit also depends on the crops directly, not only on the activation."""
    nodes = [
        helper.make_node("Cast", ["crops"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["activation"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["activation"], ["one"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("ReduceMax", ["pixels"], ["other"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Add", ["one", "other"], ["logit"]),
        helper.make_node("Mul", ["activation", "zero"], ["gradient"]),
    ]
    maps = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, 32, 32])
        for name in ("activation", "gradient")
    ]
    graph = helper.make_graph(
        nodes,
        "skipping",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"]), *maps],
        [numpy_helper.from_array(np.float32(0), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def test_a_logit_that_bypasses_the_layer_has_no_head() -> None:
    with pytest.raises(ModelError, match="does not depend on the explained layer alone"):
        extract_head(skip_connection_model(), "skipping")
    model = OnnxModel(skip_connection_model(), CARD, "")
    with pytest.raises(ModelError, match="toy"):
        model.head(np.zeros((1, 3, 32, 32), np.float32))


def test_a_randomised_copy_has_permuted_weights(model: OnnxModel) -> None:
    before = onnx.load_from_string(model._model)
    after = onnx.load_from_string(randomise(model._model, 1))
    changed = 0
    for one, other in zip(before.graph.initializer, after.graph.initializer, strict=True):
        old, new = numpy_helper.to_array(one), numpy_helper.to_array(other)
        assert (one.name, old.shape, old.dtype) == (other.name, new.shape, new.dtype)
        np.testing.assert_array_equal(np.sort(old, axis=None), np.sort(new, axis=None))
        changed += not np.array_equal(old, new)
    assert changed >= 8
    logits = [model.randomised(seed).examine(crops(model)).logit for seed in (1, 1, 2)]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert np.abs(logits[0] - logits[2]).max() > 0.01
    assert model.randomised(1).sha256 == ""
