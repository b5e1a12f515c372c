"""What the weights of a classifier do not state: its preprocessing, its outputs and its layer."""

from dataclasses import dataclass
from typing import Literal

from fakelens.errors import UsageError

Values = Literal["auto", "logits", "probabilities"]
"""What a classifier returns: numbers before or after its sigmoid or softmax; or to be found out."""


@dataclass(frozen=True, slots=True)
class Convention:
    """Preprocessing of a classifier, and the meaning of its outputs.

    Attributes:
        outputs: name of the class of each output, in the order of the outputs. One output is the
            class of a sigmoid, such as ``("fake",)`` or ``("real",)``; several are those of a
            softmax, such as ``("real", "fake")``.
        mean: of red, green and blue pixels scaled to 0..1.
        std: likewise; the input of the classifier is ``(pixel / 255 - mean) / std``.
        fake: the classes that are deepfakes.
        colour: order of the colours in the classifier's input; ``mean`` and ``std`` are always in
            the order red, green, blue.
        channels: position of the colours in the input: (N, 3, H, W) or (N, H, W, 3).
        values: see ``Values``; ``"auto"`` recognises a sigmoid or softmax inside the classifier.
        field: key or index of the scores, if the classifier returns a dictionary, an object with
            attributes or a tuple; ``None`` if it returns one array.

    Raises:
        UsageError: no class is fake or all of several are; a class is unknown or repeated; a
            standard deviation is not positive, or a value is above 1.
    """

    outputs: tuple[str, ...]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fake: tuple[str, ...] = ("fake",)
    colour: Literal["rgb", "bgr"] = "rgb"
    channels: Literal["first", "last"] = "first"
    values: Values = "auto"
    field: str | int | None = None

    def __post_init__(self) -> None:
        if not self.outputs or len(set(self.outputs)) < len(self.outputs):
            raise UsageError(
                "state a class of its own for each output of a model, not "
                f"{', '.join(self.outputs) or 'none'}"
            )
        if len(self.outputs) == 1:
            if self.outputs[0] not in (*self.fake, "real"):
                raise UsageError(
                    f"the only output of a model must be fake or real, not {self.outputs[0]!r}"
                )
        elif unknown := sorted(set(self.fake) - set(self.outputs)):
            raise UsageError(
                f"the class {unknown[0]!r} is said to be fake, but the outputs of the model are "
                f"{', '.join(self.outputs)}: state which of them are fake"
            )
        elif not self.fake or len(set(self.fake)) == len(self.outputs):
            raise UsageError(
                "of several outputs, at least one must be fake and one must not, but fake is "
                f"{', '.join(self.fake) or 'none'} of {', '.join(self.outputs)}"
            )
        if min(self.std) <= 0:
            raise UsageError(f"the standard deviations must be positive, not {self.std}")
        if max(*map(abs, self.mean), *self.std) > 1:
            raise UsageError(
                f"mean and std are those of pixels scaled to 0..1, not {self.mean} and {self.std}: "
                "divide them by 255"
            )

    @property
    def is_fake(self) -> tuple[bool, ...]:
        """Whether each output is the class of a deepfake."""
        return tuple(output in self.fake for output in self.outputs)


@dataclass(frozen=True, slots=True)
class LayerLayout:
    """How the output of a layer is arranged.

    Attributes:
        kind: ``"channels_first"``: (N, C, h, w). ``"channels_last"``: (N, h, w, C). ``"tokens"``:
            (N, T, C), where the first ``class_tokens`` of the T tokens belong to no place and the
            others are the rows of the grid.
        grid: (h, w) of the tokens; ``None`` for the other kinds.
        class_tokens: number of tokens before those of the grid, such as class and register tokens.

    Raises:
        UsageError: tokens without a grid, or a grid without tokens.
    """

    kind: Literal["channels_first", "channels_last", "tokens"]
    grid: tuple[int, int] | None = None
    class_tokens: int = 0

    def __post_init__(self) -> None:
        if (self.kind == "tokens") != (self.grid is not None):
            raise UsageError("a layer of tokens, and no other, needs a grid (h, w)")
        if self.class_tokens < 0 or (self.grid and min(self.grid) < 1):
            raise UsageError(f"the numbers of tokens must be positive, not {self}")
