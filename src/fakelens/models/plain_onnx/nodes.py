"""Edits the graph of an ONNX model: appends nodes and constants, rewires and prunes."""

from collections.abc import Iterator, Sequence
from typing import Any, Union

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper

NEW = "fakelens_"
"""Before the names of the tensors that a ``GraphEditor`` adds."""


class GraphEditor:
    """Changes the graph of a model in place.

    New constants are ``Constant`` nodes, not initialisers: ``graph_editing.randomise`` permutes the
    initialisers, which are the weights of the model.

    Args:
        model: to change.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        graph = model.graph
        self._names = {tensor.name for tensor in (*graph.initializer, *graph.input)}
        self._names |= {name for node in graph.node for name in node.output}
        self._count = 0

    @property
    def graph(self) -> onnx.GraphProto:
        """The graph."""
        return self.model.graph

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return find_opset(self.model)

    def copy(self) -> "GraphEditor":
        """Return an editor of a copy of the model."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        return GraphEditor(model)

    def value(self, name: str) -> "Value":
        """Return a tensor of the graph."""
        return Value(self, name)

    def node(
        self,
        operator: str,
        inputs: Sequence[Union["Value", str]],
        output: str | None = None,
        **attributes: Any,
    ) -> "Value":
        """Append a node of a standard operator with one output.

        Args:
            operator: its name.
            inputs: tensors; ``""`` leaves an optional input out.
            output: name of the output; ``None`` makes one up.
            attributes: of the node; ``None`` leaves one out.
        """
        names = [put.name if isinstance(put, Value) else put for put in inputs]
        output = output or self.new_name()
        self.graph.node.append(helper.make_node(operator, names, [output], **attributes))
        return Value(self, output)

    def constant(self, value: ArrayLike) -> "Value":
        """Return a constant; an equal one is used again."""
        array = np.asarray(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            tensor = numpy_helper.from_array(array)
            self._constants[key] = self.node("Constant", [], value=tensor).name
        return Value(self, self._constants[key])

    def integers(self, values: Sequence[int]) -> "Value":
        """Return a constant vector of int64."""
        return self.constant(np.asarray(values, np.int64))

    def second_output(self, node: onnx.NodeProto) -> "Value":
        """Return the second output of a node; add it if the node has only one."""
        if len(node.output) < 2:
            node.output.append("")
        if not node.output[1]:
            node.output[1] = self.new_name()
        return Value(self, node.output[1])

    def new_name(self) -> str:
        """Make up the name of a tensor."""
        while (name := f"{NEW}{self._count}") in self._names:
            self._count += 1
        self._names.add(name)
        return name

    def producers(self) -> dict[str, onnx.NodeProto]:
        """Return the node that computes each tensor."""
        return {name: node for node in self.graph.node for name in node.output if name}

    def ancestors(self, *names: str) -> set[str]:
        """Return the names of the tensors that some tensors are computed from, and their own."""
        made_by, found, pending = self.producers(), set[str](), list(names)
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                if name in made_by:
                    pending.extend(all_inputs(made_by[name]))
        return found

    def rename_uses(self, old: str, new: str) -> None:
        """Let all nodes that read the tensor ``old`` read ``new``."""
        _rename_uses(self.graph.node, old, new)

    def rename(self, old: str, new: str) -> None:
        """Rename a tensor of the graph."""
        self.rename_uses(old, new)
        for node in self.graph.node:
            node.output[:] = [new if name == old else name for name in node.output]
        for tensor in (*self.graph.initializer, *self.graph.input, *self.graph.output):
            if tensor.name == old:
                tensor.name = new
        self._names.add(new)

    def tidy(self, outputs: Sequence[str]) -> None:
        """Put the nodes in order, and remove what some tensors do not need.

        Nodes keep their order as far as each still comes after those whose outputs it reads.
        """
        needed, made_by = self.ancestors(*outputs), self.producers()
        kept: list[onnx.NodeProto] = []
        done: set[int] = set()
        for first in self.graph.node:
            stack = [first] if needed.intersection(first.output) else []
            while stack:
                node = stack[-1]
                sources = (made_by[name] for name in all_inputs(node) if name in made_by)
                waiting = next((source for source in sources if id(source) not in done), None)
                if id(node) in done:
                    stack.pop()
                elif waiting is not None:
                    stack.append(waiting)
                else:
                    done.add(id(node))
                    kept.append(node)
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
        weights = [
            onnx.TensorProto.FromString(tensor.SerializeToString())
            for tensor in self.graph.initializer
            if tensor.name in needed
        ]
        del self.graph.node[:], self.graph.initializer[:], self.graph.value_info[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(weights)
        self._constants.clear()


class Value:
    """A tensor of a graph; arithmetic with it appends nodes. Numbers become float32 constants."""

    def __init__(self, editor: GraphEditor, name: str) -> None:
        self.editor, self.name = editor, name

    def apply(self, operator: str, *others: Union["Value", str], **attributes: Any) -> "Value":
        """Append a node whose first input is this tensor."""
        return self.editor.node(operator, [self, *others], **attributes)

    def sum(self, axes: Sequence[int]) -> "Value":
        """Sum over axes, which stay with the length 1."""
        return self.apply("ReduceSum", self.editor.integers(axes), keepdims=1)

    def where(self, condition: "Value") -> "Value":
        """Return this tensor where a condition holds, and 0 elsewhere."""
        return self.editor.node("Where", [condition, self, self._number(0)])

    def _number(self, other: Union["Value", float]) -> "Value":
        if isinstance(other, Value):
            return other
        return self.editor.constant(np.float32(other))

    def __add__(self, other: Union["Value", float]) -> "Value":
        return self.apply("Add", self._number(other))

    def __sub__(self, other: Union["Value", float]) -> "Value":
        return self.apply("Sub", self._number(other))

    def __rsub__(self, other: float) -> "Value":
        return self._number(other).apply("Sub", self)

    def __mul__(self, other: Union["Value", float]) -> "Value":
        return self.apply("Mul", self._number(other))

    def __truediv__(self, other: Union["Value", float]) -> "Value":
        return self.apply("Div", self._number(other))

    def __rtruediv__(self, other: float) -> "Value":
        return self._number(other).apply("Div", self)

    def __neg__(self) -> "Value":
        return self.apply("Neg")

    def __gt__(self, other: Union["Value", float]) -> "Value":
        return self.apply("Greater", self._number(other))

    def __lt__(self, other: Union["Value", float]) -> "Value":
        return self.apply("Less", self._number(other))


def find_opset(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators of a model; 1 if it names none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return int(versions[0]) if versions else 1


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return an attribute of a node; strings are decoded."""
    for entry in node.attribute:
        if entry.name == name:
            value = helper.get_attribute_value(entry)
            return value.decode() if isinstance(value, bytes) else value
    return default


def all_inputs(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the tensors that a node reads, those that its subgraphs read from outside included."""
    yield from (name for name in node.input if name)
    for graph in _subgraphs(node):
        inside = {tensor.name for tensor in (*graph.initializer, *graph.input)}
        inside |= {name for inner in graph.node for name in inner.output}
        for inner in graph.node:
            yield from (name for name in all_inputs(inner) if name not in inside)
        yield from (output.name for output in graph.output if output.name not in inside)


def _subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    graphs = [entry.g for entry in node.attribute if entry.HasField("g")]
    return graphs + [graph for entry in node.attribute for graph in entry.graphs]


def _rename_uses(nodes: Sequence[onnx.NodeProto], old: str, new: str) -> None:
    for node in nodes:
        node.input[:] = [new if name == old else name for name in node.input]
        for graph in _subgraphs(node):
            _rename_uses(graph.node, old, new)
