"""Small torch classifiers in the styles of well-known ones, with random weights."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

SIDE = 64


def convolve(inputs: int, outputs: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def stem(width: int = 12) -> nn.Sequential:
    """Reduce 64 x 64 to 8 x 8."""
    return nn.Sequential(convolve(3, 6, 2), convolve(6, 8, 2), convolve(8, width, 2))


class Classifier(nn.Module):
    """A trunk, a mean over the map, a linear layer, and an ending."""

    def __init__(
        self, trunk: nn.Module, width: int, outputs: int = 1, end: Callable | None = None
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.linear = nn.Linear(width, outputs)
        self.end = end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.linear(self.trunk(x).mean((2, 3)))
        return self.end(scores) if self.end else scores


def ending(outputs: int, end: Callable | None = None) -> Classifier:
    torch.manual_seed(1)
    model = Classifier(stem(), 12, outputs, end)
    nn.init.normal_(model.linear.weight)
    return model


class Residual(nn.Module):
    """A block whose activation function runs twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(x + self.conv2(self.relu(self.conv1(x))))


class Gated(nn.Module):
    """A residual block with squeeze and excitation through linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = convolve(width, width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, width), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return x + y * self.gate(self.pool(y).flatten(1))[..., None, None]


class Branches(nn.Module):
    """Parallel branches, one with a pool, as in Inception."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow, self.wide = nn.Conv2d(width, 8, 1), nn.Conv2d(width, 8, 3, padding=1)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)
        self.after = nn.Conv2d(width, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.narrow(x), self.wide(x), self.after(self.pool(x))], 1).relu()


class Mobile(nn.Module):
    """The last convolution has a normalisation and a functional activation, as EfficientNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.features = stem()
        self.conv_head = nn.Conv2d(12, 20, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(20)
        self.classifier = nn.Linear(20, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.silu(self.bn2(self.conv_head(self.features(x))))
        return self.classifier(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Dense(nn.Module):
    """Ends in a normalisation, then a functional activation and pool, as DenseNet."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(stem(), nn.BatchNorm2d(12))
        self.classifier = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.features(x), inplace=True)
        return self.classifier(torch.flatten(functional.adaptive_avg_pool2d(x, (1, 1)), 1))


class NextBlock(nn.Module):
    """Planes outside, channels last inside, as ConvNeXt."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.mlp(self.norm(self.dwconv(x).permute(0, 2, 3, 1)))
        return x + y.permute(0, 3, 1, 2)


class Windows(nn.Module):
    """Channels last throughout, as Swin; attention runs in windows of 4 x 4."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).permute(0, 2, 3, 1)
        count, h, w, width = x.shape
        y = self.norm1(x).reshape(count, h // 4, 4, w // 4, 4, width).transpose(2, 3)
        q, k, v = self.qkv(y.reshape(-1, 16, width)).chunk(3, -1)
        y = self.proj((q @ k.transpose(1, 2) / width**0.5).softmax(-1) @ v)
        y = y.reshape(count, h // 4, w // 4, 4, 4, width).transpose(2, 3)
        return self.head(self.norm2(x + y.reshape(count, h, w, width)).mean((1, 2)))


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.attn_drop = nn.Dropout(0.1)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        weights = self.attn_drop((q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1))
        x = x + self.proj((weights @ v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """Patches of 8 x 8 pixels, a class token and registers; the class token is classified."""

    def __init__(self, registers: int = 2, mean: bool = False, width: int = 16) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.extra, self.mean = 1 + registers, mean
        self.patch_embed = nn.Conv2d(3, width, 8, 8)
        self.tokens = nn.Parameter(torch.randn(1, self.extra, width))
        self.pos = nn.Parameter(torch.randn(1, 64 + self.extra, width) / 10)
        self.blocks = nn.ModuleList([Attention(width), Attention(width)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.tokens.expand(x.shape[0], -1, -1), x], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x[:, self.extra :].mean(1) if self.mean else x[:, 0])


def pooled_head() -> nn.Sequential:
    """Ends in a pool whose cells are all classified, as VGG."""
    return nn.Sequential(
        stem(), nn.Conv2d(12, 10, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(), nn.Linear(160, 1),
    )  # fmt: skip
