"""Train a model by a recipe: ``python -m training.train RECIPE.toml --data PACKED``.

A run can be interrupted at any time and resumes where its last checkpoint was written.
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
from training.faces.bank import FaceBank, load_bank
from training.faces.index import Split
from training.network import save_state
from training.objective import Costs
from training.prepared import load_prepared
from training.recipe import Recipe
from training.run import Batches, Run, RunError
from training.validation import validate

RUNS = Path(__file__).parent / "runs"
"""Where runs are kept by default; not in version control."""
_LOG = "log.jsonl"
_CHECKPOINT_SECONDS = 60


def train(
    recipe: Recipe, recipe_folder: Path, data: Path, output: Path, seconds: float | None
) -> None:
    """Start a run, or resume the one in the folder ``output``, and finish it.

    The folder gets ``run.pt``, to resume from, ``log.jsonl``, one line for each validation, and
    ``state-1.pt`` and so on: the averaged weights in half precision, about 9 MB each.

    Args:
        recipe: what is trained and how.
        recipe_folder: that the path of its start is relative to.
        data: folder of packed faces and, in ``prepared``, of prepared samples.
        output: folder of the run.
        seconds: of training after which the run ends; ``None`` for the recipe's steps.

    Raises:
        RunError: the loss is not finite, and what was written before stays; or the folder holds a
            run of another recipe or length.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepared = load_prepared(data / "prepared", device) if recipe.prepared else None
    batches = Batches(recipe, _banks(recipe, data, "train", device), prepared, device)
    held_out = _banks(recipe, data, "val", device)
    run = Run(recipe, recipe_folder, device, seconds)
    checkpoint = output / "run.pt"
    if checkpoint.is_file():
        run.resume(checkpoint)
    _forget_after(output, run.step)

    def progress() -> float:
        return run.step / recipe.steps if seconds is None else run.spent / seconds

    bar = tqdm(total=100, desc=output.name, unit="%", disable=None, initial=int(100 * progress()))
    recent: list[Costs] = []
    saved = time.monotonic()
    if progress() >= 1:
        tqdm.write(f"{output.name} is finished already")
    while (done := progress()) < 1:
        began = time.monotonic()
        batch = batches.make(run.step)
        run.spent += time.monotonic() - began
        recent.append(run.advance(batch, batches.owners, done))
        now = progress()
        bar.update(min(100, 100 * now) - bar.n)
        check, state = (_passed(done, now, marks) for marks in (recipe.checks, recipe.states))
        save = now >= 1 or time.monotonic() - saved > _CHECKPOINT_SECONDS
        if not (check or state or save):
            continue
        losses = _mean_losses(recent, run.step)
        if check:
            _log(output, run, now, losses, validate(run.averaged, recipe, held_out, device))
            recent.clear()
        if state:
            save_state(run.averaged, output / f"state-{state}.pt")
        if save:
            run.save(checkpoint)
            saved = time.monotonic()
    bar.close()


def _banks(recipe: Recipe, data: Path, split: Split, device: torch.device) -> list[FaceBank]:
    limit = recipe.checked if split == "val" else None
    return [load_bank(data, share.name, split, device, limit) for share in recipe.banks]


def _passed(before: float, now: float, marks: int) -> int:
    """The number of the mark passed between two moments of a run, 0 if none."""
    mark = int(min(1.0, now) * marks + 1e-9)
    return mark if mark > int(before * marks + 1e-9) else 0


def _mean_losses(recent: list[Costs], step: int) -> Tensor:
    """The mean of each loss since the last validation; the only place that waits for the device."""
    losses = torch.stack([torch.stack(list(costs)) for costs in recent]).mean(0)
    if not torch.isfinite(losses).all():
        raise RunError(
            f"the loss is not finite at step {step}: lower optimizer.rate and start again; states "
            "and checkpoints are from before"
        )
    return losses


def _forget_after(output: Path, step: int) -> None:
    """Drop validations after a step from the log: a run that resumes there repeats them."""
    log = output / _LOG
    if log.is_file():
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        log.write_text(
            "".join(line for line in lines if json.loads(line)["step"] <= step), encoding="utf-8"
        )


def _log(
    output: Path, run: Run, progress: float, losses: Tensor, figures: dict[str, float]
) -> None:
    line: dict[str, Any] = {
        "step": run.step,
        "seconds": round(run.spent, 1),
        "progress": round(progress, 4),
        **{
            f"{name} loss": round(value, 4)
            for name, value in zip(Costs._fields, losses.tolist(), strict=True)
        },
        **figures,
    }
    output.mkdir(parents=True, exist_ok=True)
    with (output / _LOG).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
    tqdm.write(json.dumps(line))


def main(
    recipe: Annotated[Path, typer.Argument(help="TOML file, see training/recipes")],
    data: Annotated[Path, typer.Option(help="folder of packed faces")],
    output: Annotated[
        Path | None, typer.Option(help="folder of the run [default: training/runs/RECIPE]")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="end after so many seconds of training, not by steps")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="on a CPU")] = None,
) -> None:
    """Train a model by a recipe, or resume its run."""
    if threads is not None:
        torch.set_num_threads(threads)
    folder = output or RUNS / recipe.stem
    try:
        train(Recipe.read(recipe), recipe.parent, data, folder, seconds)
    except FakelensError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
