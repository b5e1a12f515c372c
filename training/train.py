"""Train a network with a recipe: ``python -m training.train RECIPE.toml --data PACKED``.

A run can be interrupted at any time. The same command resumes it from its last checkpoint.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor
from tqdm import tqdm

from fakelens.errors import FakelensError
from training.batches import Batches
from training.faces.bank import FaceBank, load_bank
from training.faces.index import Split
from training.network import save_state
from training.objective import Losses
from training.prepared_bank import load_prepared
from training.recipe import Recipe
from training.trainer import Trainer, TrainingError
from training.validation import validate

RUNS = Path(__file__).parent / "runs"
"""Default folder of runs; not in version control."""
_LOG = "log.jsonl"
_CHECKPOINT_SECONDS = 60


def train(
    recipe: Recipe,
    recipe_folder: Path,
    data: Path,
    output: Path,
    seconds: float | None,
    processes: int = 1,
) -> None:
    """Run a recipe to its end, or resume the run in the folder ``output``.

    The folder gets the checkpoint ``run.pt``, the log ``log.jsonl`` with one line for each
    validation, and ``state-1.pt`` and so on: the averaged weights in half precision, about 9 MB
    each.

    Args:
        recipe: settings of the run.
        recipe_folder: folder that the path of the initial state is relative to.
        data: folder of packed faces, with prepared samples in its subfolder ``prepared``.
        output: folder of the run.
        seconds: training time after which the run ends; ``None`` for the recipe's steps.
        processes: number of processes that compress samples with H.264, if the recipe wants some.

    Raises:
        TrainingError: the loss is not finite (files written before are kept), or the folder holds
            a run with another recipe or length.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepared = load_prepared(data / "prepared", device) if recipe.prepared else None
    banks = _load_banks(recipe, data, "train", device)
    batches = Batches(recipe, banks, prepared, device, processes)
    validation_banks = _load_banks(recipe, data, "val", device)
    trainer = Trainer(recipe, recipe_folder, device, seconds)
    checkpoint = output / "run.pt"
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    _truncate_log(output, trainer.step)

    def progress() -> float:
        return trainer.step / recipe.steps if seconds is None else trainer.elapsed / seconds

    bar = tqdm(total=100, desc=output.name, unit="%", disable=None, initial=int(100 * progress()))
    recent: list[Losses] = []
    saved = time.monotonic()
    if progress() >= 1:
        tqdm.write(f"{output.name} is already finished")
    while (done := progress()) < 1:
        began = time.monotonic()
        batch = batches.make(trainer.step)
        trainer.elapsed += time.monotonic() - began
        recent.append(trainer.train_step(batch, batches.owners, done))
        now = progress()
        bar.update(min(100, 100 * now) - bar.n)
        check, state = (_milestone(done, now, count) for count in (recipe.checks, recipe.states))
        save = now >= 1 or time.monotonic() - saved > _CHECKPOINT_SECONDS
        if not (check or state or save):
            continue
        losses = _mean_losses(recent, trainer.step)
        if check:
            figures = validate(trainer.averaged, recipe, validation_banks, device)
            _log(output, trainer, now, losses, figures)
            recent.clear()
        if state:
            save_state(trainer.averaged, output / f"state-{state}.pt")
        if save:
            trainer.save(checkpoint)
            saved = time.monotonic()
    bar.close()


def _load_banks(recipe: Recipe, data: Path, split: Split, device: torch.device) -> list[FaceBank]:
    limit = recipe.checked if split == "val" else None
    return [load_bank(data, share.name, split, device, limit) for share in recipe.banks]


def _milestone(before: float, now: float, count: int) -> int:
    """Return the number of the milestone reached between two moments of a run, 0 if none.

    Args:
        before: progress at the earlier moment, 0..1.
        now: progress at the later moment.
        count: number of milestones, evenly spread over the run.
    """
    milestone = int(min(1.0, now) * count + 1e-9)
    return milestone if milestone > int(before * count + 1e-9) else 0


def _mean_losses(recent: list[Losses], step: int) -> Tensor:
    """Average each loss since the last validation. Only this function waits for the device.

    Raises:
        TrainingError: a loss is not finite.
    """
    losses = torch.stack([torch.stack(list(values)) for values in recent]).mean(0)
    if not torch.isfinite(losses).all():
        raise TrainingError(
            f"the loss is not finite at step {step}: lower optimizer.rate and start again. Saved "
            "states and checkpoints are not affected"
        )
    return losses


def _truncate_log(output: Path, step: int) -> None:
    """Remove validations after a step from the log; a run resumed there repeats them."""
    log = output / _LOG
    if log.is_file():
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        log.write_text(
            "".join(line for line in lines if json.loads(line)["step"] <= step), encoding="utf-8"
        )


def _log(
    output: Path, trainer: Trainer, progress: float, losses: Tensor, figures: dict[str, float]
) -> None:
    line: dict[str, Any] = {
        "step": trainer.step,
        "seconds": round(trainer.elapsed, 1),
        "progress": round(progress, 4),
        **{
            f"{name} loss": round(value, 4)
            for name, value in zip(Losses._fields, losses.tolist(), strict=True)
        },
        **figures,
    }
    output.mkdir(parents=True, exist_ok=True)
    with (output / _LOG).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
    tqdm.write(json.dumps(line))


def main(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a TOML file; see training/recipes.")],
    data: Annotated[Path, typer.Option(help="Folder of packed faces.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="training/runs/RECIPE")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Training time in seconds, instead of the recipe's steps.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Number of CPU threads.")] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Number of processes that compress samples with H.264.")
    ] = 1,
) -> None:
    """Train a network with a recipe, or resume its run."""
    if threads is not None:
        torch.set_num_threads(threads)
    folder = output or RUNS / recipe.stem
    try:
        train(Recipe.read(recipe), recipe.parent, data, folder, seconds, processes)
    except FakelensError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
