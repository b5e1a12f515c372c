"""A run as one small file: every setting that its result depends on, apart from the data."""

import tomllib
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from fakelens.errors import FakelensError
from training.augment.settings import AugmentSettings

IMAGENET = "imagenet"


class RecipeError(FakelensError):
    """A recipe's file cannot be used."""


@dataclass(frozen=True)
class BankShare:
    """How many samples of a batch come from one packed folder of faces.

    Attributes:
        name: of the packed folder, see ``training.faces.pack``.
        samples: of four crops each.
    """

    name: str
    samples: int


@dataclass(frozen=True)
class Optimizer:
    """AdamW (Loshchilov & Hutter, ICLR 2019), one cycle of the learning rate.

    Attributes:
        rate: the highest learning rate.
        weight_decay: of matrices and kernels; biases and normalisations have none.
        momentum: of the two running averages.
        warm_up: share of the run in which the rate rises.
        last: rate at the end over the highest.
        clip: largest norm of the gradient.
    """

    rate: float = 8e-4
    weight_decay: float = 0.03
    momentum: tuple[float, float] = (0.9, 0.99)
    warm_up: float = 0.1
    last: float = 0.02
    clip: float = 2.0


@dataclass(frozen=True)
class Losses:
    """Weights of the losses; see ``training.objective``.

    Attributes:
        map: of the cells against the mask.
        ranking: of the real crop against the forged ones of its sample.
        agreement: of the two views of a real crop.
        origins: of the difference between the mean logits of real crops of two banks.
        smoothing: targets are this and 1 minus this.
        emphasis: weight that a forged cell has on top of 1.
    """

    map: float = 0.6
    ranking: float = 0.3
    agreement: float = 0.03
    origins: float = 0.0
    smoothing: float = 0.01
    emphasis: float = 2.0


@dataclass(frozen=True)
class Network:
    """What of the network is trained and how.

    Attributes:
        start: ``imagenet``, or the path of a state file, relative to the recipe's folder.
        dropout: share of channels of the pyramid that are left out.
        drop_path: chance that the last block is skipped.
        fixed_statistics: normalise by the statistics of the start; those of small batches are
            noisy.
        frozen: leading layers that stay as they are: the stem, then blocks.
        averaged: decay of the running average of the weights, which is what comes out (Polyak &
            Juditsky, 1992).
        compile: run the network through ``torch.compile``, which takes a minute at the start.
    """

    start: str = IMAGENET
    dropout: float = 0.15
    drop_path: float = 0.1
    fixed_statistics: bool = False
    frozen: int = 0
    averaged: float = 0.999
    compile: bool = False


@dataclass(frozen=True)
class Recipe:
    """A run.

    Attributes:
        seed: of the batches, dropout and new weights.
        steps: length of the run; the command may limit its seconds instead.
        banks: where samples come from; the crops of one with surroundings, listed first, lie
            around the tight crops of the next.
        prepared: samples of a batch that went through H.264, see ``training.prepare``.
        states: number of states that are written, evenly over the run.
        checks: number of validations, evenly over the run.
        checked: validation faces of each bank.
        network: what is trained.
        optimizer: how.
        losses: towards what.
        augment: the augmentation.
    """

    banks: tuple[BankShare, ...]
    seed: int = 0
    steps: int = 1300
    prepared: int = 0
    states: int = 4
    checks: int = 12
    checked: int = 300
    network: Network = field(default_factory=Network)
    optimizer: Optimizer = field(default_factory=Optimizer)
    losses: Losses = field(default_factory=Losses)
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        counts = (self.steps, self.states, self.checks, self.checked)
        if min(counts) < 1 or not self.banks or min(bank.samples for bank in self.banks) < 1:
            raise ValueError("steps, states, checks, checked and samples must be 1 or more")

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """Read a TOML file; every table and key is a field of the dataclasses.

        Raises:
            RecipeError: it is missing, no TOML, or has an unknown key or a value of another type.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise RecipeError(f"{path}: not valid TOML: {error}") from error
        try:
            recipe: Recipe = _build(cls, table, "")
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{path}: {error}") from error
        return recipe


def _build(kind: Any, value: Any, name: str) -> Any:
    """A value of a TOML file as the type of a field."""
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"{name} must be a table")
        types = get_type_hints(kind)
        known = {entry.name for entry in fields(kind)}
        if unknown := sorted(value.keys() - known):
            raise ValueError(f"unknown setting {_join(name, unknown[0])}")
        needed = {e.name for e in fields(kind) if e.default is e.default_factory is MISSING}
        if missing := sorted(needed - value.keys()):
            raise ValueError(f"the setting {_join(name, missing[0])} is missing")
        entries = {key: _build(types[key], entry, _join(name, key)) for key, entry in value.items()}
        return kind(**entries)  # type: ignore[operator]
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{name} must be a list")
        kinds = get_args(kind)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        if len(kinds) != len(value):
            raise ValueError(f"{name} must have {len(kinds)} values")
        return tuple(_build(entry, part, name) for entry, part in zip(kinds, value, strict=True))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"{name} must be of the type {kind.__name__}, not {value!r}")
    return value


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
