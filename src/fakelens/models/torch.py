"""Adapts torch modules to the ``Model`` interface (extra ``torch``)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MissingExtraError, ModelError, UsageError
from fakelens.models.checks import check_crops, check_evidence
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Evidence, ModelCard

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a torch model", "torch") from error

_HEAD_BATCH = 16
_SIGNS = {"fake": 1.0, "real": -1.0}


@dataclass(frozen=True, slots=True)
class Convention:
    """Preprocessing of a torch classifier, and the meaning of its logits.

    Attributes:
        outputs: class of each logit: ``("fake",)`` or ``("real",)`` for a sigmoid head,
            ``("real", "fake")`` or ``("fake", "real")`` for a softmax head.
        mean: of red, green and blue pixels scaled to 0..1.
        std: likewise; the input of the module is ``(pixel / 255 - mean) / std``.

    Raises:
        UsageError: ``outputs`` is none of these four.
    """

    outputs: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if sorted(self.outputs) not in (["fake"], ["real"], ["fake", "real"]):
            raise UsageError(
                f"the outputs of a model must be fake, real or both, not {self.outputs}"
            )


class TorchModel:
    """A torch image classifier; implements ``Model`` and ``HasHead``.

    Args:
        module: takes (N, 3, side, side) float32 RGB and returns (N,) or (N, K) logits, before the
            sigmoid or softmax. It is set to evaluation mode.
        card: description of the model. ``card.layer`` is the dotted name of the submodule to
            explain, which returns (N, C, h, w) and runs once per forward pass.
        convention: the module's preprocessing and the meaning of its logits.
        sha256: of the weights file, hexadecimal; empty if the weights came from no file.

    Raises:
        UsageError: the module has no submodule ``card.layer``.
    """

    def __init__(
        self, module: torch.nn.Module, card: ModelCard, convention: Convention, sha256: str = ""
    ) -> None:
        try:
            self._layer = module.get_submodule(card.layer)
        except AttributeError as error:
            raise UsageError(f"{card.name} has no layer {card.layer!r}") from error
        self._module = module.eval()
        self.card = card
        self.sha256 = sha256
        self._device = next(module.parameters(), torch.empty(0)).device
        signs = [_SIGNS[output] for output in convention.outputs]
        self._signs = torch.tensor(signs, device=self._device)
        self._mean = torch.tensor(convention.mean, device=self._device).view(3, 1, 1)
        self._std = torch.tensor(convention.std, device=self._device).view(3, 1, 1)

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        """Run the module on (N, input_size, input_size, 3) uint8 RGB crops, N >= 1, in one pass.

        Raises:
            ValueError: the crops have another shape or dtype.
            ModelError: the output has other shapes than declared, or is not finite.
        """
        check_crops(crops, self.card.input_size)
        planes = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
        captured: list[torch.Tensor] = []

        def capture(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
            # Detached, so that the gradient needs neither the trunk nor trainable weights. The
            # module continues with a copy, since it may change the copy in place.
            captured.append(output.detach().requires_grad_())
            return captured[-1].clone()

        hook = self._layer.register_forward_hook(capture)
        with torch.enable_grad():
            try:
                output = self._module((planes.float() / 255 - self._mean) / self._std)
            finally:
                hook.remove()
            logit = self._fake_logit(output, len(crops))
            if len(captured) != 1:
                raise ModelError(
                    f"{self.card.name}: the layer {self.card.layer} must run once per forward "
                    f"pass, not {len(captured)} times"
                )
            (gradient,) = torch.autograd.grad(logit.sum(), captured[0])
        arrays = (t.detach().float().cpu().numpy() for t in (logit, captured[0], gradient))
        evidence = Evidence(*arrays)
        check_evidence(evidence, len(crops), self.card.name)
        return evidence

    def head(self, activation: FloatArray) -> FloatArray:
        """Compute the logits (N,) from activations (N, C, h, w) of the explained layer.

        The module runs on black pictures with the output of the layer replaced. The result is
        therefore correct only if the logit depends on the pixels through this layer alone.
        """
        # In batches, since each activation takes a run of the whole module.
        starts = range(0, len(activation), _HEAD_BATCH)
        batches = (activation[start : start + _HEAD_BATCH] for start in starts)
        return np.concatenate([self._run_head(batch) for batch in batches])

    def _run_head(self, activation: FloatArray) -> FloatArray:
        replacement = torch.from_numpy(activation).to(self._device)
        side = self.card.input_size
        planes = torch.zeros(len(replacement), 3, side, side, device=self._device)
        hook = self._layer.register_forward_hook(lambda *_: replacement.clone())
        try:
            with torch.inference_mode():
                logit = self._fake_logit(self._module(planes), len(replacement))
        finally:
            hook.remove()
        return np.asarray(logit.float().cpu().numpy(), np.float32)

    def _fake_logit(self, output: torch.Tensor, count: int) -> torch.Tensor:
        logits = output.reshape(count, -1)
        if logits.shape[1] != len(self._signs):
            raise ModelError(
                f"{self.card.name}: the module must return {len(self._signs)} logits per crop, "
                f"not {logits.shape[1]}"
            )
        return logits @ self._signs
