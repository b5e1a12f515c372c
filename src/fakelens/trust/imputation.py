"""Image imputation: replace an area of an image by a blur or by its interpolated surroundings."""

from importlib.util import find_spec

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MissingExtraError
from fakelens.records.arrays import RGBImage
from fakelens.records.trust import Ablation

_EDGE = 0.01  # width of the soft edge over the side of the crop; a hard edge would be an artefact
_NOISE = 0.01 * 255  # standard deviation in grey levels, as in Rong et al.


def check_ablation(ablation: Ablation) -> None:
    """Check that the packages an ablation needs are installed.

    Raises:
        MissingExtraError: one is missing.
    """
    if ablation == "road" and find_spec("scipy") is None:
        raise MissingExtraError("the ablation road", "road")


def remove_detail(image: RGBImage) -> RGBImage:
    """Blur an image so strongly that only local colour and brightness remain.

    A Gaussian with a standard deviation of a twelfth of the side removes eyes and mouth. A deepfake
    detector reacts to any change of a face; of the replacements tried, this one disturbs it least.
    Blurring a random tenth of 20 real faces moved the logits of fakelens-patch and MesoInception_DF
    by 0.5 and 1.5 (filling with the crop's mean colour: 0.5 and 2.5; weaker blurs and soft edges:
    no less), mostly towards FAKE.

    Args:
        image: (S, S, 3) uint8 RGB.
    """
    sigma = image.shape[0] / 12
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    return blurred.astype(np.uint8, copy=False)


def remove_cells(crop: RGBImage, mask: NDArray[np.bool_], ablation: Ablation) -> RGBImage:
    """Replace the pixels of marked cells, or for ``"insertion"`` all pixels but these.

    Args:
        crop: (S, S, 3) uint8 RGB.
        mask: (h, w), the marked cells.
        ablation: ``"deletion"``, ``"insertion"`` or ``"road"``.
    """
    side = crop.shape[0]
    area = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    if ablation == "road":
        return impute_linearly(crop, area)
    if ablation == "insertion":
        area = ~area
    soft = cv2.GaussianBlur(area.astype(np.float32), (0, 0), _EDGE * side)[..., None]
    return np.rint(soft * remove_detail(crop) + (1 - soft) * crop).astype(np.uint8)


def impute_linearly(image: RGBImage, area: NDArray[np.bool_], seed: int = 0) -> RGBImage:
    """Replace an area by a noisy linear interpolation of its surroundings (Rong et al. 2022).

    Each pixel of the area becomes the weighted mean of its neighbours, 1/6 for each of the four
    adjacent ones and 1/12 for each of the four diagonal ones (rescaled at the image border), plus
    noise.

    Args:
        image: (H, W, 3) uint8 RGB.
        area: (H, W), the pixels to replace; not all of them.
        seed: of the noise.
    """
    import scipy.sparse  # noqa: PLC0415 - optional
    import scipy.sparse.linalg  # noqa: PLC0415 - optional

    # The weighted means are a sparse linear system with one equation for each pixel of the area.
    height, width = area.shape
    number = np.full((height + 2, width + 2), -1)  # of each unknown pixel; padded by one pixel
    number[1:-1, 1:-1][area] = np.arange(np.count_nonzero(area))
    rows, columns = np.nonzero(area)
    in_image = np.zeros((height + 2, width + 2), np.bool_)
    in_image[1:-1, 1:-1] = True
    padded = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    total_weight = np.zeros(len(rows))
    known = np.zeros((len(rows), 3))
    links: list[tuple[NDArray[np.int64], NDArray[np.int64], float]] = []
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            if down == across == 0:
                continue
            weight = 1 / 12 if down and across else 1 / 6
            y, x = rows + 1 + down, columns + 1 + across
            exists = in_image[y, x]
            total_weight += weight * exists
            unknown = number[y, x] >= 0
            known += weight * np.where((exists & ~unknown)[:, None], padded[y, x], 0)
            links.append((np.flatnonzero(unknown), number[y, x][unknown], weight))
    neighbours = scipy.sparse.coo_array(
        (
            np.concatenate([np.full(len(pixel), weight) for pixel, _, weight in links]),
            (
                np.concatenate([pixel for pixel, _, _ in links]),
                np.concatenate([neighbour for _, neighbour, _ in links]),
            ),
        ),
        shape=(len(rows), len(rows)),
    )
    system = (scipy.sparse.diags_array(total_weight) - neighbours).tocsc()
    solved = scipy.sparse.linalg.spsolve(system, known)
    result = image.astype(np.float64)
    noise = np.random.default_rng(seed).normal(0, _NOISE, solved.shape)
    result[area] = solved + noise
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)
