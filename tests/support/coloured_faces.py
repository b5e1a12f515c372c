"""Pictures of a face with a known colour, and an evidence model whose logit is that colour."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fakelens.records.models import ModelCard
from support.builders import CARD
from support.plain_pictures import make_picture

STEP = 16
"""Difference between red and blue that is worth one logit."""


def make_coloured_face(path: Path, logit: float) -> Path:
    """Write a picture of a face in the public domain, of which each pixel has the same logit."""
    pixels = pytest.importorskip("skimage.data").astronaut()[:256, 96:352]
    half = round(STEP * logit / 2)
    grey = pixels.mean(axis=2)
    sharp = grey + 2 * (grey - cv2.GaussianBlur(grey, (0, 0), 2))
    grey = 40 + np.clip(sharp, 0, 255) * 175 / 255  # leaves room for the colour
    return make_picture(path, np.stack([grey + half, grey, grey - half], 2).astype(np.uint8))


def colour_model(card: ModelCard = CARD) -> onnx.ModelProto:
    """Build a model whose logit is the mean of (red - blue) / STEP; each pixel is a cell."""
    side = card.input_size
    nodes = [
        helper.make_node("Cast", ["crops"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weights"], ["activation"]),
        helper.make_node("ReduceMean", ["activation"], ["logit"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["activation", "zero"], ["zeros"]),
        helper.make_node("Add", ["zeros", "share"], ["gradient"]),
    ]
    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", side, side, 3])
    maps = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, side, side])
        for name in ("activation", "gradient")
    ]
    weights = np.array([1, 0, -1], np.float32).reshape(1, 3, 1, 1) / STEP
    constants = [
        numpy_helper.from_array(np.float32(value), name)
        for name, value in (("zero", 0), ("share", 1 / side**2), ("weights", weights))
    ]
    logit = helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph(nodes, "colour", [crops], [logit, *maps], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def colour_classifier() -> onnx.ModelProto:
    """Build a plain classifier of (N, 3, 32, 32) pixels in 0..1 with the logits of the model."""
    weights = np.array([1, 0, -1], np.float32).reshape(1, 3, 1, 1) * 255 / STEP
    nodes = [
        helper.make_node("Conv", ["pixels", "weights"], ["layer"]),
        helper.make_node("ReduceMean", ["layer"], ["means"], axes=[2, 3], keepdims=0),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, 32, 32])
    means = helper.make_tensor_value_info("means", TensorProto.FLOAT, ["N", 1])
    constants = [numpy_helper.from_array(weights, "weights")]
    graph = helper.make_graph(nodes, "classifier", [pixels], [means], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
