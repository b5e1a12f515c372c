"""H.264 within training steps: processes compress samples while the device trains.

A GPU cannot encode H.264. The device makes the samples of a few steps ahead, and worker processes
compress them in shared memory, so every sample is used once.
"""

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing import get_context

from training.augment import Batch
from training.codecs import CRF_RANGE, SCALE_RANGE, compress_sample
from training.objective import AGAIN

_AHEAD = 3  # steps that are in work, the one that is waited for included
# Number of compressions one after the other, equally likely.
_PASSES = (0, 1, 1, 1, 1, 1, 2, 2, 2, 2)
# The first of two compressions is that of a good camera or an upload.
_FIRST_CRF, _FIRST_SCALE = (17, 28), (0.6, 1.0)
_PRESETS = ("superfast", "fast", "medium")
_ENLARGE = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)


@dataclass(frozen=True, slots=True)
class _Pending:
    batch: Batch
    work: list[Future[None]]


class LiveCodec:
    """Samples that went through H.264 in worker processes.

    Step i depends only on ``make``, ``seed`` and i. The processes end with the program or when the
    object is deleted.

    Args:
        make: makes the uncompressed samples of a step; called some steps ahead.
        count: number of samples of a step.
        side: of the crops, pixels.
        seed: random seed of the compression.
        processes: number of worker processes.
    """

    def __init__(
        self, make: Callable[[int], Batch], count: int, side: int, seed: int, processes: int
    ) -> None:
        self._make = make
        self._seed = seed
        self._pictures = torch.empty(_AHEAD, count, 4, side, side, 3, dtype=torch.uint8)
        self._pictures.share_memory_()
        self._pending: dict[int, _Pending] = {}
        # Spawned: a forked process cannot use CUDA memory of its parent.
        self._executor = ProcessPoolExecutor(
            processes, get_context("spawn"), _init_worker, (self._pictures,)
        )

    def batch(self, step: int) -> Batch:
        """Return the samples of a step, on the device that ``make`` used.

        Waits for the device, since the samples of a later step are copied from it.
        """
        steps = range(step, step + _AHEAD)
        for other in [number for number in self._pending if number not in steps]:
            wait(self._pending.pop(other).work)
        for number in steps:
            if number not in self._pending:
                self._pending[number] = self._submit(number)
        done = self._pending.pop(step)
        for future in done.work:
            future.result()
        device = done.batch.weights.device
        crops = self._pictures[step % _AHEAD].to(device).permute(1, 0, 4, 2, 3).float() / 255
        return replace(done.batch, crops=crops)

    def _submit(self, step: int) -> _Pending:
        batch = self._make(step)
        pictures = (batch.crops * 255).round().clamp(0, 255).byte().permute(1, 0, 3, 4, 2)
        slot = step % _AHEAD
        self._pictures[slot].copy_(pictures)
        work = [
            self._executor.submit(_compress, slot, number, (self._seed, step, number))
            for number in range(pictures.shape[0])
        ]
        # Only the labels are needed any longer.
        return _Pending(replace(batch, crops=Tensor()), work)


def compress_views(pictures: NDArray[np.uint8], seed: tuple[int, ...]) -> None:
    """Compress the four crops of a sample in place: the first three alike, the fourth differently.

    Args:
        pictures: (4, H, W, 3) uint8 RGB.
        seed: random seed.
    """
    rng = np.random.default_rng(seed)
    for view in (slice(AGAIN), slice(AGAIN, None)):
        passes = int(rng.choice(_PASSES))
        scale = float(rng.uniform(*SCALE_RANGE))
        enlarge = int(rng.choice(_ENLARGE))
        for left in reversed(range(passes)):
            crf_range = _FIRST_CRF if left else CRF_RANGE
            size = max(scale, float(rng.uniform(*_FIRST_SCALE))) if left else scale
            crf = int(rng.integers(*crf_range, endpoint=True))
            preset = str(rng.choice(_PRESETS))
            pictures[view] = compress_sample(pictures[view], crf, size, preset, enlarge)


_shared: NDArray[np.uint8] | None = None


def _init_worker(pictures: Tensor) -> None:
    global _shared  # noqa: PLW0603 - each worker is a process of its own
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _shared = pictures.numpy()


def _compress(slot: int, number: int, seed: tuple[int, ...]) -> None:
    assert _shared is not None
    compress_views(_shared[slot, number], seed)
