"""TorchScript and ``torch.export`` files as modules whose inner layers can be watched and replaced.

The submodules of such files do not run Python hooks. Their operations are therefore recorded as a
graph, and each operation that returns a map or tokens gets a module of its own.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from fakelens.errors import ModelError
from fakelens.models.torch_layers import reference_tensor

_UNCHANGED = ("clone", "detach", "alias", "dropout", "contiguous", "_to_copy")
"""Operations whose result has the values of their input."""

_CONVOLUTION_ARGUMENTS = 9  # without those about the backend, which ONNX does not know


def _convolve(*arguments: Any) -> Any:
    return torch.ops.aten.convolution(*arguments[:_CONVOLUTION_ARGUMENTS])


_PLAIN_OPERATIONS = {torch.ops.aten._convolution.default: _convolve}
"""Replacements of operations that only traced modules have, and that cannot be exported."""


class Tap(nn.Identity):
    """The output of an operation.

    Args:
        operation: its name, such as ``"convolution"``.
    """

    def __init__(self, operation: str) -> None:
        super().__init__()
        self.operation = operation


class _Runner(fx.Interpreter):
    """Runs a graph and passes the output of each tapped operation through its tap."""

    def __init__(self, graph: fx.GraphModule, taps: nn.ModuleDict) -> None:
        super().__init__(graph)
        self._taps = taps

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        key = _key(n)
        return self._taps[key](result) if key in self._taps else result


class ExportedModule(nn.Module):
    """A program of ``torch.export``; its layers are named after the nodes of its graph.

    Raises:
        ModelError: the program was exported for one number of crops.
    """

    def __init__(self, program: Any) -> None:
        super().__init__()
        inputs = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
        if inputs and isinstance(inputs[-1].shape[0], int):
            raise ModelError(
                f"the program was exported for batches of {inputs[-1].shape[0]} crops: export it "
                "with a dynamic batch axis"
            )
        self.graph = program.run_decompositions({}).module()  # without operations in place
        self.taps = nn.ModuleDict(dict(_taps(self.graph)))

    def forward(self, planes: torch.Tensor) -> Any:
        """Run the program."""
        return _Runner(self.graph, self.taps).run(planes)

    def train(self, mode: bool = True) -> "ExportedModule":
        """Do nothing: a program is exported either for training or for evaluation."""
        del mode
        return self


class ScriptedModule(nn.Module):
    """A TorchScript module; its layers are named after the operations that it runs.

    The operations are recorded once for each batch size: recorded shapes are constants.

    Args:
        script: loaded TorchScript module.
        example: input (2, ...) for the first recording, of any floating-point type.

    Raises:
        ModelError: it does not run on the example, or it decides by the values in its input.
    """

    def __init__(self, script: nn.Module, example: torch.Tensor) -> None:
        super().__init__()
        self._script = [script.eval()]  # in a list, so that its own layers are not listed
        self._graphs: dict[int, fx.GraphModule] = {}
        self._register_weights(script)
        graph = self._graph(example.to(reference_tensor(self)))
        self.taps = nn.ModuleDict(dict(_taps(graph)))

    def _register_weights(self, script: nn.Module) -> None:
        for number, tensor in enumerate((*script.parameters(), *script.buffers())):
            self.register_buffer(f"weight{number}", tensor.detach(), persistent=False)

    def _graph(self, planes: torch.Tensor) -> fx.GraphModule:
        count = len(planes)
        if count not in self._graphs:
            (script,) = self._script
            try:
                # Otherwise, steps of the automatic differentiation are recorded. A watch of the
                # functions that run would keep it on.
                with torch._C.DisableTorchFunction(), torch.no_grad():
                    recorder = make_fx(torch.func.functionalize(script), _PLAIN_OPERATIONS)
                    graph = recorder(planes.detach())
            except Exception as error:  # of many kinds, depending on what the module does
                raise ModelError(
                    f"the TorchScript module cannot be recorded for an input of the shape "
                    f"{tuple(planes.shape)}: {_reason(error)}"
                ) from error
            graph.graph.eliminate_dead_code()
            graph.recompile()
            self._graphs[count] = graph
        return self._graphs[count]

    def forward(self, planes: torch.Tensor) -> Any:
        """Run the recorded operations."""
        return _Runner(self._graph(planes), self.taps).run(planes)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "ScriptedModule":
        # The recorded operations use the weights of the script itself.
        (script,) = self._script
        script._apply(fn)  # type: ignore[no-untyped-call]
        self._graphs.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _taps(graph: fx.GraphModule) -> Iterator[tuple[str, Tap]]:
    for node in graph.graph.nodes:
        value = node.meta.get("val", node.meta.get("tensor_meta"))
        shape = getattr(value, "shape", ())
        operation = _operation(node)
        if node.op == "call_function" and len(shape) in (3, 4) and operation not in _UNCHANGED:
            yield _key(node), Tap(operation)


def _key(node: fx.Node) -> str:
    """Return the name of the tap of a node, which must not be that of a method."""
    return f"{node.name}_" if hasattr(nn.ModuleDict, node.name) else node.name


def _reason(error: Exception) -> str:
    """Return the last line of an error's message: those of TorchScript begin with a trace."""
    last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
    reason = last[0].partition("Error: ")[2] or last[0]
    return reason if not reason.endswith("Error:") else "the sizes of its layers do not fit"


def _operation(node: fx.Node) -> str:
    """Return the name of the operation; that of the source for one of several results."""
    source = node.args[0] if node.target is operator.getitem else node
    target = source.target if isinstance(source, fx.Node) else node.target
    return str(getattr(target, "__name__", target)).partition(".")[0].strip("_")
