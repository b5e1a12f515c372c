"""Models with a mistake that a user could make, made of sound models."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fakelens.models import mesonet
from fakelens.models.mesonet import load_mesonet_h5
from fakelens.models.torch import TorchModel
from fakelens.records.conventions import Convention
from fakelens.records.models import Evidence, Model, ModelCard
from support.meso_reference import TorchMeso

RGB_0_1 = Convention(("fake",), values="logits")


class Planted:
    """A model whose crops or evidence are changed; it has no head."""

    def __init__(
        self,
        model: Model,
        crops: Callable[[NDArray], NDArray] = lambda crops: crops,
        evidence: Callable[[Evidence], Evidence] = lambda evidence: evidence,
    ) -> None:
        self._model, self._crops, self._evidence = model, crops, evidence
        self.card: ModelCard = model.card
        self.sha256 = ""

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        changed = np.ascontiguousarray(self._crops(crops))
        return self._evidence(self._model.examine(changed))


def torch_mesonet(path: Path, convention: Convention = RGB_0_1) -> TorchModel:
    """Load published MesoNet weights into the torch port."""
    weights = mesonet._read_weights(path, path.read_bytes())
    port = TorchMeso(weights.architecture, weights.input_size)
    with torch.no_grad():
        for name, target in _tensors(port):
            target.copy_(torch.from_numpy(weights.tensors[name].reshape(target.shape).copy()))
    card = replace(load_mesonet_h5(path).card, layer="relu4")
    return TorchModel(port.eval(), card, convention)


def _tensors(port: TorchMeso) -> Iterator[tuple[str, torch.Tensor]]:
    layers: dict[str, nn.Module] = dict(port.convs())
    layers |= {"dense1": port.dense1, "dense2": port.dense2}
    for name, layer in layers.items():
        yield f"{name}.weight", layer.weight
        yield f"{name}.bias", layer.bias
    parts: Sequence[str] = ("weight", "bias", "running_mean", "running_var")
    for stage, norm in enumerate(port.norms, 1):
        for part, ours in zip(parts, ("gamma", "beta", "mean", "variance"), strict=True):
            yield f"bn{stage}.{ours}", getattr(norm, part)
