"""Batches of a recipe: reproducible, with samples from every bank."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")

from torch import Tensor  # noqa: E402

from support.small_runs import CPU, small_banks, small_batches, small_recipe  # noqa: E402
from training import batches as batches_module  # noqa: E402
from training.augment import Batch, make_batch  # noqa: E402
from training.batches import Batches, join  # noqa: E402
from training.prepared_bank import PreparedBank  # noqa: E402
from training.recipe import BankShare  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def test_batch_depends_only_on_recipe_and_number() -> None:
    recipe = small_recipe(banks=(BankShare("wide", 2), BankShare("tight", 1)))
    batches = small_batches(recipe)
    first = batches.make(0)
    assert first.crops.shape == (4, 3, 3, 64, 64)
    assert batches.owners.tolist() == [[1, 1, 0], [0, 0, 1]]
    later = batches.make(1)
    again = small_batches(recipe).make(0)
    assert torch.equal(first.crops, again.crops)
    assert not torch.equal(first.crops, later.crops)
    other = small_batches(replace(recipe, seed=4)).make(0)
    assert not torch.equal(first.crops, other.crops)


def test_crops_of_a_bank_with_surroundings_surround_the_tight_crops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[Batch, Tensor | None]] = []

    def record(*arguments: object) -> Batch:
        made.append((make_batch(*arguments), arguments[-1]))
        return made[-1][0]

    monkeypatch.setattr(batches_module, "make_batch", record)
    small_batches(small_recipe()).make(0)
    (wide, no_surroundings), (_, surroundings) = made
    assert no_surroundings is None
    assert torch.equal(surroundings, wide.crops[0])


def test_prepared_samples_come_last_and_count_as_another_bank() -> None:
    recipe = small_recipe(prepared=2)
    grey = torch.full((3, 4, 3, 64, 64), 51, dtype=torch.uint8)
    prepared = PreparedBank(
        grey, torch.zeros(3, 4, 4, 4), torch.full((3, 4), 0.5), torch.ones(3, 4)
    )
    batches = Batches(recipe, small_banks(), prepared, CPU)
    assert batches.owners.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]
    batch = batches.make(0)
    torch.testing.assert_close(batch.crops[:, 2:], torch.full((4, 2, 3, 64, 64), 0.2))
    assert (batch.weights[:, 2:] == 0.5).all()
    assert batch.crops[:, :2].std() > 0.05


def test_joined_batches_keep_the_order_of_their_samples() -> None:
    def filled(value: float, count: int) -> Batch:
        shapes = ((4, count, 3, 2, 2), (4, count, 1, 1), (4, count), (4, count))
        return Batch(*(torch.full(shape, value) for shape in shapes))

    both = join([filled(1.0, 2), filled(2.0, 1)])
    for part in (both.crops, both.masks, both.weights, both.mask_weights):
        assert part.reshape(4, 3, -1).mean(-1).tolist() == [[1, 1, 2]] * 4
