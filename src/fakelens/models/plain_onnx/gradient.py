"""Differentiates a part of an ONNX graph: appends the nodes that compute a gradient.

Reverse mode (Griewank and Walther, "Evaluating Derivatives", 2nd edition, SIAM 2008, chapter 3),
written as ordinary forward operators. The gradient is computed in float32 whatever the type of the
tensors, since the small gradients of a large map would vanish in float16. Weights are read where
the forward operators read them, so that a copy of the graph with other weights has their gradient.

At a kink, the gradient is one-sided: 0 at the corner of a ReLU or clip, and the first of equal
cells of a max-pooling window gets all of it, as in torch and TensorFlow.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add

import numpy as np

from fakelens.errors import ModelError
from fakelens.models.plain_onnx.arithmetic_rules import ARITHMETIC_RULES
from fakelens.models.plain_onnx.arrangement_rules import ARRANGEMENT_RULES
from fakelens.models.plain_onnx.backward import Backward, NoRuleError, Rule
from fakelens.models.plain_onnx.nodes import GraphEditor, Value, all_inputs
from fakelens.models.plain_onnx.trial import Trial

RULES: Mapping[str, Rule] = ARITHMETIC_RULES | ARRANGEMENT_RULES
"""From the standard operators to their derivatives."""


def differentiate(
    editor: GraphEditor, trial: Trial, source: str, target: str, name: str, layer: str
) -> Value:
    """Append the nodes that compute the derivative of ``target`` with respect to ``source``.

    Args:
        editor: of a graph whose nodes are in order.
        trial: of the same graph.
        source: tensor (N, ...) of floats.
        target: tensor (N,) of floats; each element depends on the same element of the batch only.
        name: of the model, for messages.
        layer: name of ``source``, for messages.

    Returns:
        A float32 tensor of the shape of ``source``.

    Raises:
        ModelError: ``target`` does not depend on ``source``, or an operator between them cannot
            be differentiated.
    """
    nodes = list(editor.graph.node)
    active = {source}
    for node in nodes:
        if active.intersection(all_inputs(node)):
            active.update(put for put in node.output if trial.is_float(put))
    one = editor.constant(np.ones(1, np.float32))
    found: defaultdict[str, list[Value]] = defaultdict(list)
    found[target].append(one.apply("Expand", editor.node("Shape", [target])))
    for node in reversed(nodes):
        gradients = [reduce(add, found[put]) if found.get(put) else None for put in node.output]
        if source in node.output or gradients.count(None) == len(gradients):
            continue
        if not active.intersection(node.output):
            continue
        rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        try:
            inputs = (rule or _no_rule)(Backward(editor, trial, active, node, gradients))
        except NoRuleError as error:
            raise ModelError(
                f"{name}: the derivative of the operator {node.op_type}{error}, between the layer "
                f"{layer} and the output, is not known: choose a layer nearer to the output, or "
                "load the model in its torch or Keras form"
            ) from error
        for put, gradient in zip(node.input, inputs, strict=False):
            if gradient is not None and put in active:
                found[put].append(gradient)
    if not found.get(source):
        raise ModelError(
            f"{name}: the logit does not depend on the layer {layer}: choose another layer"
        )
    return reduce(add, found[source])


def _no_rule(_: Backward) -> Sequence[Value | None]:
    raise NoRuleError
