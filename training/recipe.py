"""Recipes: TOML files with every setting that a training run depends on, apart from the data."""

import tomllib
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from fakelens.errors import FakelensError
from training.augment.settings import AugmentSettings

IMAGENET = "imagenet"


class RecipeError(FakelensError):
    """A recipe file cannot be used."""


@dataclass(frozen=True)
class BankShare:
    """Number of samples per batch from one packed folder of faces.

    Attributes:
        name: name of the packed folder, see ``training.faces.pack``.
        samples: number of samples per batch, of four crops each.
    """

    name: str
    samples: int


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW (Loshchilov & Hutter, ICLR 2019) with one cycle of the learning rate.

    Attributes:
        rate: peak learning rate.
        weight_decay: weight decay of matrices and kernels; biases and normalisations have none.
        momentum: decay of AdamW's two running averages.
        warm_up: share of the run in which the rate rises.
        last: learning rate at the end, relative to the peak.
        clip: largest norm of the gradient.
    """

    rate: float = 8e-4
    weight_decay: float = 0.03
    momentum: tuple[float, float] = (0.9, 0.99)
    warm_up: float = 0.1
    last: float = 0.02
    clip: float = 2.0


@dataclass(frozen=True)
class LossWeights:
    """Weights and parameters of the losses; see ``training.objective``.

    Attributes:
        map: weight of the map loss: cells against the mask.
        ranking: weight of the ranking loss: real crop against the forged ones of its sample.
        agreement: weight of the agreement loss: two views of a real face.
        origins: weight of the origins loss: mean logits of the real crops of different banks.
        smoothing: label smoothing; targets are this and 1 minus this.
        emphasis: additional weight of a forged cell, on top of 1.
    """

    map: float = 0.6
    ranking: float = 0.3
    agreement: float = 0.03
    origins: float = 0.0
    smoothing: float = 0.01
    emphasis: float = 2.0


@dataclass(frozen=True)
class NetworkSettings:
    """Initial weights and regularisation of the network.

    Attributes:
        start: ``imagenet``, or the path of a state file, relative to the recipe's folder.
        dropout: share of the pyramid's channels that are dropped.
        drop_path: probability that the last block is skipped; lower for earlier blocks.
        fixed_statistics: normalise with the initial batch statistics; those of small batches are
            noisy.
        frozen: number of leading layers that are not trained: the stem, then blocks.
        averaged: decay of the running average of the weights, which is the result of the run
            (Polyak & Juditsky, 1992).
        compile: use ``torch.compile``, which takes a minute at the start.
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
    """All settings of a training run.

    Attributes:
        banks: sources of the samples. Crops of a bank with surroundings are used as surroundings
            of the tight crops of the banks listed after it.
        seed: random seed of batches, dropout and new weights.
        steps: length of the run, unless the command limits it in seconds.
        prepared: number of samples per batch that were compressed ahead with H.264, see
            ``training.prepare``.
        compressed: number of samples per batch that are compressed with H.264 while the device
            trains, see ``training.live_codec``; a multiple of the number of banks.
        states: number of states to write, evenly spread over the run.
        checks: number of validations, evenly spread over the run.
        checked: number of validation faces of each bank.
        network: initial weights and regularisation.
        optimizer: optimizer and learning rate.
        losses: weights of the losses.
        augment: settings of the augmentation.
    """

    banks: tuple[BankShare, ...]
    seed: int = 0
    steps: int = 1300
    prepared: int = 0
    compressed: int = 0
    states: int = 4
    checks: int = 12
    checked: int = 300
    network: NetworkSettings = field(default_factory=NetworkSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    losses: LossWeights = field(default_factory=LossWeights)
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        counts = (self.steps, self.states, self.checks, self.checked)
        if min(counts) < 1 or not self.banks or min(bank.samples for bank in self.banks) < 1:
            raise ValueError("steps, states, checks, checked and samples must be 1 or more")
        if self.compressed % len(self.banks):
            raise ValueError("compressed must be a multiple of the number of banks")

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        """Read a TOML file, whose tables and keys are the fields of these dataclasses.

        Raises:
            RecipeError: the file is missing or not valid TOML, a key is unknown or missing, or a
                value has the wrong type.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise RecipeError(f"{path} is not valid TOML: {error}") from error
        try:
            recipe: Recipe = _convert(cls, table, "")
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{path}: {error}") from error
        return recipe


def _convert(kind: Any, value: Any, name: str) -> Any:
    """Convert a TOML value to the type of a field.

    Args:
        kind: type of the field.
        value: value in the TOML file.
        name: dotted name of the setting, for messages.

    Raises:
        TypeError: the value has the wrong type.
        ValueError: a key is unknown or missing, or a list has the wrong length.
    """
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"{name} must be a table")
        types = get_type_hints(kind)
        known = {entry.name for entry in fields(kind)}
        if unknown := sorted(value.keys() - known):
            raise ValueError(f"unknown setting {_join(name, unknown[0])}")
        required = {e.name for e in fields(kind) if e.default is e.default_factory is MISSING}
        if missing := sorted(required - value.keys()):
            raise ValueError(f"the setting {_join(name, missing[0])} is missing")
        entries = {
            key: _convert(types[key], entry, _join(name, key)) for key, entry in value.items()
        }
        return kind(**entries)  # type: ignore[operator]
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{name} must be a list")
        kinds = get_args(kind)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        if len(kinds) != len(value):
            raise ValueError(f"{name} must have {len(kinds)} values")
        return tuple(_convert(entry, part, name) for entry, part in zip(kinds, value, strict=True))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"{name} must have the type {kind.__name__}, not {value!r}")
    return value


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
