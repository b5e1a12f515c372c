"""Tuning of the later layers on cached features."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from support.augmentation import make_bank, settings_for
from training.batches import Batches
from training.late_tuning import CachedSamples, cache_samples, tune
from training.network import PatchNet
from training.objective import compute_losses
from training.prepared_bank import PreparedBank
from training.recipe import BankShare, LossWeights, Recipe

SIZE, SAMPLES = 64, 4

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network(small_network: None) -> PatchNet:
    torch.manual_seed(3)
    return PatchNet().eval()


def make_prepared(count: int) -> PreparedBank:
    generator = torch.Generator().manual_seed(1)
    side = SIZE // 16
    return PreparedBank(
        torch.randint(0, 256, (count, 4, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8),
        torch.rand(count, 4, side, side, generator=generator),
        torch.ones(count, 4),
        torch.ones(count, 4),
    )


@pytest.fixture(scope="module")
def cached(network: PatchNet) -> CachedSamples:
    settings = settings_for("self_blend", SIZE)
    recipe = Recipe(
        banks=(BankShare("a", SAMPLES), BankShare("b", SAMPLES)), augment=settings, seed=5
    )
    batches = Batches(recipe, [make_bank(), make_bank(fakes=True)], None, torch.device("cpu"))
    return cache_samples(network, make_prepared(10), batches, steps=2)


def test_cached_features_give_the_prediction_of_the_whole_network(
    network: PatchNet, cached: CachedSamples
) -> None:
    crops = make_prepared(10).images.float() / 255
    with torch.no_grad():
        expected = network.early(crops[3:5].transpose(0, 1).flatten(0, 1))
        features, _, _ = cached.batch(torch.tensor([3, 4]), mirrored=False)
        whole = network(crops[3:5].transpose(0, 1).flatten(0, 1))
        late = network.late(expected)
    # bfloat16 has three significant digits. The features of another crop differ by far more.
    error = (features - expected).norm()
    assert error < 0.2 * (features - expected.roll(1, 0)).norm()
    torch.testing.assert_close(late.cells, whole.cells)


def test_each_source_is_counted_and_mirroring_follows_the_masks(cached: CachedSamples) -> None:
    assert torch.bincount(cached.source).tolist() == [10, 2 * SAMPLES, 2 * SAMPLES]
    rows = torch.tensor([0, 11, 17])
    features, labels, owners = cached.batch(rows, mirrored=False)
    mirrored_features, mirrored_labels, _ = cached.batch(rows, mirrored=True)
    assert torch.equal(mirrored_features.flip(-1), features)
    assert torch.equal(mirrored_labels.masks.flip(-1), labels.masks)
    assert torch.equal(labels.masks[2, 1], cached.masks[11, 2])
    assert torch.equal(owners.sum(0), torch.ones(3))


def test_tuning_changes_the_later_layers_only(network: PatchNet, cached: CachedSamples) -> None:
    before = deepcopy(network)
    after = tune(deepcopy(network), cached, steps=3, rate=1e-3, losses=LossWeights(origins=0.5))
    late = {id(p) for layer in after.late_layers() for p in layer.parameters()}
    changed = {
        id(new) in late
        for old, new in zip(before.parameters(), after.parameters(), strict=True)
        if not torch.equal(old, new)
    }
    kept = [
        torch.equal(old, new)
        for old, new in zip(before.parameters(), after.parameters(), strict=True)
        if id(new) not in late and new.ndim > 0
    ]
    assert True in changed
    assert all(kept)
    for old, new in zip(before.buffers(), after.buffers(), strict=True):
        assert torch.equal(old, new)


def test_tuning_lowers_the_loss_on_its_samples(network: PatchNet, cached: CachedSamples) -> None:
    losses = LossWeights(map=0)
    features = cached.features.clone()
    features[:, 1:3] += 1  # a trace of forgery that is easy to see
    easy = replace(cached, features=features)

    def loss(of: PatchNet) -> float:
        features, labels, owners = easy.batch(torch.arange(10), mirrored=False)
        owners = torch.ones_like(owners)
        with torch.no_grad():
            return float(compute_losses(of.late(features), labels, owners, losses).total)

    tuned = tune(deepcopy(network), easy, steps=12, rate=3e-3, losses=losses)
    assert loss(tuned) < loss(network)
