"""Validation figures, for networks whose output is known."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")

from torch import Tensor, nn  # noqa: E402

from support.patch_models import random_patchnet  # noqa: E402
from support.small_runs import CPU, small_banks, small_recipe  # noqa: E402
from training.network import Prediction  # noqa: E402
from training.validation import validate  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread", "small_network")


class FixedLogits(nn.Module):
    """Returns the logits 0, ``blend`` and ``fake`` for reals, blends and fakes."""

    def __init__(self, blend: float, fake: float) -> None:
        super().__init__()
        self.levels = torch.tensor([0, blend, fake])

    def forward(self, crops: Tensor) -> Prediction:
        logits = self.levels.repeat_interleave(len(crops) // 3)
        return Prediction(logits, logits, logits)


def test_reals_are_compared_with_blends_and_fakes() -> None:
    figures = validate(FixedLogits(1, -1), small_recipe(), small_banks(5), CPU)
    assert figures == {
        "wide blend": 1,
        "wide real median": 0,
        "tight blend": 1,
        "tight fake": 0,
        "tight real median": 0,
    }


class Darkness(nn.Module):
    """Returns higher logits for darker crops."""

    def forward(self, crops: Tensor) -> Prediction:
        logits = -crops.mean((1, 2, 3))
        return Prediction(logits, logits, logits)


def test_fakes_are_used_even_if_the_recipe_does_not_train_on_them() -> None:
    recipe = small_recipe()
    forgery = replace(recipe.augment.forgery, fake_weight=0.0)
    recipe = replace(recipe, augment=replace(recipe.augment, forgery=forgery))
    banks = small_banks(12)
    yes = torch.ones(12, dtype=torch.bool)
    black = torch.zeros_like(banks[1].images)
    banks[1] = replace(banks[1], fakes=black, visible=yes, aligned=~yes)
    figures = validate(Darkness(), recipe, banks, CPU)
    assert figures["tight fake"] > 0.85
    assert 0.2 < figures["tight blend"] < 0.8


def test_every_validation_uses_the_same_crops() -> None:
    recipe, banks = small_recipe(), small_banks(4)
    network = random_patchnet(1)
    figures = validate(network, recipe, banks, CPU)
    assert figures == validate(network, recipe, banks, CPU)
    assert figures != validate(random_patchnet(2), recipe, banks, CPU)
