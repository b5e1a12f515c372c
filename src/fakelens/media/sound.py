"""The audio of a transcoded video: copied, or re-encoded as AAC if MP4 does not support it."""

import math

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from fakelens.media.frames import SoundPacket
from fakelens.media.reader import max_timestamp_step, sound_codec

_FALLBACK_RATE = 48000  # Hz, if AAC does not support the source's rate
_DAMAGED_SOUND = "Damaged sound was left out."


class SoundWriter:
    """Writes every audio stream of a source: copied, or re-encoded as AAC where necessary.

    Args:
        output: container to write to.
        streams: audio streams of the source.

    Attributes:
        notes: sentences about what could not be copied.
    """

    def __init__(self, output: OutputContainer, streams: tuple[AudioStream, ...]) -> None:
        self.notes: list[str] = []
        self._output = output
        self._copies: dict[int, AudioStream] = {}
        self._encoders: dict[int, tuple[AudioStream, AudioStream]] = {}  # decoder and encoder
        self._last_times: dict[int, int] = {}  # ticks, by index of the output stream
        for stream in streams:
            codec = sound_codec(stream)
            if not (stream.codec_context and stream.rate and stream.channels):
                self._add_note(f"Sound that cannot be decoded ({codec}) was left out.")
            # MP4 allows PCM, but browsers do not play it.
            elif codec in output.supported_codecs and not codec.startswith("pcm"):
                self._copies[stream.index] = output.add_stream_from_template(stream)
            else:
                self._encoders[stream.index] = stream, self._add_encoder(stream)
                self._add_note(
                    f"The sound was re-encoded as AAC: MP4 players do not support {codec}."
                )

    def write(self, packet: SoundPacket) -> None:
        """Write one packet of the source, copied or re-encoded."""
        if copy := self._copies.get(packet.stream.index):
            self._copy(packet, copy)
        elif packet.stream.index in self._encoders:
            self._reencode(packet, *self._encoders[packet.stream.index])

    def finish(self) -> None:
        """Write what the decoders and encoders still hold."""
        for decoder, encoder in self._encoders.values():
            self._reencode(None, decoder, encoder)
            self._output.mux(encoder.encode())

    def _add_encoder(self, source: AudioStream) -> AudioStream:
        rates = av.codec.Codec("aac", "w").audio_rates or ()
        rate = source.codec_context.sample_rate
        encoder = self._output.add_stream("aac", rate=rate if rate in rates else _FALLBACK_RATE)
        encoder.layout = "mono" if source.codec_context.channels == 1 else "stereo"
        return encoder

    def _reencode(
        self, packet: "SoundPacket | None", decoder: AudioStream, encoder: AudioStream
    ) -> None:
        try:
            frames = decoder.decode(packet)
        except av.error.InvalidDataError:
            self._add_note(_DAMAGED_SOUND)
            return
        for frame in frames:
            frame.time_base = decoder.time_base  # the last frames have none
            self._output.mux(encoder.encode(frame))

    def _copy(self, packet: SoundPacket, target: AudioStream) -> None:
        time = packet.dts if packet.dts is not None else packet.pts
        last = self._last_times.get(target.index)
        sample = math.ceil(1 / (target.codec_context.sample_rate * packet.time_base))
        if time is None or (
            last is not None and not sample <= time - last <= max_timestamp_step(packet.time_base)
        ):  # MP4 supports neither missing times nor such steps
            time = 0 if last is None else last + max(sample, packet.duration or 0)
            packet.pts = packet.dts = time
        self._last_times[target.index] = time
        packet.stream = target
        try:
            self._output.mux(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):  # an error of the disk, not of the sound
                raise
            self._add_note(_DAMAGED_SOUND)

    def _add_note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
