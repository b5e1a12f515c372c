"""Superpixels: segments of similar colour, and what each of them adds to the logit (KernelSHAP).

Needs the extra ``benchmark``: scikit-image for SLIC, captum for KernelSHAP.
"""

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MissingExtraError
from fakelens.models.batching import compute_logits
from fakelens.records.arrays import FloatArray
from fakelens.records.models import Model
from fakelens.trust.imputation import remove_detail

SEGMENTS = 50
"""Number of segments requested from SLIC, as in Tsigos et al., MAD 2024; it is approximate."""

_SHAP_SAMPLES = 200


def segment(crop: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the segment of each pixel, (side, side), numbered from 0.

    The method is SLIC: Achanta et al., "SLIC Superpixels Compared to State-of-the-art Superpixel
    Methods", IEEE TPAMI 34, 2012.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    try:
        from skimage.segmentation import slic  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingExtraError("a measurement on segments", "benchmark") from error
    labels = slic(crop, n_segments=SEGMENTS, start_label=0)
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)


def kernelshap(
    model: Model,
    crop: NDArray[np.uint8],
    rng: np.random.Generator,
    samples: int = _SHAP_SAMPLES,
) -> FloatArray:
    """Compute KernelSHAP: each segment's Shapley value, spread over its pixels, (side, side).

    The pixels add up to the logit of the crop less that of the fully hidden crop. Lundberg and Lee,
    "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017, implemented by captum.
    Hidden segments are blurred, see ``trust.imputation.remove_detail``.

    Args:
        model: the explained model.
        crop: (side, side, 3) uint8 RGB.
        rng: random generator.
        samples: number of forward passes.

    Raises:
        MissingExtraError: captum or scikit-image is not installed.
    """
    try:
        import torch  # noqa: PLC0415 - optional
        from captum.attr import KernelShap  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingExtraError("the heatmap method kernelshap", "benchmark") from error
    labels = segment(crop)

    def logit(planes: "torch.Tensor") -> "torch.Tensor":
        return torch.from_numpy(compute_logits(model, planes.numpy().astype(np.uint8)))

    features = torch.from_numpy(labels)[None, :, :, None]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        attribution = KernelShap(logit).attribute(
            torch.from_numpy(crop)[None].float(),
            baselines=torch.from_numpy(remove_detail(crop))[None].float(),
            feature_mask=features,
            n_samples=samples,
            perturbations_per_eval=16,
        )
    values = attribution[0, :, :, 0].numpy()
    sizes = np.bincount(labels.ravel())
    return np.asarray(values / sizes[labels], np.float32)
