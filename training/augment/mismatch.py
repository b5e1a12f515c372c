"""Mismatch between a forged copy and its frame: colour, sharpness, resolution and JPEG."""

import torch
from torch import Tensor

from training.augment import colour, jpeg
from training.augment.filters import blur_matrix, resize_matrix
from training.augment.rng import scale_to_ranges, to_categories
from training.augment.settings import AugmentSettings

DRAWS = colour.DRAWS + 11
"""Uniform values per picture that `add_mismatch` uses."""


def add_mismatch(
    pictures: Tensor,
    uniform: Tensor,
    active: Tensor,
    bottleneck: Tensor,
    settings: AugmentSettings,
) -> Tensor:
    """Change the colour, sharpness, resolution and compression of pictures slightly.

    Args:
        pictures: (n, 3, R, R) RGB, 0 to 1.
        uniform: (n, `DRAWS`) uniform values; equal rows give equal changes.
        active: (n,) bool, which pictures are changed.
        bottleneck: (n,) bool, which pictures get a bottleneck instead: a strong reduction of the
            size, or shrinkage of the DCT coefficients. Their colours stay the same.
        settings: Ranges of the random values.

    Returns:
        (n, 3, R, R). The chroma of every changed picture is halved in size and enlarged again.
    """
    ranges, forgery = settings.mismatch, settings.forgery
    size = pictures.shape[-1]
    plain = active & ~bottleneck
    squeezed = active & bottleneck
    amount, reduction, blur, sharpen, gain, quality, factor, threshold = scale_to_ranges(
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
    kind = to_categories(kind_draw, (ranges.keep, ranges.reduce, ranges.blur, ranges.sharpen))
    shrink = squeezed & (shrink_draw < forgery.shrink)
    reduce = (plain & (kind == 1)) | (squeezed & ~shrink)
    soften, harden = plain & (kind == 2), plain & (kind == 3)
    compressed = plain & (jpeg_draw < ranges.jpeg)

    tones = colour.make_tone(uniform[:, 11:], ranges.colour, amount * plain)
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
    changed = jpeg.apply_codec(tones(pictures), codec)
    return torch.where(active[:, None, None, None], changed, pictures)
