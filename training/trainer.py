"""Training steps, and checkpoints from which an interrupted run resumes."""

import math
import time
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from fakelens.errors import FakelensError
from training.augment import Batch
from training.network import PatchNet, load_imagenet, load_state
from training.objective import Losses, compute_losses
from training.recipe import IMAGENET, Recipe


class TrainingError(FakelensError):
    """A run cannot start, resume or continue."""


class Trainer:
    """Trains the network of a recipe, step by step.

    Dropout depends only on the recipe, the step and the kind of device, so a resumed run continues
    as if it had not been interrupted. The learning rate depends on the step, or on the elapsed time
    if the run is limited in seconds. Nothing in a step makes the host wait for the device.

    Args:
        recipe: settings of the run.
        folder: folder that the path of the initial state is relative to.
        device: where the network is trained.
        seconds: training time after which the run ends; ``None`` for the recipe's steps.

    Attributes:
        step: number of optimizer steps done.
        elapsed: training time so far, seconds.
        network: the network in training.
        averaged: the network with the running average of weights and batch statistics, in
            evaluation mode.

    Raises:
        TrainingError: the initial state is missing or belongs to another network.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, device: torch.device, seconds: float | None = None
    ) -> None:
        self.recipe = recipe
        self._plan = f"{recipe}, {seconds} seconds"
        self.step = 0
        self.elapsed = 0.0
        self._device = device
        self.network = _initial_network(recipe, folder).to(
            device, memory_format=torch.channels_last
        )
        self.averaged = deepcopy(self.network).eval().requires_grad_(requires_grad=False)
        self._frozen = [self.network.stem, *self.network.blocks][: recipe.network.frozen]
        for layer in self._frozen:
            layer.requires_grad_(requires_grad=False)
        self._trainable = [tensor for tensor in self.network.parameters() if tensor.requires_grad]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [t for t in self._trainable if t.ndim > 1]},
                {"params": [t for t in self._trainable if t.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=recipe.optimizer.rate,
            weight_decay=recipe.optimizer.weight_decay,
            betas=recipe.optimizer.momentum,
            fused=True,
        )
        self._forward = torch.compile(self.network) if recipe.network.compile else self.network

    def train_step(self, batch: Batch, banks: Tensor, progress: float) -> Losses:
        """Do one optimizer step.

        Args:
            batch: n samples, on the device.
            banks: (b, n) float, see ``objective.compute_losses``.
            progress: position in the run, 0 at its start, 1 at its end.

        Returns:
            The losses, on the device, without gradients.
        """
        began = time.monotonic()
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # for dropout
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.optimizer.rate * self._rate_factor(progress)
        self._set_modes()
        crops = batch.crops.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16):
            prediction = self._forward(crops)
        losses = compute_losses(prediction, batch, banks, self.recipe.losses)
        losses.total.backward()
        nn.utils.clip_grad_norm_(self._trainable, self.recipe.optimizer.clip, foreach=True)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._update_average()
        self.step += 1
        self.elapsed += time.monotonic() - began
        return Losses(*(loss.detach() for loss in losses))

    def _set_modes(self) -> None:
        """Set frozen layers and fixed batch statistics to evaluation mode, the rest to training."""
        self.network.train()
        for layer in self._frozen:
            layer.eval()
        if self.recipe.network.fixed_statistics:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _rate_factor(self, progress: float) -> float:
        """Return the learning rate relative to its peak: a linear rise, then a half cosine."""
        settings = self.recipe.optimizer
        if progress < settings.warm_up:
            return settings.last + (1 - settings.last) * progress / settings.warm_up
        along = min(1.0, (progress - settings.warm_up) / (1 - settings.warm_up))
        return settings.last + (1 - settings.last) * 0.5 * (1 + math.cos(math.pi * along))

    @torch.no_grad()
    def _update_average(self) -> None:
        # The decay is lower at first: otherwise the initial weights would dominate for long.
        decay = min(self.recipe.network.averaged, (self.step + 1) / (self.step + 20))
        averaged, current = self.averaged.state_dict(), self.network.state_dict()
        names = [name for name, value in averaged.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [averaged[name] for name in names], [current[name] for name in names], 1 - decay
        )

    def save(self, path: Path) -> None:
        """Write a checkpoint to resume from; an existing file is replaced atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        state = {
            "plan": self._plan,
            "step": self.step,
            "spent": self.elapsed,
            "model": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(state, temporary)
        temporary.replace(path)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises:
            TrainingError: the checkpoint belongs to a run with another recipe or length.
        """
        state = torch.load(path, map_location=self._device, weights_only=True)
        if state["plan"] != self._plan:
            raise TrainingError(
                f"{path} belongs to a run with another recipe or length: choose another --output"
            )
        self.step, self.elapsed = state["step"], state["spent"]
        self.network.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])


def _initial_network(recipe: Recipe, folder: Path) -> PatchNet:
    torch.manual_seed(recipe.seed)
    settings = recipe.network
    network = PatchNet(settings.dropout, settings.drop_path)
    if settings.start == IMAGENET:
        load_imagenet(network)
    else:
        path = folder / settings.start
        try:
            network.load_state_dict(load_state(path).state_dict())
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"the initial state {path} is missing or belongs to another network: create it "
                "with python -m training.average, or change network.start in the recipe"
            ) from error
    return network
