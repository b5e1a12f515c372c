"""Train a network on real crops, blends and DFDC fakes: ``python -m training.train``."""

import math
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from fakelens.benchmark.localisation import auc
from fakelens.networks.mesonet import read_mesonet_h5
from training.batches import KINDS, Samples, batches
from training.data import load_pairs
from training.evaluate import crop_logits
from training.judgement import Judgement, judge, to_planes
from training.mesoinception import MesoInception4, load_tensors
from training.patchnet import PatchNet, load_imagenet

# What the network should say of the real crop, the blend, the DFDC fake and the real crop again.
_TARGETS = (0.03, 0.97, 0.97, 0.03)
# How much it costs that the two views of a real face get different logits, squared.
_STEADINESS = 0.03
# A cell counts as forged from this share of forged pixels on, in proportion below.
_FORGED_SHARE = 0.5
# Side of small crops over the full size.
_SMALL = 0.715
# Share that a step has in the running average of the weights.
_AVERAGED = 0.003

# Validation pairs looked at while training; the rest tells in the end.
_MEASURED = 300

ARCHITECTURES: dict[str, type[PatchNet] | type[MesoInception4]] = {
    "patchnet": PatchNet,
    "mesoinception4": MesoInception4,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run's result depends on, apart from the data.

    Attributes:
        architecture: a key of ``ARCHITECTURES``.
        steps: optimizer steps; the learning rate follows one cycle over them.
        minutes: the cycle ends after so long if that comes first. The result then depends on
            the speed of the machine.
        samples: per step, of four crops each. Few of them stay in the processor's cache: 9 to 15
            crops take half the time each of 24.
        peak_rate: the highest learning rate, reached after a tenth of the steps.
        weight_decay: of AdamW.
        small: share of the run that sees small crops, which cost half, before it sees the full
            size; of the patch network.
        fixed: normalise by the statistics that the network started with. Those of a small batch,
            in which three crops of four show one face alike, tell which is the odd one out.
        frozen: leading layers that stay as they are; of the patch network. Without the first four,
            where the maps are largest, a step costs two thirds, and the network learns less.
        start: what the weights were before, in words.
        seed: of the samples, the initial weights and dropout.
        half: compute in bfloat16 where that is safe (weights stay float32).
    """

    architecture: str
    steps: int
    minutes: float = math.inf
    samples: int = 4
    peak_rate: float = 1e-3
    weight_decay: float = 1e-2
    small: float = 0.4
    fixed: bool = False
    frozen: int = 0
    start: str = ""
    seed: int = 1
    half: bool = True


class Run:
    """A training run that can be left after any step and taken up again from its file.

    Attributes:
        recipe: what is trained and how.
        step: optimizer steps done.
        spent: seconds of training.
        model: in training.
        averaged: the running average of its weights, which is what comes out (Polyak & Juditsky,
            1992).
    """

    def __init__(self, recipe: Recipe, device: torch.device | None = None) -> None:
        self.recipe = recipe
        self.step = 0
        self.spent = 0.0
        self._device = device or torch.device("cpu")
        torch.manual_seed(recipe.seed)
        model = ARCHITECTURES[recipe.architecture]()
        self.model = model.to(self._device, memory_format=torch.channels_last)
        self.averaged = deepcopy(self.model)
        self._frozen = self.model.leading(recipe.frozen) if isinstance(model, PatchNet) else []
        for layer in self._frozen:
            layer.requires_grad_(False)
        learning = [tensor for tensor in self.model.parameters() if tensor.requires_grad]
        self._optimizer = torch.optim.AdamW(
            learning, lr=recipe.peak_rate, weight_decay=recipe.weight_decay
        )

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the run is done."""
        return max(self.step / self.recipe.steps, self.spent / 60 / self.recipe.minutes)

    def advance(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Do one step.

        Args:
            batch: samples, (N, 4, side, side, 3) uint8, and their masks, (N, 4, 56, 56).

        Returns:
            (6,) the mean losses: of each of ``KINDS``, of the map of forged cells, and the mean
            square of what two views of a real face differ by.
        """
        began = time.monotonic()
        # Dropout depends on the seed and the step only, like the samples.
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.peak_rate * one_cycle(self.progress)
        self.model.train()
        for layer in self._frozen:
            layer.eval()
        if self.recipe.fixed:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        losses = self._losses(*(part.to(self._device) for part in batch))
        weights = torch.tensor((*(0.25,) * len(KINDS), 1.0, _STEADINESS), device=self._device)
        (losses @ weights).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._average()
        self.step += 1
        self.spent += time.monotonic() - began
        return losses.detach().cpu()

    def _losses(self, samples: Tensor, masks: Tensor) -> Tensor:
        crops = to_planes(samples.flatten(0, 1))
        if isinstance(self.model, PatchNet) and self.progress < self.recipe.small:
            crops = functional.interpolate(
                crops, scale_factor=_SMALL, mode="bilinear", antialias=True
            )
        crops = crops.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.recipe.half):
            judgement: Judgement = self.model(crops)
        logits, cells = judgement.logits.float().view(-1, len(KINDS)), judgement.forged.float()
        targets = torch.tensor(_TARGETS, device=self._device).expand_as(logits)
        by_kind = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        share = functional.adaptive_avg_pool2d(masks.flatten(0, 1)[:, None], cells.shape[1:])[:, 0]
        forged = (share / _FORGED_SHARE).clamp(max=1)
        by_cell = functional.binary_cross_entropy_with_logits(cells, forged)
        unsteady = (logits[:, 0] - logits[:, 3]).square().mean()
        return torch.cat([by_kind.mean(0), by_cell[None], unsteady[None]])

    @torch.no_grad()
    def _average(self) -> None:
        # At first the average follows quickly, or it would remember the start for long.
        share = max(_AVERAGED, 1 / (self.step + 1))
        for mean, current in zip(
            self.averaged.state_dict().values(), self.model.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(current, share)

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on; an earlier file is replaced at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "spent": self.spent,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(state, temporary)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path, device: torch.device | None = None) -> "Run":
        """Take up a saved run."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        run = cls(Recipe(**state["recipe"]), device)
        run.step, run.spent = state["step"], state["spent"]
        run.model.load_state_dict(state["model"])
        run.averaged.load_state_dict(state["averaged"])
        run._optimizer.load_state_dict(state["optimizer"])
        return run


def one_cycle(progress: float) -> float:
    """Learning rate over its peak: up in a tenth of the run, down to 0 in a half cosine."""
    if progress < 0.1:
        return 0.05 + 0.95 * progress / 0.1
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - 0.1) / 0.9)))


def begin(recipe: Recipe, start: Path | None, device: torch.device) -> Run:
    """A new run: from ImageNet's or published MesoNet weights, or from where another run ended.

    Args:
        recipe: what to train and how.
        start: another run's file, ``run.pt``, or a MesoInception4 ``.h5``; ``None`` for ImageNet.
        device: to compute on.

    Raises:
        typer.BadParameter: MesoInception4 without a file to start from; drawn by chance it hardly
            learns.
    """
    if start is not None and start.suffix == ".pt":
        return _continue(recipe, start, device)
    run = Run(replace(recipe, start="ImageNet" if start is None else start.name), device)
    if isinstance(run.model, PatchNet):
        if start is not None:
            raise typer.BadParameter("patchnet starts from ImageNet or from another run.pt")
        load_imagenet(run.model)
    elif start is None:
        raise typer.BadParameter("mesoinception4 needs --start, a published MesoInception4 .h5")
    else:
        load_tensors(run.model, read_mesonet_h5(start).tensors)
    run.averaged.load_state_dict(run.model.state_dict())
    return run


def _continue(recipe: Recipe, file: Path, device: torch.device) -> Run:
    """A new run from where another one, of the same architecture, ended."""
    state = torch.load(file, map_location="cpu", weights_only=True)
    before = state["recipe"]
    if before.get("architecture", recipe.architecture) != recipe.architecture:
        raise typer.BadParameter(f"{file} is a run of {before['architecture']}")
    steps = f"{before.get('start', '')}, {state['step']} steps of {file.parent.name}"
    run = Run(replace(recipe, start=steps.removeprefix(", ")), device)
    missing, unknown = run.model.load_state_dict(state["averaged"], strict=False)
    # An earlier version knew no contrast and no chance of a cell to be forged.
    newer = ("differing.", "contrast.", "scale", "offset")
    if unknown or not all(name.startswith(newer) for name in missing):
        raise typer.BadParameter(f"{file} is a run of another network")
    run.averaged.load_state_dict(run.model.state_dict())
    return run


def main(
    name: Annotated[str, typer.Argument(help="name of the run, a folder under training/runs")],
    data: Annotated[Path, typer.Option(help="folder of index.csv and the shards")],
    architecture: Annotated[
        Literal["patchnet", "mesoinception4"], typer.Option(help="of a new run")
    ] = "patchnet",
    steps: Annotated[int, typer.Option(min=1, help="length of a new run")] = 8000,
    minutes: Annotated[
        float, typer.Option(help="end a new run after so many minutes of computing")
    ] = math.inf,
    rate: Annotated[float, typer.Option(help="highest learning rate of a new run")] = 1e-3,
    small: Annotated[float, typer.Option(help="share of a new run with small crops")] = 0.4,
    fixed: Annotated[bool, typer.Option(help="normalise by the statistics at the start")] = False,
    frozen: Annotated[int, typer.Option(help="leading layers that a new run leaves alone")] = 0,
    start: Annotated[
        Path | None, typer.Option(help="MesoInception4 .h5 or another run's run.pt")
    ] = None,
    seed: Annotated[int, typer.Option(help="of a new run")] = 1,
    samples: Annotated[int, typer.Option(min=1, help="in a step of a new run")] = 4,
    workers: Annotated[int, typer.Option(min=0, help="processes that make samples")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="that compute")] = 2,
    every: Annotated[int, typer.Option(min=1, help="steps between saving and measuring")] = 250,
) -> None:
    """Start a run, or take it up where it was left."""
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    runs = Path(__file__).parent / "runs"
    file = runs / name / "run.pt"
    training = load_pairs(data, "train", runs / "faces-train.npz")
    validation = load_pairs(data, "val", runs / "faces-val.npz")[:_MEASURED]
    if file.is_file():
        run = Run.load(file, device)
    else:
        recipe = Recipe(
            architecture,
            steps,
            minutes,
            samples,
            rate,
            small=small,
            fixed=fixed,
            frozen=frozen,
            seed=seed,
        )
        run = begin(recipe, start, device)
    recipe, size = run.recipe, run.model.input_size
    shown = batches(Samples(training, size, recipe.seed), recipe.samples, run.step, workers)
    losses: list[Tensor] = []
    while run.progress < 1:
        losses.append(run.advance(next(shown)))
        if run.step % every == 0 or run.progress >= 1:
            run.save(file)
            means = torch.stack(losses).mean(0).tolist()
            logits = crop_logits(
                lambda crops: judge(run.averaged, crops)[0], validation, size, scale=0.9
            )
            blend, dfdc = (auc(logits[:, 0], logits[:, column]) for column in (1, 2))
            typer.echo(
                f"step {run.step}, {run.spent / 60:.1f} min, loss "
                + ", ".join(
                    f"{k} {v:.3f}" for k, v in zip((*KINDS, "map", "unsteady"), means, strict=True)
                )
                + f"; AUC self-blend {blend:.3f}, DFDC {dfdc:.3f}"
            )
            losses.clear()


if __name__ == "__main__":
    typer.run(main)
