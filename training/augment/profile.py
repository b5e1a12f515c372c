"""Count the operator calls and measure the time of the augmentation, on synthetic faces.

Run ``python -m training.augment.profile --samples 72``.
"""

import time
from dataclasses import dataclass
from typing import Annotated

import torch
import typer
from torch.profiler import ProfilerActivity, profile

from training.augment.batch import make_batch
from training.augment.rng import BatchRng
from training.augment.settings import AugmentSettings
from training.faces.bank import FaceBank
from training.faces.synthetic import synthetic_bank

_VIEWS = frozenset(
    f"aten::{name}"
    for name in (
        *("view", "view_as", "reshape", "expand", "expand_as", "unsqueeze", "squeeze", "select"),
        *("slice", "permute", "transpose", "mT", "numpy_T", "t", "flatten", "unbind", "detach"),
        *("diagonal", "tensor_split", "real", "imag", "view_as_real", "view_as_complex", "conj"),
        *("_conj", "alias", "chunk", "split", "lift_fresh", "result_type"),
    )
)


@dataclass(frozen=True)
class OperatorCalls:
    """Calls of PyTorch operators in one step.

    Attributes:
        all: All calls.
        outermost: Calls that no other operator made.
        computing: Outermost calls that are not mere views.
    """

    all: int
    outermost: int
    computing: int


def count_calls(step: int, banks: list[FaceBank], rows: int, size: int) -> OperatorCalls:
    """Count the operator calls of a step that takes ``rows`` rows of each bank."""
    device = banks[0].images.device
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        run_step(step, banks, rows, size)
    events = [event for event in recorded.events() if event.name.startswith("aten::")]
    outermost = [event.name for event in events if event.cpu_parent is None]
    if device.type == "cuda":
        torch.cuda.synchronize()
    return OperatorCalls(len(events), len(outermost), sum(name not in _VIEWS for name in outermost))


def run_step(step: int, banks: list[FaceBank], rows: int, size: int) -> None:
    """Make a batch from ``rows`` rows of each bank.

    The crops of one bank are the surroundings of the tight crops of the next.
    """
    device = banks[0].images.device
    rng = BatchRng(0, device, step)
    settings = AugmentSettings(size=size)
    surroundings = None
    for bank in banks:
        chosen = torch.arange(rows, device=device) % len(bank.images)
        batch = make_batch(bank, chosen, settings, rng, surroundings)
        surroundings = batch.crops[0]


def main(
    samples: Annotated[int, typer.Option(help="Samples per step, of four crops each.")] = 72,
    size: Annotated[int, typer.Option(help="Side of a crop, pixels.")] = 256,
    steps: Annotated[int, typer.Option(help="Number of steps to time.")] = 3,
    threads: Annotated[int, typer.Option(help="Number of CPU threads.")] = 1,
    device: Annotated[
        str | None,
        typer.Option(help="Device to run on.", show_default="cuda if available, else cpu"),
    ] = None,
) -> None:
    """Print the number of operator calls per step and the time per crop."""
    torch.set_num_threads(threads)
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    banks = [synthetic_bank(64, target, fakes=fakes) for fakes in (False, True)]
    rows = samples // len(banks)
    run_step(0, banks, rows, size)
    calls = count_calls(1, banks, rows, size)
    typer.echo(
        f"operator calls per step: {calls.computing} that compute, {calls.outermost} with views, "
        f"{calls.all} with nested calls"
    )
    if target.type == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    for step in range(steps):
        run_step(2 + step, banks, rows, size)
    if target.type == "cuda":
        torch.cuda.synchronize()
    crops = steps * rows * len(banks) * 4
    wall, cpu = (time.perf_counter() - wall) / crops, (time.process_time() - cpu) / crops
    typer.echo(f"time per crop on {target.type}: {1000 * wall:.3f} ms (CPU {1000 * cpu:.3f} ms)")


if __name__ == "__main__":
    typer.run(main)
