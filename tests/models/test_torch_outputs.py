"""From the outputs of torch classifiers to logits."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fakelens.errors import ModelError
from fakelens.models.torch import Convention, TorchModel
from support.meso_reference import make_card, random_crops
from support.torch_models import SIDE, ending

pytestmark = pytest.mark.usefixtures("one_thread")

CROPS = random_crops(3, SIDE)
Pair = namedtuple("Pair", "features scores")


@dataclass
class Result:
    scores: torch.Tensor


def adapt(module: nn.Module, *outputs: str, **convention) -> TorchModel:
    return TorchModel(module, make_card(SIDE, "auto"), Convention(outputs, **convention))


def plain(outputs: int, columns: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and gradients by plain autograd on the classifier without an ending."""
    module = ending(outputs).eval()
    planes = torch.from_numpy(CROPS).permute(0, 3, 1, 2) / 255
    activation = module.trunk(planes).detach().requires_grad_()
    logit = columns(module.linear(activation.mean((2, 3))))
    (gradient,) = torch.autograd.grad(logit.sum(), activation)
    return logit.detach().numpy(), gradient.numpy()


def check(model: TorchModel, outputs: int, columns: Callable) -> None:
    logit, gradient = plain(outputs, columns)
    evidence = model.examine(CROPS)
    np.testing.assert_allclose(evidence.logit, logit, atol=2e-6, rtol=1e-5)
    np.testing.assert_allclose(evidence.gradient, gradient, atol=1e-7)
    np.testing.assert_allclose(model.examine(CROPS[:1]).logit, logit[:1], atol=2e-6, rtol=1e-5)


SIGMOIDS = {
    "module": nn.Sigmoid(),
    "torch.sigmoid": torch.sigmoid,
    "method": lambda x: x.sigmoid(),
    "functional": functional.sigmoid,
    "expit": torch.special.expit,
    "in place": lambda x: x.sigmoid_(),
    "torch, in place": torch.sigmoid_,
    "logsigmoid": functional.logsigmoid,
    "squeeze": lambda x: x.sigmoid().squeeze(),
    "flatten": lambda x: x.sigmoid().flatten(),
    "view": lambda x: x.sigmoid().view(-1),
    "float": lambda x: x.sigmoid().float().squeeze(1),
    "copies": lambda x: x.sigmoid().double().clone().to(torch.float64)[:, 0].contiguous(),
    "column": lambda x: x.sigmoid()[:, 0],
}


@pytest.mark.parametrize("end", SIGMOIDS.values(), ids=SIGMOIDS)
def test_a_sigmoid_is_left_out(end: Callable) -> None:
    model = adapt(ending(1, end), "fake")
    assert "the sigmoid at its end is left out" in model.notes[1]
    check(model, 1, lambda scores: scores[:, 0])
    check(adapt(ending(1, end), "real"), 1, lambda scores: -scores[:, 0])


SOFTMAXES = {
    "module": nn.Softmax(1),
    "functional": lambda x: functional.softmax(x, dim=-1),
    "method": lambda x: x.softmax(1),
    "log": lambda x: functional.log_softmax(x, 1),
    "none": None,
    "dtype": lambda x: torch.softmax(x, 1, dtype=torch.float64).float(),
    "squeeze": lambda x: x.softmax(1).squeeze(),
}


@pytest.mark.parametrize("end", SOFTMAXES.values(), ids=SOFTMAXES)
def test_two_and_more_classes(end: Callable | None) -> None:
    check(adapt(ending(2, end), "fake", "real"), 2, lambda s: s[:, 0] - s[:, 1])
    outputs = ("swap", "real", "reenactment", "entire", "painting")
    model = adapt(ending(5, end), *outputs, fake=("swap", "reenactment", "entire"))
    check(model, 5, lambda s: s[:, [0, 2, 3]].logsumexp(1) - s[:, [1, 4]].logsumexp(1))
    # The definition: the odds of all fake classes together.
    module = ending(5).eval()
    with torch.no_grad():
        odds = module(torch.from_numpy(CROPS).permute(0, 3, 1, 2) / 255).double().softmax(1)
    fake = odds[:, [0, 2, 3]].sum(1)
    np.testing.assert_allclose(model.examine(CROPS).logit, (fake / (1 - fake)).log(), atol=1e-5)


def test_one_class_of_a_softmax_is_a_sigmoid() -> None:
    end = lambda x: x.softmax(1)[:, 1]  # noqa: E731
    check(adapt(ending(2, end), "fake"), 2, lambda s: s[:, 1] - s[:, 0])
    check(adapt(ending(2, end), "real"), 2, lambda s: s[:, 0] - s[:, 1])
    end = lambda x: x.softmax(1)[:, 2:]  # noqa: E731
    check(adapt(ending(3, end), "fake"), 3, lambda s: s[:, 2] - s[:, :2].logsumexp(1))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(("logit", "score"), [(9.21024, 0.9999), (60, 1), (-60, 0), (-3, 0.04743)])
def test_scores_are_exact_and_saturated_ones_keep_their_logit(
    outputs: int, logit: float, score: float
) -> None:
    module = ending(outputs, nn.Sigmoid() if outputs == 1 else nn.Softmax(1))
    with torch.no_grad():
        module.linear.weight.mul_(1e-3)
        module.linear.bias.copy_(torch.tensor([logit, 0.0])[:outputs])
    evidence = adapt(module, *("fake", "real")[:outputs]).examine(CROPS)
    np.testing.assert_allclose(evidence.logit, logit, atol=0.02)
    np.testing.assert_allclose(1 / (1 + np.exp(-evidence.logit)), score, atol=2e-3)
    assert np.abs(evidence.gradient).max() > 1e-6


ASKS = {
    "1 - p": lambda x: 1 - x.sigmoid(),
    "in place": lambda x: x.sigmoid().clone().neg_().add_(1),
    "by hand": lambda x: 1 / (1 + torch.exp(-x)),
    "tanh": lambda x: (x.tanh() + 1) / 2,
    "hardsigmoid": functional.hardsigmoid,
    "clamp": lambda x: x.clamp(0, 1),
    "index": lambda x: torch.stack([x[:, 0], -x[:, 0]], 1).softmax(1).flip(1)[:, 0],
}


@pytest.mark.parametrize("end", ASKS.values(), ids=ASKS)
def test_other_numbers_from_0_to_1_must_be_explained(end: Callable) -> None:
    with pytest.raises(ModelError, match=r'lie between 0 and 1.*state values = "probabilities"'):
        adapt(ending(1, end), "fake")
    stated = adapt(ending(1, end), "fake", values="logits")
    with torch.no_grad():
        planes = torch.from_numpy(CROPS).permute(0, 3, 1, 2) / 255
        scores = stated.module(planes).numpy().reshape(3)
    np.testing.assert_allclose(stated.examine(CROPS).logit, scores, atol=1e-6)


def test_stated_probabilities_become_logits() -> None:
    model = adapt(ending(1, lambda x: 1 - x.sigmoid()), "real", values="probabilities")
    assert "cut at 1e-7" in model.notes[1]
    logit, gradient = plain(1, lambda scores: scores[:, 0])
    found = model.examine(CROPS)
    np.testing.assert_allclose(found.logit, logit, atol=1e-4)
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-4)
    both = adapt(ending(1, lambda x: torch.cat([x.sigmoid(), 1 - x.sigmoid()], 1)), "fake", "real")
    np.testing.assert_allclose(both.examine(CROPS).logit, logit, atol=1e-4)


def test_logits_that_happen_to_lie_between_0_and_1_are_logits() -> None:
    module = ending(1)
    with torch.no_grad():
        module.linear.weight.mul_(0.01)
        module.linear.bias.fill_(0.5)
    model = adapt(module, "fake")
    assert len(model.notes) == 1
    assert (np.abs(model.examine(CROPS).logit - 0.5) < 0.4).all()


def test_wrong_statements_are_refused() -> None:
    cases = [
        (1, nn.Sigmoid(), {"values": "logits"}, "not logits as stated: it ends in a sigmoid"),
        (
            1,
            lambda x: x - 5,
            {"values": "probabilities"},
            "outputs lie between .* not probabilities",
        ),
        (2, nn.Softmax(1), {"values": "logits"}, "not logits as stated: it ends in a softmax"),
        (2, None, {"values": "probabilities"}, "outputs lie between .* not probabilities"),
        (2, nn.Sigmoid(), {}, "each of its 2 outputs has a sigmoid of its own"),
        (2, lambda x: 1 - x.sigmoid(), {}, "do not sum to 1"),
        (1, nn.Softmax(1), {}, "softmax that is not one over its 1 outputs"),
        (2, nn.Softmax(0), {}, "softmax that is not one over its 2 outputs"),
        (3, None, {}, r"shape \(4, 3\), but .* output"),
        (1, lambda x: x.sigmoid().neg_(), {}, "has no gradient: one of the variables"),
        (1, lambda x: x.detach(), {}, "its output has no gradient"),
        (1, lambda x: (x > 0).int(), {}, "its output has no gradient|between 0 and 1"),
        (1, lambda x: x.mean(), {}, r"shape \(\), but 1 output per crop"),
        (2, lambda x: x.T, {}, r"shape \(2, 4\), but 2 outputs per crop"),
        (1, str, {}, "returns an object of the type str"),
    ]
    for outputs, end, convention, message in cases:
        names = ("fake", "real") if outputs == 2 else ("fake",)
        with pytest.raises(ModelError, match=message):
            adapt(ending(outputs, end), *names, **convention)


@pytest.mark.parametrize(
    ("end", "field"),
    [
        (lambda x: {"features": x * 2, "scores": x}, "scores"),
        (lambda x: (x * 2, x), 1),
        (lambda x: [x, x * 2], -2),
        (lambda x: Pair(x * 2, x), "scores"),
        (lambda x: Pair(x * 2, x), 1),
        (Result, "scores"),
        (lambda x: SimpleNamespace(scores=x), "scores"),
        (lambda x: {0: x}, 0),
    ],
)
def test_the_scores_can_be_a_field(end: Callable, field: str | int) -> None:
    check(adapt(ending(1, end), "fake", field=field), 1, lambda scores: scores[:, 0])
    saturated = lambda x: end(x.sigmoid())  # noqa: E731
    model = adapt(ending(1, saturated), "fake", field=field)
    check(model, 1, lambda scores: scores[:, 0])


@pytest.mark.parametrize(
    ("end", "field", "message"),
    [
        (lambda x: {"a": x, "b": x}, "c", "no field 'c', only a dictionary with the keys 'a', 'b'"),
        (lambda x: (x, x), 2, "no field 2, only a tuple of 2"),
        (lambda x: (x, x), "a", "no field 'a', only a tuple of 2"),
        (Result, "logits", "no field 'logits', only an object of the type Result"),
        (Result, 0, "no field 0, only an object of the type Result"),
        (lambda x: x, 0, r"no field 0, only one array of shape \(4, 1\)"),
        (lambda x: x, "data", r"no field 'data', only one array of shape \(4, 1\)"),
        (lambda x: x.detach().numpy(), None, "of the type ndarray: it must return a torch tensor"),
        (lambda x: None, None, "of the type NoneType: it must return a torch tensor"),
        (lambda x: (x, x), None, "returns a tuple of 2: state as field"),
        (lambda x: {"a": x}, None, "returns a dictionary with the keys 'a': state as field"),
        (lambda x: {"a": (x,)}, "a", "returns a tuple of 1 in the field 'a': state as field"),
    ],
)
def test_wrong_fields_are_refused(end: Callable, field: str | int | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        adapt(ending(1, end), "fake", field=field)


def test_an_ending_that_changes_is_refused() -> None:
    module = ending(1, nn.Sigmoid())
    model = adapt(module, "fake")
    module.end = None
    with pytest.raises(ModelError, match="for 3 crops, it no longer ends in a sigmoid"):
        model.examine(CROPS)
