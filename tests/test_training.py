"""The training pipeline, on drawn pictures."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
roc_auc_score = pytest.importorskip(
    "sklearn.metrics", reason="training needs the extra [train]"
).roc_auc_score

from training import train  # noqa: E402
from training.augment import INPUT_SIZE, Square, augment, cut, jitter  # noqa: E402
from training.batches import Triples, batches, make_triple  # noqa: E402
from training.blends import blend_mask, self_blend  # noqa: E402
from training.data import Crop, Pair, load_pairs  # noqa: E402
from training.evaluate import auc, bootstrap_auc  # noqa: E402
from training.export import calibrate, choose_thresholds, fold_in, make_card  # noqa: E402
from training.model import (  # noqa: E402
    MesoInception4,
    initialize,
    load_tensors,
    to_planes,
    to_tensors,
)

from fakelens.networks.graph import MesoWeights, build_graph  # noqa: E402
from fakelens.networks.mesonet import read_mesonet_h5  # noqa: E402
from fakelens.networks.onnx import load_evidence_network, save_evidence_network  # noqa: E402

LANDMARKS = np.array([(70, 80), (150, 80), (110, 125), (80, 170), (140, 170)], np.float32)


def draw_face(seed: int) -> np.ndarray:
    """Blotchy ellipse with eyes and a mouth on other blotches, (224, 224, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (28, 28, 3), np.uint8), (224, 224))
    skin = tuple(int(value) for value in rng.integers(90, 220, 3))
    cv2.ellipse(image, (110, 115), (80, 100), 0, 0, 360, skin, -1)
    for x, y in LANDMARKS[[0, 1, 3, 4]].astype(int).tolist():
        cv2.circle(image, (x, y), 10, (20, 20, 40), -1)
    grain = cv2.resize(rng.normal(0, 12, (56, 56, 3)), (224, 224))
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def make_crop(seed: int) -> Crop:
    _, jpeg = cv2.imencode(".jpg", draw_face(seed))
    return Crop(jpeg.tobytes(), np.array([110, 115], np.float32), 200.0, LANDMARKS)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other crawl on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return [Pair(f"g{i}", make_crop(2 * i), make_crop(2 * i + 1)) for i in range(5)]


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


@pytest.mark.parametrize("seed", range(8))
def test_a_self_blend_differs_from_the_real_face_inside_its_mask_only(seed: int) -> None:
    image = draw_face(seed)
    blend, mask = self_blend(image, LANDMARKS, np.random.default_rng(seed))
    assert mask.min() == 0
    assert 0.4 < mask.max() <= 1
    np.testing.assert_array_equal(blend[mask == 0], image[mask == 0])
    inside = mask > 0.5 * mask.max()
    assert (blend[inside] != image[inside]).any(axis=1).mean() > 0.5
    again, _ = self_blend(image, LANDMARKS, np.random.default_rng(seed))
    np.testing.assert_array_equal(again, blend)


def test_masks_lie_on_the_face_and_vary() -> None:
    masks = [blend_mask((224, 224), LANDMARKS, np.random.default_rng(i)) for i in range(60)]
    areas = [float((mask > 0.5 * mask.max()).mean()) for mask in masks]
    assert min(areas) > 0.005
    assert max(areas) < 0.6
    assert max(areas) > 5 * min(areas)
    rows, columns = np.indices((224, 224))
    for mask in masks:
        x, y = (mask * columns).sum() / mask.sum(), (mask * rows).sum() / mask.sum()
        assert 70 < x < 150
        assert 60 < y < 190


def test_samples_depend_on_the_seed_and_the_index_only(pairs: list[Pair]) -> None:
    samples = Triples(pairs, seed=3)
    (first, _), (later, cells) = samples[1], samples[7]
    again, cells_again = Triples(pairs, seed=3)[7]
    assert torch.equal(again, later)
    assert torch.equal(cells_again, cells)
    assert not torch.equal(Triples(pairs, seed=4)[7][0], later)
    assert not torch.equal(first, later)
    assert first.shape == (3, INPUT_SIZE, INPUT_SIZE, 3)
    assert first.dtype == torch.uint8


def test_every_pass_shows_every_pair_once(pairs: list[Pair], monkeypatch) -> None:
    def group_only(pair: Pair, *_: object) -> tuple[np.ndarray, np.ndarray]:
        return np.array([int(pair.group[1:])]), np.zeros(1)

    monkeypatch.setattr("training.batches.make_triple", group_only)
    shown = [int(Triples(pairs, seed=1)[i][0]) for i in range(15)]
    passes = [tuple(shown[i : i + 5]) for i in (0, 5, 10)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in passes)
    assert len(set(passes)) > 1


@pytest.mark.parametrize("seed", range(4))
def test_a_triple_differs_in_the_forgery_only_and_the_map_says_where(seed: int) -> None:
    same = Pair("g", make_crop(1), make_crop(1))
    (real, blend, fake), cells = make_triple(same, np.random.default_rng(seed))
    np.testing.assert_array_equal(real, fake)
    changed = np.abs(real.astype(int) - blend).max(axis=2)
    # Compression spreads a change a little; most of it lies where the map says.
    by_cell = changed.reshape(32, 8, 32, 8).mean(axis=(1, 3))
    assert by_cell[cells > 0.5].mean() > 3 * by_cell[cells == 0].mean()
    assert 0 <= cells.min() <= cells.max() <= 1 + 1e-5


def test_a_cut_shows_the_wanted_square() -> None:
    image = np.zeros((224, 224, 3), np.uint8)
    image[60:140, 40:120] = 255
    bright = np.argwhere(cut(image, Square(79.5, 99.5, 160))[..., 0] > 127)
    # 80 of 160 pixels, centred, of 256: 64 to 192, give or take the blurred edge.
    np.testing.assert_allclose(bright.min(0), 64, atol=1)
    np.testing.assert_allclose(bright.max(0), 191, atol=1)
    straight = cut(image, Square(99.5, 99.5, 160))
    mirrored = cut(image, Square(99.5, 99.5, 160, mirror=True))
    np.testing.assert_allclose(mirrored[:, ::-1].astype(int), straight, atol=1)


def test_augmentation_keeps_the_shape_whatever_the_chance() -> None:
    image = draw_face(2)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        square = jitter(np.array([110, 115], np.float32), 200.0, (0.75, 1.2), rng)
        assert 150 <= square.side <= 240
        crop = augment(image, square, rng)
        assert crop.shape == (INPUT_SIZE, INPUT_SIZE, 3)
        assert crop.dtype == np.uint8
        assert crop.std() > 1


def test_the_exported_network_gives_the_logit_and_gradient_of_torch(tmp_path: Path) -> None:
    model = random_model(11)
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    card = make_card(1.0, choose_thresholds(logits), train.Run(train.Recipe(steps=1)))
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
    model = MesoInception4()
    load_tensors(model, read_mesonet_h5(file).tensors)
    # TensorFlow's logit is positive for real.
    np.testing.assert_allclose(model.score(crops), -golden["logit_rgb"], atol=1e-4)


def test_a_run_taken_up_again_equals_one_never_left(pairs: list[Pair], tmp_path: Path) -> None:
    recipe = train.Recipe(steps=2, triples=1, half=False)

    def advance(run: train.Run, steps: int) -> None:
        samples = batches(Triples(pairs, 1), recipe.triples, run.step, workers=0)
        for _ in range(steps):
            run.advance(next(samples))

    whole = train.Run(recipe)
    advance(whole, 2)
    left = train.Run(recipe)
    advance(left, 1)
    left.save(tmp_path / "run.pt")
    again = train.Run.load(tmp_path / "run.pt")
    advance(again, 1)
    assert again.progress == 1
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, rtol=0, atol=0)


def test_a_run_that_may_take_no_longer_ends() -> None:
    run = train.Run(train.Recipe(steps=1000, minutes=2))
    run.spent = 60.0
    assert run.progress == 0.5


def test_training_learns_what_it_sees(pairs: list[Pair]) -> None:
    run = train.Run(train.Recipe(steps=15, triples=1, half=False))
    sample = next(batches(Triples(pairs, 1), 1, 0, workers=0))
    initialize(run.model, to_planes(sample[0].flatten(0, 1)))
    losses = torch.stack([run.advance(sample) for _ in range(15)])
    assert losses[-1].mean() < 0.75 * losses[0].mean()


def test_a_new_network_starts_with_channels_that_fire_here_and_there(pairs: list[Pair]) -> None:
    torch.manual_seed(0)
    model = MesoInception4().eval()
    planes = to_planes(torch.cat([Triples(pairs, 1)[i][0] for i in range(2)]))
    initialize(model, planes)
    assert not model.training
    fires = (model.stage1(planes) > 0).float().mean(dim=(0, 2, 3))
    assert fires.min() > 0.1
    for conv in model.stage1.spread:
        assert conv.weight.sum(dim=(2, 3)).abs().max() < 1e-4


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [train.one_cycle(i / 100) for i in range(101)]
    assert max(rates) == rates[10] == 1
    assert all(a < b for a, b in itertools.pairwise(rates[:11]))
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0)


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
    before = model(planes)
    fold_in(model, scale, offset)
    torch.testing.assert_close(model(planes), scale * before + offset)


def test_thresholds_keep_their_error_rates() -> None:
    rng = np.random.default_rng(8)
    logits = rng.normal([-1, 1, 1], 1, (4000, 3)).astype(np.float32)
    thresholds = choose_thresholds(logits)
    scores = 1 / (1 + np.exp(-logits))
    assert (scores[:, 0] > thresholds.fake).mean() == pytest.approx(0.05, abs=0.01)
    assert (scores[:, 1:] < thresholds.real).mean() == pytest.approx(0.1, abs=0.01)
    hopeless = choose_thresholds(rng.normal(0, 1, (4000, 3)).astype(np.float32))
    assert hopeless.real <= hopeless.fake


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


@pytest.mark.shared
def test_training_and_validation_share_no_group(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "dfdc_crops"
    names = {
        split: np.array([line.split(",") for line in _index(folder) if f",{split}," in line])
        for split in ("train", "val")
    }
    assert len(names["train"]) == 15400
    assert not set(names["train"][:, 3]) & set(names["val"][:, 3])
    assert not set(names["train"][:, 1]) & set(names["val"][:, 1])
    manifest = (shared_data / "manifest.csv").read_text()
    assert not [group for group in set(names["train"][:, 3]) if group in manifest]
    faces = tmp_path / "faces.npz"
    files = names["val"][:, 1]
    box = np.array([112, 105, 250, *LANDMARKS.ravel()], np.float32)
    np.savez(faces, files=files, faces=np.tile(box, (len(files), 1)))
    pairs = load_pairs(folder, "val", faces)
    assert {pair.group for pair in pairs} == set(names["val"][:, 3])
    assert pairs[0].real.decode().shape == (224, 224, 3)


def _index(folder: Path) -> list[str]:
    return (folder / "index.csv").read_text().splitlines()
