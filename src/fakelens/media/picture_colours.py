"""Converts a picture of any colour space and depth to 8-bit sRGB."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

_SRGB_TOLERANCE = 2  # levels; two descriptions of sRGB differ by rounding
_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_IGNORED_PROFILE = (
    "The embedded colour profile is damaged or does not fit the picture; it was ignored."
)
# TIFF's tags.
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
# FFmpeg's and HEIF's numbers (ITU-T H.273): BT.709 and unknown; the curves of HDR, PQ and HLG.
_SRGB_PRIMARIES, _HDR_CURVES = {1, 2}, {16, 18}


def to_srgb(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Convert a picture to 8-bit sRGB without transparency.

    Embedded ICC profiles are applied, transparent areas become white.

    Args:
        image: decoded, with the ``info`` of its file.

    Returns:
        A picture of the mode ``RGB``, and sentences on what was changed.
    """
    notes: list[str] = []
    profile = image.info.get("icc_profile")
    if image.mode == "F" or image.mode.startswith("I"):
        image = _reduce_depth(image, notes)
    alpha = None
    if image.has_transparency_data:
        image, alpha = _split_alpha(image)
    elif image.mode not in (*_PROFILE_SPACES, "LAB"):
        image = image.convert("RGB")
    if profile and image.mode in _PROFILE_SPACES:
        image = _apply_profile(image, profile, notes)
    if image.mode == "LAB":
        converted = ImageCms.profileToProfile(
            image, ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        assert converted is not None
        image = converted
    if image.mode == "CMYK":
        notes.append("The colours were converted from CMYK without a profile and are approximate.")
    image = image.convert("RGB")
    if alpha is not None and alpha.getextrema()[0] != 255:
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(image, mask=alpha)
        image = opaque
        notes.append("Transparent areas were filled with white.")
    return image, notes


def approximate_colours(primaries: int, curve: int) -> list[str]:
    """Return a sentence if colours that the file describes by numbers are not those of sRGB.

    Args:
        primaries: ITU-T H.273's number.
        curve: number of the transfer characteristics.
    """
    if primaries in _SRGB_PRIMARIES and curve not in _HDR_CURVES:
        return []
    return ["The picture has wide-gamut or HDR colours without a profile; they are approximate."]


def _reduce_depth(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert whole numbers of more than 8 bits, or floating-point numbers, to 8 bits."""
    values = np.asarray(image)
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    bits = tags.get(_BITS, (16,))[0]
    signed = tags.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED
    if image.mode == "F":
        finite = values[np.isfinite(values)]
        peak = float(finite.max()) if finite.size else 0.0
        top = next((usual for usual in (1.0, 255.0, 65535.0) if peak <= usual), peak)
        values = np.nan_to_num(values, posinf=top, neginf=0)
        notes.append(
            f"The values, of up to {peak:.3g}, were converted from a range of 0 to {top:g}."
        )
    else:
        if image.mode == "I" and bits == 32 and not signed:
            values = values.view(np.uint32)
        top = float(2 ** (bits - signed) - 1)
    levels = np.clip(values * np.float32(255 / top), 0, 255)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        levels = 255 - levels
    return Image.fromarray(np.rint(levels).astype(np.uint8))


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Split a picture into its colours (``L`` or ``RGB``) and its alpha channel."""
    is_grey = image.mode.startswith("L")
    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert(image.mode.upper())
    full = image.convert("RGBA")
    colours = full.convert("RGB")
    return colours.convert("L") if is_grey else colours, full.getchannel("A")


def _apply_profile(image: Image.Image, data: bytes, notes: list[str]) -> Image.Image:
    """Convert a picture to sRGB by its ICC profile, unless that is sRGB."""
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if space != _PROFILE_SPACES[image.mode]:
            notes.append(_IGNORED_PROFILE)
            return image
        transform = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), image.mode, "RGB"
        )
        if _changes_nothing(transform, image.mode):
            return image
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append(_IGNORED_PROFILE)
        return image
    assert converted is not None
    notes.append("The colours were converted from the embedded colour profile to sRGB.")
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tell whether a transform leaves a sample of all colours as they are.

    Most files are tagged as sRGB; converting them would only add rounding errors.
    """
    if mode == "CMYK":
        return False
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    sample = Image.fromarray(steps[None] if mode == "L" else colours)
    converted = ImageCms.applyTransform(sample, transform)
    before = np.asarray(sample.convert("RGB")).astype(int)
    return bool(np.abs(np.asarray(converted) - before).max() <= _SRGB_TOLERANCE)
