"""Average the weights of several states: ``python -m training.average``.

The mean of states from one run, or from runs with the same initial weights, generalises better than
each of them (Izmailov et al., "Averaging weights leads to wider optima and better generalization",
UAI 2018; Wortsman et al., "Model soups", ICML 2022).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from training.network import PatchNet, load_state, save_state


def average(networks: Sequence[PatchNet]) -> PatchNet:
    """Return a network with the mean weights and batch statistics of several networks."""
    states = [network.state_dict() for network in networks]
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
    states: Annotated[
        list[Path], typer.Argument(help="State files; a file given twice counts twice.")
    ],
    output: Annotated[Path, typer.Option(help="State file to write.")],
) -> None:
    """Write the mean of several states."""
    save_state(average([load_state(path) for path in states]), output)


if __name__ == "__main__":
    typer.run(main)
