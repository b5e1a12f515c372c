"""Recipes are read from TOML files, and errors in them are explained."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra [training]")

from training import train
from training.augment import AugmentSettings
from training.recipe import (
    BankShare,
    LossWeights,
    NetworkSettings,
    OptimizerSettings,
    Recipe,
    RecipeError,
)

RECIPES = Path(train.__file__).parent / "recipes"

EXAMPLE = """
seed = 5
steps = 70
prepared = 2
banks = [{ name = "a", samples = 3 }, { name = "b", samples = 1 }]
[network]
start = "../x.pt"
fixed_statistics = true
[optimizer]
rate = 1
momentum = [0.8, 0.9]
[losses]
origins = 0.5
[augment]
size = 96
[augment.geometry]
margin = [0.7, 1]
[augment.masks]
strengths = [0.5]
[augment.masks.hulls]
mouth = 0.0
"""


def test_recipe_has_the_values_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text(EXAMPLE)
    recipe = Recipe.read(file)
    assert recipe.banks == (BankShare("a", 3), BankShare("b", 1))
    assert (recipe.seed, recipe.steps, recipe.prepared) == (5, 70, 2)
    assert recipe.network == NetworkSettings(start="../x.pt", fixed_statistics=True)
    assert recipe.optimizer == OptimizerSettings(rate=1.0, momentum=(0.8, 0.9))
    assert isinstance(recipe.optimizer.rate, float)
    assert recipe.losses == LossWeights(origins=0.5)
    augment = recipe.augment
    assert (augment.size, augment.geometry.margin) == (96, (0.7, 1.0))
    assert augment.masks.strengths == (0.5,)
    assert augment.masks.hulls.mouth == 0
    assert augment.masks.hulls.face == AugmentSettings().masks.hulls.face


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("fixed_statistics", "fixed_statistic", "unknown setting network.fixed_statistic"),
        ("mouth", "nose", "unknown setting augment.masks.hulls.nose"),
        ("seed = 5", "seed = 5.5", "seed must have the type int, not 5.5"),
        ("rate = 1", 'rate = "high"', "optimizer.rate must have the type float, not 'high'"),
        ("rate = 1", "rate = true", "optimizer.rate must have the type float, not True"),
        ("= true", "= 1", "network.fixed_statistics must have the type bool, not 1"),
        ("samples = 3", "samples = true", "banks.samples must have the type int, not True"),
        (", samples = 3", "", "the setting banks.samples is missing"),
        ("[0.7, 1]", "[0.7]", "augment.geometry.margin must have 2 values"),
        ("[0.7, 1]", "0.7", "augment.geometry.margin must be a list"),
        ("size = 96", "size = 70", "size must be a multiple of 16"),
        ("[network]\n", "network = 3\n[other]\n", "unknown setting other"),
        ("seed", "banks = 1\nseed", "is not valid TOML"),
    ],
)
def test_invalid_recipe_is_explained_in_one_line(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    file = tmp_path / "r.toml"
    file.write_text(EXAMPLE.replace(before, after, 1))
    with pytest.raises(RecipeError) as raised:
        Recipe.read(file)
    assert str(raised.value).startswith(str(file))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_and_empty_recipes_are_explained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read: No such file"):
        Recipe.read(tmp_path / "no.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(RecipeError, match="the setting banks is missing"):
        Recipe.read(tmp_path / "empty.toml")


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.toml")), ids=lambda file: file.stem)
def test_every_recipe_of_the_repository_can_be_read(file: Path) -> None:
    assert sum(share.samples for share in Recipe.read(file).banks) > 0


@pytest.mark.parametrize("field", ["steps", "states", "checks", "checked"])
def test_counts_must_be_positive(field: str) -> None:
    recipe = Recipe(banks=(BankShare("a", 1),))
    with pytest.raises(ValueError, match="must be 1 or more"):
        replace(recipe, **{field: 0})
