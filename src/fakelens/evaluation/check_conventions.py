"""Other preprocessings that a model may have been trained with, to compare with the stated one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import FakelensError
from fakelens.records.arrays import FloatArray
from fakelens.records.conventions import Convention
from fakelens.records.models import HasConvention, Model

Triple = tuple[float, float, float]

SCALES: dict[str, tuple[Triple, Triple]] = {
    "0 to 1": ((0, 0, 0), (1, 1, 1)),
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "-1 to 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "0 to 255": ((0, 0, 0), (1 / 255, 1 / 255, 1 / 255)),
}
"""Common means and standard deviations of red, green and blue, by name."""

_MAX_CLIPPED = 0.02  # share of the pixel values that an emulation may clip


@dataclass(frozen=True, slots=True)
class Alternative:
    """A model with another preprocessing than stated.

    Attributes:
        name: the preprocessing, to end a sentence such as "separates better with".
        advice: what to do if it is the right one; a sentence.
        model: to give the changed crops to.
        change: changes crops (N, S, S, 3) uint8 RGB.
    """

    name: str
    advice: str
    model: Model
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def reversed_colours(model: Model) -> Alternative | None:
    """Return the model with the order of the colours reversed; ``None`` if it cannot run so."""
    if isinstance(model, HasConvention):
        now = model.convention
        other: Convention = replace(now, colour="bgr" if now.colour == "rgb" else "rgb")
        changed = _with_convention(model, other)
        advice = f'state colour = "{other.colour}"'
        if changed is None:
            return None
        return Alternative(other.colour.upper(), advice, changed, _same)
    advice = "reverse the colours in the preprocessing inside the model"
    return Alternative("BGR", advice, model, _reverse)


def other_scales(model: Model, crops: NDArray[np.uint8]) -> list[Alternative]:
    """Return the model with other means and standard deviations, as far as it can run so.

    Where the preprocessing is inside the model, pixels are changed to have the same effect. This
    is possible only where few pixel values leave the range of 0 to 255, that is where the model
    expects a wider range than it should.

    Args:
        model: to change.
        crops: (N, S, S, 3) uint8 RGB, on which clipping is measured.
    """
    if isinstance(model, HasConvention):
        return list(_stated_scales(model))
    found = []
    for inside in SCALES:
        for wanted in SCALES:
            factor, offset = _conversion(inside, wanted)
            values = crops * factor + offset
            if inside == wanted or np.mean((values < 0) | (values > 255)) > _MAX_CLIPPED:
                continue
            if np.ptp(values) < 64:  # too few grey levels are left
                continue
            name = f"pixels scaled to {wanted} instead of {inside}"
            advice = f"if the preprocessing inside the model is that of {inside}, change it"
            found.append(Alternative(name, advice, model, _rescaling(factor, offset)))
    return found


def _stated_scales(model: HasConvention) -> Iterator[Alternative]:
    now = model.convention
    for name, (mean, std) in SCALES.items():
        if np.allclose((now.mean, now.std), (mean, std), rtol=0.02, atol=1e-3):
            continue
        changed = _with_convention(model, replace(now, mean=mean, std=std))
        if changed is not None:
            values = f"mean = {_listed(mean)}, std = {_listed(std)}"
            yield Alternative(f"pixels scaled to {name}", f"state {values}", changed, _same)


def _with_convention(model: HasConvention, convention: Convention) -> Model | None:
    try:
        return model.with_convention(convention)
    except FakelensError:  # the adapter refuses what cannot be right
        return None


def _conversion(inside: str, wanted: str) -> tuple[FloatArray, FloatArray]:
    """Return factor and offset that turn pixels into those with which ``inside`` acts as wanted."""
    (mean, std), (new_mean, new_std) = (np.array(SCALES[name]) for name in (inside, wanted))
    factor = std / new_std
    return factor.astype(np.float32), (255 * (mean - factor * new_mean)).astype(np.float32)


def _rescaling(
    factor: FloatArray, offset: FloatArray
) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    def rescale(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        values = np.clip(np.rint(crops * factor + offset), 0, 255)
        return np.asarray(values, np.uint8)

    return rescale


def _same(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return crops


def _reverse(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(crops[..., ::-1])


def _listed(values: Triple) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values) + "]"
