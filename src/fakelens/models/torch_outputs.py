"""From what a torch classifier returns to the logit of fake (extra ``torch``).

A sigmoid or softmax at the end of a classifier is found by watching the functions that torch runs,
wherever they are called, and its input is used instead of its output: the inverse of a saturated
sigmoid is not known.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.overrides import TorchFunctionMode

from fakelens.errors import ModelError
from fakelens.records.conventions import Convention

_SMALLEST = 1e-7  # distance from 0 and 1 of a probability whose logit is taken
_SUM_TOLERANCE = 1e-3
_MOST_NUMBERS = 4096  # per crop, of a function that may be the end of a classifier

# Results of the last operation with weights are numbers of any size, whatever came before it.
_WEIGHTED = ("Addmm", "Mm", "Bmm", "Baddbmm", "Addbmm", "Mv", "Addmv", "Dot", "Linear", "Convol")
_BOUNDED = (
    *("Sigmoid", "LogSigmoid", "Softmax", "LogSoftmax", "Hardsigmoid", "Exp", "Expm1", "Tanh"),
    *("Clamp", "ClampMin", "ClampMax", "Hardtanh", "Reciprocal", "Erf", "Atan"),
)
_COPIES = ("float", "double", "half", "bfloat16", "to", "type", "contiguous", "clone")

_Function = Literal["sigmoid", "softmax"]
_FUNCTIONS: dict[str, _Function] = {
    "sigmoid": "sigmoid",
    "special_expit": "sigmoid",
    "log_sigmoid": "sigmoid",
    "softmax": "softmax",
}

Ending = Literal["none", "sigmoid", "softmax", "probability"]
"""How a classifier ends: in numbers; in a sigmoid or softmax, whose input is used; or in
probabilities whose logits have to be computed."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """A sigmoid or softmax that ran, with its input, its result, and the state of the latter."""

    kind: _Function
    given: torch.Tensor
    result: torch.Tensor
    version: int

    def returned(self, scores: torch.Tensor) -> bool:
        """Return whether the scores are the result, possibly reshaped, and not changed since."""
        result = self.result
        same = result is scores or (
            result.numel() == scores.numel()
            and result.dtype == scores.dtype
            and result.is_contiguous()
            and scores.is_contiguous()
            and result.data_ptr() == scores.data_ptr()
        )
        return same and _version(result) == self.version

    def selected(self, scores: torch.Tensor) -> bool:
        """Return whether the scores are one class of a softmax over two axes."""
        result = self.result
        return (
            self.kind == "softmax"
            and result.ndim == 2
            and result.is_contiguous()
            and scores.numel() == len(result)
            and scores.dtype == result.dtype
            and scores.untyped_storage().data_ptr() == result.untyped_storage().data_ptr()
            and (scores.numel() == 1 or scores.stride(0) == result.shape[1])
            and _version(result) == self.version
        )


class ActivationWatch(TorchFunctionMode):
    """Records the sigmoid and softmax functions that run while it is active.

    While it is active, a classifier cannot switch gradients off, as those do whose trunk was not
    trained.

    Attributes:
        held_gradients: whether the classifier tried to switch them off.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held_gradients = False
        self._calls: list[_Call] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        full_name = getattr(func, "__name__", "").partition(".")[0]
        if full_name == "_set_grad_enabled":
            self.held_gradients |= not args[0]
            return None
        name = full_name.strip("_")
        if name not in _FUNCTIONS and name not in _COPIES:
            return func(*args, **kwargs)
        given = args[0] if args else kwargs.get("input")
        if not isinstance(given, torch.Tensor):
            return func(*args, **kwargs)
        if full_name.endswith("_"):  # it overwrites its input
            before = given.clone()
            result = func(*args, **kwargs)
        else:
            before = given
            result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor) and result.numel() <= _MOST_NUMBERS * max(
            1, *result.shape[:1]
        ):
            if name in _FUNCTIONS:
                self._calls.append(_Call(_FUNCTIONS[name], before, result, _version(result)))
            elif result is not given:
                self._follow(given, result)
        return result

    def _follow(self, given: torch.Tensor, copy: torch.Tensor) -> None:
        for call in reversed(self._calls):
            if call.returned(given):
                self._calls.append(_Call(call.kind, call.given, copy, _version(copy)))
                return

    def before(self, scores: torch.Tensor) -> tuple[Ending, torch.Tensor]:
        """Return the function whose result, possibly reshaped, the scores are, and its input.

        For one class of a softmax, which is a sigmoid of one logit, that logit is returned.

        ``"none"`` and the scores themselves if there is no such function.
        """
        for call in reversed(self._calls):
            if call.returned(scores):
                return call.kind, call.given.reshape(scores.shape)
            if call.selected(scores):
                number = scores.storage_offset() - call.result.storage_offset()
                given = call.given.float()
                others = torch.arange(given.shape[1], device=given.device) != number
                logit = given[:, number] - given[:, others].logsumexp(1)
                return "sigmoid", logit.reshape(scores.shape)
        return "none", scores


def _version(tensor: torch.Tensor) -> int:
    """Return how often a tensor was changed in place."""
    return -1 if tensor.is_inference() else tensor._version


def may_be_bounded(scores: torch.Tensor) -> bool:
    """Return whether a function with a limited range ran after the last weights.

    Args:
        scores: with their gradient history.
    """
    waiting, seen = [scores.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        name = node.name().rpartition(":")[2].partition("Backward")[0]
        if name in _BOUNDED:
            return True
        if not name.startswith(_WEIGHTED):
            waiting.extend(before for before, _ in node.next_functions)
    return False


def select_scores(output: object, convention: Convention, name: str) -> torch.Tensor:
    """Return the scores (N, ...) in the output of a classifier.

    Raises:
        ModelError: the output has no such field, or it is not an array.
    """
    field = convention.field
    found = output
    if field is not None:
        # A tensor has attributes and rows, which are no fields.
        fields = () if isinstance(output, torch.Tensor) else output
        try:
            if isinstance(field, str) and not isinstance(fields, Mapping):
                found = getattr(fields, field)
            else:
                found = fields[field]  # type: ignore[index]
        except (LookupError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{name}: the output has no field {field!r}, only {_describe(output)}"
            ) from error
    if found is None or type(found).__module__ == "numpy":
        raise ModelError(
            f"{name}: the classifier returns {_describe(found)}{_within(field)}: it must return a "
            "torch tensor of scores"
        )
    if not isinstance(found, torch.Tensor):
        raise ModelError(
            f"{name}: the classifier returns {_describe(found)}{_within(field)}: state as field "
            "which part of the output is the array of scores"
        )
    return found


def _within(field: str | int | None) -> str:
    return "" if field is None else f" in the field {field!r}"


def _describe(output: object) -> str:
    if isinstance(output, Mapping):
        return f"a dictionary with the keys {', '.join(map(repr, output))}"
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {len(output)}"
    if isinstance(output, torch.Tensor):
        return f"one array of shape {tuple(output.shape)}"
    return f"an object of the type {type(output).__name__}"


@dataclass(frozen=True, slots=True)
class OutputReader:
    """Computes the logit of fake from the output of a classifier.

    Attributes:
        convention: meaning of the outputs.
        ending: how the classifier ends.
        name: of the model, for messages.
    """

    convention: Convention
    ending: Ending
    name: str

    @property
    def watches(self) -> bool:
        """Whether an ``ActivationWatch`` must be active while the classifier runs."""
        return self.ending in ("sigmoid", "softmax")

    def logit(self, output: object, watch: ActivationWatch | None, count: int) -> torch.Tensor:
        """Return the logits (N,) float32, positive = fake.

        Args:
            output: of the classifier.
            watch: that was active; needed if ``watches``.
            count: number of crops.

        Raises:
            ModelError: the output has another shape than the convention says.
        """
        scores = select_scores(output, self.convention, self.name)
        if watch is not None and self.watches:
            ending, scores = watch.before(scores)
            if ending != self.ending:
                raise ModelError(
                    f"{self.name}: for {count} crops, it no longer ends in a {self.ending}, as it "
                    "did when it was loaded"
                )
        rows = as_rows(scores, self.convention, count, self.name)
        if self.ending == "probability":
            rows = rows.clamp(_SMALLEST, 1 - _SMALLEST)
            rows = rows.log() if rows.shape[1] > 1 else rows.logit()
        fake = torch.tensor(self.convention.is_fake, device=rows.device)
        if rows.shape[1] == 1:
            return rows[:, 0] if bool(fake[0]) else -rows[:, 0]
        return rows[:, fake].logsumexp(1) - rows[:, ~fake].logsumexp(1)


def as_rows(scores: torch.Tensor, convention: Convention, count: int, name: str) -> torch.Tensor:
    """Return scores as (N, K) float32.

    Raises:
        ModelError: there are not as many scores as classes and crops.
    """
    wanted = len(convention.outputs)
    # For one crop, a module that squeezes its output drops the batch axis too.
    if scores.numel() != count * wanted or (count > 1 and scores.shape[0] != count):
        raise ModelError(
            f"{name}: for {count} crops the classifier returns an array of the shape "
            f"{tuple(scores.shape)}, but {wanted} output{'s' * (wanted != 1)} per crop "
            f"({', '.join(convention.outputs)}) are stated"
        )
    return scores.reshape(count, wanted).float()


def find_ending(output: object, watch: ActivationWatch, count: int, reader: OutputReader) -> Ending:
    """Find out how a classifier ends, from a trial run.

    Args:
        output: of the classifier, for some different crops, with its gradient history.
        watch: that was active.
        count: number of crops, at least 2.
        reader: with the convention and the name; its ending is not used.

    Raises:
        ModelError: the scores are not what the convention says, or it has to say more.
    """
    convention, name = reader.convention, reader.name
    scores = select_scores(output, convention, name)
    rows = as_rows(scores.detach(), convention, count, name)
    ending, _ = watch.before(scores)
    in_range = bool(((rows >= 0) & (rows <= 1)).all())
    several = rows.shape[1] > 1
    tolerance = max(_SUM_TOLERANCE, rows.shape[1] * _epsilon(scores))
    sums_to_one = bool(((rows.sum(1) - 1).abs() < tolerance).all())
    if ending == "sigmoid" and several:
        raise ModelError(
            f"{name}: each of its {rows.shape[1]} outputs has a sigmoid of its own, so they are "
            "not classes of which one is right: return the logits of one of them"
        )
    if ending == "softmax" and not (several and sums_to_one):
        raise ModelError(
            f"{name}: ends in a softmax that is not one over its {rows.shape[1]} outputs: return "
            "the input of the softmax"
        )
    if ending == "none" and in_range:
        ending = _ending_of_numbers(scores, sums_to_one if several else None, reader)
    if convention.values == "logits" and ending != "none":
        raise ModelError(
            f"{name}: its outputs are probabilities, not logits as stated"
            f"{f': it ends in a {ending}' if ending != 'probability' else ''}"
        )
    if convention.values == "probabilities" and ending == "none":
        raise ModelError(
            f"{name}: its outputs lie between {float(rows.min()):.3g} and "
            f"{float(rows.max()):.3g}, so they are not probabilities as stated"
        )
    return ending


def _ending_of_numbers(
    scores: torch.Tensor, sums_to_one: bool | None, reader: OutputReader
) -> Ending:
    """Tell whether scores between 0 and 1 are probabilities, without a function that says so.

    Args:
        scores: in the output of a trial run.
        sums_to_one: whether those of each crop do; ``None`` for one score per crop.
        reader: see ``find_ending``.
    """
    if sums_to_one:
        return "probability"
    values, name = reader.convention.values, reader.name
    if sums_to_one is None and values != "auto":
        return "probability" if values == "probabilities" else "none"
    if values == "logits" or not (values == "probabilities" or may_be_bounded(scores)):
        return "none"
    if sums_to_one is None:
        raise ModelError(
            f"{name}: all its outputs lie between 0 and 1, so they may be probabilities: state "
            'values = "probabilities" or values = "logits"'
        )
    raise ModelError(
        f"{name}: its outputs lie between 0 and 1, but do not sum to 1, so they are not "
        "probabilities of classes of which one is right: return the logits"
    )


def _epsilon(scores: torch.Tensor) -> float:
    return torch.finfo(scores.dtype).eps if scores.is_floating_point() else 0.0
