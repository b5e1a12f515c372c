"""Adapts torch modules to the ``Model`` interface (extra ``torch``)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MissingExtraError, ModelError
from fakelens.models.checks import check_crops, check_evidence, varied_crops
from fakelens.models.factories import first_line
from fakelens.models.layers import Layer
from fakelens.records.arrays import FloatArray
from fakelens.records.conventions import Convention, LayerLayout
from fakelens.records.models import AUTO_LAYER, Evidence, ModelCard, NormStatistics

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a torch model", "torch") from error

from fakelens.models.torch_layers import (
    Run,
    choose_layer,
    differentiate,
    find_layer,
    first_tensor,
    from_planes,
    reference_tensor,
    replace_first,
    to_planes,
    watch_layers,
)
from fakelens.models.torch_norms import NormWatch
from fakelens.models.torch_outputs import ActivationWatch, OutputReader, find_ending

_HEAD_BATCH = 16
_TRIAL_CROPS = 4
# Of the logit in batches of another size, relative and absolute.
_TOLERANCES = {torch.float16: (0.02, 0.02), torch.bfloat16: (0.1, 0.1)}

__all__ = ["Convention", "TorchModel", "list_layers", "prepare"]


class TorchModel:
    """A torch image classifier.

    Implements ``Model``, ``HasHead``, ``HasDevice``, ``HasConvention`` and ``HasNormStatistics``.

    A trial run finds out how the classifier ends and which layer to explain. The classifier runs in
    the floating-point type of its weights; results are float32.

    Args:
        module: takes (N, 3, side, side) RGB, or as the convention says, and returns scores. It is
            set to evaluation mode, again by each run, and is not changed otherwise.
        card: description of the model. ``card.layer`` is the dotted name of the submodule to
            explain, which runs once per forward pass, or ``AUTO_LAYER``.
        convention: the module's preprocessing and the meaning of its outputs.
        sha256: of the weights file, hexadecimal; empty if the weights came from no file.
        layout: of the output of the layer; ``None`` to find out. Tokens must be stated.

    Raises:
        UsageError: the module has no submodule ``card.layer``.
        ModelError: the weights are not finite, the module does not run on such crops, its outputs
            are not as stated or depend on the other crops of a batch, or the output of the layer
            is not a map.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        card: ModelCard,
        convention: Convention,
        sha256: str = "",
        *,
        layout: LayerLayout | None = None,
    ) -> None:
        self._name = name = card.name
        if card.layer != AUTO_LAYER:
            find_layer(module, card.layer, name)
        _check_finite(module, name)
        self.module = module
        self.convention = convention
        self.sha256 = sha256
        self._stated = card, layout
        self._place = reference_tensor(module)
        self.device = self._place.device.type
        reader = OutputReader(convention, "none", name)
        crops = varied_crops(card.input_size, _TRIAL_CROPS)
        with _gradients():
            runs, watch, output = trial_run(module, self.planes(crops), name)
            ending = find_ending(output, watch, len(crops), reader)
            self._reader = replace(reader, ending=ending)
            self._watched = self._reader.watches or watch.held_gradients
            logit = self._reader.logit(output, watch, len(crops))
            run, self.layout = choose_layer(runs, logit, card.layer, layout, name)
        self.card = replace(card, layer=run.layer.name)
        self.explained = find_layer(module, run.layer.name, name)
        self.notes = tuple(_describe(run, self.layout, self._reader, card))
        self._check_repeatable(crops, _array(logit))

    def _check_repeatable(self, crops: NDArray[np.uint8], logits: FloatArray) -> None:
        alone = self.examine(crops[:1]).logit
        relative, absolute = _TOLERANCES.get(self._place.dtype, (1e-3, 1e-4))
        tolerance = absolute + relative * float(np.abs(logits).max())
        if abs(alone[0] - logits[0]) > tolerance:
            raise ModelError(
                f"{self._name}: the logit of a crop is {logits[0]:.4g} in a batch and "
                f"{alone[0]:.4g} alone: dropout or batch statistics are in use although the module "
                "is in evaluation mode"
            )

    def with_convention(self, convention: Convention) -> "TorchModel":
        """Return the same module under another convention."""
        card, layout = self._stated
        return TorchModel(self.module, card, convention, self.sha256, layout=layout)

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        """Run the module on (N, input_size, input_size, 3) uint8 RGB crops, N >= 1, in one pass.

        Raises:
            ValueError: the crops have another shape or dtype.
            ModelError: the module fails, or its output has another shape or is not finite.
        """
        check_crops(crops, self.card.input_size)
        captured: list[torch.Tensor] = []

        def capture(output: torch.Tensor) -> torch.Tensor:
            # Detached, so that the gradient needs neither the trunk nor trainable weights. The
            # module continues with a copy, since it may change the copy in place.
            captured.append(output.detach().requires_grad_())
            return captured[-1].clone()

        with _gradients():
            logit = self._logit(self.planes(crops), capture, len(crops))
            if len(captured) != 1:
                raise ModelError(
                    f"{self._name}: the layer {self.card.layer} must run once per forward "
                    f"pass, not {len(captured)} times"
                )
            if not logit.requires_grad:
                gradient = None
            else:
                (gradient,) = differentiate(logit, captured, self._name)
        if gradient is None:
            raise ModelError(
                f"{self._name}: the logit does not depend on the layer {self.card.layer}: "
                "choose a layer on the way to the output"
            )
        maps = (to_planes(values, self.layout) for values in (captured[0], gradient))
        evidence = Evidence(_array(logit), *map(_array, maps))
        check_evidence(evidence, len(crops), self.card.name)
        return evidence

    def head(self, activation: FloatArray) -> FloatArray:
        """Compute the logits (N,) from activations (N, C, h, w) of the explained layer.

        The module runs on black pictures with the output of the layer replaced. The result is
        therefore correct only if the logit depends on the pixels through this layer alone.

        Raises:
            ModelError: the activations do not contain all of the layer, such as class tokens.
        """
        starts = range(0, len(activation), _HEAD_BATCH)
        batches = [activation[start : start + _HEAD_BATCH] for start in starts]
        return np.concatenate(
            [self._run_head(batch, 1 if self._one_picture else len(batch)) for batch in batches]
        )

    @cached_property
    def _one_picture(self) -> bool:
        """Whether one picture is enough for many outputs of the layer.

        Then the layers before it, which are most of the work, run for a single crop.
        """
        crops = varied_crops(self.card.input_size, _TRIAL_CROPS)
        activation = self.examine(crops).activation
        try:
            logits = self._run_head(activation, 1)
        except ModelError:  # such as a concatenation with the output of an earlier layer
            return False
        return np.allclose(logits, self._run_head(activation, len(crops)), rtol=1e-5, atol=1e-5)

    def _run_head(self, activation: FloatArray, pictures: int) -> FloatArray:
        # A copy, since the module may change it in place.
        planes = torch.from_numpy(np.array(activation, np.float32))
        replacement = from_planes(planes, self.layout, self.card.name).contiguous()
        side = self.card.input_size
        black = self.planes(np.zeros((pictures, side, side, 3), np.uint8))
        with torch.no_grad():  # inference_mode would spoil what the module keeps for later runs
            return _array(self._logit(black, replacement.to, len(activation)))

    def norm_statistics(self, crops: NDArray[np.uint8]) -> list[NormStatistics]:
        """Return the statistics of each batch normalisation, in the order they run.

        Args:
            crops: (N, input_size, input_size, 3) uint8 RGB, N >= 1.

        Raises:
            ModelError: the module fails.
        """
        with NormWatch(self.module) as watch, torch.no_grad():
            _run(self.module, self.planes(crops), self._name)
        return watch.found

    def planes(self, crops: NDArray[np.uint8]) -> torch.Tensor:
        """Return the input of the module for crops (N, S, S, 3) uint8 RGB."""
        return prepare(crops, self.convention, self._place)

    def _logit(
        self,
        planes: torch.Tensor,
        replace_output: Callable[[torch.Tensor], torch.Tensor],
        count: int,
    ) -> torch.Tensor:
        """Run the module with the output of the explained layer replaced by one for N crops."""

        def hook(_module: object, _inputs: object, output: object) -> object:
            found = first_tensor(output)
            if found is None:
                raise ModelError(f"{self._name}: {self.card.layer} returns no array any more")
            return replace_first(output, replace_output(found))

        watch = ActivationWatch() if self._watched else None
        handle = self.explained.register_forward_hook(hook)
        try:
            with watch or nullcontext():
                output = _run(self.module, planes, self._name)
        finally:
            handle.remove()
        return self._reader.logit(output, watch, count)


def prepare(crops: NDArray[np.uint8], convention: Convention, place: torch.Tensor) -> torch.Tensor:
    """Return the input of a classifier for crops (N, S, S, 3) uint8 RGB.

    Args:
        crops: to convert.
        convention: of the classifier.
        place: a tensor on the device and of the type that the input must have.
    """
    mean, std = (
        torch.tensor(values, device=place.device) for values in (convention.mean, convention.std)
    )
    pixels = torch.from_numpy(np.require(crops, requirements=["C", "W"])).to(place.device)
    pixels = (pixels.float() / 255 - mean) / std
    if convention.colour == "bgr":
        pixels = pixels.flip(3)
    if convention.channels == "first":
        pixels = pixels.permute(0, 3, 1, 2)
    # Many modules look at their maps as rows, which those of another memory order do not allow.
    return pixels.to(place.dtype).contiguous()


def list_layers(module: torch.nn.Module, card: ModelCard, convention: Convention) -> list[Layer]:
    """List the layers that a module runs on a crop, in the order they end.

    Raises:
        ModelError: the module does not run on such crops.
    """
    planes = prepare(varied_crops(card.input_size, 2), convention, reference_tensor(module))
    runs, _, _ = trial_run(module, planes, card.name)
    return [run.layer for run in runs.values()]


def trial_run(
    module: torch.nn.Module, planes: torch.Tensor, name: str
) -> tuple[dict[str, Run], ActivationWatch, object]:
    """Run a module on some crops and watch its layers and activation functions.

    The module is set to evaluation mode.

    Returns:
        The layers that ran, the watch, and the output; all with their gradient history.

    Raises:
        ModelError: the module fails.
    """
    watch = ActivationWatch()
    with _gradients(), watch_layers(module, len(planes)) as runs, watch:
        output = _run(module, planes.requires_grad_(), name)
    return runs, watch, output


@contextmanager
def _gradients() -> Iterator[None]:
    """Return a context with gradients, whatever the caller has switched off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _run(module: torch.nn.Module, planes: torch.Tensor, name: str) -> object:
    module.eval()  # a user may have trained it in the meantime
    try:
        return module(planes)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # the module is the user's, and may raise anything
        raise ModelError(
            f"{name} cannot run on an input of the shape {tuple(planes.shape)}: {first_line(error)}"
        ) from error


def _check_finite(module: torch.nn.Module, name: str) -> None:
    for weight, tensor in (*module.named_parameters(), *module.named_buffers()):
        # Masks of an attention layer contain minus infinity.
        mask = not isinstance(tensor, torch.nn.Parameter)
        valid = tensor.isfinite() | (tensor.isneginf() if mask else False)
        if tensor.is_floating_point() and not bool(valid.all()):
            raise ModelError(
                f"{name}: the weights are damaged: {weight} has values that are not finite"
            )


def _array(values: torch.Tensor) -> FloatArray:
    return np.asarray(values.detach().float().cpu().numpy(), np.float32)


def _describe(
    run: Run, layout: LayerLayout, reader: OutputReader, stated: ModelCard
) -> Iterator[str]:
    shape = " x ".join(map(str, run.layer.shape))
    how = "chosen as the last one with a map" if stated.layer == AUTO_LAYER else "as stated"
    arranged = layout.kind.replace("_", " ")
    yield f"explained layer: {run.layer.name} ({run.layer.kind}, {how}), {shape}, {arranged}"
    if reader.watches:
        yield f"the {reader.ending} at its end is left out: logits are taken from before it"
    elif reader.ending == "probability":
        yield (
            "its outputs are probabilities, from which logits are computed: they are cut at 1e-7, "
            "so very certain scores are all alike"
        )
