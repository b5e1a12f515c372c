"""Pictures without a part: blurred, or made up from what lies around it."""

from importlib.util import find_spec

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MissingExtraError
from fakelens.records.arrays import RGBImage
from fakelens.records.trust import Ablation

_EDGE = 0.01  # likewise; a hard edge is a trace of its own

_NOISE = 0.01 * 255  # standard deviation, grey levels; that of the authors


def check_ablation(ablation: Ablation) -> None:
    """Raise MissingExtraError if an ablation needs a package that is not installed."""
    if ablation == "road" and find_spec("scipy") is None:
        raise MissingExtraError("the ablation road", "road")


def remove_detail(image: RGBImage) -> RGBImage:
    """Blur an image so far that only the colour and light of each place remain.

    A Gaussian of a twelfth of the side leaves nothing of eyes and mouth. A forgery detector reacts
    to anything done to a face; this disturbs it least. Hiding a random tenth of 20 real faces this
    way moved the logits of fakelens-patch and MesoInception_DF by 0.5 and 1.5 (the mean colour of
    the crop: 0.5 and 2.5; weaker blurs and soft edges: no less), mostly towards FAKE.

    Args:
        image: (S, S, 3) uint8 RGB.
    """
    sigma = image.shape[0] / 12
    blurred = cv2.GaussianBlur(image, (0, 0), sigma)
    return blurred.astype(np.uint8, copy=False)


def remove_cells(crop: RGBImage, marked: NDArray[np.bool_], ablation: Ablation) -> RGBImage:
    """A crop (S, S, 3) uint8 without the pixels of marked cells (h, w), or with them alone."""
    side = crop.shape[0]
    area = cv2.resize(marked.astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    if ablation == "road":
        return impute_linearly(crop, area)
    if ablation == "insertion":
        area = ~area
    soft = cv2.GaussianBlur(area.astype(np.float32), (0, 0), _EDGE * side)[..., None]
    return np.rint(soft * remove_detail(crop) + (1 - soft) * crop).astype(np.uint8)


def impute_linearly(image: RGBImage, area: NDArray[np.bool_], seed: int = 0) -> RGBImage:
    """An image whose area is the noisy linear interpolation of its surroundings (Rong et al. 2022).

    Each pixel of the area is the weighted mean of its neighbours, 1/6 for the four beside it and
    1/12 for the four across a corner (in proportion where the image ends), plus noise.

    Args:
        image: (H, W, 3) uint8 RGB.
        area: (H, W), not all of it.
        seed: of the noise.
    """
    import scipy.sparse  # noqa: PLC0415 - optional
    import scipy.sparse.linalg  # noqa: PLC0415 - optional

    height, width = area.shape
    number = np.full((height + 2, width + 2), -1)
    number[1:-1, 1:-1][area] = np.arange(np.count_nonzero(area))
    rows, columns = np.nonzero(area)
    inside = np.zeros((height + 2, width + 2), np.bool_)
    inside[1:-1, 1:-1] = True
    padded = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    total = np.zeros(len(rows))
    known = np.zeros((len(rows), 3))
    unknown: list[tuple[NDArray[np.int64], NDArray[np.int64], float]] = []
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            if down == across == 0:
                continue
            weight = 1 / 12 if down and across else 1 / 6
            y, x = rows + 1 + down, columns + 1 + across
            there = inside[y, x]
            total += weight * there
            open_ = number[y, x] >= 0
            known += weight * np.where((there & ~open_)[:, None], padded[y, x], 0)
            unknown.append((np.flatnonzero(open_), number[y, x][open_], weight))
    diagonal = scipy.sparse.diags_array(total)
    links = scipy.sparse.coo_array(
        (
            np.concatenate([np.full(len(a), weight) for a, _, weight in unknown]),
            (
                np.concatenate([a for a, _, _ in unknown]),
                np.concatenate([b for _, b, _ in unknown]),
            ),
        ),
        shape=(len(rows), len(rows)),
    )
    solved = scipy.sparse.linalg.spsolve((diagonal - links).tocsc(), known)
    result = image.astype(np.float64)
    noise = np.random.default_rng(seed).normal(0, _NOISE, solved.shape)
    result[area] = solved + noise
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)
