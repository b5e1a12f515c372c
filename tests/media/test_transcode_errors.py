"""Transcoding of damaged files, and errors on the way."""

import numpy as np
import pytest

from fakelens.errors import MediaError, OutputError
from fakelens.media.planes import Planes
from fakelens.media.reader import open_video
from fakelens.media.transcode import transcode
from support.media import (
    count_threads,
    make_clip,
    open_files,
    overwrite_with_noise,
    thread_count_returns_to,
)
from support.transcoding import copy, draw_nothing, frame_times


def test_frames_after_damage_keep_their_numbers(tmp_path):
    source = make_clip(tmp_path / "a.mp4", frames=90, options={"g": "10"}, sounds=["aac"])
    overwrite_with_noise(source, 0.4, 0.5)
    with open_video(source) as reader:
        expected = [(frame.index, frame.time) for frame in reader.frames()]
    seen: list[int] = []
    target = tmp_path / "copy.mp4"
    transcode(source, target, lambda index, planes: seen.append(index))
    assert seen == [index for index, _ in expected]
    assert frame_times(target) == [time for _, time in expected]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_flipped_bytes_give_a_video_or_a_media_error(tmp_path, name):
    random = np.random.default_rng(0)
    clip = make_clip(tmp_path / name, frames=5, size=(48, 32), sounds=["aac", "mp2"])
    whole = np.frombuffer(clip.read_bytes(), np.uint8)
    source, target = tmp_path / f"broken-{name}", tmp_path / "copy.mp4"
    written = 0
    for _ in range(40):
        data = whole.copy()
        places = random.integers(0, len(data), random.integers(1, 2 + len(data) // 200))
        data[places] = random.integers(0, 256, len(places))
        source.write_bytes(data.tobytes())
        try:
            transcode(source, target, draw_nothing)
            expected = frame_times(source)
        except MediaError:
            continue
        assert frame_times(target) == expected
        written += 1
    assert written > 3


class DrawingError(Exception):
    pass


@pytest.mark.parametrize("at", [0, 5])
@pytest.mark.parametrize("rotation", [0, 90])
def test_an_error_while_drawing_is_raised_and_everything_is_closed(tmp_path, at, rotation):
    source = make_clip(tmp_path / "a.mp4", frames=30, rotation=rotation, sounds=["aac"])
    before = count_threads()

    def fail(index: int, planes: Planes) -> None:
        if index == at:
            raise DrawingError

    with pytest.raises(DrawingError):
        transcode(source, tmp_path / "copy.mp4", fail)
    assert thread_count_returns_to(before)
    assert not [name for name in open_files() if name.endswith(".mp4")]


def test_an_error_of_the_callback_is_not_taken_for_a_disk_error(tmp_path):
    source = make_clip(tmp_path / "a.mp4")

    def fail(index: int, planes: Planes) -> None:
        raise FileNotFoundError("a font")

    with pytest.raises(FileNotFoundError, match="a font"):
        transcode(source, tmp_path / "copy.mp4", fail)


def test_all_threads_end(tmp_path):
    source = make_clip(tmp_path / "a.mp4")
    before = count_threads()
    copy(source)
    assert thread_count_returns_to(before)


@pytest.mark.parametrize("where", ["missing/copy.mp4", "folder", "full"])
def test_a_target_that_cannot_be_written_is_an_output_error(tmp_path, where, capfd):
    source = make_clip(tmp_path / "a.mp4", frames=60, sounds=["aac"])
    (tmp_path / "folder").mkdir()
    (tmp_path / "full").symlink_to("/dev/full")  # a full disk
    target = tmp_path / where
    with pytest.raises(OutputError) as caught:
        transcode(source, target, draw_nothing)
    assert str(caught.value).startswith(f"{target}: ")
    assert capfd.readouterr() == ("", "")


def test_an_unreadable_source_is_a_media_error_and_writes_nothing(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(MediaError):
        transcode(tmp_path / "a.mp4", tmp_path / "copy.mp4", draw_nothing)
    assert not (tmp_path / "copy.mp4").exists()
