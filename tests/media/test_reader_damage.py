"""The reader on damaged and truncated files."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from fakelens.media.reader import open_video
from support.media import NTSC, make_clip, overwrite_with_noise, read_number, truncate
from support.reading import frame_numbers, opencv_frames, read_frames


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_after_damage_are_read(tmp_path, codec):
    path = make_clip(tmp_path / "a.mp4", frames=90, codec=codec, options={"g": "10"})
    overwrite_with_noise(path, 0.45, 0.55)
    with open_video(path) as reader:
        frames = list(reader.frames())
        damage = reader.damage
    assert frame_numbers(frames)[-20:] == list(range(70, 90))
    assert len(frames) >= 70
    assert damage
    end = 90 / NTSC
    assert all(0.3 * end < place.time < 0.8 * end for place in damage)


def test_damage_that_a_format_cannot_recover_from_ends_reading_and_is_reported(tmp_path):
    path = make_clip(tmp_path / "a.y4m", codec="wrapped_avframe")
    data = bytearray(path.read_bytes())
    place = [k for k in range(len(data)) if data[k : k + 5] == b"FRAME"][7]
    data[place : place + 5] = b"-----"
    path.write_bytes(data)
    with open_video(path) as reader:
        assert frame_numbers(list(reader.frames())) == list(range(7))
        assert reader.damage


def test_damage_near_the_end_loses_only_damaged_frames(tmp_path):
    path = make_clip(tmp_path / "a.mp4", frames=60, options={"g": "1"})  # only key frames
    overwrite_with_noise(path, 0.955, 0.965)
    with open_video(path) as reader:
        found = set(frame_numbers(list(reader.frames())))
        assert reader.damage
    assert len(set(range(60)) - found) <= 2
    assert 59 in found


def test_reading_a_damaged_file_again_gives_the_same_frames(tmp_path):
    path = overwrite_with_noise(
        make_clip(tmp_path / "a.mp4", frames=90, options={"g": "10"}), 0.3, 0.6
    )
    readings = []
    for _ in range(5):
        with open_video(path) as reader:
            readings.append([(p.index, p.pts) for p in reader.decoded_frames()])
    assert all(reading == readings[0] for reading in readings)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "fragments.mp4"])
def test_the_frames_of_a_truncated_file_are_read(tmp_path, name):
    path = make_clip(
        tmp_path / name,
        frames=120,
        codec="mpeg4" if name == "a.avi" else "libx264",
        options={"g": "10"},
        muxer={"movflags": "frag_keyframe+empty_moov"} if name == "fragments.mp4" else {},
    )
    truncate(path, 0.6)
    frames = read_frames(path)
    assert 30 < len(frames) < 100
    assert len(frames) >= len(list(opencv_frames(path)))
    assert frame_numbers(frames)[:30] == list(range(30))


def test_a_file_shorter_than_its_header_says_is_reported(tmp_path):
    path = make_clip(
        tmp_path / "a.mp4", frames=120, options={"g": "10"}, muxer={"movflags": "faststart"}
    )
    with open_video(truncate(path, 0.6)) as reader:
        count = len(list(reader.frames()))
        (*_, last) = reader.damage
    assert 30 < count < 119
    assert "4.0" in last.message  # seconds in the header
    assert abs(last.time - count / NTSC) < 2 / NTSC


def test_an_intact_file_has_no_damage(tmp_path):
    path = make_clip(tmp_path / "a.mp4", frames=60, sounds=["aac"], options={"bf": "2"})
    with open_video(path) as reader:
        list(reader.frames())
        assert reader.damage == []


@pytest.mark.parametrize("name", ["late.mkv", "late.ts", "late.mp4"])
def test_a_late_start_is_not_damage(tmp_path, name):
    ticks = {"pts": range(1000, 3000, 40), "time_base": Fraction(1, 1000)}
    path = make_clip(tmp_path / name, frames=50, **ticks)
    with open_video(path) as reader:
        assert len(list(reader.frames())) == 50
        assert reader.damage == []


def test_backward_timestamps_are_corrected_and_reported(tmp_path):
    # Two recordings one after the other; the second one starts at 0 again.
    first = make_clip(tmp_path / "1.ts", frames=8)
    second = make_clip(tmp_path / "2.ts", frames=8)
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with open_video(path) as reader:
        frames = list(reader.frames())
        damage = reader.damage
    times = [frame.time for frame in frames]
    assert len(times) == 16
    assert all(a < b for a, b in pairwise(times))
    assert any("timestamps" in place.message for place in damage)


def test_one_wrong_timestamp_does_not_affect_later_ones(tmp_path):
    path = make_clip(tmp_path / "a.ts")
    data = bytearray(path.read_bytes())
    whole = [frame.time for frame in read_frames(path)]
    place = [k for k in range(len(data) - 14) if data[k : k + 4] == b"\0\0\1\xe0"][5] + 9
    data[place] ^= 0x08  # the topmost bit of the sixth timestamp: 13 hours
    path.write_bytes(data)
    times = [frame.time for frame in read_frames(path)]
    assert [a == b for a, b in zip(times, whole, strict=True)].count(False) <= 3
    assert times[-1] == whole[-1]


def test_a_stream_that_begins_later_is_named_and_the_first_one_is_read_whole(
    tmp_path: Path,
) -> None:
    """Two recordings are joined; the second one has other packet identifiers."""
    for name, start in (("one.ts", 256), ("two.ts", 1500)):
        muxer = {"mpegts_start_pid": str(start), "mpegts_pmt_start_pid": str(start + 2000)}
        make_clip(tmp_path / name, frames=40, sounds=["aac"], muxer=muxer)
    joined = tmp_path / "joined.ts"
    one, two = ((tmp_path / name).read_bytes() for name in ("one.ts", "two.ts"))
    joined.write_bytes(one + two + one)
    with open_video(joined) as reader:
        numbers = [read_number(frame.image) for frame in reader.frames()]
    assert numbers == [*range(40), *range(40)]
    messages = [damage.message for damage in reader.damage]
    assert "another stream begins; it is not examined" in messages
    assert not any("End of file" in message for message in messages)
