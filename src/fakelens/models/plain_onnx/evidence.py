"""Turns a plain ONNX classifier into the graph of an evidence model.

A plain classifier takes float pictures and returns logits or probabilities. Preprocessing is put in
front of it, a sigmoid or softmax is taken off its end, the output of a layer becomes ``activation``
and the derivative of the fake logit with respect to it is appended as ordinary nodes.
"""

from dataclasses import dataclass, replace

import onnx
from onnx import TensorProto, helper

from fakelens.errors import ModelError
from fakelens.models.devices import CPU
from fakelens.models.layers import CHANNELS_FIRST, Layer, check_map, find_layout
from fakelens.models.onnx_session import open_session
from fakelens.models.plain_onnx.gradient import differentiate
from fakelens.models.plain_onnx.layers import (
    all_layers,
    arrange,
    arrange_back,
    candidates,
    find_layer,
)
from fakelens.models.plain_onnx.nodes import GraphEditor
from fakelens.models.plain_onnx.outputs import append_logit
from fakelens.models.plain_onnx.preparation import agree, draw_pictures, prepare
from fakelens.models.plain_onnx.trial import UNOPTIMISED, Trial, run, run_trial
from fakelens.records.conventions import Convention, LayerLayout
from fakelens.records.models import ModelCard

AUTO = "auto"
"""The name that lets ``evidence_graph`` choose the layer."""

_CHECKED = ["logit", "gradient"]
_FLAT_MAPS = 4  # whose gradient may be zero before the search for a layer ends


@dataclass(frozen=True, slots=True)
class EvidenceGraph:
    """An ONNX classifier as an evidence model.

    Attributes:
        model: with the inputs and outputs of an evidence model, without metadata.
        layer: explained layer.
        layout: of its output in the classifier.
        notes: sentences on what was recognised.
    """

    model: onnx.ModelProto
    layer: Layer
    layout: LayerLayout
    notes: tuple[str, ...]


def evidence_graph(
    data: bytes, card: ModelCard, convention: Convention, layout: LayerLayout | None
) -> EvidenceGraph:
    """Turn a plain ONNX classifier into the graph of an evidence model.

    Args:
        data: content of its file.
        card: description. Its layer is the name of a tensor of the graph or of the node that
            computes it, or ``"auto"``: the last map before the logit whose gradient is not zero.
        convention: preprocessing of the classifier, and the meaning of its outputs.
        layout: of the output of the layer; ``None`` finds out.

    Raises:
        ModelError: the file is damaged; the classifier does not fit the convention; the output of
            the layer is not a map; or an operator between the layer and the logit has no known
            derivative.
        UsageError: the classifier has no such layer.
    """
    name, crops = card.name, draw_pictures(card.input_size)
    prepared = prepare(data, convention, card.input_size, name)
    editor, batch = prepared.editor, prepared.batch
    outputs = [output.name for output in editor.graph.output]
    notes = append_logit(
        editor, prepared.output, prepared.ending, prepared.scores, convention, name
    )
    editor.tidy(["logit", *outputs])
    trial = run_trial(editor, crops[:batch], name)
    layers = all_layers(editor, trial)
    if card.layer == AUTO:
        choices = candidates(layers, editor, layout, name)[:_FLAT_MAPS]
    else:
        layer = find_layer(layers, editor, card.layer, name)
        choices = [(layer, layout or find_layout(layer) or CHANNELS_FIRST)]
    for layer, chosen in choices:
        model = _add_evidence(editor.copy(), trial, layer, chosen, name)
        session = open_session(model.SerializeToString(), name, None, UNOPTIMISED, CPU)
        runs = [run(session, _CHECKED, crop[None], name) for crop in crops[:2]]
        if card.layer != AUTO or runs[0][1].any():
            break
    else:
        raise ModelError(
            f"{name}: the gradient of the last maps is zero everywhere: name a layer that the "
            "logit depends on"
        )
    if batch == 1 or not agree(session, _CHECKED, crops[:2], runs, name):
        _fix_batch(model)
        notes = (*notes, "The graph takes one crop at a time, so that crops run one by one.")
    where = f"The layer {layer.name} ({layer.kind}) is explained, {_describe(layer, chosen)}."
    return EvidenceGraph(model, layer, chosen, (*prepared.notes, *notes, where))


def _describe(layer: Layer, layout: LayerLayout) -> str:
    if layout.grid is not None:
        height, width = layout.grid
        return f"a grid of {height} x {width} tokens after {layout.class_tokens} class tokens"
    first = layout.kind == "channels_first"
    height, width = layer.shape[1:] if first else layer.shape[:2]
    channels = layer.shape[0] if first else layer.shape[2]
    place = "first" if first else "last"
    return f"a map of {height} x {width} with {channels} channels, which come {place}"


def _add_evidence(
    editor: GraphEditor, trial: Trial, layer: Layer, layout: LayerLayout, name: str
) -> onnx.ModelProto:
    """Add the outputs ``activation`` and ``gradient``, and remove all others but ``logit``."""
    size = check_map(layer, layout, name)
    original, source = editor.value(layer.name), editor.new_name()
    editor.rename_uses(layer.name, source)
    activation = editor.node(
        "Cast", [arrange(original, layer, layout, size)], "activation", to=TensorProto.FLOAT
    )
    kind = trial.kinds[layer.name]
    editor.node(
        "Cast",
        [arrange_back(activation, layer, layout) or original],
        source,
        to=TensorProto.DataType.Value(kind.upper()),
    )
    editor.tidy(["logit", "activation"])
    trial = replace(
        trial,
        kinds={**trial.kinds, source: kind},
        shapes={**trial.shapes, source: trial.shapes[layer.name]},
    )
    gradient = differentiate(editor, trial, source, "logit", name, layer.name)
    editor.node("Identity", [arrange(gradient, layer, layout, size)], "gradient")
    editor.tidy(["logit", "activation", "gradient"])
    channels = layer.shape[0] if layout.kind == "channels_first" else layer.shape[-1]
    del editor.graph.output[:]
    for output, shape in (
        ("logit", ()),
        ("activation", (channels, *size)),
        ("gradient", (channels, *size)),
    ):
        info = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *shape])
        editor.graph.output.append(info)
    return editor.model


def _fix_batch(model: onnx.ModelProto) -> None:
    for put in (*model.graph.input, *model.graph.output):
        put.type.tensor_type.shape.dim[0].dim_value = 1
