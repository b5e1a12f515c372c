"""Batched augmentation: training batches made from face banks in device memory.

This package holds everything that turns genuine faces into training crops: random numbers
(``rng``), crop geometry, masks, forgeries, the mismatch between a forged copy and its frame,
overlays, colour, degradation and JPEG. All of it is tensor code without host synchronisation;
``settings`` holds every probability and range. Reading faces from disk belongs to
``training.faces``.
"""

from training.augment.batch import Batch, make_batch
from training.augment.rng import BatchRng
from training.augment.settings import AugmentSettings

__all__ = ["AugmentSettings", "Batch", "BatchRng", "make_batch"]
