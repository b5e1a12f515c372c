"""The sound of a transcoded video: copied, or encoded as AAC where MP4 cannot hold it."""

import math

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from fakelens.media.reader import SoundPacket, longest_step, sound_codec

_SOUND_RATE = 48000  # Hz, where AAC does not know the source's


_DAMAGED_SOUND = "Damaged sound was left out."


class SoundWriter:
    """Every sound stream of the source: copied, or encoded as AAC where MP4 cannot hold it.

    Attributes:
        notes: sentences on what could not be copied.
    """

    def __init__(self, output: OutputContainer, streams: tuple[AudioStream, ...]) -> None:
        self.notes: list[str] = []
        self._output = output
        self._copies: dict[int, AudioStream] = {}
        self._encoders: dict[int, tuple[AudioStream, AudioStream]] = {}  # decoder and encoder
        self._last: dict[int, int] = {}
        for stream in streams:
            codec = sound_codec(stream)
            if not (stream.codec_context and stream.rate and stream.channels):
                self._say(f"Sound that cannot be read ({codec}) was left out.")
            # PCM in MP4 is allowed, but no browser plays it.
            elif codec in output.supported_codecs and not codec.startswith("pcm"):
                self._copies[stream.index] = output.add_stream_from_template(stream)
            else:
                self._encoders[stream.index] = stream, self._add_encoder(stream)
                self._say(f"The sound was encoded again as AAC: players of MP4 expect no {codec}.")

    def write(self, packet: SoundPacket) -> None:
        """Write one packet of the source, copied or encoded again."""
        if copy := self._copies.get(packet.stream.index):
            self._copy(packet, copy)
        elif packet.stream.index in self._encoders:
            self._encode_again(packet, *self._encoders[packet.stream.index])

    def finish(self) -> None:
        """Write what decoders and encoders still hold."""
        for decoder, encoder in self._encoders.values():
            self._encode_again(None, decoder, encoder)
            self._output.mux(encoder.encode())

    def _add_encoder(self, source: AudioStream) -> AudioStream:
        rates = av.codec.Codec("aac", "w").audio_rates or ()
        rate = source.codec_context.sample_rate
        encoder = self._output.add_stream("aac", rate=rate if rate in rates else _SOUND_RATE)
        encoder.layout = "mono" if source.codec_context.channels == 1 else "stereo"
        return encoder

    def _encode_again(
        self, packet: "SoundPacket | None", decoder: AudioStream, encoder: AudioStream
    ) -> None:
        try:
            frames = decoder.decode(packet)
        except av.error.InvalidDataError:
            self._say(_DAMAGED_SOUND)
            return
        for frame in frames:
            frame.time_base = decoder.time_base  # which the last ones lack
            self._output.mux(encoder.encode(frame))

    def _copy(self, packet: SoundPacket, target: AudioStream) -> None:
        time = packet.dts if packet.dts is not None else packet.pts
        last = self._last.get(target.index)
        sample = math.ceil(1 / (target.codec_context.sample_rate * packet.time_base))
        if time is None or (
            last is not None and not sample <= time - last <= longest_step(packet.time_base)
        ):  # MP4 holds neither
            time = 0 if last is None else last + max(sample, packet.duration or 0)
            packet.pts = packet.dts = time
        self._last[target.index] = time
        packet.stream = target
        try:
            self._output.mux(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):  # the disk's fault, not the sound's
                raise
            self._say(_DAMAGED_SOUND)

    def _say(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
