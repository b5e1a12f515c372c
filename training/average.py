"""Average the weights of several states of runs: ``python -m training.average``.

States on one path of training, or fine-tuned from one start, lie in one basin, and their mean is
steadier on other material than the last of them (Izmailov et al., "Averaging weights leads to wider
optima and better generalization", UAI 2018; Wortsman et al., "Model soups", ICML 2022).
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from training.train import Run


def average(runs: list[Run]) -> Run:
    """The last run with the mean of all their averaged weights in place of its own.

    Raises:
        ValueError: they are of different architectures.
    """
    last = runs[-1]
    if {run.recipe.architecture for run in runs} != {last.recipe.architecture}:
        raise ValueError("only runs of one architecture can be averaged")
    states = [run.averaged.state_dict() for run in runs]
    means = {
        name: torch.stack([state[name] for state in states]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in states[-1].items()
    }
    last.averaged.load_state_dict(means)
    return last


def main(
    name: Annotated[str, typer.Argument(help="of the new run")],
    files: Annotated[list[Path], typer.Argument(help="run.pt files, the last to end at the end")],
) -> None:
    """Write a run whose weights are the mean of those of several."""
    runs = [Run.load(file) for file in files]
    told = ", ".join(
        f"{run.step} of {file.parent.name}" for run, file in zip(runs, files, strict=True)
    )
    mean = average(runs)
    mean.recipe = replace(
        mean.recipe, start=f"{mean.recipe.start}; the mean of the weights after steps {told}"
    )
    mean.save(Path(__file__).parent / "runs" / name / "run.pt")
    typer.echo(f"{name}: {mean.recipe.start}")


if __name__ == "__main__":
    typer.run(main)
