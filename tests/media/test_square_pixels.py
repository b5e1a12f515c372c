"""Videos with pixels that are not square are examined and drawn with square pixels."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fakelens.media.reader import VideoReader, open_video
from support.media import draw_frame, make_clip, read_number
from support.transcoding import copy, draw_nothing, frame_times, rgb


def disc(width: int, height: int, aspect: Fraction) -> NDArray[np.uint8]:
    """Draw a white disc as stored: an ellipse if the pixels are not square."""
    y, x = np.mgrid[:height, :width].astype(float)
    across, down = (x - (width - 1) / 2) * float(aspect), y - (height - 1) / 2
    radius = 0.4 * min(height, width * float(aspect))
    grey = np.where(np.hypot(across, down) < radius, 235, 16).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def extents(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Measure the width and height of the white area."""
    white = image[..., 1] > 125
    return int(white.any(axis=0).sum()), int(white.any(axis=1).sum())


def set_header_aspect(path: Path, across: int, down: int) -> Path:
    """Overwrite the pixel aspect ratio in the header of an MP4 file, not that in its frames."""
    data = path.read_bytes()
    place = data.index(b"pasp") + 4
    numbers = across.to_bytes(4, "big") + down.to_bytes(4, "big")
    path.write_bytes(data[:place] + numbers + data[place + 8 :])
    return path


CASES = [
    ((720, 576), Fraction(64, 45), (1024, 576)),
    ((720, 576), Fraction(16, 15), (768, 576)),
    ((720, 480), Fraction(8, 9), (720, 540)),
    ((1440, 1080), Fraction(4, 3), (1920, 1080)),
    ((160, 90), Fraction(1, 2), (160, 180)),
    ((160, 90), Fraction(4), (640, 90)),
    ((160, 90), Fraction(1, 4), (160, 360)),
    ((130, 98), Fraction(10, 9), (144, 98)),
]


@pytest.mark.parametrize(("stored", "aspect", "square"), CASES)
def test_frames_are_examined_with_square_pixels(
    tmp_path: Path, stored: tuple[int, int], aspect: Fraction, square: tuple[int, int]
) -> None:
    path = make_clip(
        tmp_path / "a.mp4",
        frames=2,
        size=stored,
        aspect=aspect,
        picture=lambda _: disc(*stored, aspect),
    )
    with open_video(path) as reader:
        assert (reader.info.width, reader.info.height) == square
        ratio = f"{aspect.numerator}:{aspect.denominator}"
        sizes = f"{stored[0]} x {stored[1]} became {square[0]} x {square[1]}"
        assert reader.info.changes == (f"Pixels of {ratio} were made square: {sizes}.",)
        frames = list(reader.frames())
    for frame in frames:
        assert frame.pixels.shape == (square[1], square[0], 3)
        wide, high = extents(frame.image)
        assert abs(wide - high) <= max(2, 2 * max(aspect, 1 / aspect))
        assert abs(high - 0.8 * min(square)) <= 4


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mkv", {}),
        ("a.mov", {}),
        ("a.ts", {}),
        ("a.mpg", {"codec": "mpeg2video", "aspect": Fraction(64, 45), "rate": Fraction(25)}),
        ("a.avi", {"codec": "mpeg4"}),
        ("444.mp4", {"pixel_format": "yuv444p"}),
        ("ten.mp4", {"pixel_format": "yuv422p10le"}),
        ("full.mp4", {"pixel_format": "yuvj420p"}),
        ("rgb.mov", {"codec": "png", "pixel_format": "rgb24"}),
        ("grey.mov", {"codec": "png", "pixel_format": "gray"}),
        ("vp9.mp4", {"codec": "libvpx-vp9"}),
        ("odd.mp4", {"pixel_format": "yuv444p", "size": (719, 575)}),
    ],
)
def test_every_kind_of_video_is_stretched(
    tmp_path: Path, name: str, settings: dict[str, object]
) -> None:
    settings = {"size": (720, 576), "aspect": Fraction(4, 3)} | settings
    path = make_clip(tmp_path / name, frames=6, **settings)
    with av.open(path) as container:  # FFmpeg's own frames, stretched by OpenCV
        stored = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    width = round(settings["size"][0] * settings["aspect"] / 2) * 2
    height = settings["size"][1]
    with open_video(path) as reader:
        frames = list(reader.frames())
        assert reader.damage == []
    assert len(frames) == len(stored) == 6
    for index, (frame, image) in enumerate(zip(frames, stored, strict=True)):
        assert frame.image.shape == (height, width, 3)
        assert read_number(frame.image) == index
        expected = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        assert np.abs(frame.image.astype(int) - expected).mean() < 2


def test_the_annotated_video_has_square_pixels(tmp_path: Path) -> None:
    aspect = Fraction(64, 45)
    path = make_clip(
        tmp_path / "a.mp4", size=(720, 576), aspect=aspect, picture=lambda _: disc(720, 576, aspect)
    )
    target = copy(path)
    with av.open(target) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (1024, 576)
        assert stream.sample_aspect_ratio == 1
        wide, high = extents(next(container.decode(stream)).to_ndarray(format="rgb24"))
    assert abs(wide - high) <= 2
    assert frame_times(target) == frame_times(path)


def test_a_rotated_video_is_stretched_along_its_stored_rows(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", size=(144, 96), aspect=Fraction(4, 3), rotation=90)
    with open_video(path) as reader:
        assert (reader.info.width, reader.info.height) == (96, 192)
        (first, *_) = reader.frames()
    upright = np.rot90(cv2.resize(draw_frame(0, 144, 96), (192, 96)))
    assert np.abs(first.image.astype(int) - upright).mean() < 5
    seen = rgb(copy(path))
    assert seen.shape == (12, 192, 96, 3)
    assert np.abs(seen[0] - upright).mean() < 6


@pytest.mark.parametrize("aspect", [None, Fraction(1), Fraction(99, 100), Fraction(101, 100)])
def test_pixels_that_are_nearly_square_are_untouched(
    tmp_path: Path, aspect: Fraction | None
) -> None:
    path = make_clip(tmp_path / "a.mp4", aspect=aspect)
    with av.open(path) as container:
        plain = [frame.to_ndarray() for frame in container.decode(video=0)]
    with open_video(path) as reader:
        assert reader.info.changes == ()
        assert (reader.info.width, reader.info.height) == (128, 96)
        for decoded, expected in zip(reader.decoded_frames(), plain, strict=True):
            np.testing.assert_array_equal(decoded.frame.to_ndarray(), expected)


@pytest.mark.parametrize(
    ("size", "aspect"),
    [
        ((128, 96), (1, 1000)),
        ((128, 96), (1000, 1)),
        ((128, 96), (9, 2)),
        ((4200, 16), (4, 1)),
        ((16, 4200), (1, 4)),
    ],
)
def test_an_absurd_aspect_ratio_is_ignored_and_reported(
    tmp_path: Path, size: tuple[int, int], aspect: tuple[int, int]
) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=2, size=size, aspect=Fraction(3))
    with open_video(set_header_aspect(path, *aspect)) as reader:
        assert (reader.info.width, reader.info.height) == size
        assert reader.info.changes == (
            f"Pixels of {aspect[0]}:{aspect[1]} are not plausible; they were taken as square.",
        )
        assert {frame.pixels.shape for frame in reader.frames()} == {(size[1], size[0], 3)}


@pytest.mark.parametrize("aspect", [(0, 1), (1, 0), (0, 0)])
def test_an_unknown_aspect_ratio_means_square_pixels(
    tmp_path: Path, aspect: tuple[int, int]
) -> None:
    path = make_clip(tmp_path / "a.mp4", codec="mpeg4", frames=2, aspect=Fraction(1))
    with open_video(set_header_aspect(path, *aspect)) as reader:
        assert (reader.info.width, reader.info.height) == (128, 96)
        assert reader.info.changes == ()


def test_frames_after_a_change_of_the_aspect_ratio_keep_the_first_size(tmp_path: Path) -> None:
    first = make_clip(tmp_path / "1.ts", frames=30, aspect=Fraction(4, 3))
    second = make_clip(tmp_path / "2.ts", frames=30, aspect=Fraction(2), size=(128, 96))
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with open_video(path) as reader:
        frames = list(reader.frames())
        messages = [place.message for place in reader.damage]
        assert (reader.info.width, reader.info.height) == (170, 96)
    assert len(frames) == 60
    assert {frame.pixels.shape for frame in frames} == {(96, 170, 3)}
    assert "the shape of the pixels changes; frames are shown distorted from here on" in messages


def test_the_header_decides_about_the_shape_of_pixels_not_the_frames(tmp_path: Path) -> None:
    """As in players that use FFmpeg."""
    path = make_clip(tmp_path / "a.mp4", aspect=Fraction(2))
    with open_video(set_header_aspect(path, 3, 2)) as reader:
        assert (reader.info.width, reader.info.height) == (192, 96)
        assert len(list(reader.frames())) == 12
        assert reader.damage == []


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_resolution_for_printing_does_not_stretch_a_picture(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(draw_frame(3)).save(path, dpi=(100, 200))
    for reader in (VideoReader(path), open_video(path)):
        with reader:
            assert (reader.info.width, reader.info.height) == (128, 96)
            assert reader.info.changes == ()


def write_palette(path: Path, sizes: list[tuple[int, int]], aspect: Fraction) -> Path:
    """Write PNG frames with a palette, each with a white disc."""
    with av.open(path, "w") as container:
        stream = container.add_stream("png", rate=25, width=sizes[0][0], height=sizes[0][1])
        stream.pix_fmt = "pal8"
        stream.codec_context.sample_aspect_ratio = aspect
        for tick, (width, height) in enumerate(sizes):
            frame = av.VideoFrame(width, height, "pal8")
            colours = np.arange(256, dtype=np.uint32) * 0x010101 + 0xFF000000
            frame.planes[1].update(colours.tobytes())
            rows = np.frombuffer(frame.planes[0], np.uint8).reshape(height, -1)
            rows[:, :width] = disc(width, height, aspect)[..., 0]
            encoder = av.CodecContext.create("png", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "pal8"
            encoder.time_base = frame.time_base = Fraction(1, 25)
            frame.pts = tick
            for packet in (*encoder.encode(frame), *encoder.encode()):
                packet.stream = stream
                container.mux(packet)
    return path


def test_a_stretched_palette_becomes_rgb(tmp_path: Path) -> None:
    """FFmpeg cannot scale pictures with a palette to another such picture."""
    path = write_palette(tmp_path / "a.mov", [(120, 90)], Fraction(4, 3))
    with open_video(path) as reader:
        assert reader.info.pixel_format == "pal8"
        (read,) = reader.frames()
    wide, high = extents(read.image)
    assert read.image.shape == (90, 160, 3)
    assert abs(wide - high) <= 2
    assert rgb(copy(path, draw_nothing)).shape == (1, 90, 160, 3)


def test_frames_with_a_palette_may_change_their_size(tmp_path: Path) -> None:
    path = write_palette(tmp_path / "a.mov", [(120, 90), (60, 44), (120, 90)], Fraction(1))
    with open_video(path) as reader:
        first, second, third = reader.frames()
        assert [place.message for place in reader.damage] == [
            "the frame size or format changes; frames were stretched to the first one"
        ]
    np.testing.assert_array_equal(first.image, third.image)
    assert np.abs(second.image.astype(int) - first.image).mean() < 8
    assert rgb(copy(path, draw_nothing)).shape == (3, 90, 120, 3)
