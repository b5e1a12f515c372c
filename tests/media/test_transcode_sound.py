"""Transcoding copies sound, or re-encodes what MP4 does not support."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fakelens.media.transcode import transcode
from support.media import make_clip
from support.transcoding import copy, draw_nothing, frame_times, sound_packets


@pytest.mark.parametrize(
    ("name", "sounds"),
    [
        ("a.mp4", ["aac"]),
        ("two.mp4", ["aac", "aac"]),
        ("a.mp4", ["libmp3lame"]),
        ("a.mkv", ["libopus"]),
        ("a.mkv", ["flac", "ac3"]),
    ],
)
def test_sound_is_copied_bit_for_bit(tmp_path, name, sounds):
    source = make_clip(tmp_path / name, frames=40, sounds=sounds)
    target = copy(source)
    with av.open(target) as container:
        assert len(container.streams.audio) == len(sounds)
        rates = [Fraction(1, stream.rate) for stream in container.streams.audio]
    for stream, tick in enumerate(rates):
        ours, theirs = sound_packets(target, stream), sound_packets(source, stream)
        assert [content for content, _ in ours] == [content for content, _ in theirs]
        late = [abs(mine - their) for (_, mine), (_, their) in zip(ours, theirs, strict=True)]
        assert max(late) <= (0 if name.endswith(".mp4") else Fraction(1, 1000) + tick)


def test_sound_that_starts_before_the_video_is_copied(tmp_path):
    pts = range(2000, 3600, 40)
    source = make_clip(
        tmp_path / "a.mp4", frames=40, pts=pts, time_base=Fraction(1, 1000), sounds=["aac"]
    )
    target = copy(source)
    assert sound_packets(target, 0) == sound_packets(source, 0)
    assert frame_times(target) == frame_times(source)


def measure_pitch(path: Path, stream: int) -> float:
    """Measure the frequency of the tone, Hz."""
    with av.open(path) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=stream)]
        rate = container.streams.audio[stream].rate
    wave = np.concatenate(frames)[: 2 * rate].astype(float)
    return float(np.abs(np.fft.rfft(wave)).argmax() * rate / len(wave))


def count_samples(path: Path, stream: int) -> int:
    with av.open(path) as container:
        return sum(frame.samples for frame in container.decode(audio=stream))


def first_sample_time(path: Path, stream: int) -> float:
    """Return the presentation time of the first sample, seconds."""
    with av.open(path) as container:
        return next(container.decode(audio=stream)).time


@pytest.mark.parametrize(
    ("name", "sounds"),
    [
        ("a.mov", ["pcm_s16le"]),
        ("a.asf", ["wmav2", "wmav1"]),
        ("a.avi", ["pcm_s16le"]),
    ],
)
def test_sound_that_browsers_cannot_play_in_mp4_is_reencoded_and_reported(tmp_path, name, sounds):
    source = make_clip(tmp_path / name, frames=60, sounds=sounds)
    target = tmp_path / "copy.mp4"
    notes = transcode(source, target, draw_nothing)
    assert len(notes) == len(sounds)
    assert all("AAC" in note for note in notes)
    with av.open(target) as container:
        assert {sound.codec.name for sound in container.streams.audio} == {"aac"}
    for stream in range(len(sounds)):
        assert count_samples(target, stream) >= count_samples(source, stream)
        assert measure_pitch(target, stream) == pytest.approx(220 * (stream + 2), abs=3)
        starts = [first_sample_time(path, stream) for path in (source, target)]
        assert abs(starts[1] - starts[0]) < 0.03
    assert frame_times(target) == frame_times(source)


def test_a_video_without_sound_stays_without_sound(tmp_path):
    with av.open(copy(make_clip(tmp_path / "a.mp4"))) as container:
        assert len(container.streams) == 1


def test_sound_with_backward_timestamps_is_written(tmp_path):
    parts = [make_clip(tmp_path / f"{n}.ts", frames=20, sounds=["aac"]) for n in range(2)]
    source = tmp_path / "both.ts"
    source.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    target = copy(source)
    assert frame_times(target) == frame_times(source)
    assert len(sound_packets(target, 0)) == len(sound_packets(source, 0))


def test_damaged_sound_that_must_be_reencoded_is_reported(tmp_path):
    source = make_clip(tmp_path / "a.asf", frames=60, sounds=["wmav2"])
    data = bytearray(source.read_bytes())
    content = [content for content, _ in sound_packets(source, 0)]
    for packet in content[20:25]:
        place = data.index(packet)
        data[place : place + len(packet)] = b"\xff" * len(packet)
    source.write_bytes(data)
    notes = transcode(source, tmp_path / "copy.mp4", draw_nothing)
    assert any("amaged" in note for note in notes)
    assert measure_pitch(tmp_path / "copy.mp4", 0) == pytest.approx(440, abs=5)
