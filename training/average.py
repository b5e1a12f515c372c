"""Average the weights of several states: ``python -m training.average``.

States on one path of training, or of runs from one start, lie in one basin, and their mean is
steadier on other material than any of them (Izmailov et al., "Averaging weights leads to wider
optima and better generalization", UAI 2018; Wortsman et al., "Model soups", ICML 2022).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from training.network import PatchNet, load_state, save_state


def average(models: Sequence[PatchNet]) -> PatchNet:
    """A model whose weights and batch statistics are the means of those of several."""
    states = [model.state_dict() for model in models]
    mean = PatchNet().eval()
    mean.load_state_dict(
        {
            name: torch.stack([state[name] for state in states]).mean(0)
            if value.is_floating_point()
            else value
            for name, value in states[0].items()
        }
    )
    return mean


def main(
    states: Annotated[list[Path], typer.Argument(help="state files; one given twice counts twice")],
    output: Annotated[Path, typer.Option(help="the new state file")],
) -> None:
    """Write the mean of several states."""
    save_state(average([load_state(path) for path in states]), output)


if __name__ == "__main__":
    typer.run(main)
