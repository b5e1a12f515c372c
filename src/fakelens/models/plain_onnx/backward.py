"""What the rules of ``onnx_gradient`` know about the ONNX node that they differentiate."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from fakelens.models.plain_onnx.nodes import GraphEditor, Value, attribute
from fakelens.models.plain_onnx.trial import Trial


class NoRuleError(Exception):
    """An operator, or a use of it, has no rule.

    Args:
        use: which use, such as ``"with a vector"``.
    """

    def __init__(self, use: str = "") -> None:
        super().__init__(f" {use}" if use else "")


class Backward:
    """One node to differentiate, and what a rule needs to know about it.

    Attributes:
        editor: of the graph.
        node: to differentiate.
        gradients: of the outputs of the node, float32; ``None`` for those that do not matter.
    """

    def __init__(
        self,
        editor: GraphEditor,
        trial: Trial,
        active: set[str],
        node: onnx.NodeProto,
        gradients: Sequence[Value | None],
    ) -> None:
        self._trial, self._active = trial, active
        self.editor, self.node, self.gradients = editor, node, gradients

    @property
    def gradient(self) -> Value:
        """The gradient of the first output.

        Raises:
            NoRuleError: the explained logit uses another output.
        """
        if self.gradients[0] is None:
            raise NoRuleError("with its second output")
        return self.gradients[0]

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute of the node."""
        return attribute(self.node, name, default)

    def has(self, number: int) -> bool:
        """Whether the node has an input of this number."""
        return number < len(self.node.input) and bool(self.node.input[number])

    def needs(self, number: int) -> bool:
        """Whether an input depends on the explained layer."""
        return self.has(number) and self.node.input[number] in self._active

    def input(self, number: int = 0) -> Value:
        """Return an input as float32."""
        return self._read(self.node.input[number])

    def output(self, number: int = 0) -> Value:
        """Return an output as float32."""
        return self._read(self.node.output[number])

    def shape(self, number: int = 0) -> tuple[int, ...]:
        """Return the shape of an input in the trial run."""
        return self._trial.shapes[self.node.input[number]]

    def output_shape(self, number: int = 0) -> tuple[int, ...]:
        """Return the shape of an output in the trial run."""
        return self._trial.shapes[self.node.output[number]]

    def integers(self, number: int) -> NDArray[Any] | None:
        """Return the value of an input of integers; ``None`` if the node does not have it.

        Raises:
            NoRuleError: it is not known.
        """
        if not self.has(number):
            return None
        if self.node.input[number] not in self._trial.integers:
            raise NoRuleError("with an index that is not constant")
        return np.asarray(self._trial.integers[self.node.input[number]])

    def reshape_like(self, value: Value, name: str) -> Value:
        """Give a gradient the shape of a tensor of the graph with as many elements."""
        return value.apply("Reshape", self.editor.node("Shape", [name]))

    def sum_to_input(self, value: Value, number: int, shape: Sequence[int]) -> Value:
        """Undo a broadcast: sum a gradient over the axes along which an input was repeated.

        Args:
            value: gradient of the broadcast input.
            number: of the input.
            shape: of the gradient in the trial run.
        """
        own = self.shape(number)
        extra = len(shape) - len(own)
        stretched = [
            axis
            for axis, size in enumerate(shape)
            if axis >= extra and own[axis - extra] == 1 and size != 1
        ]
        axes = [*range(extra), *stretched]
        if axes:
            value = value.sum(axes)
        if extra:
            value = value.apply("Squeeze", self.editor.integers(range(extra)))
        return value

    def _read(self, name: str) -> Value:
        value = self.editor.value(name)
        if self._trial.kinds[name] == "float":
            return value
        return value.apply("Cast", to=TensorProto.FLOAT)


Rule = Callable[[Backward], Sequence[Value | None]]
"""Returns the gradients of the inputs of a node, in order; ``None`` or nothing where not needed."""
