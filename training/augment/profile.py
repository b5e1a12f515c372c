"""Operator calls and time of one training step's augmentation, on synthetic faces.

python -m training.augment.profile --samples 72
"""

import argparse
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from training.augment.batch import make_batch
from training.augment.chance import Chance
from training.augment.settings import AugmentSettings
from training.faces.bank import FaceBank

_VIEWS = frozenset(
    f"aten::{name}"
    for name in (
        *("view", "view_as", "reshape", "expand", "expand_as", "unsqueeze", "squeeze", "select"),
        *("slice", "permute", "transpose", "mT", "numpy_T", "t", "flatten", "unbind", "detach"),
        *("diagonal", "tensor_split", "real", "imag", "view_as_real", "view_as_complex", "conj"),
        *("_conj", "alias", "chunk", "split", "lift_fresh", "result_type"),
    )
)


def synthetic_bank(
    count: int, device: torch.device, *, fakes: bool, side: int = 208, seed: int = 0
) -> FaceBank:
    """Draw ``count`` pictures of ``side`` pixels: with fakes as tight crops, else surrounded."""
    draw = torch.Generator().manual_seed(seed)

    def pictures() -> Tensor:
        small = torch.rand(count, 3, 20, 20, generator=draw)
        large = functional.interpolate(small, size=(side, side), mode="bicubic")
        return (large.clamp(0, 1) * 255).round().byte().to(device)

    face = side * (1.1 if fakes else 0.61)
    middle = (side - 1) / 2
    angle = torch.arange(20) / 20 * 2 * torch.pi
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    sizes = torch.tensor([0.45, 0.4, 0.3, 0.3, 0.15, 0.2])[:, None, None]
    hulls = (circle * sizes * face + middle).expand(count, 6, 20, 2).contiguous()
    landmarks = middle + (torch.rand(count, 68, 2, generator=draw) - 0.5) * face * 0.8
    some = torch.rand(2, count, generator=draw)
    visible = (some[0] < 0.9).to(device)
    return FaceBank(
        images=pictures(),
        centers=torch.full((count, 2), middle, device=device),
        sides=torch.full((count,), face, device=device),
        landmarks=landmarks.to(device),
        hulls=hulls.to(device),
        neighbours=torch.randint(count, (count, 8), generator=draw).to(device),
        surrounded=not fakes,
        fakes=pictures() if fakes else None,
        fake_masks=torch.rand(count, 28, 28, generator=draw).to(device) if fakes else None,
        visible=visible if fakes else None,
        aligned=visible & (some[1] < 0.8).to(device) if fakes else None,
        groups=tuple(map(str, range(count))),
        sources=("synthetic",) * count,
    )


@dataclass(frozen=True)
class OperatorCalls:
    """Calls of PyTorch operators: all, those not made by others, and of those, no views."""

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
    """Make one batch from ``rows`` rows of each bank; tight crops get crops of the first bank."""
    device = banks[0].images.device
    chance = Chance(0, device, step)
    settings = AugmentSettings(size=size)
    others = None
    for bank in banks:
        chosen = torch.arange(rows, device=device) % len(bank.images)
        batch = make_batch(bank, chosen, settings, chance, others)
        others = batch.crops[0]


def main() -> None:
    """Print calls and times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=72, help="samples a step, of four crops")
    parser.add_argument("--size", type=int, default=256, help="side of a crop, pixels")
    parser.add_argument("--steps", type=int, default=3, help="steps to time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    banks = [synthetic_bank(64, device, fakes=fakes) for fakes in (False, True)]
    rows = options.samples // len(banks)
    run_step(0, banks, rows, options.size)
    calls = count_calls(1, banks, rows, options.size)
    print(
        f"operator calls a step: {calls.computing} that compute, {calls.outermost} with views, "
        f"{calls.all} with nested ones"
    )
    if device.type == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    for step in range(options.steps):
        run_step(2 + step, banks, rows, options.size)
    if device.type == "cuda":
        torch.cuda.synchronize()
    crops = options.steps * rows * len(banks) * 4
    wall, cpu = (time.perf_counter() - wall) / crops, (time.process_time() - cpu) / crops
    print(f"a crop: {1000 * wall:.3f} ms ({1000 * cpu:.3f} ms of the CPU), {device.type}")


if __name__ == "__main__":
    main()
