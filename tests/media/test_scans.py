"""Interlaced video is made progressive, one frame for each; progressive video is untouched."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.media.reader import open_video
from support.media import draw_frame, make_clip, read_number
from support.transcoding import copy, frame_times, rgb, sound_packets

SIZE = 256, 192
RATE = Fraction(25)
X264 = {"flags": "+ildct+ilme", "crf": "5"}


def scene(time: float) -> NDArray[np.uint8]:
    """Draw what a camera sees ``time`` frames after the start: a block that moves to and fro."""
    image = draw_frame(int(time), *SIZE)
    left = 20 + round(abs((8 * time + 150) % 300 - 150))
    image[60:160, left : left + 60] = 225
    return image


def interlace(number: int, fields: str = "tff") -> NDArray[np.uint8]:
    """Draw an interlaced frame: every other line is half a frame later."""
    image, later = scene(number), scene(number + 0.5)
    start = 1 if fields == "tff" else 0
    image[start::2] = later[start::2]
    return image


def combing(image: NDArray[np.generic]) -> float:
    """Measure by how much lines differ from the mean of their neighbours, without the numbers."""
    grey = image[40:].astype(float).mean(axis=2)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


def is_progressive(image: NDArray[np.generic], number: int) -> bool:
    """Tell whether at least four fifths of the combing are gone."""
    clean, combed = combing(scene(number)), combing(interlace(number))
    return combed > 4 * clean and combing(image) < clean + (combed - clean) / 5


def make_interlaced(path: Path, fields: str = "tff", **settings: object) -> Path:
    settings = {"options": X264, "size": SIZE, "rate": RATE} | settings
    return make_clip(path, fields=fields, picture=lambda k: interlace(k, fields), **settings)


CASES = {
    "h264.mp4": {},
    "h264.ts": {"sounds": ["aac"]},
    "h264 with B frames.mkv": {"options": X264 | {"bf": "2"}, "frames": 20},
    "422.mp4": {"pixel_format": "yuv422p10le"},
    "a.mpg": {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme", "b": "8M"}},
    "mpeg4.mov": {"codec": "mpeg4", "options": {"flags": "+ildct+ilme", "b": "8M"}},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "ffv1.mkv": {"codec": "ffv1", "options": {}},
    # Their frames are not marked; the header says that they are interlaced.
    "mjpeg.mov": {"codec": "mjpeg", "pixel_format": "yuvj422p", "options": {"b": "8M"}},
    "png.mov": {"codec": "png", "pixel_format": "rgb24", "options": {}},
}


@pytest.mark.parametrize("fields", ["tff", "bff"])
@pytest.mark.parametrize("name", CASES)
def test_each_interlaced_frame_becomes_a_progressive_one(
    tmp_path: Path, name: str, fields: str
) -> None:
    settings = dict(CASES[name])
    if settings.get("codec", "libx264") == "libx264" and fields == "bff":
        settings["options"] = settings.get("options", X264) | {"x264-params": "bff=1"}
    path = make_interlaced(tmp_path / name, fields, **settings)
    with av.open(path) as container:
        stored = list(container.decode(video=0))
        combed = [combing(frame.to_ndarray(format="rgb24")) for frame in stored]
    with open_video(path) as reader:
        assert reader.info.changes == ("Interlacing was removed (bwdif).",)
        assert reader.info.pixel_format == stored[0].format.name
        frames = list(reader.frames())
        assert reader.damage == []
    count = settings.get("frames", 12)
    assert [read_number(frame.image) for frame in frames] == list(range(count))
    assert [frame.index for frame in frames] == list(range(count))
    assert [frame.time for frame in frames] == [f.pts * f.time_base for f in stored]
    for frame, before in zip(frames, combed, strict=True):
        assert before > 0.9 * combing(interlace(frame.index, fields))
        assert is_progressive(frame.image, frame.index)
        # The frame shows the scene at the time of its first field.
        first, second = (
            np.abs(frame.image[40:].astype(int) - scene(frame.index + late)[40:]).mean()
            for late in (0, 0.5)
        )
        assert first < 5
        assert first < second


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_frame_of_a_short_interlaced_video_is_lost(tmp_path: Path, count: int) -> None:
    path = make_interlaced(tmp_path / "a.mp4", frames=count)
    with open_video(path) as reader:
        frames = list(reader.frames())
    assert [read_number(frame.image) for frame in frames] == list(range(count))
    assert all(is_progressive(frame.image, frame.index) for frame in frames)


def test_timestamps_of_a_variable_rate_are_kept(tmp_path: Path) -> None:
    ticks = [1000, 1040, 1200, 1201, 1300, 1900]
    path = make_interlaced(
        tmp_path / "a.mkv", frames=6, pts=ticks, time_base=Fraction(1, 1000), rate=RATE
    )
    assert frame_times(path) == [Fraction(tick, 1000) for tick in ticks]
    with open_video(path) as reader:
        assert reader.info.start == 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mp4", {}),
        ("a.ts", {"codec": "mpeg2video"}),
        ("10.mp4", {"pixel_format": "yuv420p10le"}),
        # The header says interlaced, but these frames can say so themselves, and do not.
        ("header.mkv", {"fields": "tff"}),
        ("header2.mkv", {"fields": "tff", "codec": "mpeg2video"}),
        ("header.mov", {"fields": "tff", "codec": "prores_ks", "pixel_format": "yuv422p10le"}),
    ],
)
def test_progressive_frames_are_untouched(
    tmp_path: Path, name: str, settings: dict[str, str]
) -> None:
    path = make_clip(tmp_path / name, size=SIZE, rate=RATE, picture=scene, **settings)
    with av.open(path) as container:
        stored = [frame.to_ndarray() for frame in container.decode(video=0)]
    with open_video(path) as reader:
        assert reader.info.changes == ()
        read = [decoded.frame.to_ndarray() for decoded in reader.decoded_frames()]
    assert len(read) == len(stored)
    for now, before in zip(read, stored, strict=True):
        np.testing.assert_array_equal(now, before)


def test_interlaced_frames_that_begin_later_are_treated(tmp_path: Path) -> None:
    """A broadcast: a progressive film, then interlaced sport, then the film again."""
    film = make_clip(tmp_path / "1.ts", frames=10, size=SIZE, rate=RATE, picture=scene)
    sport = make_interlaced(tmp_path / "2.ts", frames=10)
    path = tmp_path / "both.ts"
    path.write_bytes(film.read_bytes() + sport.read_bytes() + film.read_bytes())
    with av.open(film) as container:
        stored = [frame.to_ndarray() for frame in container.decode(video=0)]
    with open_video(path) as reader:
        assert reader.info.changes == ()
        read = [decoded.frame.to_ndarray() for decoded in reader.decoded_frames()]
        assert reader.info.changes == ("Interlacing was removed (bwdif).",)
    assert len(read) == 30
    for start in (0, 20):
        for now, before in zip(read[start : start + 10], stored, strict=True):
            np.testing.assert_array_equal(now, before)
    with open_video(path) as reader:
        frames = list(reader.frames())
    assert [read_number(frame.image) for frame in frames] == 3 * list(range(10))
    assert all(first.time < second.time for first, second in pairwise(frames))
    for frame in frames[10:20]:
        assert is_progressive(frame.image, frame.index - 10)


def test_the_annotated_video_is_progressive(tmp_path: Path) -> None:
    path = make_interlaced(tmp_path / "a.mp4", frames=50, sounds=["aac"])
    target = copy(path)
    with av.open(target) as container:
        stored = list(container.decode(video=0))
    assert not any(frame.interlaced_frame for frame in stored)
    assert frame_times(target) == frame_times(path)
    images = rgb(target)
    assert [read_number(image) for image in images] == list(range(50))
    for index, image in enumerate(images):
        assert is_progressive(image, index)
    assert sound_packets(target, 0) == sound_packets(path, 0)


def test_interlaced_frames_with_wide_pixels_are_deinterlaced_before_they_are_scaled(
    tmp_path: Path,
) -> None:
    path = make_interlaced(tmp_path / "a.mp4", aspect=Fraction(1, 2))
    with open_video(path) as reader:
        assert (reader.info.width, reader.info.height) == (256, 384)
        assert len(reader.info.changes) == 2
        frames = list(reader.frames())
    assert len(frames) == 12
    for frame in frames:
        assert is_progressive(frame.image[::2], frame.index)


def test_frames_too_small_for_the_filter_pass(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "a.mov",
        codec="png",
        pixel_format="rgb24",
        size=(2, 2),
        fields="tff",
        picture=lambda number: np.full((2, 2, 3), 9 * number, np.uint8),
    )
    with open_video(path) as reader:
        assert [int(frame.image[0, 0, 0]) for frame in reader.frames()] == list(range(0, 108, 9))
        assert reader.info.changes == ()
