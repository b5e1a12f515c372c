"""The heatmap methods that the benchmark compares: CAM and perturbation methods."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MissingExtraError, UsageError
from fakelens.evaluation import perturbation_methods, segments
from fakelens.explain import cam
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Model

Explainer: TypeAlias = Callable[[Model, NDArray[np.uint8], np.random.Generator], FloatArray]
"""From a model, a crop (side, side, 3) uint8 RGB and a random generator to (h, w) float32."""


@dataclass(frozen=True, slots=True)
class HeatmapMethod:
    """A heatmap method that the benchmark can measure.

    Attributes:
        name: name on the command line.
        title: the authors' spelling.
        reference: publication.
        explain: computes the heatmap; positive cells are evidence for FAKE (for tf2cam, for REAL).
        needs: import names of the optional packages it uses.
    """

    name: str
    title: str
    reference: str
    explain: Explainer
    needs: tuple[str, ...] = ()


def _from_cam(method: cam.CamMethod) -> HeatmapMethod:
    def explain(model: Model, crop: NDArray[np.uint8], _rng: np.random.Generator) -> FloatArray:
        (cells,) = method.function(model.examine(crop[None]))
        return np.asarray(cells, np.float32)

    return HeatmapMethod(method.name, method.title, method.reference, explain)


METHODS = {
    method.name: method
    for method in (
        *(_from_cam(method) for method in cam.METHODS.values()),
        HeatmapMethod(
            "scorecam",
            "Score-CAM",
            "Wang et al., CVPR Workshops 2020",
            perturbation_methods.scorecam,
        ),
        HeatmapMethod("rise", "RISE", "Petsiuk et al., BMVC 2018", perturbation_methods.rise),
        HeatmapMethod(
            "occlusion",
            "Occlusion",
            "Zeiler and Fergus, ECCV 2014",
            perturbation_methods.occlusion,
        ),
        HeatmapMethod(
            "kernelshap",
            "KernelSHAP",
            "Lundberg and Lee, NeurIPS 2017, by captum over SLIC segments",
            segments.kernelshap,
            needs=("captum", "torch", "sklearn", "skimage"),
        ),
    )
}

# Methods that explain REAL are measured only if they are named.
_NOT_BY_DEFAULT = {name for name, method in cam.METHODS.items() if method.positive == "real"}


def choose_methods(names: Sequence[str]) -> tuple[list[HeatmapMethod], list[str]]:
    """Return the methods to measure.

    Args:
        names: of the methods; if empty, all methods that explain FAKE and are installed.

    Returns:
        The methods, and a sentence about each that is not installed.

    Raises:
        UsageError: no method has a given name, or a name is given twice.
        MissingExtraError: a named method needs a package that is not installed.
    """
    if len(set(names)) < len(names):
        raise UsageError("a heatmap method is given twice: give each once")
    for name in names:
        if name not in METHODS:
            raise UsageError(
                f"there is no heatmap method {name!r}: choose one of {', '.join(METHODS)}"
            )
    chosen, notes = [], []
    for name in names or [name for name in METHODS if name not in _NOT_BY_DEFAULT]:
        method = METHODS[name]
        missing = [package for package in method.needs if find_spec(package) is None]
        if not missing:
            chosen.append(method)
        elif names:
            raise MissingExtraError(f"the heatmap method {name}", "benchmark")
        else:
            notes.append(
                f"{name} is not measured: it needs the extra 'benchmark' "
                f"({missing[0]} is not installed)"
            )
    return chosen, notes
