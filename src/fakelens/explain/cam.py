"""Heatmap methods: how much each cell of the explained layer contributes to FAKE.

Every method takes an ``Evidence`` batch with activations and gradients (N, C, h, w) and returns
heatmaps (N, h, w) float32 in raw units. Nothing is normalised per face. A signed method keeps its
negative cells, which are evidence for REAL. Below, A is the activation, g the gradient of the fake
logit, and sums over h and w are per face and channel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import UsageError
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Evidence


def gradcam(evidence: Evidence) -> FloatArray:
    """Compute Grad-CAM without its final ReLU: sum over c of mean_hw(g) A.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-Based
    Localization", ICCV 2017, eq. 1 and 2.
    """
    return _weighted(evidence.gradient.mean(axis=(2, 3), keepdims=True), evidence.activation)


def gradcampp(evidence: Evidence) -> FloatArray:
    """Compute Grad-CAM++, never negative: relu(sum over c of w A), w = sum_hw(a relu(g)).

    The closed form for an exponential on top of the logit: a = g^2 / (2 g^2 + sum_hw(A) g^3), with
    1e-6 added to the denominator. Chattopadhay et al., "Grad-CAM++: Generalized Gradient-Based
    Visual Explanations for Deep Convolutional Networks", WACV 2018.
    """
    gradient = evidence.gradient.astype(np.float64)
    total = evidence.activation.sum(axis=(2, 3), keepdims=True, dtype=np.float64)
    square = gradient**2
    denominator = 2 * square + total * gradient * square + 1e-6
    alpha = _divide(square, denominator)
    weight = (alpha * np.maximum(gradient, 0)).sum(axis=(2, 3), keepdims=True)
    return np.maximum(_weighted(weight, evidence.activation), 0)


def hirescam(evidence: Evidence) -> FloatArray:
    """Compute HiResCAM: sum over c of g A, cell by cell.

    If the head is linear in A (or piecewise linear, without bias), the cells add up to the logit.
    Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
    convolutional neural networks", arXiv:2011.08891, 2020.
    """
    return _weighted(evidence.gradient, evidence.activation)


def layercam(evidence: Evidence) -> FloatArray:
    """Compute LayerCAM, never negative: relu(sum over c of relu(g) A).

    Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE
    TIP 2021.
    """
    positive = np.maximum(evidence.gradient, 0)
    return np.maximum(_weighted(positive, evidence.activation), 0)


def xgradcam(evidence: Evidence) -> FloatArray:
    """Compute XGrad-CAM without a final ReLU: sum over c of w A, w = sum_hw(g A) / sum_hw(A).

    Its cells have the same sum as those of HiResCAM. Fu et al., "Axiom-based Grad-CAM: Towards
    Accurate Visualization and Explanation of CNNs", BMVC 2020.
    """
    activation = evidence.activation.astype(np.float64)
    product = (evidence.gradient * activation).sum(axis=(2, 3), keepdims=True)
    weight = _divide(product, activation.sum(axis=(2, 3), keepdims=True))
    return _weighted(weight, activation)


def eigencam(evidence: Evidence) -> FloatArray:
    """Compute Eigen-CAM: A projected on its first right singular vector (rows are cells).

    A is not centred. The heatmap shows the strongest pattern in the layer, whatever its class. The
    sign of a singular vector is arbitrary: the sign that agrees with HiResCAM is used, or, where
    neither does, the one whose heatmap has a positive sum. Muhammad and Yeasin, "Eigen-CAM: Class
    Activation Map using Principal Components", IJCNN 2020.
    """
    activation = evidence.activation
    n, c, h, w = activation.shape
    cells = activation.reshape(n, c, h * w).swapaxes(1, 2)
    _, _, right = np.linalg.svd(cells, full_matrices=False)
    projection = (cells @ right[:, 0, :, None]).reshape(n, h, w)
    agreement = (projection * hirescam(evidence)).sum(axis=(1, 2), keepdims=True)
    total = projection.sum(axis=(1, 2), keepdims=True)
    opposed = np.where(agreement == 0, total, agreement) < 0
    return np.asarray(np.where(opposed, -projection, projection), np.float32)


def tf2cam(evidence: Evidence) -> FloatArray:
    """Reproduce the guided Grad-CAM of the original script, which explains REAL.

    Sum over c of mean_hw(G [A > 0] [G > 0]) A, where G is the gradient of the REAL score through
    its sigmoid. Computed in float32 as in the original: a saturated sigmoid gives a heatmap of
    zeros.
    """
    one = np.float32(1)
    with np.errstate(over="ignore"):  # exp of a large logit: the score is then exactly 0
        real = one / (one + np.exp(evidence.logit))
    slope = (real * (one - real))[:, None, None, None]
    gradient = -evidence.gradient * slope
    guided = np.where(evidence.activation > 0, np.maximum(gradient, 0), 0)
    return _weighted(guided.mean(axis=(2, 3), keepdims=True), evidence.activation)


@dataclass(frozen=True, slots=True)
class CamMethod:
    """A heatmap method.

    Attributes:
        name: name on the command line.
        title: the authors' spelling.
        function: ``Evidence`` -> (N, h, w) float32.
        unit: ``"logit"`` if a cell's value is a contribution to the fake logit, comparable
            between faces; ``"arbitrary"`` otherwise.
        positive: the class that positive cells are evidence for; ``"neither"`` if the method is
            not class-specific.
        signed: whether cells can be negative, that is evidence for the other class.
        reference: publication.
        note: one sentence of advice for users.
    """

    name: str
    title: str
    function: Callable[[Evidence], FloatArray]
    unit: Literal["logit", "arbitrary"]
    positive: Literal["fake", "real", "neither"]
    signed: bool
    reference: str
    note: str


METHODS = {
    method.name: method
    for method in (
        CamMethod(
            "hirescam",
            "HiResCAM",
            hirescam,
            "logit",
            positive="fake",
            signed=True,
            reference="Draelos and Carin 2020, arXiv:2011.08891",
            note="Each cell is its contribution to the logit.",
        ),
        CamMethod(
            "gradcam",
            "Grad-CAM",
            gradcam,
            "logit",
            positive="fake",
            signed=True,
            reference="Selvaraju et al., ICCV 2017",
            note="Averages the gradient over the map, which suits heads that pool by the mean.",
        ),
        CamMethod(
            "gradcam++",
            "Grad-CAM++",
            gradcampp,
            "arbitrary",
            positive="fake",
            signed=False,
            reference="Chattopadhay et al., WACV 2018",
            note="Weights positive gradients only; on MesoNet worse than Grad-CAM.",
        ),
        CamMethod(
            "layercam",
            "LayerCAM",
            layercam,
            "logit",
            positive="fake",
            signed=False,
            reference="Jiang et al., IEEE TIP 2021",
            note="HiResCAM of the positive gradients only: evidence for REAL is not shown.",
        ),
        CamMethod(
            "xgradcam",
            "XGrad-CAM",
            xgradcam,
            "logit",
            positive="fake",
            signed=True,
            reference="Fu et al., BMVC 2020",
            note="Spreads each channel's share of the logit over the channel's activation.",
        ),
        CamMethod(
            "eigencam",
            "Eigen-CAM",
            eigencam,
            "arbitrary",
            positive="neither",
            signed=True,
            reference="Muhammad and Yeasin, IJCNN 2020",
            note="Shows the strongest pattern in the layer, whatever class it is evidence for.",
        ),
        CamMethod(
            "tf2cam",
            "tf2cam (reproduction)",
            tf2cam,
            "arbitrary",
            positive="real",
            signed=False,
            reference="the original script's guided Grad-CAM",
            note="Explains REAL, not FAKE, and is zero where the model is certain; only for "
            "comparison with the original script.",
        ),
    )
}


def find_method(name: str) -> CamMethod:
    """Return the method of a name.

    Raises:
        UsageError: no method has this name; the message lists the names.
    """
    try:
        return METHODS[name]
    except KeyError as error:
        raise UsageError(
            f"there is no heatmap method {name!r}: choose one of {', '.join(METHODS)}"
        ) from error


def _weighted(weight: NDArray[np.floating], activation: NDArray[np.floating]) -> FloatArray:
    """Sum weight, (N, C, 1, 1) or (N, C, h, w), times activation (N, C, h, w) over c."""
    return np.asarray((weight * activation).sum(axis=1), np.float32)


def _divide(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the quotient, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
