"""Files that the reader refuses."""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from fakelens.errors import MediaError
from support.media import make_clip, make_sound, overwrite_with_noise, truncate
from support.reading import read_frames


def write_lfs_pointer(path: Path) -> None:
    path.write_text(
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
    )


def write_subtitles(path: Path) -> None:
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello.\n")


def write_header_only(path: Path) -> None:
    make_clip(path, muxer={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])


def write_without_header(path: Path) -> None:
    truncate(make_clip(path, frames=60), 0.9)


def write_noise(path: Path) -> None:
    overwrite_with_noise(make_clip(path), 0, 1)


def write_sound_with_cover(path: Path) -> None:
    make_sound(path.with_suffix(".mp3"), cover=True).rename(path)


@pytest.mark.parametrize(
    ("make", "message_part"),
    [
        (lambda path: None, "no such file"),
        (Path.mkdir, "a folder"),
        (Path.touch, "empty"),
        (lambda path: path.write_text("This is no video.\n" * 100), "not a video"),
        (write_subtitles, ""),
        (write_lfs_pointer, "Git LFS"),
        (write_header_only, "no frame"),
        (write_without_header, ""),
        (write_noise, "no frame"),
        (lambda path: make_sound(path, "aac"), "only sound"),
        (write_sound_with_cover, "only sound"),
        (lambda path: path.symlink_to(path), ""),
        (os.mkfifo, "a pipe"),
    ],
)
def test_other_files_are_refused_with_one_sentence(tmp_path, capfd, make, message_part):
    path = tmp_path / "clip.mp4"
    make(path)
    with pytest.raises(MediaError) as caught:
        read_frames(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message_part in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 160
    assert capfd.readouterr() == ("", "")  # no output of FFmpeg


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_refused(tmp_path):
    path = make_clip(tmp_path / "a.mp4")
    path.chmod(0)
    with pytest.raises(MediaError, match="no permission to read this file"):
        read_frames(path)


@pytest.mark.parametrize("kind", ["m3u8", "ffconcat"])
def test_a_playlist_is_refused_and_its_files_are_not_opened(tmp_path, kind):
    other = make_clip(tmp_path / "other.ts", frames=30)
    text = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other.name}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile {other.name}\n",
    }
    path = tmp_path / f"list.{kind}"
    path.write_text(text[kind])
    with pytest.raises(MediaError):
        read_frames(path)


def test_a_picture_too_large_for_memory_is_refused(tmp_path):
    width, height = 20000, 14000  # 34 kB as a file, 840 MB as RGB
    rows = zlib.compress((b"\0" + bytes(width // 8)) * height)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\1\0\0\0\0"  # 1 bit a pixel
    path = tmp_path / "bomb.png"
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")):
            check = zlib.crc32(kind + content).to_bytes(4, "big")
            file.write(len(content).to_bytes(4, "big") + kind + content + check)
    with pytest.raises(MediaError, match="more than 200 million pixels"):
        read_frames(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.gif", "a.png", "a.ts"])
def test_flipped_bytes_give_frames_or_a_media_error(tmp_path, name, capfd):
    random = np.random.default_rng(0)
    codec = {"a.gif": "gif", "a.png": "png"}.get(name, "libx264")
    pixels = {"a.gif": "rgb8", "a.png": "rgb24"}.get(name, "yuv420p")
    frames = 1 if name == "a.png" else 5
    whole = make_clip(
        tmp_path / name,
        frames=frames,
        size=(48, 32),
        codec=codec,
        pixel_format=pixels,
        sounds=["aac"] if name == "a.mp4" else [],
    ).read_bytes()
    path = tmp_path / f"broken-{name}"
    refused = 0
    for _ in range(30):
        data = np.frombuffer(whole, np.uint8).copy()
        places = random.integers(0, len(data), random.integers(1, 2 + len(data) // 200))
        data[places] = random.integers(0, 256, len(places))
        path.write_bytes(data.tobytes())
        try:
            images = [frame.image.shape for frame in read_frames(path)]
            assert len(set(images)) == 1
        except MediaError:
            refused += 1
    assert refused < 30
    assert capfd.readouterr() == ("", "")
