"""Structure and metadata of files that were planted by PyAV and Pillow."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fakelens.casework.file_facts import (
    packet_sentence,
    read_still_facts,
    read_video_facts,
    timestamp_sentence,
)
from fakelens.errors import MediaError
from support.media import make_clip, truncate


def test_a_constant_rate_is_recognised(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=10, rate=Fraction(25), sounds=("aac",))
    found = read_video_facts(path, 1)
    assert found.timestamps is not None
    assert timestamp_sentence(found.timestamps).startswith("constant: 10 timestamps, 0.0400 s")
    assert found.container == "QuickTime / MOV"
    described = dict(found.streams)
    assert "128 x 96 pixels, yuv420p" in described["Stream 0 (examined)"]
    assert "average 25 frames/s" in described["Stream 0 (examined)"]
    assert "audio: AAC" in described["Stream 1"]
    assert "FFmpeg's libavformat" in found.reader


def test_where_reading_stops_is_said(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.y4m", frames=12, codec="wrapped_avframe", rate=Fraction(25))
    data = path.read_bytes()
    places = [k for k in range(len(data)) if data[k : k + 5] == b"FRAME"]
    path.write_bytes(data[: places[7]] + b"-----" + data[places[7] + 5 :])
    found = read_video_facts(path, 1).timestamps
    assert found is not None
    text = packet_sentence(found)
    assert text.startswith("7 packets read; READING STOPPED there, with the last timestamp at 0.24")
    path.write_bytes(data)
    found = read_video_facts(path, 1).timestamps
    assert found is not None
    assert packet_sentence(found) == "12 packets read up to the end of the file"


def test_fewer_packets_than_announced_are_said(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=60, muxer={"movflags": "faststart"})
    truncate(path, 0.7)
    found = read_video_facts(path, 1).timestamps
    assert found is not None
    assert found.packets < 60
    assert "; the header announces 60 frames" in packet_sentence(found)


def test_metadata_that_cannot_be_read_are_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    texts = PngImagePlugin.PngInfo()
    texts.add_text("key", "kept")
    Image.new("RGB", (8, 8)).save(path, pnginfo=texts, exif=b"Exif\0\0no EXIF at all")
    tags = dict(read_still_facts(path).tags)
    assert tags["text key"] == "kept"
    assert tags["METADATA CANNOT BE READ"].startswith("from here on: ")


def test_a_rate_rounded_by_the_time_base_is_constant(tmp_path: Path) -> None:
    pts = [round(number * 1001 / 30) for number in range(30)]  # NTSC in milliseconds: 33 or 34
    path = make_clip(tmp_path / "a.mkv", frames=30, pts=pts, time_base=Fraction(1, 1000))
    found = read_video_facts(path, 1)
    assert found.timestamps is not None
    assert timestamp_sentence(found.timestamps) == (
        "constant: 30 timestamps, 0.0334 s apart, up to the rounding of the time base; "
        "key frames: 1"
    )


def test_a_variable_rate_is_recognised(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "a.mkv", frames=5, pts=[0, 40, 80, 300, 340], time_base=Fraction(1, 1000)
    )
    found = read_video_facts(path, 1)
    assert found.timestamps is not None
    assert timestamp_sentence(found.timestamps).startswith(
        "variable: 5 timestamps, 0.0400 to 0.2200 s apart (median 0.0400 s)"
    )


def test_planted_tags_and_the_name_of_the_encoder_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as container:
        container.metadata["title"] = "planted title"
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.metadata["language"] = "deu"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    tags = dict(read_video_facts(path, None).tags)
    assert tags["title"] == "planted title"
    assert tags["stream 0 language"] == "deu"
    assert tags["encoder named in the video data"].startswith("x264 - core")


def test_long_values_and_many_tags_are_cut_and_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    texts = PngImagePlugin.PngInfo()
    for number in range(80):
        texts.add_text(f"key {number:02}", "x" * 400)
    Image.new("RGB", (8, 8)).save(path, pnginfo=texts)
    found = read_still_facts(path)
    assert len(found.tags) + found.omitted == 80
    assert found.omitted > 0
    assert found.tags[0] == ("text key 00", "x" * 300 + "... (400 characters)")


def test_planted_exif_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Canon"
    exif.get_ifd(0x8769)[0x9003] = "2026:04:17 10:11:12"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0said"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    path = tmp_path / "a.jpg"
    Image.new("RGB", (40, 30)).save(path, exif=exif, comment=b"a comment")
    found = read_still_facts(path)
    tags = dict(found.tags)
    assert tags["EXIF Make"] == "Canon"
    assert tags["EXIF DateTimeOriginal"] == "2026:04:17 10:11:12"
    assert tags["GPS GPSLatitude"] == "48.0, 51.0, 30.0"
    assert tags["text comment"] == "a comment"
    assert found.container == "JPEG (ISO 10918)"
    assert found.general == (("Structure", "40 x 30 pixels as stored; mode RGB; 1 page"),)
    assert found.timestamps is None


def test_a_picture_without_metadata_has_no_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (8, 9)).save(path)
    assert read_still_facts(path).tags == ()


def test_what_is_no_media_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"nothing of the kind" * 50)
    for read in (read_still_facts, lambda path: read_video_facts(path, None)):
        with pytest.raises(MediaError):
            read(path)
