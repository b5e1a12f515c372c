"""ONNX classifiers of unusual batch sizes, types and versions, and files that cannot be used."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from fakelens.errors import ModelError
from support.meso_reference import random_crops
from support.onnx_export import export, load
from support.small_classifiers import FAKE, SIDE, TWO, Bright, Small, adapt


def test_a_fixed_batch_size_is_freed_or_respected() -> None:
    crops = random_crops(3, SIDE)
    free = export(Small(2), SIDE, batch=1)
    assert load(free).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1

    class Fixed(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.relu(self.conv(x)).mean((2, 3))
            return self.linear(y.reshape(1, 5))

    fixed = export(Fixed(2), SIDE, batch=1)
    expected = adapt(export(Small(2), SIDE), TWO).examine(crops)
    for data, note in ((free, False), (fixed, True)):
        model = adapt(data, TWO)
        found = model.examine(crops)
        for name in ("logit", "activation", "gradient"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5)
        np.testing.assert_allclose(model.head(found.activation), found.logit, atol=1e-5)
        (head,) = model.random_heads(1)
        assert head(found.activation).gradient.shape == found.gradient.shape
        assert any("one crop at a time" in text for text in model.notes) is note


def test_other_fixed_batch_sizes_and_outputs_are_refused() -> None:
    class Four(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(torch.relu(self.conv(x)).mean((2, 3)).reshape(4, 5))

    with pytest.raises(ModelError, match="runs only on batches of 4 pictures"):
        adapt(export(Four(2), SIDE, batch=4), TWO)
    with pytest.raises(ModelError, match=r"the output scores is tensor\(int64\), not scores"):
        adapt(Small(2, lambda y: y.argmax(1)), TWO)


def test_half_precision_runs() -> None:
    module, crops = Small(2, lambda y: torch.softmax(y, 1)), random_crops(3, SIDE)
    expected = adapt(module, TWO).examine(crops)
    data = export(module.half(), SIDE, dtype=torch.float16)
    found = adapt(data, TWO).examine(crops)
    np.testing.assert_allclose(found.logit, expected.logit, atol=0.02)
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-2, atol=1e-5)


def test_old_operators_are_converted() -> None:
    module, crops = Small(2, lambda y: torch.softmax(y, 1)), random_crops(3, SIDE)
    expected = adapt(module, TWO).examine(crops)
    for opset in (9, 11, 13):
        found = adapt(export(module, SIDE, opset=opset), TWO).examine(crops)
        np.testing.assert_allclose(found.logit, expected.logit, atol=1e-5)
        np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-6)


def spoil(change: Callable[[onnx.ModelProto], None]) -> bytes:
    model = load(export(Small(2), SIDE))
    change(model)
    return bytes(model.SerializeToString())


def set_nan(model: onnx.ModelProto) -> None:
    tensor = next(put for put in model.graph.initializer if put.name == "linear.weight")
    values = numpy_helper.to_array(tensor).copy()
    values[0, 0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def set_external(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def add_input(model: onnx.ModelProto) -> None:
    model.graph.input.add().CopyFrom(model.graph.input[0])
    model.graph.input[1].name = "landmarks"


def set_bytes(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_nan, "the weights linear.weight contain values that are not finite"),
        (set_external, r"the weights conv.weight are in another file: save the model as one"),
        (add_input, "must have one input, the pictures, but has images, landmarks"),
        (set_bytes, "the input must be float pictures, not uint8"),
    ],
)
def test_files_that_cannot_be_used(change: Callable[[onnx.ModelProto], None], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        adapt(spoil(change), TWO)


def test_inputs_that_do_not_fit_the_convention() -> None:
    with pytest.raises(ModelError, match="damaged or not an ONNX file"):
        adapt(b"no model", TWO)
    with pytest.raises(ModelError, match="state input_size = 48 in the model file"):
        adapt(export(Small(2), 48), TWO)
    with pytest.raises(ModelError, match='colours come last: state channels = "last"'):
        adapt(export(Bright(last=True), (SIDE, SIDE, 3)), FAKE)
    with pytest.raises(ModelError, match='colours come first: state channels = "first"'):
        adapt(Small(2), replace(TWO, channels="last"))
    grey = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ModelError, match="with 1 colours: only models of pictures with 3"):
        adapt(export(grey, (1, SIDE, SIDE)), TWO)
    with pytest.raises(ModelError, match="must have 4 axes, the pictures of a batch, not 2"):
        adapt(export(nn.Linear(5, 2), (5,)), TWO)


def test_weights_that_no_node_uses_are_told() -> None:
    def add(model: onnx.ModelProto) -> None:
        for number in range(3):
            tensor = numpy_helper.from_array(np.ones(4, np.float32), f"spare{number}")
            model.graph.initializer.append(tensor)

    assert "3 weights of the file are not used, such as spare0." in adapt(spoil(add), TWO).notes
    assert not any("not used" in note for note in adapt(Small(2), TWO).notes)
