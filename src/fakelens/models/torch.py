"""Adapts a torch module to ``data.Model`` (extra ``torch``)."""

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
    raise MissingExtraError("a torch network", "torch") from error

_HEADS = 16  # answered at a time
_SIGNS = {"fake": 1.0, "real": -1.0}


@dataclass(frozen=True, slots=True)
class Convention:
    """What a torch classifier takes and what its logits mean.

    Attributes:
        outputs: what each logit speaks for: ``("fake",)`` or ``("real",)`` for a sigmoid head,
            ``("real", "fake")`` or ``("fake", "real")`` for a softmax head.
        mean: red, green, blue, of pixels scaled to 0..1.
        std: likewise; the module sees ``(pixel / 255 - mean) / std``.

    Raises:
        UsageError: ``outputs`` is none of the four.
    """

    outputs: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if sorted(self.outputs) not in (["fake"], ["real"], ["fake", "real"]):
            raise UsageError(f"the outputs of a model must be fake, real or both: {self.outputs}")


class TorchModel:
    """A torch image classifier as a ``data.Model``.

    Args:
        module: takes (N, 3, side, side) float32 RGB and returns (N,) or (N, K) logits, from
            before the sigmoid or softmax; it is put into evaluation mode.
        card: what the model says of itself; ``card.layer`` is the dotted name of the submodule
            to explain, which gives (N, C, h, w) and runs once.
        convention: the module's preprocessing and polarity.
        sha256: of the file the weights came from, hexadecimal; empty if they came from none.

    Raises:
        UsageError: the module has no layer of that name.
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
        """Examine (N, input_size, input_size, 3) uint8 RGB crops, N >= 1, in one forward pass.

        Raises:
            ValueError: the crops have another shape or type.
            ModelError: the module answers with other shapes than promised, or not finite.
        """
        check_crops(crops, self.card.input_size)
        planes = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
        captured: list[torch.Tensor] = []

        def capture(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
            # Cut here: the gradient then needs neither the trunk nor trainable weights. The
            # module goes on with a copy, which it may change in place.
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
                    f"{self.card.name} ran its layer {self.card.layer} {len(captured)} times, "
                    "not once"
                )
            (gradient,) = torch.autograd.grad(logit.sum(), captured[0])
        arrays = (t.detach().float().cpu().numpy() for t in (logit, captured[0], gradient))
        evidence = Evidence(*arrays)
        check_evidence(evidence, len(crops), self.card.name)
        return evidence

    def head(self, activation: FloatArray) -> FloatArray:
        """The logits (N,) that follow from an explained layer (N, C, h, w), changed or not.

        The module runs on black pictures with the layer's output replaced, so the answer is right
        where nothing leads past the layer.
        """
        # In parts: each takes a run of the whole module.
        parts = (activation[at : at + _HEADS] for at in range(0, len(activation), _HEADS))
        return np.concatenate([self._answer(part) for part in parts])

    def _answer(self, activation: FloatArray) -> FloatArray:
        given = torch.from_numpy(activation).to(self._device)
        side = self.card.input_size
        planes = torch.zeros(len(given), 3, side, side, device=self._device)
        hook = self._layer.register_forward_hook(lambda *_: given.clone())
        try:
            with torch.inference_mode():
                logit = self._fake_logit(self._module(planes), len(given))
        finally:
            hook.remove()
        return np.asarray(logit.float().cpu().numpy(), np.float32)

    def _fake_logit(self, output: torch.Tensor, count: int) -> torch.Tensor:
        logits = output.reshape(count, -1)
        if logits.shape[1] != len(self._signs):
            raise ModelError(
                f"{self.card.name} gave {logits.shape[1]} logits per crop instead of "
                f"{len(self._signs)}"
            )
        return logits @ self._signs
