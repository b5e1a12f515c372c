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

Ending = Literal["none", "sigmoid", "softmax", "probability"]
"""How a classifier ends: in numbers; in a sigmoid or softmax, whose input is used; or in
probabilities whose logits have to be computed."""


class ActivationWatch(TorchFunctionMode):
    """Records the sigmoid and softmax functions that run while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Literal["sigmoid", "softmax"], torch.Tensor, torch.Tensor]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").partition(".")[0].strip("_")
        if name in ("sigmoid", "softmax") and isinstance(result, torch.Tensor):
            given = args[0] if args else (kwargs or {}).get("input")
            # An operation in place has destroyed its input.
            if isinstance(given, torch.Tensor) and given is not result:
                self.calls.append(("sigmoid" if name == "sigmoid" else "softmax", given, result))
        return result

    def before(self, scores: torch.Tensor) -> tuple[Ending, torch.Tensor]:
        """Return the function whose result, possibly reshaped, the scores are, and its input.

        ``"none"`` and the scores themselves if there is no such function.
        """
        for kind, given, result in reversed(self.calls):
            if result is scores or (
                result.numel() == scores.numel()
                and result.dtype == scores.dtype
                and result.is_contiguous()
                and scores.is_contiguous()
                and result.data_ptr() == scores.data_ptr()
            ):
                return kind, given.reshape(scores.shape)
        return "none", scores

    def any_of(self, count: int) -> bool:
        """Return whether a function ran on as many numbers as the scores have."""
        return any(result.numel() == count for _, _, result in self.calls)


def select_scores(output: object, convention: Convention, name: str) -> torch.Tensor:
    """Return the scores (N, ...) in the output of a classifier.

    Raises:
        ModelError: the output has no such field, or it is not an array.
    """
    field = convention.field
    found = output
    if field is not None:
        try:
            if isinstance(field, str) and not isinstance(output, Mapping):
                found = getattr(output, field)
            else:
                found = output[field]  # type: ignore[index]
        except (LookupError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{name}: the output has no field {field!r}, only {_describe(output)}"
            ) from error
    if not isinstance(found, torch.Tensor):
        raise ModelError(
            f"{name}: the classifier returns {_describe(found)}: state as field which of them are "
            "the scores"
        )
    return found


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
            _, scores = watch.before(scores)
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
    if scores.ndim == 0 or scores.shape[0] != count or scores.numel() != count * wanted:
        raise ModelError(
            f"{name}: for {count} crops the classifier returns an array of the shape "
            f"{tuple(scores.shape)}, but {wanted} output{'s' * (wanted != 1)} per crop "
            f"({', '.join(convention.outputs)}) are stated"
        )
    return scores.reshape(count, wanted).float()


def find_ending(output: object, watch: ActivationWatch, count: int, reader: OutputReader) -> Ending:
    """Find out how a classifier ends, from a trial run.

    Args:
        output: of the classifier, for some different crops.
        watch: that was active.
        count: number of crops.
        reader: with the convention and the name; its ending is not used.

    Raises:
        ModelError: the scores are not what the convention says, or it has to say more.
    """
    convention, name = reader.convention, reader.name
    scores = select_scores(output, convention, name)
    rows = as_rows(scores, convention, count, name)
    ending, _ = watch.before(scores)
    in_range = bool(((rows >= 0) & (rows <= 1)).all())
    several = rows.shape[1] > 1
    if ending == "sigmoid" and several:
        raise ModelError(
            f"{name}: each of its {rows.shape[1]} outputs has a sigmoid of its own, so they are "
            "not classes of which one is right: return the logits of one of them"
        )
    sums_to_one = bool(((rows.sum(1) - 1).abs() < _SUM_TOLERANCE).all())
    if ending == "none" and in_range and (sums_to_one if several else watch.any_of(count)):
        if not several and convention.values == "auto":
            raise ModelError(
                f"{name}: all its outputs lie between 0 and 1, so they may be probabilities: state "
                'values = "probabilities" or values = "logits"'
            )
        ending = "probability" if several or convention.values == "probabilities" else "none"
    if convention.values == "logits" and ending != "none":
        raise ModelError(
            f"{name}: its outputs are probabilities, not logits as stated"
            f"{f': it ends in a {ending}' if ending != 'probability' else ''}"
        )
    if convention.values == "probabilities" and ending == "none":
        if not in_range:
            raise ModelError(
                f"{name}: its outputs lie between {float(rows.min()):.3g} and "
                f"{float(rows.max()):.3g}, so they are not probabilities as stated"
            )
        return "probability"
    return ending
