"""Reads a plain ONNX classifier, and puts the preprocessing of crops in front of it."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, inliner, numpy_helper, version_converter

from fakelens.errors import ModelError
from fakelens.models.plain_onnx.nodes import GraphEditor, all_inputs, attribute, find_opset
from fakelens.records.conventions import Convention

OPSET = 17
"""Version of the standard operators that older files are converted to."""

_OLDEST = 16  # from here on, ScatterElements can add, which the gradient of a max-pooling needs
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_RESERVED = ("crops", "logit", "activation", "gradient", "features")
RENAMED = "original_"
"""Before the names of tensors that an evidence model needs for its own inputs and outputs."""


def read_classifier(data: bytes, name: str) -> tuple[onnx.ModelProto, str, tuple[str, ...]]:
    """Read a classifier: one input of floats, weights in the same file.

    Args:
        data: content of the file.
        name: of the model, for messages.

    Returns:
        The model, the name of its input, and sentences about the file.

    Raises:
        ModelError: the file is damaged, has other inputs, weights that are not finite or weights in
            other files, or its operators are too old to convert.
    """
    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # the decoder's own class depends on the version of protobuf
        raise ModelError(f"{name} is damaged or not an ONNX file: {error}") from error
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ModelError(
                f"{name}: the weights {tensor.name} are in another file: save the model as one "
                "file, for example with onnx.save_model(onnx.load(FILE), OTHER_FILE)"
            )
    if model.functions:
        model = inliner.inline_local_functions(model)
        graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [put for put in graph.input if put.name not in weights]  # old files list both
    if len(inputs) != 1:
        names = ", ".join(put.name for put in inputs) or "none"
        raise ModelError(f"{name} must have one input, the pictures, but has {names}")
    del graph.input[:]
    graph.input.append(inputs[0])
    if find_opset(model) < _OLDEST:
        try:
            model = version_converter.convert_version(model, OPSET)
        except Exception as error:  # the converter raises RuntimeError and others
            raise ModelError(
                f"{name} has the operators of ONNX opset {find_opset(model)}, which cannot be "
                f"converted to opset {OPSET}: export it again with opset {OPSET} or later"
            ) from error
    _check_finite(model, name)
    _pad_explicitly(model)
    return model, str(inputs[0].name), _unused(model)


def batch_size(model: onnx.ModelProto) -> int:
    """Return the batch size that the input of a classifier declares; 0 if it is not fixed."""
    axes = model.graph.input[0].type.tensor_type.shape.dim
    return int(axes[0].dim_value) if axes else 0


def _check_finite(model: onnx.ModelProto, name: str) -> None:
    constants = [
        (node.output[0], attribute(node, "value"))
        for node in model.graph.node
        if node.op_type == "Constant" and attribute(node, "value") is not None
    ]
    for key, tensor in (*((put.name, put) for put in model.graph.initializer), *constants):
        if tensor.data_type in _FLOATS:
            values = np.asarray(numpy_helper.to_array(tensor), np.float64)
            if not np.isfinite(values).all():
                raise ModelError(
                    f"{name}: the weights {key} contain values that are not finite: the file is "
                    "damaged or its training failed"
                )


def _pad_explicitly(model: onnx.ModelProto) -> None:
    """State the padding of dilated "same" convolutions, which onnxruntime does not work out."""
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    for node in model.graph.node:
        dilations = attribute(node, "dilations", ())
        padding = attribute(node, "auto_pad", "")
        if (
            node.op_type != "Conv"
            or not padding.startswith("SAME")
            or not any(dilation > 1 for dilation in dilations)
        ):
            continue
        kernel = attribute(node, "kernel_shape") or shapes.get(node.input[1], ())[2:]
        if not kernel or any(step > 1 for step in attribute(node, "strides", ())):
            continue  # the padding depends on the size of the picture
        total = [step * (size - 1) for step, size in zip(dilations, kernel, strict=True)]
        less, more = [width // 2 for width in total], [width - width // 2 for width in total]
        pads = [*less, *more] if padding == "SAME_UPPER" else [*more, *less]
        kept = [entry for entry in node.attribute if entry.name not in ("auto_pad", "pads")]
        kept.append(onnx.helper.make_attribute("pads", pads))
        copies = [onnx.AttributeProto.FromString(entry.SerializeToString()) for entry in kept]
        del node.attribute[:]
        node.attribute.extend(copies)


def _unused(model: onnx.ModelProto) -> tuple[str, ...]:
    used = {name for node in model.graph.node for name in all_inputs(node)}
    used |= {output.name for output in model.graph.output}
    unused = [tensor.name for tensor in model.graph.initializer if tensor.name not in used]
    if not unused:
        return ()
    if len(unused) == 1:
        return (f"The weights {unused[0]} of the file are not used.",)
    return (f"{len(unused)} weights of the file are not used, such as {unused[0]}.",)


def add_preprocessing(
    editor: GraphEditor, images: str, convention: Convention, side: int, name: str
) -> None:
    """Let a classifier take ``crops``, (N, side, side, 3) uint8 RGB.

    Tensors whose names an evidence model needs get the prefix ``RENAMED``.

    Args:
        editor: of the classifier.
        images: name of its input.
        convention: its preprocessing.
        side: of the crops in pixels.
        name: of the model, for messages.

    Raises:
        ModelError: the input of the classifier is not that which the convention describes.
    """
    graph = editor.graph
    kind = graph.input[0].type.tensor_type
    _check_input(kind, convention, side, name)
    known = {put for node in graph.node for put in node.output} | {images}
    known |= {tensor.name for tensor in graph.initializer}
    for reserved in _RESERVED:
        if reserved in known:
            editor.rename(reserved, RENAMED + reserved)
    images = RENAMED + images if images in _RESERVED else images
    pictures = editor.new_name()
    editor.rename_uses(images, pictures)
    del graph.input[:]
    crops = onnx.helper.make_tensor_value_info("crops", TensorProto.UINT8, ["N", side, side, 3])
    graph.input.append(crops)

    def colours(values: tuple[float, ...]) -> Any:
        ordered = values if convention.colour == "rgb" else values[::-1]
        return editor.constant(np.array(ordered, np.float32))

    pixels = editor.value("crops")
    if convention.colour == "bgr":
        pixels = editor.node("Gather", [pixels, editor.integers([2, 1, 0])], axis=3)
    x = pixels.apply("Cast", to=TensorProto.FLOAT) / 255.0
    if any(convention.mean):
        x = x - colours(convention.mean)
    if convention.std != (1.0, 1.0, 1.0):
        x = x / colours(convention.std)
    if convention.channels == "first":
        x = x.apply("Transpose", perm=[0, 3, 1, 2])
    editor.node("Cast", [x], pictures, to=kind.elem_type)


def _check_input(kind: Any, convention: Convention, side: int, name: str) -> None:
    if kind.elem_type not in _FLOATS:
        found = TensorProto.DataType.Name(kind.elem_type).lower()
        raise ModelError(
            f"{name}: the input must be float pictures, not {found}: export the model without its "
            "own preprocessing"
        )
    if not kind.HasField("shape"):
        return
    sizes = [axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim]
    text = " x ".join("N" if size is None else str(size) for size in sizes)
    if len(sizes) != 4:
        raise ModelError(
            f"{name}: the input must have 4 axes, the pictures of a batch, not {len(sizes)} "
            f"({text})"
        )
    colours, places = (1, (2, 3)) if convention.channels == "first" else (3, (1, 2))
    other = {1: 3, 3: 1}[colours]
    if sizes[colours] not in (3, None):
        if sizes[other] == 3:
            correct = "last" if convention.channels == "first" else "first"
            raise ModelError(
                f"{name}: the input is {text}, so its colours come {correct}: state "
                f'channels = "{correct}" in the model file'
            )
        raise ModelError(
            f"{name}: the input is {text}, with {sizes[colours]} colours: only models of pictures "
            "with 3 colours can be used"
        )
    wrong = [size for size in (sizes[place] for place in places) if size not in (side, None)]
    if wrong:
        raise ModelError(
            f"{name}: the input is {text}, but the crops are {side} x {side}: state input_size = "
            f"{wrong[0]} in the model file"
        )
