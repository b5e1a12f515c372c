"""Turns the outputs of an ONNX classifier into one logit, positive = fake."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto

from fakelens.errors import ModelError
from fakelens.models.plain_onnx.file import RENAMED
from fakelens.models.plain_onnx.nodes import GraphEditor, Value, attribute
from fakelens.records.arrays import FloatArray
from fakelens.records.conventions import Convention

SMALLEST = 1e-7
"""Probabilities are at least this, and that far from 1, before their logarithm is taken."""

_ENDINGS = {"Sigmoid": "sigmoid", "Softmax": "softmax", "LogSoftmax": "log-softmax"}
_TRANSPARENT = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_SUM_TOLERANCE = 1e-3


def find_output(editor: GraphEditor, convention: Convention, name: str) -> str:
    """Return the name of the output that holds the scores.

    Raises:
        ModelError: the graph has several outputs and the convention names none, or one that it does
            not have.
    """
    names = [str(output.name) for output in editor.graph.output]
    outputs = [output.removeprefix(RENAMED) for output in names]
    field = convention.field
    if field is None:
        if len(outputs) == 1:
            return names[0]
        raise ModelError(
            f"{name} has {len(outputs)} outputs, {', '.join(outputs)}: state the one with the "
            f'scores in the model file, such as field = "{outputs[0]}"'
        )
    if isinstance(field, int):
        if -len(outputs) <= field < len(outputs):
            return names[field]
    elif field in outputs:
        return names[outputs.index(field)]
    raise ModelError(f"{name} has no output {field}: it has {', '.join(outputs)}")


def find_ending(editor: GraphEditor, output: str) -> onnx.NodeProto | None:
    """Return the sigmoid or softmax that the graph ends in; reshaping may follow it."""
    made_by = editor.producers()
    node = made_by.get(output)
    while node is not None and node.op_type in _TRANSPARENT:
        node = made_by.get(node.input[0])
    if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in _ENDINGS:
        return None
    return node


def is_over_classes(ending: onnx.NodeProto, shape: Sequence[int], classes: int) -> bool:
    """Whether a node of ``find_ending`` is applied to each crop alone, given its output's shape."""
    if ending.op_type == "Sigmoid":
        return True
    axis = attribute(ending, "axis", -1) % len(shape)
    return bool(axis > 0 and shape[axis] == classes)


def append_logit(
    editor: GraphEditor,
    output: str,
    ending: onnx.NodeProto | None,
    values: FloatArray,
    convention: Convention,
    name: str,
) -> tuple[str, ...]:
    """Append the nodes from the scores of a classifier to the output ``logit`` (N,) float32.

    Args:
        editor: of the classifier.
        output: tensor of the scores.
        ending: the sigmoid or softmax to remove; ``None`` if there is none.
        values: (P, K) scores of P different pictures.
        convention: meaning of the scores.
        name: of the model, for messages.

    Returns:
        Sentences on what was recognised.

    Raises:
        ModelError: the scores are not those that the convention states, or cannot be told apart
            from probabilities.
    """
    classes = len(convention.outputs)
    if values.shape[1] != classes:
        raise ModelError(
            f"{name} returns {values.shape[1]} scores per crop, but its outputs are said to be "
            f"{', '.join(convention.outputs)}: state the class of each output"
        )
    if not np.isfinite(values).all():
        raise ModelError(f"{name}: the scores of ordinary pictures are not finite")
    notes: tuple[str, ...] = ()
    probabilities = False
    if ending is not None:
        notes = (_remove(ending, convention, name),)
    elif convention.values != "logits":
        probabilities = _are_probabilities(values, convention, name)
        if probabilities:
            notes = (
                "The outputs are probabilities; the logit is computed from their logarithms, "
                f"which end at {SMALLEST:g}.",
            )
    scores = editor.value(output).apply("Cast", to=TensorProto.FLOAT)
    scores = scores.apply("Reshape", editor.integers([-1, classes]))
    if probabilities:
        scores = _logarithms(editor, scores, classes)
    vector = _fake_logit(editor, scores, convention).apply("Reshape", editor.integers([-1]))
    editor.node("Identity", [vector], "logit")
    return notes


def _remove(ending: onnx.NodeProto, convention: Convention, name: str) -> str:
    """Make a node pass on its input; say so."""
    kind, classes = _ENDINGS[ending.op_type], len(convention.outputs)
    if convention.values == "logits" and ending.op_type != "LogSoftmax":
        raise ModelError(
            f"{name} ends in a {kind}, so its outputs are probabilities, not logits: state "
            'values = "probabilities" or "auto" in the model file'
        )
    if classes == 1 and ending.op_type != "Sigmoid":
        raise ModelError(
            f"{name} ends in a {kind} of one output, which is the same for every picture: export "
            "the model without it, or with a sigmoid"
        )
    if classes > 1 and ending.op_type == "Sigmoid":
        raise ModelError(
            f"{name}: each of its {classes} outputs has a sigmoid of its own, so they are not "
            "classes of which one is right: export the model with one of them"
        )
    ending.op_type = "Identity"
    del ending.attribute[:]
    return f"The {kind} at the end of the graph was removed, so that the logit is exact."


def _are_probabilities(values: FloatArray, convention: Convention, name: str) -> bool:
    inside = bool(values.min() >= 0 and values.max() <= 1)
    if convention.values == "probabilities":
        if not inside:
            raise ModelError(
                f"{name}: the outputs are said to be probabilities, but range from "
                f"{values.min():.3g} to {values.max():.3g}: correct values in the model file"
            )
        return True
    if values.shape[1] > 1:
        return inside and bool(np.abs(values.sum(axis=1) - 1).max() <= _SUM_TOLERANCE)
    if inside:
        raise ModelError(
            f"{name}: the output is between 0 and 1 for all test pictures, but no sigmoid is at "
            'the end of the graph: state values = "logits" or values = "probabilities" in the '
            "model file"
        )
    return False


def _logarithms(editor: GraphEditor, scores: Value, classes: int) -> Value:
    """Turn one probability into its logit, or several into their logarithms."""
    low, high = (editor.constant(np.float32(edge)) for edge in (SMALLEST, 1 - SMALLEST))
    scores = scores.apply("Clip", low, high)
    if classes == 1:
        return scores.apply("Log") - (1.0 - scores).apply("Log")
    return scores.apply("Log")


def _fake_logit(editor: GraphEditor, scores: Value, convention: Convention) -> Value:
    """Return the logarithm of the odds of the fake classes, given logits (N, K)."""
    if len(convention.outputs) == 1:
        return scores if convention.is_fake[0] else -scores
    fake, other = (
        _join(editor, scores, [i for i, flag in enumerate(convention.is_fake) if flag is wanted])
        for wanted in (True, False)
    )
    return fake - other


def _join(editor: GraphEditor, scores: Value, columns: list[int]) -> Value:
    chosen = scores.apply("Gather", editor.integers(columns), axis=1)
    if len(columns) == 1:
        return chosen
    if editor.opset >= 18:  # from here on, the axes are an input
        return chosen.apply("ReduceLogSumExp", editor.integers([1]), keepdims=1)
    return chosen.apply("ReduceLogSumExp", axes=[1], keepdims=1)
