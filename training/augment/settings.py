"""Settings of the augmentation: every probability and range.

Each field is also a key of a recipe's ``[augment]`` table, see ``training.recipe``.
"""

from dataclasses import dataclass, field

from training.augment.rng import Range


@dataclass(frozen=True)
class GeometrySettings:
    """Placement of a crop: its side is margin x the side of the face square."""

    margin: Range = (0.85, 1.2)
    """Uniform part of the margin."""
    margin_tail: float = 0.55
    """Added to the margin as u^2 x this (u uniform in 0..1), for faces with surroundings."""
    margin_tail_tight: float = 0.45
    """The same, for tight crops."""
    rotation: float = 0.09
    """Standard deviation, radians."""
    shift: float = 0.035
    """Standard deviation in each direction, relative to the square's side."""
    aspect: float = 0.05
    """Largest absolute logarithm of width / height."""
    flip: float = 0.5
    """Probability that a sample is mirrored."""


@dataclass(frozen=True)
class HullShares:
    """Relative probabilities of the six kinds of hull, in the order of a face bank's hulls."""

    forehead: float = 0.27
    face: float = 0.27
    lower: float = 0.12
    eyes_nose: float = 0.12
    mouth: float = 0.10
    nose_mouth: float = 0.12


@dataclass(frozen=True)
class MaskSettings:
    """Masks of forged regions; lengths are in half sides of a crop of margin 1."""

    hulls: HullShares = field(default_factory=HullShares)
    scale: Range = (0.8, 1.12)
    """Size of a hull relative to its landmarks."""
    deformation: float = 0.14
    """Largest amplitude of the smooth field that deforms the outline."""
    shift: float = 0.02
    """Largest shift in each direction."""
    softness: Range = (0.012, 0.172)
    """Width of the edge: low + u^2 x (high - low), u uniform in 0..1."""
    matched_softness: Range = (0.15, 0.4)
    """Width of the edge of matched and bottleneck forgeries."""
    minimum: float = 0.003
    """Smallest forged share of a crop that is visible; labels of blends below it have weight 0."""
    strengths: tuple[float, ...] = (0.4, 0.6, 0.8, 1.0, 1.0, 1.0)
    """Opacities, equally likely."""
    window: Range = (0.16, 0.62)
    """Side of a window relative to the crop (40-160 of 256 pixels, as in CADDM, CVPR 2023)."""


@dataclass(frozen=True)
class ForgeryShares:
    """Relative probabilities of the kinds of forgery."""

    self_blend: float = 0.40
    """A changed and displaced copy of the face itself (SBI, CVPR 2022)."""
    swap: float = 0.20
    """Another face of similar pose, with the mean and deviation of its colours matched."""
    matched: float = 0.14
    """A copy or a swap with the low frequencies of the frame and very soft edges."""
    bottleneck: float = 0.10
    """The region loses its fine structure; very soft edges."""
    warp: float = 0.08
    """Mouth and eyes are moved by a smooth warp."""
    window: float = 0.08
    """A rectangle of a swap."""


@dataclass(frozen=True)
class ForgerySettings:
    """Differences between forgeries and their frames."""

    shares: ForgeryShares = field(default_factory=ForgeryShares)
    change_frame: float = 0.5
    """Probability that the frame (and so the real crop) is changed instead of the copy."""
    colour_match: float = 0.85
    """Probability that the colours of a swap are matched."""
    matched_swap: float = 0.5
    """Probability that a matched forgery is a swap."""
    low_band: Range = (0.03, 0.12)
    """Standard deviation of the Gaussian that separates the two bands, of the crop's side."""
    zoom: Range = (0.95, 1.05)
    """Zoom of a copy."""
    nudge: float = 0.03
    """Largest shift of a copy, in half sides of the crop."""
    nudge_field: float = 0.025
    """Largest amplitude of the smooth field that deforms a copy, in half sides of the crop."""
    bottleneck_reduction: Range = (3.0, 6.0)
    """Factor by which the size is reduced and enlarged again."""
    bottleneck_shrinkage: Range = (10.0, 40.0)
    """Soft threshold of 8x8 DCT coefficients, in levels of 255."""
    shrink: float = 0.5
    """Probability that a bottleneck shrinks coefficients instead of the size."""
    warp: Range = (0.02, 0.06)
    """Displacement of mouth and eyes, relative to the face's side."""
    warp_scale: float = 0.25
    """Largest relative change of the height of mouth and eyes."""
    part_of_fake: float = 0.3
    """Probability that only a part of an aligned fake is blended into the frame."""
    part_minimum: float = 0.25
    """Smallest share of a fake's mask that such a part must cover."""
    fake_weight: float = 0.7
    """Weight of a fake in the label loss; 0 to use no fakes."""
    second_weight: float = 0.6
    """Weight of the second blend, which replaces the fake where none is used."""


@dataclass(frozen=True)
class ColourSettings:
    """A change of colours, the same for all pixels."""

    channel: float = 0.065
    """Largest offset of each channel."""
    channel_share: float = 1.0
    """Probability of channel offsets; likewise for the other ``_share`` fields."""
    contrast: float = 0.18
    brightness: float = 0.07
    saturation: Range = (-0.4, 0.4)
    saturation_share: float = 0.5
    gamma: float = 0.2
    """Largest absolute logarithm of the exponent."""
    gamma_share: float = 0.3
    grey: float = 0.0
    """Probability of a grey picture."""


@dataclass(frozen=True)
class MismatchSettings:
    """Mismatch between a copy and its frame: colour, sharpness, resolution, JPEG."""

    colour: ColourSettings = field(default_factory=ColourSettings)
    amount: Range = (0.2, 1.0)
    """Factor applied to the change of colours."""
    keep: float = 0.15
    """Relative probabilities: sharpness kept, lower resolution, blur, sharpening."""
    reduce: float = 0.45
    blur: float = 0.15
    sharpen: float = 0.25
    reduction: Range = (0.25, 0.9)
    """Reduced size, relative to the crop."""
    blur_sigma: Range = (0.4, 1.6)
    """Standard deviation, pixels of the crop."""
    sharpen_sigma: Range = (0.8, 2.0)
    sharpen_gain: Range = (0.2, 0.7)
    jpeg: float = 0.3
    quality: Range = (30.0, 85.0)
    again: float = 0.4
    """Probability that the second real crop is changed."""


@dataclass(frozen=True)
class DegradationSettings:
    """Capture and compression of a whole crop."""

    untouched: float = 0.15
    """Probability of no degradation (the chroma planes are halved nevertheless)."""
    reduce: float = 0.75
    size: Range = (0.22, 1.0)
    """Size at which the crop is compressed, relative to the crop; log-uniform."""
    cubic_down: float = 0.5
    cubic_up: float = 0.6
    blur: float = 0.25
    blur_sigma: Range = (0.3, 1.3)
    """Standard deviation, pixels at the reduced size."""
    noise: float = 0.35
    noise_level: float = 0.05
    """Largest standard deviation (of 1), drawn as u^2 x this, u uniform in 0..1."""
    grey_noise: float = 0.5
    """Probability that the noise has no colour."""
    jpeg: float = 0.85
    quality: Range = (22.0, 98.0)
    deblock: float = 0.5
    deblock_strength: Range = (0.4, 1.0)


@dataclass(frozen=True)
class SceneSettings:
    """Surroundings of a face, occluders in front of it, and its lighting."""

    surroundings: float = 0.55
    """Probability that a tight crop gets other surroundings; otherwise its border is mirrored."""
    surroundings_blur: Range = (0.05, 3.0)
    """Standard deviation, pixels."""
    occluder: float = 0.1
    """Probability of each of two rectangles."""
    tone: ColourSettings = field(
        default_factory=lambda: ColourSettings(
            channel=0.08,
            channel_share=0.5,
            contrast=0.3,
            brightness=0.15,
            saturation=(-0.5, 0.4),
            saturation_share=1.0,
            gamma=0.45,
            gamma_share=0.4,
            grey=0.06,
        )
    )


@dataclass(frozen=True)
class AugmentSettings:
    """Settings of `training.augment.make_batch`."""

    size: int = 256
    """Side of a crop, pixels; a multiple of 16, at least 64."""
    geometry: GeometrySettings = field(default_factory=GeometrySettings)
    masks: MaskSettings = field(default_factory=MaskSettings)
    forgery: ForgerySettings = field(default_factory=ForgerySettings)
    mismatch: MismatchSettings = field(default_factory=MismatchSettings)
    scene: SceneSettings = field(default_factory=SceneSettings)
    degradation: DegradationSettings = field(default_factory=DegradationSettings)

    def __post_init__(self) -> None:
        if self.size < 64 or self.size % 16:
            raise ValueError(f"size must be a multiple of 16 and at least 64, not {self.size}")
