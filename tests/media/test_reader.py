"""The reader: frames, timestamps, colours, orientation, header and resources."""

import csv
import resource
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakelens.errors import MediaError
from fakelens.media.reader import open_video
from support.media import (
    BT709,
    NTSC,
    UNTAGGED,
    Tags,
    count_threads,
    draw_frame,
    make_clip,
    open_files,
    overwrite_with_noise,
    thread_count_returns_to,
)
from support.reading import frame_numbers, opencv_frames, read_frames


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mp4", {}),
        ("b-frames.mp4", {"options": {"bf": "3", "g": "12"}}),
        ("late.mkv", {"pts": range(1000, 1480, 40), "time_base": Fraction(1, 1000)}),
        ("a.mov", {"codec": "mpeg4"}),
        ("a.webm", {"codec": "libvpx"}),
        ("a.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
        ("a.ts", {"sounds": ["aac"]}),
        ("lossless.mkv", {"codec": "ffv1", "pixel_format": "bgra"}),
        ("ten bits.mp4", {"pixel_format": "yuv420p10le", "tags": BT709}),
        ("444.mp4", {"pixel_format": "yuv444p"}),
        ("grey.mkv", {"codec": "ffv1", "pixel_format": "gray"}),
        ("a.gif", {"codec": "gif", "pixel_format": "rgb8", "rate": Fraction(25)}),
        ("odd.mp4", {"pixel_format": "yuv444p", "size": (131, 97)}),
    ],
)
def test_every_frame_is_read_once_and_in_order(tmp_path, name, settings):
    path = make_clip(tmp_path / name, **settings)
    frames = read_frames(path)
    assert frame_numbers(frames) == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    width, height = settings.get("size", (128, 96))
    assert {frame.image.shape for frame in frames} == {(height, width, 3)}
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.flags.c_contiguous


@pytest.mark.parametrize(
    ("tags", "pixel_format"),
    [
        (UNTAGGED, "yuv420p"),
        (BT709, "yuv420p"),
        (BT709, "yuv444p"),
        (BT709, "yuv420p10le"),
        (Tags(1, 2, 1, 1), "yuv420p"),
        (Tags(6, 2, 6, 6), "yuvj420p"),
    ],
)
def test_colours_are_converted_by_their_tags(tmp_path, tags, pixel_format):
    options = {"crf": "1"}
    path = make_clip(
        tmp_path / "a.mp4", frames=2, tags=tags, pixel_format=pixel_format, options=options
    )
    expected = draw_frame(1).astype(int)[20:]  # below the blocks, whose edges are blurred by chroma
    # FFmpeg's fast conversion, which OpenCV uses too, deviates by up to 2; a wrong matrix deviates
    # by 7 or more, a wrong range by 10 or more.
    assert np.abs(read_frames(path)[1].image.astype(int)[20:] - expected).mean() < 2.5


@pytest.mark.parametrize("matrix", ["ycgco", "bt2020c", "chroma-derived-nc", "ictcp", "smpte240m"])
def test_rare_colour_matrices_are_read_and_reported_if_inexact(tmp_path, matrix):
    options = {"x264-params": f"colormatrix={matrix}"}
    path = make_clip(tmp_path / "a.mp4", pixel_format="yuv444p", options=options)
    with open_video(path) as reader:
        frames = list(reader.frames())
        exact = matrix == "smpte240m"
        assert bool(reader.damage) != exact
    assert frame_numbers(frames) == list(range(12))


def test_irregular_timestamps_are_kept(tmp_path):
    pts = [30, 31, 35, 36, 37, 50, 51, 52, 53, 54, 55, 900]
    path = make_clip(tmp_path / "a.mkv", pts=pts, time_base=Fraction(1, 1000))
    assert [frame.time for frame in read_frames(path)] == [Fraction(tick, 1000) for tick in pts]


def test_ntsc_timestamps_are_exact(tmp_path):
    frames = read_frames(make_clip(tmp_path / "a.mp4"))
    assert [frame.time for frame in frames] == [k / NTSC for k in range(12)]


def test_missing_timestamps_are_filled_in_at_the_frame_rate(tmp_path):
    path = make_clip(tmp_path / "a.h264", rate=Fraction(25))  # holds no timestamps at all
    times = [frame.time for frame in read_frames(path)]
    assert np.allclose(np.diff([float(time) for time in times]), 1 / 25)


def test_every_nth_frame_is_returned_and_all_are_counted(tmp_path):
    path = make_clip(tmp_path / "a.mp4")
    with open_video(path) as reader:
        frames = list(reader.frames(every=5))
        assert reader.decoded == 12
    assert [frame.index for frame in frames] == [0, 5, 10]
    assert frame_numbers(frames) == [0, 5, 10]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_are_upright_like_opencv_s(tmp_path, rotation):
    path = make_clip(tmp_path / "a.mp4", rotation=rotation)
    frames = read_frames(path)
    theirs = list(opencv_frames(path))
    assert len(frames) == len(theirs)
    for frame, image in zip(frames, theirs, strict=True):
        assert frame.image.shape == image.shape
        assert np.abs(frame.image.astype(int) - image).mean() < 3
    with open_video(path) as reader:
        assert (reader.info.height, reader.info.width) == frames[0].image.shape[:2]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photographs_are_rotated_like_opencv_s(tmp_path, orientation):
    path = tmp_path / "phone.jpg"
    done, jpeg = cv2.imencode(".jpg", draw_frame(5)[..., ::-1])
    assert done
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1" + bytes(
        [0, orientation, 0, 0, 0, 0, 0, 0]
    )
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(jpeg[:2].tobytes() + segment + jpeg[2:].tobytes())
    theirs = cv2.imread(str(path))[..., ::-1].astype(int)
    (frame,) = read_frames(path)
    assert frame.image.shape == theirs.shape
    assert np.abs(frame.image - theirs).mean() < 3


def test_all_frames_get_the_size_of_the_first(tmp_path):
    first = make_clip(tmp_path / "1.ts", frames=6)
    second = make_clip(
        tmp_path / "2.ts", frames=6, size=(64, 48), pts=range(6, 12), time_base=1 / NTSC
    )
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames = read_frames(path)
    assert {frame.image.shape for frame in frames} == {(96, 128, 3)}
    assert frame_numbers(frames) == [*range(6), *range(6)]


def test_info_has_the_properties_of_the_header(tmp_path):
    path = make_clip(tmp_path / "a.mp4", sounds=["aac", "libmp3lame"], size=(160, 120), frames=30)
    with open_video(path) as reader:
        info = reader.info
    assert (info.width, info.height, info.rotation) == (160, 120, 0)
    assert info.rate == NTSC
    assert info.time_base == Fraction(1, 30000)
    assert info.frame_estimate == 30
    assert info.duration == 30 / NTSC
    assert (info.codec, info.pixel_format) == ("h264", "yuv420p")
    assert not info.is_picture
    assert info.audio == ("aac", "mp3")


def test_the_number_of_frames_may_be_unknown(tmp_path):
    path = make_clip(tmp_path / "a.h264", rate=Fraction(25))
    with open_video(path) as reader:
        assert reader.info.frame_estimate is None
        assert len(list(reader.frames())) == 12


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tiff", "a.webp", "a.ppm"])
def test_a_picture_is_read_as_one_frame(tmp_path, name):
    path = tmp_path / name
    assert cv2.imwrite(str(path), draw_frame(77)[..., ::-1])
    with open_video(path) as reader:
        assert reader.info.is_picture
        assert reader.info.frame_estimate == 1
        assert reader.info.duration is None
        assert frame_numbers(list(reader.frames())) == [77]


@pytest.mark.parametrize(
    "name",
    ["100%.png", "a%03d.png", "*.jpg", "né à Paris 日本.png", "a:b.png", "http:x.jpg", "-.png"],
)
def test_special_characters_in_the_name_have_no_meaning(tmp_path, name, monkeypatch):
    _, data = cv2.imencode(Path(name).suffix, draw_frame(9)[..., ::-1])
    (tmp_path / name).write_bytes(data.tobytes())
    for decoy in (
        "000.jpg",
        "a000.png",
        "a001.png",
    ):  # would match a pattern
        assert cv2.imwrite(str(tmp_path / decoy), draw_frame(1))
    assert frame_numbers(read_frames(tmp_path / name)) == [9]
    monkeypatch.chdir(tmp_path)
    assert frame_numbers(read_frames(Path(name))) == [9]


@pytest.mark.parametrize("name", ["clip", "clip.txt", "clip.jpg", "clip.avi"])
def test_the_format_is_detected_from_the_content(tmp_path, name):
    clip = make_clip(tmp_path / "a.mp4", options={"g": "12"})
    assert frame_numbers(read_frames(clip.rename(tmp_path / name))) == list(range(12))


def test_a_picture_with_the_wrong_suffix_is_a_picture(tmp_path):
    path = tmp_path / "picture.mp4"
    _, data = cv2.imencode(".png", draw_frame(3))
    path.write_bytes(data.tobytes())
    with open_video(path) as reader:
        assert reader.info.is_picture


def test_the_largest_of_several_video_streams_is_read(tmp_path):
    path = make_clip(tmp_path / "a.mkv", more_videos=[(64, 48)])
    frames = read_frames(path)
    assert frame_numbers(frames) == list(range(12))
    assert frames[0].image.shape == (96, 128, 3)


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path):
    def peak(count: int) -> int:
        path = make_clip(
            tmp_path / f"{count}.mp4",
            frames=count,
            size=(640, 480),
            options={"preset": "ultrafast"},
        )
        with open_video(path) as reader:
            for _ in reader.frames():
                pass
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    short = peak(40)
    assert peak(400) - short < 60_000  # kB; the frames are 360 MB of RGB


def test_closing_ends_threads_and_closes_the_file(tmp_path):
    path = make_clip(tmp_path / "a.mp4", frames=40)
    before = count_threads()
    reader = open_video(path)
    with reader:
        frames = reader.frames()
        next(frames)
        assert any(path.name in link for link in open_files())
    assert not any(path.name in link for link in open_files())
    assert thread_count_returns_to(before)


def test_a_frame_that_is_decoded_with_errors_is_marked(tmp_path):
    path = make_clip(tmp_path / "a.mp4", frames=60, size=(320, 240), options={"g": "60"})
    assert not any(frame.damaged for frame in read_frames(path))
    frames = read_frames(overwrite_with_noise(path, 0.5, 0.6))
    marks = [frame.damaged for frame in frames]
    assert any(marks)
    assert not any(marks[:10])


@pytest.mark.shared
@pytest.mark.slow
def test_real_videos_have_the_frames_of_the_manifest(shared_data):
    """The headers of all files, and all frames of the smallest file of each kind."""
    with (shared_data / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda row: int(row["width"]) * int(row["height"]) * int(row["frames"]))
    kinds = set()
    for row in rows:
        path = shared_data / row["path"]
        if "UNDECODABLE" in row["note"]:
            with pytest.raises(MediaError, match="Git LFS"):
                open_video(path)
            continue
        with open_video(path) as reader:
            info = reader.info
            assert (info.width, info.height) == (int(row["width"]), int(row["height"]))
            kind = (info.codec, info.pixel_format, info.rate, info.audio)
            if kind in kinds:
                continue
            kinds.add(kind)
            last = -1
            for picture in reader.decoded_frames():
                assert picture.pts > last
                last = picture.pts
            assert reader.decoded == int(row["frames"]), path
            assert reader.damage == [], path
    assert len(kinds) > 12
