"""JPEG as two linear maps with a rounding in between (ITU-T T.81, libjpeg's tables)."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from training.augment.filters import positions, resize_matrix
from training.augment.rng import constant

# ITU-T T.81, tables K.1 and K.2.
_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
# JFIF: from RGB to luma and colour differences, and back.
_TO_YCC = (0.299, 0.587, 0.114, -0.168736, -0.331264, 0.5, 0.5, -0.418688, -0.081312)
_TO_RGB = (1.0, 0.0, 1.402, 1.0, -0.344136, -0.714136, 1.0, 1.772, 0.0)
# Step for pictures that are not compressed: far below one level.
_FINE = 2.0**-8


@dataclass(frozen=True)
class QuantisationSteps:
    """Quantisation steps (n, 8, 8) of luma and chroma coefficients."""

    luma: Tensor
    chroma: Tensor


def quantisation_steps(quality: Tensor, compressed: Tensor | None = None) -> QuantisationSteps:
    """Return libjpeg's quantisation tables.

    Args:
        quality: (n,) 1 to 100, rounded to whole numbers.
        compressed: (n,) bool; where false, the steps are so fine that nothing is lost.
    """
    quality = quality.round().clamp(1, 100)
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    tables = constant(_LUMA + _CHROMA, quality.device)
    steps = ((tables * percent[:, None] + 50) / 100).floor().clamp(1, 255)
    if compressed is not None:
        steps = torch.where(compressed[:, None], steps, _FINE)
    luma, chroma = steps.view(-1, 2, 8, 8).unbind(1)
    return QuantisationSteps(luma, chroma)


@lru_cache(maxsize=8)
def dct_matrix(device: torch.device) -> Tensor:
    """Return the orthonormal DCT-II matrix (8, 8) float32: coefficients = matrix @ samples."""
    rows = [
        math.cos(math.pi * (2 * n + 1) * k / 16) * math.sqrt((1 if k == 0 else 2) / 8)
        for k in range(8)
        for n in range(8)
    ]
    return torch.tensor(rows, device=device).view(8, 8)


@dataclass(frozen=True)
class Codec:
    """Codec of n pictures: a linear map, rounding of DCT coefficients, another linear map.

    Attributes:
        luma_in: (n, R, R) from pixels to coefficients of 8x8 blocks.
        chroma_in: (n, R / 2, R) the same; halves the size (4:2:0).
        luma_out: (n, R, R) from coefficients to pixels.
        chroma_out: (n, R, R / 2) the same; doubles the size.
        steps: Quantisation steps.
        shrinkage: (n,) soft threshold of the AC coefficients, levels of 255, or None.
        noise: Luma (n, R, R) and chroma (n, 2, R / 2, R / 2), levels of 255, added to the
            coefficients (white noise is the same in any orthonormal basis), or None.
    """

    luma_in: Tensor
    chroma_in: Tensor
    luma_out: Tensor
    chroma_out: Tensor
    steps: QuantisationSteps
    shrinkage: Tensor | None = None
    noise: tuple[Tensor, Tensor] | None = None


def make_codec(
    before: Tensor,
    after: Tensor | None,
    size: Tensor,
    steps: QuantisationSteps,
    shrinkage: Tensor | None = None,
    noise: tuple[Tensor, Tensor] | None = None,
) -> Codec:
    """Combine JPEG with a filter before and a filter after it.

    Args:
        before: (n, R, R) filter applied before compression.
        after: (n, R, R) filter applied after decompression, or None.
        size: (n,) size of the compressed picture, a multiple of 16.
        steps: Quantisation steps.
        shrinkage: See `Codec`.
        noise: See `Codec`.
    """
    count, canvas, _ = before.shape
    dct = dct_matrix(before.device)
    halved = before.reshape(count, canvas // 2, 2, canvas).mean(2)
    # libjpeg's "fancy upsampling" is bilinear.
    doubled = resize_matrix(size / 2, size, None, canvas // 2, canvas)
    if after is None:
        after = torch.eye(canvas, device=before.device).expand_as(before)
    else:
        doubled = after @ doubled
    return Codec(
        (dct @ before.reshape(count, -1, 8, canvas)).view_as(before),
        (dct @ halved.view(count, -1, 8, canvas)).view_as(halved),
        (after.reshape(count, canvas, -1, 8) @ dct.T).view_as(after),
        (doubled.view(count, canvas, -1, 8) @ dct.T).view_as(doubled),
        steps,
        shrinkage,
        noise,
    )


def _quantise(coefficients: Tensor, steps: Tensor, shrinkage: Tensor | None) -> Tensor:
    """Shrink coefficients (n, ..., h, w) and quantise them with steps (n, 8, 8)."""
    *lead, height, width = coefficients.shape
    blocks = coefficients.view(*lead, height // 8, 8, width // 8, 8)
    fit = (len(steps), *(1 for _ in lead[1:]), 1, 8, 1, 8)
    steps = steps.view(fit)
    if shrinkage is not None:
        limit = shrinkage[:, None] * (positions(64, shrinkage.device) > 0)
        limit = limit.view(fit)
        blocks = blocks - torch.clamp(blocks, -limit, limit)
    return ((blocks / steps).round_() * steps).view_as(coefficients)


def apply_codec(pictures: Tensor, codec: Codec, treatment: Tensor | None = None) -> Tensor:
    """Encode and decode pictures with a codec.

    Args:
        pictures: (n, 3, R, R) float32 RGB, 0 to 1.
        codec: Codec of n pictures, or of fewer if ``treatment`` is given.
        treatment: (n,) int64, row of the codec for each picture.

    Returns:
        (n, 3, R, R) float32, 0 to 1.
    """
    if treatment is not None:
        codec = Codec(
            codec.luma_in[treatment],
            codec.chroma_in[treatment],
            codec.luma_out[treatment],
            codec.chroma_out[treatment],
            QuantisationSteps(codec.steps.luma[treatment], codec.steps.chroma[treatment]),
            None if codec.shrinkage is None else codec.shrinkage[treatment],
            None if codec.noise is None else (codec.noise[0][treatment], codec.noise[1][treatment]),
        )
    count, _, size, _ = pictures.shape
    half = size // 2
    device = pictures.device
    to_ycc = constant(_TO_YCC, device).view(1, 3, 3) * 255
    shift = constant((-128.0, 0.0, 0.0), device).view(1, 3, 1)
    planes = torch.baddbmm(shift, to_ycc.expand(count, 3, 3), pictures.flatten(2))
    planes = planes.view(count, 3, size, size)
    luma = torch.bmm(codec.luma_in, torch.bmm(planes[:, 0], codec.luma_in.mT))
    columns = torch.bmm(planes[:, 1:].reshape(count, 2 * size, size), codec.chroma_in.mT)
    chroma = codec.chroma_in[:, None] @ columns.view(count, 2, size, half)
    if codec.noise is not None:
        luma, chroma = luma + codec.noise[0], chroma + codec.noise[1]
    luma = _quantise(luma, codec.steps.luma, codec.shrinkage)
    chroma = _quantise(chroma, codec.steps.chroma, codec.shrinkage)
    luma = torch.bmm(codec.luma_out, torch.bmm(luma, codec.luma_out.mT))
    columns = torch.bmm(chroma.view(count, 2 * half, half), codec.chroma_out.mT)
    chroma = codec.chroma_out[:, None] @ columns.view(count, 2, half, size)
    planes = torch.cat([luma[:, None], chroma], 1).flatten(2)
    to_rgb = constant(_TO_RGB, device).view(1, 3, 3) / 255
    grey = constant((128 / 255,), device).view(1, 1, 1)
    pictures = torch.baddbmm(grey, to_rgb.expand(count, 3, 3), planes)
    return pictures.clamp_(0, 1).view(count, 3, size, size)


def jpeg(pictures: Tensor, quality: Tensor) -> Tensor:
    """Compress pictures (n, 3, R, R), RGB 0 to 1, with JPEG 4:2:0 at a quality (n,) 1 to 100."""
    count, _, size, _ = pictures.shape
    same = torch.eye(size, device=pictures.device).expand(count, size, size)
    sizes = torch.full_like(quality, size)
    return apply_codec(pictures, make_codec(same, None, sizes, quantisation_steps(quality)))
