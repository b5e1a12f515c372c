"""High dynamic range is tone-mapped so that the scene looks as in standard dynamic range.

The clips show colours of known light, encoded by the formulas of BT.2100 and BT.2087 as written
here.
"""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from fakelens.media.reader import open_video
from support.media import BT709, UNTAGGED, Tags, make_clip
from support.transcoding import copy, rgb

WHITE = 203  # nits of the reference white, BT.2408
PQ, HLG = 16, 18
HDR = {PQ: Tags(9, 1, 9, PQ), HLG: Tags(9, 1, 9, HLG)}
NAMES = {PQ: "PQ", HLG: "HLG"}

# Light of BT.709's primaries relative to the reference white.
COLOURS = {
    "black": (0, 0, 0),
    "mid grey": (0.18, 0.18, 0.18),
    "dark skin": (0.13, 0.075, 0.055),
    "skin": (0.40, 0.25, 0.19),
    "red": (0.35, 0.03, 0.03),
    "green": (0.03, 0.35, 0.03),
    "blue": (0.05, 0.05, 0.40),
    "light skin": (0.60, 0.42, 0.34),
    "white": (1, 1, 1),
}
STEPS = [0, 1, 5, 20, 60, 120, 203, 400, 700, 1000]  # nits


def bt2020(colours: ArrayLike) -> NDArray[np.float64]:
    """Convert light from the primaries of BT.709 to those of BT.2020 (BT.2087, table 3)."""
    matrix = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    return np.asarray(colours, float) @ np.array(matrix).T


def pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    power = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert what a display of 1000 nits does: first the OOTF with gamma 1.2, then the OETF."""
    luminance = nits @ (0.2627, 0.6780, 0.0593) / 1000
    gain = np.maximum(luminance, 1e-9) ** (1 / 1.2 - 1)
    scene = nits / 1000 * gain[..., None]
    upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)


def patches(colours: ArrayLike, transfer: int, *, wide: bool = True) -> NDArray[np.uint16]:
    """Draw patches of 64 x 64 pixels in a row, uint16 RGB; ``colours`` in nits."""
    light = bt2020(colours) if wide else np.asarray(colours, float)
    signal = pq(light) if transfer == PQ else hlg(light)
    row = np.round(65535 * np.clip(signal, 0, 1)).astype(np.uint16)
    return np.repeat(np.repeat(row[None], 64, axis=0), 64, axis=1)


def make_patches(path: Path, colours: ArrayLike, transfer: int, **settings: object) -> Path:
    picture = patches(colours, transfer, wide=settings.pop("wide", True))
    settings = {
        "frames": 2,
        "pixel_format": "yuv420p10le",
        "options": {"crf": "1"},
        "tags": HDR[transfer],
    } | settings
    return make_clip(path, size=picture.shape[1::-1], picture=lambda _: picture, **settings)


def read_patches(image: NDArray[np.generic]) -> NDArray[np.float64]:
    """Measure the mean colour at the centre of each patch."""
    columns = [image[16:48, left + 16 : left + 48] for left in range(0, image.shape[1], 64)]
    return np.array([patch.reshape(-1, 3).mean(axis=0) for patch in columns])


def check_colours(seen: NDArray[np.float64], coarseness: int = 0) -> None:
    """Compare with the standard dynamic range signal of the same light (BT.1886)."""
    expected = 255 * np.array(list(COLOURS.values())) ** (1 / 2.4)
    for name, now, right in zip(COLOURS, seen, expected, strict=True):
        # The reference white is 25 levels darker, which leaves room for highlights.
        tolerance = coarseness + {"white": 27, "light skin": 8, "green": 6}.get(name, 4)
        assert np.abs(now - right).max() < tolerance, (name, now, right)


X265 = {"x265-params": "log-level=none:lossless=1:bframes=0"}  # B frames get no timestamps


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("h264.mp4", {}),
        ("hevc.mp4", {"codec": "libx265", "options": X265}),
        (
            "av1.mkv",
            {"codec": "libsvtav1", "options": {"crf": "5", "svtav1-params": "enable-dlf=0"}},
        ),
        ("422.mkv", {"pixel_format": "yuv422p10le"}),
        ("444.mp4", {"pixel_format": "yuv444p10le"}),
        ("12 bits.mkv", {"codec": "ffv1", "pixel_format": "yuv420p12le", "options": {}}),
        ("rgb.mp4", {"codec": "libx265", "pixel_format": "gbrp10le", "options": X265}),
        ("8 bits.mp4", {"pixel_format": "yuv420p"}),
    ],
)
def test_a_scene_has_the_colours_of_standard_dynamic_range(
    tmp_path: Path, name: str, settings: dict[str, object], transfer: int
) -> None:
    if settings.get("pixel_format") == "gbrp10le":
        settings = settings | {"tags": Tags(0, 2, 9, transfer)}
    colours = WHITE * np.array(list(COLOURS.values()))
    path = make_patches(tmp_path / name, colours, transfer, **settings)
    with open_video(path) as reader:
        assert reader.info.changes == (
            f"High dynamic range ({NAMES[transfer]}) was tone-mapped to standard dynamic range.",
        )
        assert reader.info.pixel_format == settings.get("pixel_format", "yuv420p10le")
        frames = list(reader.frames())
        assert reader.damage == []
    assert len(frames) == 2
    for frame in frames:
        check_colours(read_patches(frame.image), 6 if name == "8 bits.mp4" else 0)
        np.testing.assert_array_equal(frame.pixels[8:40, 60:200], frame.image[8:40, 60:200])


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brighter_light_stays_brighter_and_grey_stays_grey(tmp_path: Path, transfer: int) -> None:
    path = make_patches(tmp_path / "a.mp4", [[nits] * 3 for nits in STEPS], transfer)
    with open_video(path) as reader:
        (first, _) = reader.frames()
    seen = read_patches(first.image)
    rises = np.diff(seen.mean(axis=1))
    assert (rises[:7] > 15).all()  # up to 400 nits
    assert (rises[7:] > 0).all()
    assert np.ptp(seen, axis=1).max() < 3
    assert seen[0].max() < 2
    assert seen[-1].min() > 250


def test_light_above_the_peak_is_white(tmp_path: Path) -> None:
    path = make_patches(tmp_path / "a.mp4", [[2000] * 3, [10000] * 3], PQ)
    with open_video(path) as reader:
        (first, _) = reader.frames()
    assert read_patches(first.image).min() > 250


def to_xyz(
    red: tuple[float, float], green: tuple[float, float], blue: tuple[float, float]
) -> NDArray[np.float64]:
    """Compute the matrix from light of these primaries to CIE XYZ; the white is D65."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (red, green, blue)]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


PRIMARIES = {
    1: to_xyz((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    9: to_xyz((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: to_xyz((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


@pytest.mark.parametrize("primaries", PRIMARIES)
def test_the_primaries_of_the_video_are_respected(tmp_path: Path, primaries: int) -> None:
    """The same numbers are stronger colours in a wider range of colours."""
    colours = np.array([[65, 30, 30], [30, 60, 40], [50, 50, 50]])
    tags = Tags(9, 1, primaries, PQ)
    path = make_patches(tmp_path / "a.mp4", colours, PQ, tags=tags, wide=False)
    with open_video(path) as reader:
        (first, _) = reader.frames()
    light = np.linalg.solve(PRIMARIES[1], PRIMARIES[primaries] @ colours.T).T
    expected = 255 * (light / WHITE) ** (1 / 2.4)
    assert np.abs(read_patches(first.image) - expected).max() < 4


def test_an_untagged_matrix_is_that_of_bt2020(tmp_path: Path) -> None:
    colours = WHITE * np.array(list(COLOURS.values()))
    plain = make_patches(tmp_path / "a.mp4", colours, PQ, tags=HDR[PQ])
    # The same pixels without the tag of their matrix.
    path = tmp_path / "b.mp4"
    with av.open(plain) as source, av.open(path, "w") as output:
        video = output.add_stream("libx264", rate=25, options={"crf": "1"})
        frames = list(source.decode(video=0))
        video.width, video.height = frames[0].width, frames[0].height
        video.pix_fmt = "yuv420p10le"
        video.codec_context.color_trc, video.codec_context.color_primaries = PQ, 9
        for frame in frames:
            frame.colorspace, frame.pict_type = 2, 0
            output.mux(video.encode(frame))
        output.mux(video.encode())
    with av.open(path) as container:
        stored = next(container.decode(video=0))
        assert (stored.colorspace, stored.color_trc) == (2, PQ)
    with open_video(path) as reader:
        check_colours(read_patches(next(reader.frames()).image))


@pytest.mark.parametrize("tags", [UNTAGGED, BT709, Tags(9, 1, 9, 14), Tags(9, 1, 9, 2)], ids=str)
def test_standard_dynamic_range_is_untouched(tmp_path: Path, tags: Tags) -> None:
    path = make_clip(tmp_path / "a.mp4", pixel_format="yuv420p10le", tags=tags)
    with av.open(path) as container:
        stored = [frame.to_ndarray() for frame in container.decode(video=0)]
    with open_video(path) as reader:
        assert reader.info.changes == ()
        for decoded, before in zip(reader.decoded_frames(), stored, strict=True):
            assert decoded.frame.format.name == "yuv420p10le"
            np.testing.assert_array_equal(decoded.frame.to_ndarray(), before)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_the_annotated_video_has_standard_dynamic_range(tmp_path: Path, transfer: int) -> None:
    colours = WHITE * np.array(list(COLOURS.values()))
    path = make_patches(tmp_path / "a.mp4", colours, transfer)
    target = copy(path)
    with av.open(target) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p"
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
    assert frame.color_range == 1
    seen = rgb(target)
    check_colours(read_patches(seen[0]))
    assert np.abs(seen - rgb(path)).mean() < 2


def test_high_dynamic_range_that_begins_later_is_mapped(tmp_path: Path) -> None:
    colours = WHITE * np.array(list(COLOURS.values()))
    standard = np.array(list(COLOURS.values())) ** (1 / 2.4)
    row = np.round(65535 * standard).astype(np.uint16)
    picture = np.repeat(np.repeat(row[None], 64, axis=0), 64, axis=1)
    first = make_clip(
        tmp_path / "1.ts",
        frames=10,
        size=picture.shape[1::-1],
        picture=lambda _: picture,
        pixel_format="yuv420p10le",
        options={"crf": "1"},
        tags=BT709,
    )
    second = make_patches(tmp_path / "2.ts", colours, HLG, frames=10)
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with open_video(path) as reader:
        assert reader.info.changes == ()
        frames = []
        for decoded in reader.decoded_frames():
            assert decoded.frame.format.name == "yuv420p10le"  # of the first frame
            frames.append(decoded.frame.to_ndarray(format="rgb24"))
        assert len(reader.info.changes) == 1
    assert len(frames) == 20
    for image in frames:
        check_colours(read_patches(image))


def test_an_interlaced_broadcast_in_high_dynamic_range(tmp_path: Path) -> None:
    colours = WHITE * np.array(list(COLOURS.values()))
    path = make_patches(
        tmp_path / "a.mp4", colours, HLG, options={"flags": "+ildct+ilme", "crf": "1"}, fields="tff"
    )
    with open_video(path) as reader:
        frames = list(reader.frames())
        assert len(reader.info.changes) == 2
    assert len(frames) == 2
    for frame in frames:
        check_colours(read_patches(frame.image))
