"""The mismatch between a pasted copy and its frame: colour, sharpness, resolution, JPEG."""

import torch
from torch import Tensor

from training.augment import colour, jpeg
from training.augment.chance import categories, spread
from training.augment.linear import blur_matrix, resize_matrix
from training.augment.settings import AugmentSettings

DRAWS = colour.DRAWS + 11
"""Uniform draws a picture that `alter` uses."""


def alter(
    pictures: Tensor,
    uniform: Tensor,
    active: Tensor,
    bottleneck: Tensor,
    settings: AugmentSettings,
) -> Tensor:
    """Change pictures slightly, each in its own way.

    Args:
        pictures: (n, 3, R, R) RGB, 0 to 1.
        uniform: (n, `DRAWS`) uniform draws; equal rows give equal changes.
        active: (n,) whether a picture is changed.
        bottleneck: (n,) whether the change is a bottleneck instead: the size reduced strongly, or
            DCT coefficients shrunk; colours stay.
        settings: Ranges.

    Returns:
        (n, 3, R, R). The chroma of all that are changed passes through half the size.
    """
    ranges, forgery = settings.alter, settings.forgery
    size = pictures.shape[-1]
    plain = active & ~bottleneck
    squeezed = active & bottleneck
    amount, reduction, blur, sharpen, gain, quality, factor, threshold = spread(
        uniform[:, :8],
        ranges.amount,
        ranges.reduction,
        ranges.blur_sigma,
        ranges.sharpen_sigma,
        ranges.sharpen_gain,
        ranges.quality,
        forgery.bottleneck_reduction,
        forgery.bottleneck_shrinkage,
    )
    kind_draw, jpeg_draw, shrink_draw = uniform[:, 8:11].unbind(1)
    kind = categories(kind_draw, (ranges.keep, ranges.reduce, ranges.blur, ranges.sharpen))
    shrink = squeezed & (shrink_draw < forgery.shrink)
    reduce = (plain & (kind == 1)) | (squeezed & ~shrink)
    soften, harden = plain & (kind == 2), plain & (kind == 3)
    compressed = plain & (jpeg_draw < ranges.jpeg)

    tones = colour.tone(uniform[:, 11:], ranges.colour, amount * plain)
    full = torch.full_like(quality, size)
    small = torch.where(squeezed, size / factor, size * reduction).round().clamp(min=16)
    cubic = jpeg_draw * 2 % 1 < 0.5
    resized = resize_matrix(small, full, cubic, size, size) @ resize_matrix(
        full, small, None, size, size
    )
    blurred = blur_matrix(torch.where(harden, sharpen, blur), full, size)
    of_blurred = soften.float() - gain * harden
    of_same = 1 - of_blurred - reduce.float()
    filters = reduce[:, None, None] * resized + of_blurred[:, None, None] * blurred
    filters.diagonal(dim1=1, dim2=2).add_(of_same[:, None])
    codec = jpeg.make_codec(
        filters,
        None,
        full,
        jpeg.quantisation_steps(quality, compressed),
        shrinkage=threshold * shrink,
    )
    changed = jpeg.transcode(tones(pictures), codec)
    return torch.where(active[:, None, None, None], changed, pictures)
