"""Small recipes, networks and data for tests of the training loop."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from support.drawn_faces import draw_face
from support.drawn_landmarks import turned_face
from training.augment import AugmentSettings
from training.batches import Batches
from training.faces.bank import FaceBank
from training.faces.shards import Shard, write_shard
from training.faces.synthetic import synthetic_bank
from training.network import STAGES
from training.recipe import BankShare, NetworkSettings, Recipe
from training.trainer import Trainer

CPU = torch.device("cpu")
SMALL_STAGES = tuple(
    replace(stage, repeats=1, expansion=min(stage.expansion, 2), channels=8) for stage in STAGES
)
"""Stages of a network with 7 narrow blocks, which trains in a fraction of the time."""


def small_recipe(**changes: object) -> Recipe:
    """Make a recipe of 3 steps with 2 samples each, which starts from ``start.pt``."""
    recipe = Recipe(
        banks=(BankShare("wide", 1), BankShare("tight", 1)),
        seed=3,
        steps=3,
        network=NetworkSettings(start="start.pt"),
        augment=AugmentSettings(size=64),
    )
    return replace(recipe, **changes)


def small_banks(count: int = 6, device: torch.device = CPU) -> list[FaceBank]:
    """Make a bank with surroundings, and a bank of tight crops with fakes."""
    return [synthetic_bank(count, device, fakes=fakes, side=96) for fakes in (False, True)]


def small_batches(recipe: Recipe, device: torch.device = CPU) -> Batches:
    """Make the batches of a small recipe."""
    return Batches(recipe, small_banks(device=device), None, device)


def advance(trainer: Trainer, batches: Batches, steps: int) -> None:
    """Do some training steps."""
    for _ in range(steps):
        progress = trainer.step / trainer.recipe.steps
        trainer.train_step(batches.make(trainer.step), batches.owners, progress)


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    """Check that two networks have exactly the same weights and batch statistics."""
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def write_packed_faces(path: Path, split: str, *, fakes: bool) -> None:
    """Write a shard of eight drawn faces in the format of ``training.faces.pack``."""
    count = 8
    rng = np.random.default_rng(0)
    points = [turned_face(rng, (112, 112), 0.5) for _ in range(count)]
    faces = [draw_face(number) for number in range(count)]
    masks = np.zeros((count, 28, 28), np.uint8)
    masks[:, 10:20, 8:20] = 255
    arrays = {
        "split": np.array(split),
        "groups": np.array([f"g{number}" for number in range(count)]),
        "sources": np.array([""] * count),
        "shapes": np.full((count, 2), 224, np.int32),
        "landmarks": np.stack(points),
        "centers": np.full((count, 2), 111.5, np.float32),
        "sides": np.full(count, 240 if fakes else 130, np.float32),
        "has_fake": np.full(count, fakes),
        "masks": masks,
        "visible": np.full(count, fakes),
        "aligned": np.full(count, fakes),
    }
    forged = [_png(255 - face) if fakes else b"" for face in faces]
    write_shard(path, Shard(arrays, {"real": [_png(face) for face in faces], "fake": forged}))
