"""Gradients that are written into an ONNX graph, against those of torch and finite differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from support.onnx_export import export, load
from support.onnx_gradients import SHAPE, random, with_gradient

Function = Callable[[torch.Tensor], torch.Tensor]


class Head(nn.Module):
    """A function, weighted and summed to one number per row."""

    def __init__(self, function: Function, *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.function(x).flatten(1)
        weights = torch.cos(torch.arange(y.shape[1], dtype=torch.float32))
        return (y * weights).sum(1, keepdim=True)


def check(
    function: Function, *parts: nn.Module, shape: tuple[int, ...] = SHAPE, **options: Any
) -> set[str]:
    """Compare with torch in a batch of another size; return the operators of the graph."""
    torch.manual_seed(0)
    head = Head(function, *parts).eval()
    data = export(head, shape, **options)
    x = random(3, shape, seed=1)
    session = with_gradient(data, random(2, shape))
    total, gradient = session.run(["total", "gradient"], {"images": x})
    leaf = torch.from_numpy(x).requires_grad_()
    expected = head(leaf)[:, 0]
    (slope,) = torch.autograd.grad(expected.sum(), leaf)
    np.testing.assert_allclose(total, expected.detach().numpy(), rtol=1e-4, atol=1e-4)
    assert slope.abs().max() > 0
    scale = float(slope.abs().max())
    np.testing.assert_allclose(gradient, slope.numpy(), rtol=1e-4, atol=2e-5 * scale)
    return {node.op_type for node in load(data).graph.node}


ELEMENTWISE: dict[str, Function] = {
    "Abs": torch.abs,
    "Celu": nn.CELU(0.7),
    "Clip": lambda x: torch.clamp(x, -0.5, 1.2),
    "relu6": nn.ReLU6(),
    "Dropout": nn.Dropout(),
    "Elu": nn.ELU(0.8),
    "Erf": torch.erf,
    "Exp": torch.exp,
    "gelu": nn.GELU(),
    "gelu tanh": nn.GELU("tanh"),
    "HardSigmoid": nn.Hardsigmoid(),
    "HardSwish": nn.Hardswish(),
    "LeakyRelu": nn.LeakyReLU(0.2),
    "Log": lambda x: torch.log(x.abs() + 1),
    "mish": nn.Mish(),
    "Neg": torch.neg,
    "Reciprocal": lambda x: torch.reciprocal(x.abs() + 1),
    "Relu": torch.relu,
    "Selu": nn.SELU(),
    "Sigmoid": torch.sigmoid,
    "silu": nn.SiLU(),
    "Softplus": nn.Softplus(),
    "Softsign": nn.Softsign(),
    "Sqrt": lambda x: torch.sqrt(x.abs() + 1),
    "Tanh": torch.tanh,
    "Pow": lambda x: torch.pow(x.abs() + 0.1, 3.5),
    "Cast": lambda x: torch.tanh(x.double() * 2).float(),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_functions_of_each_element(name: str) -> None:
    check(ELEMENTWISE[name])


ARITHMETIC: dict[str, Function] = {
    "Add": lambda x: x + x[:, :1] + x.mean((2, 3), keepdim=True),
    "Sub": lambda x: 1 - x - x[:, :, :1],
    "Mul": lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)) * 3,
    "Div": lambda x: x / (x.abs().sum((1, 2, 3), keepdim=True) + 1) + 2 / (x * x + 1),
    "Where": lambda x: torch.where(x > 0.5, x * 2, x[:, :1] * 3),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_with_broadcasting(name: str) -> None:
    check(ARITHMETIC[name])


REDUCTIONS: dict[str, Function] = {
    "ReduceMean kept": lambda x: x.mean((2, 3), keepdim=True) * x,
    "ReduceMean": lambda x: x.mean((2, 3)) ** 2,
    "ReduceMean negative": lambda x: torch.tanh(x.mean(-1)),
    "ReduceSum": lambda x: torch.tanh(x.sum((1, 3))),
    "ReduceSum kept": lambda x: torch.tanh(x.sum((1, 3), keepdim=True)),
    "ReduceMax": lambda x: x.amax((2, 3)) * 2,
    "ReduceMax kept": lambda x: x.amax(1, keepdim=True) * x,
    "ReduceL2": lambda x: functional.normalize(x, dim=1),
    "ReduceLogSumExp": lambda x: torch.logsumexp(x, (2, 3)),
    "GlobalAveragePool": nn.AdaptiveAvgPool2d(1),
    "GlobalMaxPool": nn.AdaptiveMaxPool2d(1),
    "gem": lambda x: functional.adaptive_avg_pool2d(x.clamp(1e-3).pow(3), 1).pow(1 / 3),
    "Softmax": lambda x: torch.softmax(x, 1),
    "Softmax last": lambda x: torch.softmax(x, -1),
    "LogSoftmax": lambda x: torch.log_softmax(x, 1),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("opset", [17, 18])
def test_reductions(name: str, opset: int) -> None:
    check(REDUCTIONS[name], opset=opset)


ARRANGEMENTS: dict[str, Function] = {
    "Flatten": lambda x: torch.tanh(x.flatten(1)),
    "Reshape": lambda x: torch.tanh(x.reshape(-1, 2, 72)[:, 1]),
    "channel shuffle": lambda x: x.view(-1, 2, 2, 36).transpose(1, 2).reshape(-1, 4, 6, 6) * x,
    "Transpose": lambda x: torch.softmax(x.permute(0, 2, 3, 1), 1),
    "Unsqueeze": lambda x: torch.tanh(x.unsqueeze(1).squeeze(1).mean(3).unsqueeze(-1)),
    "Concat": lambda x: torch.cat([x * 2, torch.tanh(x), x.detach() * 0 + 1], 1) ** 2,
    "Split": lambda x: torch.mul(*torch.split(x, 2, 1)),
    "Split partly": lambda x: torch.tanh(torch.split(x, [1, 3], 1)[1]),
    "chunk": lambda x: torch.tanh(x.chunk(3, 3)[2]),
    "Slice": lambda x: torch.tanh(x[:, 1:3, ::2, -4:]),
    "Gather": lambda x: torch.tanh(x[:, :, 3]) * x[:, :, 5],
    "Gather twice": lambda x: torch.tanh(x[:, [0, 2, 2, 1]]),
    "roll": lambda x: torch.roll(x, (1, 2), (2, 3)) * x,
    "flip": lambda x: torch.flip(x, (3,)) * x,
    "Expand": lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 6, 5) ** 2,
    "Pad": lambda x: functional.pad(x, (1, 0, 2, 1)) ** 2,
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_arrangements(name: str) -> None:
    check(ARRANGEMENTS[name])


def norm(module: nn.Module) -> nn.Module:
    """Give a normalisation statistics and scales other than 0 and 1."""
    with torch.no_grad():
        for number, tensor in enumerate((*module.parameters(), *module.buffers())):
            if tensor.dtype == torch.float32:
                tensor.copy_(torch.linspace(0.3, 1.7, tensor.numel()).view_as(tensor) + number / 9)
    return module


MODULES: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: norm(nn.BatchNorm2d(4, eps=1e-2)),
    "layer norm": lambda: norm(nn.LayerNorm(6)),
    "layer norm of three axes": lambda: norm(nn.LayerNorm(SHAPE)),
    "instance norm": lambda: norm(nn.InstanceNorm2d(4, affine=True)),
    "group norm": lambda: norm(nn.GroupNorm(2, 4)),
    "PReLU": lambda: nn.PReLU(4, 0.3),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 5), nn.Tanh(), nn.Linear(5, 3)),
    "linear on the last axis": lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh()),
    "conv": lambda: nn.Conv2d(4, 6, 3, padding=1),
    "strided conv": lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "conv that leaves cells out": lambda: nn.Conv2d(4, 6, 2, stride=4),
    "grouped conv": lambda: nn.Conv2d(4, 8, 3, groups=2, dilation=2, padding=(1, 2)),
    "depthwise conv": lambda: nn.Conv2d(4, 4, (3, 5), groups=4, padding=(1, 2)),
    "same conv": lambda: nn.Conv2d(4, 4, 4, padding="same"),
    "max pool": lambda: nn.MaxPool2d(2),
    "max pool that leaves cells out": lambda: nn.MaxPool2d(4),
    "overlapping max pool": lambda: nn.MaxPool2d(3, 2, 1),
    "dilated max pool": lambda: nn.MaxPool2d(2, 1, dilation=3),
    "max pool with a partial window": lambda: nn.MaxPool2d(4, 4, ceil_mode=True),
    "average pool": lambda: nn.AvgPool2d(2),
    "average pool that leaves cells out": lambda: nn.AvgPool2d(4),
    "overlapping average pool": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=True),
    "average pool of real cells": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "average pool with a partial window": lambda: nn.AvgPool2d(
        4, 4, ceil_mode=True, count_include_pad=False
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_layers(name: str) -> None:
    torch.manual_seed(0)
    module = MODULES[name]()
    check(lambda x: torch.tanh(module(x)), module)


class Attention(nn.Module):
    """A transformer block with a class token, whose output is the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, 0.1, "gelu", batch_first=True)
        self.norm = nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)], 1)
        return self.norm(self.block(x))[:, 0]


@pytest.mark.parametrize("dynamo", [False, True], ids=["old exporter", "new exporter"])
def test_a_transformer_block(dynamo: bool) -> None:
    torch.manual_seed(0)
    module = Attention().eval()
    check(module, module, shape=(8, 3, 4), dynamo=dynamo, opset=18 if dynamo else 17)


class SqueezeAndExcite(nn.Module):
    """The end of an EfficientNet or MobileNet: convolutions, a gate, a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = norm(nn.BatchNorm2d(4))
        self.conv, self.gate = nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 4, 1)
        self.linear = nn.Linear(4, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.silu(self.norm(self.conv(x)))
        y = x + y * functional.hardsigmoid(self.gate(functional.adaptive_avg_pool2d(y, 1)))
        return self.linear(functional.hardswish(functional.adaptive_avg_pool2d(y, 1).flatten(1)))


@pytest.mark.parametrize("opset", [16, 18, 20])
@pytest.mark.parametrize("dynamo", [False, True], ids=["old exporter", "new exporter"])
def test_a_block_with_a_gate_and_a_skip_connection(opset: int, dynamo: bool) -> None:
    torch.manual_seed(0)
    module = SqueezeAndExcite().eval()
    check(module, module, opset=max(opset, 18) if dynamo else opset, dynamo=dynamo)
