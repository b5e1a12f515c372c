"""Exports a torch or Keras classifier to a plain ONNX graph (extra ``export``)."""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from fakelens.errors import MissingExtraError, ModelError
from fakelens.models.checks import varied_crops
from fakelens.models.factories import first_line
from fakelens.models.torch import TorchModel
from fakelens.models.torch_layers import first_tensor, replace_first
from fakelens.models.torch_outputs import select_scores
from fakelens.records.conventions import Convention

SCORES, EXPLAINED = "scores", "explained"
"""Names of the outputs of the exported graph."""


class _WithLayer(nn.Module):
    """Returns the scores and the output of the explained layer."""

    def __init__(self, module: nn.Module, layer: nn.Module, convention: Convention) -> None:
        super().__init__()
        self.module, self._layer, self._convention = module, [layer], convention

    def forward(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found: list[torch.Tensor] = []

        def keep(_layer: nn.Module, _inputs: object, output: object) -> object:
            explained = first_tensor(output)
            if explained is None:
                raise ModelError("the explained layer returns no array")
            found.append(explained)
            # The module continues with a copy, since it may change the copy in place.
            return replace_first(output, explained.clone())

        hook = self._layer[0].register_forward_hook(keep)
        try:
            scores = select_scores(self.module(planes), self._convention, "the model")
        finally:
            hook.remove()
        (explained,) = found
        return scores, explained


def to_onnx(model: TorchModel) -> bytes:
    """Export a classifier with the outputs ``SCORES`` and ``EXPLAINED``.

    Returns:
        A serialised ONNX model with a dynamic batch axis, which takes what the module takes.

    Raises:
        ModelError: torch cannot export the module.
        MissingExtraError: the exporter needs the package onnxscript.
    """
    try:
        import onnxscript  # noqa: F401, PLC0415 - of the extra
    except ImportError as error:
        raise MissingExtraError("the export of a torch or Keras model", "export") from error
    planes = model.planes(varied_crops(model.card.input_size, 2))
    wrapped = _WithLayer(model.module, model.explained, model.convention).eval()
    with _quietly():
        try:
            exported = _export(wrapped, planes, {0: torch.export.Dim.DYNAMIC})
        except Exception:  # the module may have fixed the number of crops, for example by len()
            try:
                exported = _export(wrapped, planes[:1], None)
            except Exception as error:  # of many kinds, depending on what the module does
                raise ModelError(
                    f"{model.card.name} cannot be exported: torch cannot turn it into an ONNX "
                    f"graph ({_cause(error)})"
                ) from error
    _use_explained(exported)
    data: bytes = exported.SerializeToString()
    return data


def _export(module: nn.Module, planes: torch.Tensor, axes: dict[int, Any] | None) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported.onnx"
        torch.onnx.export(
            module,
            (planes,),
            path,
            input_names=["planes"],
            output_names=[SCORES, EXPLAINED],
            dynamic_shapes=None if axes is None else (axes,),
            dynamo=True,
            external_data=False,
        )
        return onnx.load(path)


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)[:200]


def _use_explained(model: onnx.ModelProto) -> None:
    """Let the head read ``EXPLAINED`` itself, where it reads what that is a copy of."""
    for node in model.graph.node:
        if node.op_type == "Identity" and node.output[0] == EXPLAINED:
            original = node.input[0]
            model.graph.node.remove(node)
            for other in model.graph.node:
                for names in (other.input, other.output):
                    names[:] = [EXPLAINED if put == original else put for put in names]
            return


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Silence the progress report and the warnings of the exporter."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
