"""Batched augmentation: training batches from faces that lie in device memory."""

from training.augment.batch import Batch, make_batch
from training.augment.chance import Chance
from training.augment.settings import AugmentSettings

__all__ = ["AugmentSettings", "Batch", "Chance", "make_batch"]
