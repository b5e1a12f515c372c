"""MesoNet: the graph against torch and finite differences, the .h5 files against TensorFlow."""

from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fakelens.errors import ModelError
from fakelens.models.loading import load_model
from fakelens.models.mesonet import load_mesonet_h5
from fakelens.models.mesonet_graph import Architecture, MesoWeights, build_graph, weight_shapes
from fakelens.models.onnx import OnnxModel
from support.meso_reference import TorchMeso, make_card, random_crops, write_keras_h5
from support.model_files import write_model_file

ARCHITECTURES: tuple[Architecture, ...] = ("meso4", "mesoinception4")


def graph_model(meso: TorchMeso) -> OnnxModel:
    model = build_graph(meso.weights()).SerializeToString()
    return OnnxModel(model, make_card(meso.cells * 32), "", threads=1)


def torch_forward(meso: TorchMeso, crops: NDArray[np.uint8]) -> tuple[NDArray, NDArray]:
    """Compute logits and activations with torch."""
    captured: list[torch.Tensor] = []
    hook = meso.relu4.register_forward_hook(lambda *call: captured.append(call[2]))
    with torch.no_grad():
        logit = meso(torch.from_numpy(crops).permute(0, 3, 1, 2) / 255)[:, 0]
    hook.remove()
    return logit.numpy(), captured[0].numpy()


def torch_gradient(meso: TorchMeso, activation: NDArray) -> NDArray:
    """Compute the gradient at a given activation: rounding could decide near-ties differently."""
    leaf = torch.from_numpy(activation).requires_grad_()
    (gradient,) = torch.autograd.grad(meso.head(leaf).sum(), leaf)
    return gradient.numpy()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("side", [64, 224, 256])
def test_the_graph_equals_torch(architecture: Architecture, side: int) -> None:
    meso = TorchMeso(architecture, side, seed=side)
    crops = random_crops(3, side)
    crops[1] = cv2.GaussianBlur(crops[1], (0, 0), 8)
    found = graph_model(meso).examine(crops)

    logit, activation = torch_forward(meso, crops)
    np.testing.assert_allclose(found.logit, logit, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.activation, activation, rtol=1e-4, atol=1e-4)
    gradient = torch_gradient(meso, found.activation)
    largest = np.abs(gradient).max()
    assert largest > 1e-3
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-5 * largest)


def test_the_first_of_tied_maxima_gets_the_gradient() -> None:
    meso = TorchMeso("meso4", 64)
    with torch.no_grad():
        meso.conv4.bias.fill_(-9)  # the ReLU outputs only zeros: all cells of a window tie
    evidence = graph_model(meso).examine(random_crops(2, 64))
    assert not evidence.activation.any()
    windows = evidence.gradient.reshape(2, 16, 2, 4, 2, 4).swapaxes(3, 4).reshape(2, 16, 2, 2, 16)
    assert (windows[..., 0] != 0).all()
    assert not windows[..., 1:].any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gradient_equals_finite_differences(architecture: Architecture) -> None:
    meso = TorchMeso(architecture, 64, seed=5)
    evidence = graph_model(meso).examine(random_crops(1, 64, seed=2))
    activation = torch.from_numpy(evidence.activation[0]).double()
    cells = activation.flatten().nonzero()[:, 0]  # zeros tie and have no two-sided derivative
    assert len(cells) > 100
    step = 1e-6
    nudge = torch.zeros(len(cells), activation.numel(), dtype=torch.double)
    nudge[torch.arange(len(cells)), cells] = step
    head = meso.double().head
    with torch.no_grad():
        above = head(activation + nudge.view(-1, *activation.shape))
        below = head(activation - nudge.view(-1, *activation.shape))
    slope = ((above - below) / (2 * step))[:, 0].numpy()
    assert np.count_nonzero(slope) > 10
    np.testing.assert_allclose(evidence.gradient[0].ravel()[cells], slope, rtol=1e-3, atol=1e-6)


def test_a_batch_equals_its_crops_one_by_one() -> None:
    model = graph_model(TorchMeso("mesoinception4", 64))
    crops = random_crops(5, 64)
    batch = model.examine(crops)
    for index in range(5):
        single = model.examine(crops[index : index + 1])
        for name in ("logit", "activation", "gradient"):
            np.testing.assert_allclose(
                getattr(batch, name)[index], getattr(single, name)[0], rtol=1e-4, atol=1e-5
            )


def test_invalid_weights_are_refused() -> None:
    good = TorchMeso("meso4", 64).weights()
    assert good.input_size == 64
    assert {name: t.shape for name, t in good.tensors.items()} == weight_shapes("meso4", 64)
    tensors = dict(good.tensors)
    for change, words in (
        ({"conv2.bias": np.zeros(9, np.float32)}, "conv2.bias"),
        ({"conv9.bias": np.zeros(9, np.float32)}, "conv9.bias"),
        ({"bn1.mean": np.full(8, np.nan, np.float32)}, "bn1.mean"),
        ({"dense1.weight": np.zeros((16, 64), np.float32)}, "dense1.weight"),
    ):
        with pytest.raises(ModelError, match=words):
            MesoWeights("meso4", tensors | change)
    with pytest.raises(ModelError, match="mesoinception4"):
        MesoWeights("mesoinception4", tensors)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("first", "root"), [(1, "/"), (5, "/"), (8, "model_weights")])
def test_keras_layers_are_matched_by_name_and_number(
    tmp_path: Path, architecture: Architecture, first: int, root: str
) -> None:
    meso = TorchMeso(architecture, 64, seed=7)
    write_keras_h5(meso, tmp_path / "x.h5", first, root)
    model = load_mesonet_h5(tmp_path / "x.h5")
    crops = random_crops(2, 64)
    found = model.examine(crops)
    np.testing.assert_allclose(found.logit, torch_forward(meso, crops)[0], rtol=1e-4, atol=1e-4)
    gradient = torch_gradient(meso, found.activation)
    np.testing.assert_allclose(found.gradient, gradient, rtol=1e-3, atol=1e-5)
    assert model.card.input_size == 64
    assert "unpublished weights" in model.card.description
    assert model.card.licence == "unknown"


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.h5"
    write_keras_h5(TorchMeso("mesoinception4", 64), good)
    path = tmp_path / "bad.h5"
    data = good.read_bytes()
    for content in (b"", b"not weights at all\n" * 50, data[: len(data) // 2], data[:600]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"bad\.h5 is damaged or not a Keras \.h5 file"):
            load_mesonet_h5(path)
    with pytest.raises(ModelError, match=r"missing\.h5 does not exist"):
        load_mesonet_h5(tmp_path / "missing.h5")
    with pytest.raises(ModelError, match="cannot be read"):
        load_mesonet_h5(tmp_path)


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        for number in range(1, 54):
            file[f"conv2d_{number}/conv2d_{number}/kernel:0"] = np.zeros((3, 3, 4, 4), np.float32)
    with pytest.raises(ModelError, match=r"neither Meso4 nor MesoInception4.*53 convolutions"):
        load_mesonet_h5(path)
    for layer in ("conv2d_3", "batch_normalization_2", "dense_1"):
        write_keras_h5(TorchMeso("mesoinception4", 64), path)
        with h5py.File(path, "a") as file:
            name = "gamma:0" if layer.startswith("batch") else "kernel:0"
            del file[f"{layer}/{layer}/{name}"]
            file[f"{layer}/{layer}/{name}"] = np.zeros((3, 5), np.float32)
        with pytest.raises(ModelError, match="neither Meso4 nor MesoInception4"):
            load_mesonet_h5(path)


def _edit(path: Path, dataset: str, change: Callable[[NDArray], None]) -> None:
    with h5py.File(path, "a") as file:
        values = file[dataset][...]
        change(values)
        file[dataset][...] = values


def _flip_exponent(values: NDArray) -> None:
    """Flip the highest bit of one exponent, as damage on a disk can."""
    values.reshape(-1).view(np.uint32)[0] ^= 1 << 30


def _negate(values: NDArray) -> None:
    values *= -1


def _erase(values: NDArray) -> None:
    values[:] = 0


@pytest.mark.parametrize(
    ("dataset", "change", "words"),
    [
        ("conv2d_2/conv2d_2/kernel:0", _flip_exponent, "no training produces"),
        ("batch_normalization_1/batch_normalization_1/moving_variance:0", _negate, "is negative"),
        ("dense_2/dense_2/kernel:0", _erase, "the same score to different pictures"),
    ],
)
def test_damaged_values_are_refused(
    dataset: str, change: Callable[[NDArray], None], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.h5"
    write_keras_h5(TorchMeso("mesoinception4", 64, seed=3), path)
    load_mesonet_h5(path)
    _edit(path, dataset, change)
    with pytest.raises(ModelError, match=rf"mine\.h5: .*{words}"):
        load_mesonet_h5(path)


def test_a_file_with_the_name_of_published_weights_must_have_their_content(tmp_path: Path) -> None:
    path = tmp_path / "MesoInception_DF.h5"
    write_keras_h5(TorchMeso("mesoinception4", 64, seed=3), path)
    with pytest.raises(ModelError, match=r"SHA-256 differs.*models pull mesoinception4-df"):
        load_mesonet_h5(path)


def test_damage_anywhere_is_a_model_error_or_harmless(tmp_path: Path) -> None:
    good = tmp_path / "good.h5"
    write_keras_h5(TorchMeso("meso4", 64), good)
    data = good.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(data)
        for position in rng.integers(len(data), size=20):
            damaged[position] ^= 1 << rng.integers(8)
        good.write_bytes(damaged)
        try:
            load_mesonet_h5(good)
        except ModelError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_polarity_of_retrained_weights_is_assumed_or_stated(
    tmp_path: Path, architecture: Architecture
) -> None:
    meso = TorchMeso(architecture, 64, seed=3)
    path = tmp_path / "own.h5"
    write_keras_h5(meso, path)  # its output is the class real
    crops = random_crops(3, 64)
    wanted = graph_model(meso).examine(crops)
    alone = load_mesonet_h5(path)
    assert alone.card.polarity.startswith("assumed: 0 = fake")
    assert "State it in a model file" in alone.card.limits[0]
    np.testing.assert_allclose(alone.examine(crops).logit, wanted.logit, atol=1e-5)
    for output, sign in (("real", 1), ("fake", -1)):
        stated = write_model_file(tmp_path / "m.toml", "file = 'own.h5'", outputs=(output,))
        model = load_model(stated)
        assert model.card.name == "m"
        assert model.card.polarity.startswith(f"outputs: {output}; fake: ")
        assert model.card.limits == ()
        found = model.examine(crops)
        np.testing.assert_allclose(found.logit, sign * wanted.logit, atol=1e-5)
        np.testing.assert_allclose(found.gradient, sign * wanted.gradient, atol=1e-5)


def test_statements_that_do_not_fit_mesonet_weights_are_refused(tmp_path: Path) -> None:
    write_keras_h5(TorchMeso("meso4", 64), tmp_path / "own.h5")
    layout = "kind = 'channels_last'"
    for stated, words in (
        ({"outputs": ("real", "fake")}, "have one output"),
        ({"convention": "colour = 'bgr'"}, "take RGB pixels from 0 to 1"),
        ({"side": 96}, "takes pictures of 64 pixels, not 96"),
        ({"card": "layer = 'conv3'"}, "explains the last convolution"),
        ({"layout": layout}, "state no other layer and no layout"),
    ):
        with pytest.raises(ModelError, match=words):
            load_model(write_model_file(tmp_path / "m.toml", "file = 'own.h5'", **stated))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["conv2d_1/conv2d_1/kernel:0"] = np.zeros((3, 3, 3, 8))
    with pytest.raises(ModelError, match="states the factory of its architecture"):
        load_model(write_model_file(tmp_path / "m.toml", "file = 'other.h5'"))
