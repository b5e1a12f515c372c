"""A training run: weights, optimizer and running average, which can resume from their file."""

import math
import time
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from fakelens.errors import FakelensError
from training.augment import Batch, Chance, make_batch
from training.faces.bank import FaceBank
from training.network import PatchNet, load_imagenet, load_state
from training.objective import REAL, Costs, costs
from training.prepared import PreparedBank
from training.recipe import IMAGENET, Recipe


class RunError(FakelensError):
    """A run cannot start, resume or go on."""


class Run:
    """A run of a recipe on a device.

    Batches and dropout depend on the recipe, the step and the kind of device only, so that a run
    that resumes continues as it would have; rates depend on the step, or on the clock where the run
    is limited by seconds. Nothing in a step makes the host wait for the device.

    Args:
        recipe: what is trained and how.
        folder: that the path of the recipe's start is relative to.
        device: to compute on.
        seconds: of training after which the run ends; ``None`` for the recipe's steps.

    Attributes:
        step: optimizer steps done.
        spent: seconds of training.
        model: in training.
        averaged: the running average of its weights and statistics, in evaluation.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, device: torch.device, seconds: float | None = None
    ) -> None:
        self.recipe = recipe
        self._plan = f"{recipe}, {seconds} seconds"
        self.step = 0
        self.spent = 0.0
        self._device = device
        self.model = _started(recipe, folder).to(device, memory_format=torch.channels_last)
        self.averaged = deepcopy(self.model).eval().requires_grad_(requires_grad=False)
        self._frozen = [self.model.stem, *self.model.blocks][: recipe.network.frozen]
        for layer in self._frozen:
            layer.requires_grad_(requires_grad=False)
        learning = [tensor for tensor in self.model.parameters() if tensor.requires_grad]
        self._learning = learning
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [t for t in learning if t.ndim > 1]},
                {"params": [t for t in learning if t.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=recipe.optimizer.rate,
            weight_decay=recipe.optimizer.weight_decay,
            betas=recipe.optimizer.momentum,
            fused=True,
        )
        self._judge = torch.compile(self.model) if recipe.network.compile else self.model

    def advance(self, batch: Batch, banks: Tensor, progress: float) -> Costs:
        """Do one step.

        Args:
            batch: of n samples, on the device.
            banks: (b, n) see ``objective.costs``.
            progress: 0 at the start of the run, 1 at its end.

        Returns:
            The losses, on the device, without gradients.
        """
        began = time.monotonic()
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # of dropout
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.optimizer.rate * self._share_of_rate(progress)
        self._set_modes()
        crops = batch.crops.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16):
            judgement = self._judge(crops)
        losses = costs(judgement, batch, banks, self.recipe.losses)
        losses.total.backward()
        nn.utils.clip_grad_norm_(self._learning, self.recipe.optimizer.clip, foreach=True)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._average()
        self.step += 1
        self.spent += time.monotonic() - began
        return Costs(*(loss.detach() for loss in losses))

    def _set_modes(self) -> None:
        self.model.train()
        for layer in self._frozen:
            layer.eval()
        if self.recipe.network.fixed_statistics:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _share_of_rate(self, progress: float) -> float:
        """Learning rate over its peak: up in a straight line, down in a half cosine."""
        settings = self.recipe.optimizer
        if progress < settings.warm_up:
            return settings.last + (1 - settings.last) * progress / settings.warm_up
        along = min(1.0, (progress - settings.warm_up) / (1 - settings.warm_up))
        return settings.last + (1 - settings.last) * 0.5 * (1 + math.cos(math.pi * along))

    @torch.no_grad()
    def _average(self) -> None:
        # At first the average follows quickly, or it would remember the start for long.
        decay = min(self.recipe.network.averaged, (self.step + 1) / (self.step + 20))
        ours, theirs = self.averaged.state_dict(), self.model.state_dict()
        names = [name for name, value in ours.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [ours[name] for name in names], [theirs[name] for name in names], 1 - decay
        )

    def save(self, path: Path) -> None:
        """Write everything that is needed to resume; an earlier file is replaced at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        state = {
            "plan": self._plan,
            "step": self.step,
            "spent": self.spent,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(state, temporary)
        temporary.replace(path)

    def resume(self, path: Path) -> None:
        """Take up what ``save`` wrote.

        Raises:
            RunError: the file is of a run with another recipe or length.
        """
        state = torch.load(path, map_location=self._device, weights_only=True)
        if state["plan"] != self._plan:
            raise RunError(
                f"{path} is of a run with another recipe or length: choose another --output"
            )
        self.step, self.spent = state["step"], state["spent"]
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])


def _started(recipe: Recipe, folder: Path) -> PatchNet:
    torch.manual_seed(recipe.seed)
    settings = recipe.network
    model = PatchNet(settings.dropout, settings.drop_path)
    if settings.start == IMAGENET:
        load_imagenet(model)
    else:
        path = folder / settings.start
        try:
            model.load_state_dict(load_state(path).state_dict())
        except (OSError, ValueError) as error:
            raise RunError(
                f"the run starts from {path}, which is missing or of another network: make it with "
                "python -m training.average, or change network.start"
            ) from error
    return model


class Batches:
    """Batch number i of a recipe: what it is depends on the recipe, the data and i only.

    Args:
        recipe: shares and settings.
        banks: training faces, one bank for each of ``recipe.banks``, on the device.
        prepared: samples that went through H.264; needed where the recipe wants some.
        device: to compute on.
    """

    def __init__(
        self,
        recipe: Recipe,
        banks: list[FaceBank],
        prepared: PreparedBank | None,
        device: torch.device,
    ) -> None:
        self._recipe = recipe
        self._banks = banks
        self._prepared = prepared if recipe.prepared else None
        self._device = device
        counts = [share.samples for share in recipe.banks]
        counts += [recipe.prepared] if self._prepared is not None else []
        # Prepared samples come from all banks, and count as one more.
        owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        self.owners = (owner == torch.arange(len(counts))[:, None]).float().to(device)
        """(b, n) 1 where a sample comes from a bank."""

    def make(self, step: int) -> Batch:
        """Make batch number ``step``."""
        chance = Chance(self._recipe.seed, self._device, step)
        parts: list[Batch] = []
        surroundings: Tensor | None = None
        for share, bank in zip(self._recipe.banks, self._banks, strict=True):
            rows = chance.integers(len(bank), share.samples)
            part = make_batch(bank, rows, self._recipe.augment, chance, surroundings)
            if bank.surrounded:
                surroundings = part.crops[REAL]
            parts.append(part)
        if self._prepared is not None:
            parts.append(self._prepared.batch(self._recipe.prepared, chance))
        return join(parts)


def join(parts: list[Batch]) -> Batch:
    """One batch of the samples of several."""
    return Batch(
        torch.cat([part.crops for part in parts], 1),
        torch.cat([part.masks for part in parts], 1),
        torch.cat([part.weights for part in parts], 1),
        torch.cat([part.mask_weights for part in parts], 1),
    )
