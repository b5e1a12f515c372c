"""Settings and face banks for tests of the augmentation."""

from dataclasses import fields, replace

import pytest
import torch

from training.augment import AugmentSettings
from training.augment.settings import ForgeryShares, GeometrySettings
from training.faces.bank import FaceBank
from training.faces.synthetic import synthetic_bank

CPU = torch.device("cpu")
SIZE, SIDE = 128, 208
"""Sides of a crop and of a bank's pictures, pixels."""
KINDS = [field.name for field in fields(ForgeryShares)]
GEOMETRIES = {
    "plain": GeometrySettings((1.1, 1.1), 0, 0, 0, 0, 0, 0),
    "margin": GeometrySettings((0.8, 1.5), 0, 0, 0, 0, 0, 0),
    "mirrored": GeometrySettings((1.1, 1.1), 0, 0, 0, 0, 0, 1),
    "turned": GeometrySettings((1.1, 1.1), 0, 0, 0.4, 0, 0, 0),
    "shifted": GeometrySettings((1.1, 1.1), 0, 0, 0, 0.05, 0, 0),
    "stretched": GeometrySettings((1.1, 1.1), 0, 0, 0, 0, 0.2, 0),
    "all": GeometrySettings((0.9, 1.3), 0, 0, 0.3, 0.04, 0.15, 0.5),
}
by_geometry = pytest.mark.parametrize("geometry", list(GEOMETRIES.values()), ids=list(GEOMETRIES))


def settings_for(kind: str, size: int = SIZE, **forgery: object) -> AugmentSettings:
    """Make settings with only one kind of forgery."""
    base = AugmentSettings(size=size)
    shares = ForgeryShares(**{name: float(name == kind) for name in KINDS})
    return replace(base, forgery=replace(base.forgery, shares=shares, **forgery))


def make_bank(count: int = 12, fakes: bool = False, seed: int = 0) -> FaceBank:
    """Make a synthetic bank on the CPU."""
    return synthetic_bank(count, CPU, fakes=fakes, side=SIDE, seed=seed)
