"""Train MesoInception4 on real crops, self-blends and DFDC fakes: ``python -m training.train``."""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from fakelens.networks.mesonet import read_mesonet_h5
from training.batches import KINDS, Triples, batches
from training.data import load_pairs
from training.evaluate import auc, crop_logits
from training.model import MesoInception4, initialize, load_tensors, to_planes

# Of the real crop, the self-blend and the DFDC fake of a triple: what the network should say, and
# how much it counts. Some DFDC labels are wrong, so a miss there must not cost everything; the one
# real crop weighs as much as its two fakes. The last weight is that of the map of forged cells.
_TARGETS = (0.03, 0.97, 0.9)
_WEIGHTS = (0.5, 0.25, 0.25, 1.0)


# Validation pairs looked at while training; the rest tells in the end.
_MEASURED = 300


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run's result depends on, apart from the data.

    Attributes:
        steps: optimizer steps; the learning rate follows one cycle over them.
        minutes: the cycle ends after so long if that comes first. The result then depends on
            the speed of the machine.
        triples: per step. Few of them stay in the processor's cache: 9 to 15 faces take half the
            time per face of 24.
        peak_rate: the highest learning rate, reached after a tenth of the steps.
        weight_decay: of AdamW.
        seed: of the samples, the initial weights and dropout.
        half: compute in bfloat16 where that is safe (weights stay float32).
    """

    steps: int
    minutes: float = math.inf
    triples: int = 4
    peak_rate: float = 1e-3
    weight_decay: float = 1e-3
    seed: int = 1
    half: bool = True


class Run:
    """A training run that can be left after any step and taken up again from its file."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.step = 0
        self.spent = 0.0
        torch.manual_seed(recipe.seed)
        self.model = MesoInception4().to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.peak_rate, weight_decay=recipe.weight_decay
        )

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the run is done."""
        return max(self.step / self.recipe.steps, self.spent / 60 / self.recipe.minutes)

    def advance(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Do one step.

        Args:
            batch: triples, (N, 3, 256, 256, 3) uint8, and their maps, (N, 32, 32).

        Returns:
            (4,) the mean losses: real crops, self-blends, DFDC fakes, the map of forged cells.
        """
        began = time.monotonic()
        # Dropout depends on the seed and the step only, like the samples.
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.peak_rate * one_cycle(self.progress)
        self.model.train()
        losses = self._losses(*batch)
        (losses @ torch.tensor(_WEIGHTS)).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step += 1
        self.spent += time.monotonic() - began
        return losses.detach()

    def _losses(self, triples: Tensor, blended: Tensor) -> Tensor:
        crops = to_planes(triples.flatten(0, 1)).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.half):
            activation = self.model.activation(crops)
            logits = self.model.classify(activation).float().view(-1, 3)
            cells = self.model.forged_cells(activation).float().unflatten(0, (-1, 3))
        targets = torch.tensor(_TARGETS).expand_as(logits)
        by_kind = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        # Where a DFDC fake is forged is not known.
        forged = torch.stack([torch.zeros_like(blended), blended], dim=1)
        by_cell = functional.binary_cross_entropy_with_logits(cells[:, :2], forged)
        return torch.cat([by_kind.mean(0), by_cell[None]])

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on; an earlier file is replaced at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "spent": self.spent,
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        torch.save(state, temporary)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Take up a saved run."""
        state = torch.load(path, weights_only=True)
        run = cls(Recipe(**state["recipe"]))
        run.step, run.spent = state["step"], state["spent"]
        run.model.load_state_dict(state["model"])
        run._optimizer.load_state_dict(state["optimizer"])
        return run


def one_cycle(progress: float) -> float:
    """Learning rate over its peak: up in a tenth of the run, down to 0 in a half cosine."""
    if progress < 0.1:
        return 0.05 + 0.95 * progress / 0.1
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - 0.1) / 0.9)))


def main(  # noqa: PLR0913, PLR0917 - one option each
    name: Annotated[str, typer.Argument(help="name of the run, a folder under training/runs")],
    data: Annotated[Path, typer.Option(help="folder of index.csv and the shards")],
    steps: Annotated[int, typer.Option(min=1, help="length of a new run")] = 12000,
    minutes: Annotated[float, typer.Option(help="end a new run after so long")] = math.inf,
    rate: Annotated[float, typer.Option(help="highest learning rate of a new run")] = 1e-3,
    start: Annotated[Path | None, typer.Option(help="MesoInception4 .h5 to start from")] = None,
    seed: Annotated[int, typer.Option(help="of a new run")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="processes that make samples")] = 1,
    every: Annotated[int, typer.Option(min=1, help="steps between saving and measuring")] = 250,
) -> None:
    """Start a run, or take it up where it was left."""
    torch.set_num_threads(1)
    runs = Path(__file__).parent / "runs"
    file = runs / name / "run.pt"
    training = load_pairs(data, "train", runs / "faces-train.npz")
    validation = load_pairs(data, "val", runs / "faces-val.npz")[:_MEASURED]
    if file.is_file():
        run = Run.load(file)
    else:
        run = Run(Recipe(steps=steps, minutes=minutes, peak_rate=rate, seed=seed))
        if start:
            load_tensors(run.model, read_mesonet_h5(start).tensors)
        else:
            triples = Triples(training, seed)
            initialize(run.model, to_planes(torch.cat([triples[index][0] for index in range(8)])))
    recipe = run.recipe
    samples = batches(Triples(training, recipe.seed), recipe.triples, run.step, workers)
    losses: list[Tensor] = []
    while run.progress < 1:
        losses.append(run.advance(next(samples)))
        if run.step % every == 0 or run.progress >= 1:
            run.save(file)
            means = torch.stack(losses).mean(0).tolist()
            logits = crop_logits(run.model.score, validation, scale=0.95)
            blend, dfdc = (auc(logits[:, 0], logits[:, column]) for column in (1, 2))
            typer.echo(
                f"step {run.step}, {run.spent / 60:.1f} min, loss "
                + ", ".join(f"{k} {v:.3f}" for k, v in zip((*KINDS, "map"), means, strict=True))
                + f"; AUC self-blend {blend:.3f}, DFDC {dfdc:.3f}"
            )
            losses.clear()


if __name__ == "__main__":
    typer.run(main)
