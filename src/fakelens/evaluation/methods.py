"""The heatmap methods that the benchmark compares: those of ``explain``, and those that probe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MissingExtraError, UsageError
from fakelens.evaluation import probing, segments
from fakelens.explain import cam as explain
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Model

Explainer: TypeAlias = Callable[[Model, NDArray[np.uint8], np.random.Generator], FloatArray]
"""From a model, a crop (side, side, 3) uint8 and the source of chance to a map (h, w) float32."""


@dataclass(frozen=True, slots=True)
class HeatmapMethod:
    """A way to a heatmap.

    Attributes:
        name: on the command line.
        title: as its authors write it.
        reference: where it was published.
        explain: makes the map; positive cells speak for FAKE, but for tf2cam's.
        needs: optional packages, by the names they are imported by.
    """

    name: str
    title: str
    reference: str
    explain: Explainer
    needs: tuple[str, ...] = ()


def _from_layer(method: explain.CamMethod) -> HeatmapMethod:
    def one(model: Model, crop: NDArray[np.uint8], _rng: np.random.Generator) -> FloatArray:
        (cells,) = method.function(model.examine(crop[None]))
        return np.asarray(cells, np.float32)

    return HeatmapMethod(method.name, method.title, method.reference, one)


METHODS = {
    method.name: method
    for method in (
        *(_from_layer(method) for method in explain.METHODS.values()),
        HeatmapMethod(
            "scorecam", "Score-CAM", "Wang et al., CVPR Workshops 2020", probing.scorecam
        ),
        HeatmapMethod("rise", "RISE", "Petsiuk et al., BMVC 2018", probing.rise),
        HeatmapMethod("occlusion", "Occlusion", "Zeiler and Fergus, ECCV 2014", probing.occlusion),
        HeatmapMethod(
            "kernelshap",
            "KernelSHAP",
            "Lundberg and Lee, NeurIPS 2017, by captum over SLIC segments",
            segments.kernelshap,
            needs=("captum", "torch", "sklearn", "skimage"),
        ),
    )
}

_LEFT_OUT = {name for name, method in explain.METHODS.items() if method.positive == "real"}


def choose_methods(names: Sequence[str]) -> tuple[list[HeatmapMethod], list[str]]:
    """The methods of some names; of none, all that do not explain REAL.

    Returns:
        The methods, and a sentence about each that could not be had and was not asked for by name.

    Raises:
        UsageError: there is no method of a name, or one is given twice.
        MissingExtraError: a method that was asked for needs a package that is not installed.
    """
    if len(set(names)) < len(names):
        raise UsageError("a heatmap method is given twice")
    for name in names:
        if name not in METHODS:
            raise UsageError(
                f"there is no heatmap method {name!r}: give one of {', '.join(METHODS)}"
            )
    chosen, notes = [], []
    for name in names or [name for name in METHODS if name not in _LEFT_OUT]:
        method = METHODS[name]
        missing = [package for package in method.needs if find_spec(package) is None]
        if not missing:
            chosen.append(method)
        elif names:
            raise MissingExtraError(f"the heatmap method {name}", "benchmark")
        else:
            notes.append(
                f"{name} was left out: it needs the optional part 'benchmark' "
                f"({missing[0]} is not installed)"
            )
    return chosen, notes
